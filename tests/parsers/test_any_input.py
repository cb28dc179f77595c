"""Any bytes at all, and valid inputs with something changed: each parser reads or refuses them, as it promises.

What each promises is said with its target; the fuzzer goes on from there.
"""

import gzip
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import RIGHTS_HEADER
from tests.fuzz import seeds, targets
from tests.fuzz.targets import TARGETS
from tpgateway.cards.codec import datamatrix
from tpgateway.cards.codec.rights_files import zstd
from tpgateway.cards.errors import PhotoUnreadable
from tpgateway.claims.codec.documents import ENDINGS, media_type
from tpgateway.web.validation import Payload

every_target = pytest.mark.parametrize("name", TARGETS)
some = settings(deadline=None, max_examples=25)
more = settings(deadline=None, max_examples=60)


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A seed with up to four pieces of it replaced, by words that mean something to the parser or by any bytes."""
    data = draw(st.sampled_from(TARGETS[name].seeds)).data
    words = st.sampled_from([word.encode() for word in TARGETS[name].words] or [b"?"])
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        taken = draw(st.integers(0, 8))
        data = data[:place] + draw(words | st.binary(max_size=4)) + data[place + taken :]
    return data


@every_target
@some
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


@every_target
@some
@given(data=st.data())
def test_a_valid_input_with_pieces_of_it_changed_is_read_or_refused(name: str, data: st.DataObject) -> None:
    TARGETS[name].run(data.draw(changed(name)))


@every_target
@some
@given(data=st.data())
def test_a_valid_input_that_was_cut_is_read_or_refused(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(TARGETS[name].seeds)).data
    TARGETS[name].run(seed[: data.draw(st.integers(0, len(seed)))])


LINES = [seeds.a_right_element(membership_number=str(number)) for number in range(5)]
DOCUMENT = seeds.a_rights_document(*LINES)
FILE = seeds.RIGHTS_FILES[0].data


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("content", [FILE, seeds.RIGHTS_FILES[1].data, DOCUMENT], ids=["CSV", "with NIR", "XML"])
def test_a_packed_rights_file_is_read_whole_or_not_at_all(pack: Any, content: bytes) -> None:
    packed = pack(content)
    whole = targets.rights_file(packed)
    assert whole is not None
    assert whole.count(b"\n") == targets.rights_file(content).count(b"\n")  # type: ignore[union-attr]
    assert {targets.rights_file(packed[:place]) for place in range(len(packed))} == {None}


def test_a_rights_document_is_read_whole_or_not_at_all() -> None:
    assert targets.rights_xml(DOCUMENT) == 5
    assert {targets.rights_file(DOCUMENT[:place]) for place in range(len(DOCUMENT))} == {None}


def test_a_csv_file_that_was_cut_gives_what_stands_before_the_cut_and_no_more() -> None:
    whole = targets.rights_file(FILE)
    assert whole
    for place in range(len(RIGHTS_HEADER), len(FILE)):
        assert whole.startswith(targets.rights_file(FILE[:place]) or b""), place


@pytest.mark.parametrize("header", ["", ";nir"])
@more
@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=12))
def test_a_line_of_any_cells_stays_one_line(header: str, cells: list[str]) -> None:
    text = ";".join(cells).replace("\n", "").replace("\r", "")
    written = targets.rights_file(f"{RIGHTS_HEADER}{header}\n{text}\n".encode())
    assert written is None or written.strip(b"\n").count(b"\n") == 0


_VALUES = st.sampled_from(
    [
        *(0, 1, 3, 50, 366, 24_000, 10_000_000, 10_000_001, -1, True, False),
        *("", "b", "2026-11-21", "2026-02-30", "0.25", "-2.5", "1e1", "NaN", " 2210546 ", "2210546", "0099990011"),
        *("99990011", "hwya h1ag mhew", "é", "sight_change", "refused"),
    ]
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each value that is no list or object, as what it stands in and under which name."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, (dict, list)):
            yield from _places(each)
        else:
            yield value, name


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A request of any root in which some values are others."""
    root = draw(st.sampled_from(list(seeds.REQUESTS)))
    body = json.loads(json.dumps(draw(st.sampled_from(seeds.REQUESTS[root]))))
    for holder, name in draw(st.lists(st.sampled_from(list(_places(body))), max_size=3)):
        holder[name] = draw(_VALUES)
    return root, body


@settings(more, max_examples=300)
@given(asked=requests())
def test_what_is_read_as_xml_is_read_the_same_as_json(asked: tuple[str, dict[str, Any]]) -> None:
    root, body = asked
    as_xml = targets.approval_xml(seeds.xml_of(root, body))
    if as_xml is not None:
        assert as_xml == targets.approval_json(f"{root}\n{json.dumps(_typed(body, as_xml))}".encode())


def _typed(body: Any, read: Any) -> Any:
    """The body with its values in the JSON kind that was read of them: XML has text alone."""
    if isinstance(body, dict):
        return {name: _typed(value, getattr(read, name)) for name, value in body.items()}
    if isinstance(body, list):
        return [_typed(value, each) for value, each in zip(body, read, strict=True)]
    return read if isinstance(read, (bool, int)) else str(body).lower() if isinstance(body, bool) else str(body)


@pytest.mark.parametrize("root", seeds.REQUESTS)
def test_every_request_is_read_as_xml_and_as_json(root: str) -> None:
    for body in seeds.REQUESTS[root]:
        read = targets.approval_xml(seeds.xml_of(root, body))
        assert isinstance(read, Payload)
        assert read == targets.approval_json(f"{root}\n{json.dumps(body)}".encode())


@more
@given(
    start=st.sampled_from([b"", b"%PDF-", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"]), rest=st.binary(max_size=20)
)
def test_what_a_document_is_does_not_change_with_what_follows(start: bytes, rest: bytes) -> None:
    found = media_type((start + rest)[:8])
    assert found is None or found in ENDINGS
    assert found == media_type(start + rest) or len(start + rest) < 8


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    5,
    1.5,
    1e300,
    10**400,
    float("inf"),
    float("nan"),
    "",
    "\0",
    "é" * 300,
    "\ud800",
    [],
    {},
]
ODD += [[[]], [seeds.BASE_URL, 5], {"a": {}}, str(seeds.CLIENT_ID).replace("0", "1"), "9" * 5_000]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_a_claim_of_any_kind_makes_a_token_nobodys_or_leaves_it_whose_it_is(value: Any) -> None:
    for claim in (*seeds.CLAIMS, "iat", "nbf", "jti"):
        found = targets.access_token(seeds.token_of({**seeds.CLAIMS, claim: value}, kid="k", typ="at+jwt"))
        assert found is None or claim not in {"iss", "aud", "access"} or value == [seeds.BASE_URL, 5]
        assert found is None or found.account_id == (UUID(value) if claim == "sub" else seeds.CLIENT_ID)
    for claim in (*seeds.ASSERTED, "iat", "nbf"):
        caller = targets.client_assertion(seeds.token_of({**seeds.ASSERTED, claim: value}))
        assert caller is None or claim not in {"iss", "sub", "exp"}


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("name", ["alg", "kid", "typ", "crit", "b64", "zip", "jwk", "x5u"])
def test_a_head_of_any_kind_is_refused_or_does_not_matter(name: str, value: Any) -> None:
    head = {"kid": "k", "typ": "at+jwt", name: value}
    found = targets.access_token(seeds.token_of(seeds.CLAIMS, **head))
    assert found is None or name in {"b64", "zip", "jwk", "x5u", "crit"}
    caller = targets.client_assertion(seeds.token_of(seeds.ASSERTED, **{name: value}))
    assert caller is None or name != "alg"


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS256", "HS512", "RS256", "ES256", "PS256", "Ed25519", "eddsa", "EdDSA "]
)
def test_another_algorithm_is_refused_whatever_the_signature(algorithm: str) -> None:
    token = seeds.token_of(seeds.CLAIMS, kid="k", typ="at+jwt", alg=algorithm)
    unsigned = seeds.signed(token[1:]).rpartition(".")[0].encode()
    for data in (token, unsigned + b".", unsigned, unsigned + b".AAAA"):
        assert targets.access_token(data) is None
    assert targets.client_assertion(seeds.token_of(seeds.ASSERTED, alg=algorithm)) is None


@pytest.mark.parametrize(
    "lines",
    [
        b"\xff\n{}",
        b'{"alg":"EdDSA","kid":"k","typ":"at+jwt"}\n\xff\xfe{',
        b"[]\n[]",
        b'"x"\n5',
        b"\n",
        b"[" * 100_000 + b"\n{}",
        b'{"alg":"EdDSA","kid":"k","typ":"at+jwt"}\n' + b'{"a":' * 100_000,
        b'{"alg":"EdDSA","kid":"k","typ":"at+jwt"}\n{"a":"' + b"x" * 5_000_000 + b'"}',
    ],
    ids=["head no UTF-8", "claims no UTF-8", "lists", "scalars", "empty", "deep head", "deep claims", "huge"],
)
def test_what_is_no_object_at_all_is_refused(lines: bytes) -> None:
    assert targets.access_token(b"+" + lines) is None
    assert targets.client_assertion(b"+" + lines) is None


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    stranger = str(seeds.CLIENT_ID).replace("0", "1")
    claims = json.dumps(seeds.CLAIMS)
    doubled = f'{{"sub": "{stranger}", {claims[1:]}'.encode()
    head = b'+{"alg":"EdDSA","kid":"x","kid":"k","typ":"at+jwt"}\n'
    found = targets.access_token(head + doubled)
    assert found
    assert found.account_id == seeds.CLIENT_ID
    assert targets.access_token(head.replace(b'"kid":"k"', b'"kid":"y"') + doubled) is None


def test_a_token_has_one_spelling() -> None:
    token = seeds.ACCESS_TOKENS[1].data
    assert targets.access_token(token)
    for place in range(len(token)):
        for other in b"A.=~":
            wrong = token[:place] + bytes([other]) + token[place + 1 :]
            assert wrong == token or targets.access_token(wrong) is None, place
    last = [token[:-1] + bytes([other]) for other in range(33, 127)]
    assert [each for each in last if targets.access_token(each)] == [token]


@pytest.mark.parametrize("text", ["TPG1/", "tpg1/x", "TPG1/" + "A" * 900, "TPG1/é\0\x1d", "https://x.example"])
def test_a_code_that_holds_no_card_makes_none(text: str) -> None:
    read = targets.card_photo(datamatrix.draw(text))
    assert (read is not None) is text.upper().startswith("TPG1/")
    assert read is None or targets.card_text(read.encode()) is None


def test_a_picture_that_says_that_it_is_huge_is_not_opened() -> None:
    head = b"PNGIHDR" + (13).to_bytes(2) + (50_000).to_bytes(4) * 2 + b"\x08\0\0\0\0"
    with pytest.raises(PhotoUnreadable):
        datamatrix.read_photo(targets.png(head + b"IDAT\0\0IEND\0\0"))
