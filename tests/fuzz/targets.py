"""The parsers, each as a function of bytes that raises where a promise is broken.

A parser may read its input or refuse it by the problems that it documents. All else is a find: another exception, or
something that was read and does not come back the same. Nothing here needs a database or what only tests install.
"""

import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
from lxml import etree
from pydantic import TypeAdapter, ValidationError
from stdnum.exceptions import ValidationError as NumberRefused

from tests.fuzz import seeds
from tests.fuzz.seeds import BASE_URL, CLIENT_ID, NOW, Seed
from tpgateway.cards.codec import datamatrix, rights_files
from tpgateway.cards.codec.proofs import format_proof, parse_proof
from tpgateway.cards.errors import CardUnreadable, NoCodeInPhoto, PhotoUnreadable, ProofMistyped
from tpgateway.cards.payloads import BatchLine
from tpgateway.claims.codec import xml as approvals
from tpgateway.claims.payloads import (
    AmendmentRequest,
    AppealRequest,
    Asked,
    DecisionRequest,
    ExtensionRequest,
    InformationRequest,
    PriorApprovalRequest,
    QuestionRequest,
    UseRequest,
)
from tpgateway.client import WebhookRefused, verify_webhook
from tpgateway.conventions.codec.files import read_folder
from tpgateway.conventions.codec.text import refuse_unprintable
from tpgateway.conventions.errors import ConventionUnreadable
from tpgateway.directory import codec as directory
from tpgateway.directory.errors import DirectoryFileUnknown
from tpgateway.directory.model import Entry, Position
from tpgateway.dre.codec.signatures import SignatureWrong, Signer, verify
from tpgateway.errors import InvalidRequest, Problem
from tpgateway.identifiers import (
    adeli,
    amc_number,
    bic,
    cip13,
    finess,
    iban,
    lpp,
    nir,
    postal_code,
    rpps,
    siret,
    treasury,
)
from tpgateway.practitioners.model import PractitionerId
from tpgateway.vault import Vault
from tpgateway.web import oauth
from tpgateway.web.callers import Access, Caller
from tpgateway.web.fields import PublicJwkField
from tpgateway.web.problems import NotJson, NotXml, TokenExpired, TokenInvalid, WrongEncoding
from tpgateway.web.tokens import Tokens
from tpgateway.web.validation import Payload, parse_json
from tpgateway.web.xml import is_wanted

SCHEMES = (finess, adeli, rpps, treasury, nir, amc_number, bic, iban, lpp, cip13, siret, postal_code)
APPROVAL_SHAPES: Mapping[str, type[Payload]] = {
    "prior_approval": PriorApprovalRequest,
    "amendment": AmendmentRequest,
    "extension": ExtensionRequest,
    "appeal": AppealRequest,
    "information": InformationRequest,
    "use": UseRequest,
    "information_request": QuestionRequest,
    "insurer_decision": DecisionRequest,
}
_DOCUMENTS = {root: approvals.request(root) for root in APPROVAL_SHAPES}
_VAULT = Vault.from_json(Vault.new_json())
_TOKENS = Tokens(keys_json=seeds.SIGNING_KEYS, base_url=BASE_URL, lifetime=timedelta(minutes=10))
_SIGNER = Signer(seeds.SIGNING_KEYS)
_KEY: TypeAdapter[dict[str, Any]] = TypeAdapter(PublicJwkField)
_ROOT = re.compile(rb"<(?:[a-z]+:)?([a-z_]+)[ >/]")
_RIGHTS_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``run`` raises for a find. ``seeds`` are inputs to begin from; ``words`` what fuzzers may put into them."""

    run: Callable[[bytes], object]
    seeds: Sequence[Seed]
    words: Sequence[str] = ()
    longest: int = 4096


def identifier(data: bytes) -> str | None:
    """The first byte names the scheme, the rest is what somebody typed."""
    scheme = SCHEMES[data[0] % len(SCHEMES)] if data else finess
    text = data[1:].decode("utf-8", "surrogatepass" if b"\xed" in data else "replace") if _is_text(data[1:]) else ""
    try:
        number: str | None = scheme.validate(text)
    except NumberRefused:
        number = None
    assert scheme.is_valid(text) is (number is not None)
    if number is not None:
        assert number.isascii()
        assert scheme.validate(number) == scheme.validate(scheme.format(number)) == number
        assert scheme.format(scheme.format(text)) == scheme.format(number)
    return number


def rights_file(data: bytes) -> bytes | None:
    """What COPY would get of a rights file: numbered lines in their order, or the lines as they came."""
    target = io.BytesIO()
    try:
        ready = rights_files.prepare(io.BytesIO(data), target, lambda: _VAULT, limit=_RIGHTS_LIMIT)
    except (rights_files.Unreadable, rights_files.WronglyEncoded):
        return None
    written = target.getvalue()
    assert not any(mark in written for mark in (b"\x00", b"\x02", b"\r"))
    if ready.are_numbered:
        lines = written.decode().split("\n")
        assert lines.pop() == ""
        numbers = [int(line.split("\x01")[0]) for line in lines]
        assert numbers == sorted(set(numbers))
        assert all(line.count("\x01") == 1 for line in lines)
        longest = rights_files.LONGEST_LINE + rights_files.SEALING
        assert all(len(line.split("\x01")[1]) <= longest + 1 for line in lines)
    else:
        assert b"\x01" not in written
    return written


def rights_xml(data: bytes) -> int | None:
    """As many lines as the document has elements under its root."""
    written = rights_file(data)
    if written is None or not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return None
    lines = written.count(b"\n")
    parser = etree.XMLParser(resolve_entities=False, remove_comments=True, remove_pis=True, no_network=True)
    root = etree.fromstring(data.removeprefix(b"\xef\xbb\xbf").lstrip(), parser)
    assert lines == len(root)
    assert not root.getroottree().docinfo.doctype
    return lines


def card_text(data: bytes) -> datamatrix.PrintedCard | None:
    """A card that was read is written and read again the same."""
    text = data.decode("utf-8", "replace")
    try:
        card = datamatrix.parse(text)
    except CardUnreadable:
        return None
    assert text.strip().isascii()
    assert datamatrix.write(card).isascii()
    assert datamatrix.parse(datamatrix.write(card)) == card
    return card


def card_photo(data: bytes) -> str | None:
    """A file as it is, or (behind ``PNG``) chunks whose check sums are put right: type, length in two bytes, content."""
    try:
        return datamatrix.read_photo(png(data[3:]) if data.startswith(b"PNG") else data)
    except (PhotoUnreadable, NoCodeInPhoto):
        return None


def png(data: bytes) -> bytes:
    """A PNG of these chunks: type, length in two bytes, content; what is pixels is packed."""
    written = [b"\x89PNG\r\n\x1a\n"]
    while len(data) >= 6:
        length = int.from_bytes(data[4:6])
        kind, content, data = data[:4], data[6 : 6 + length], data[6 + length :]
        if kind == b"IDAT":
            content = zlib.compress(content, 0)
        written.append(len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4))
    return b"".join(written)


def proof(data: bytes) -> str | None:
    try:
        read = parse_proof(data.decode("utf-8", "replace"))
    except ProofMistyped:
        return None
    assert parse_proof(format_proof(read)) == read
    return read


def approval_xml(data: bytes) -> Payload | None:
    """One of the roots, by the first that the document names; what is read says the same once written canonically."""
    named = _ROOT.search(data)
    root = named[1].decode() if named and named[1].decode() in APPROVAL_SHAPES else "prior_approval"
    document, shape = _DOCUMENTS[root], APPROVAL_SHAPES[root]
    try:
        read = document.read(data, shape)
        try:
            request = parse_json(shape, read.as_json, {})
        except InvalidRequest as wrong:
            located = read.located(wrong)
            assert len(located.faults) == len(wrong.faults)
            return None
    except (NotXml, InvalidRequest) as refused:
        assert all(fault.pointer.startswith("/") for fault in refused.faults)
        return None
    assert document.read(etree.tostring(read.root, method="c14n"), shape).as_json == read.as_json
    return _asked(request)


def approval_json(data: bytes) -> Payload | None:
    """The same as JSON; the first line names the shape."""
    name, _, raw = data.partition(b"\n")
    try:
        return _asked(parse_json(APPROVAL_SHAPES.get(name.decode("latin-1"), PriorApprovalRequest), raw, {}))
    except (NotJson, WrongEncoding, InvalidRequest):
        return None


def _asked(request: Payload) -> Payload | None:
    try:
        if isinstance(request, Asked):
            assert request.request().lines
        elif isinstance(request, ExtensionRequest):
            assert request.stay.request().lines
    except InvalidRequest:
        return None
    return request


def batch_line(data: bytes) -> BatchLine | None:
    """A line of a batch, to the card that it is about."""
    try:
        line = parse_json(BatchLine, data, {})
        ask = line.ask(PractitionerId(CLIENT_ID), None, _VAULT, now=NOW, today=date(2026, 11, 21))
    except (NotJson, WrongEncoding, InvalidRequest):
        return None
    assert (ask.card.membership_number is None) is (ask.card.nir_hash is not None)
    json.dumps(line.id).encode()
    return line


def access_token(data: bytes) -> Caller | None:
    """A token as it came; or header and claims, a line each, behind ``+``: signed as the gateway does."""
    token = seeds.signed(data[1:]) if data.startswith(b"+") else data.decode("latin-1")
    try:
        caller = _TOKENS.check(token, NOW)
    except (TokenInvalid, TokenExpired):
        return None
    assert isinstance(caller.access, Access)
    assert isinstance(caller.account_id, UUID)
    assert _TOKENS.expires_at(token) > NOW.timestamp()
    return caller


class _AllNew:
    """Takes every assertion for one that was not used before, as a database does that can keep what it is given."""

    async def fetchval(self, _: str, client_id: UUID, jti: str, expires: datetime) -> int:
        assert jti.encode().isascii()
        assert expires.tzinfo is UTC
        assert client_id == CLIENT_ID
        return 1


async def _find(_: Any, number: UUID) -> oauth.Client | None:
    caller = Caller(access=Access.INSURER_CLIENT, account_id=CLIENT_ID, client_id=CLIENT_ID)
    return oauth.Client(caller=caller, public_jwks=[seeds.PUBLIC_JWK]) if number == CLIENT_ID else None


def client_assertion(data: bytes) -> Caller | None:
    """An assertion as it came, or signed behind ``+``, at the token endpoint; ``SOON`` is five minutes from now."""
    now = datetime.now(UTC)
    data = data.replace(b"SOON", str(int(now.timestamp()) + 300).encode())
    assertion = seeds.signed(data[1:]) if data.startswith(b"+") else data.decode("utf-8", "replace")
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": oauth.ASSERTION_TYPE,
        "client_assertion": assertion,
    }
    asked = oauth.asserted_client(form)
    assert asked is None or isinstance(asked, UUID)
    connection: Any = _AllNew()
    coroutine = oauth.authenticate(connection, [_find], form=form, authorization=None, audiences=[BASE_URL], now=now)
    try:
        coroutine.send(None)
    except StopIteration as done:
        caller: Caller = done.value
        assert caller.client_id == CLIENT_ID
        return caller
    except Problem as refused:
        assert refused.status < 500
        return None
    raise AssertionError("it waits for something")


def public_key(data: bytes) -> dict[str, Any] | None:
    """A key that is accepted is public, and verifies."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    try:
        kept = _KEY.validate_python(value)
    except ValidationError:
        return None
    assert "d" not in kept
    assert jwt.PyJWK(kept).algorithm_name in oauth.ASSERTION_ALGORITHMS
    return kept


def table_signature(data: bytes) -> str | None:
    """Signature, key set and content, split by NUL; nothing but what the signer signed is signed."""
    signature, keys, content = [*data.split(b"\0", 2), b"", b""][:3]
    try:
        known = json.loads(keys)
    except (ValueError, RecursionError):
        known = [_SIGNER.public_jwk]
    try:
        return verify(content, signature.decode("utf-8", "replace"), known).name
    except SignatureWrong:
        return None


def webhook(data: bytes) -> object:
    """Headers, a line each, then an empty line and the body, as makers of insurers' systems verify it."""
    head, _, body = data.partition(b"\n\n")
    pairs = [line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\n")]
    headers = {name: value for name, _, value in pairs}
    try:
        return verify_webhook(body, headers, secrets=[seeds.WEBHOOK_SECRET], now=NOW)
    except WebhookRefused:
        return None


def directory_file(data: bytes) -> int | None:
    """How many entries and positions a database could keep of a file of the public directories."""
    try:
        _, records = directory.read(io.BytesIO(data))
    except DirectoryFileUnknown:
        return None
    count = 0
    for record in records:
        if isinstance(record, Entry):
            schemes: Mapping[str, Callable[[str], str]] = {
                "finess": finess.validate,
                "rpps": rpps.validate,
                "adeli": adeli.validate_form,
            }
            assert schemes[record.scheme](record.number) == record.number
            texts = [getattr(record, name) for name in record.__slots__]
            assert not any("\0" in text for text in texts if isinstance(text, str))
        elif isinstance(record, Position):
            assert -90 <= record.latitude <= 90
            assert -180 <= record.longitude <= 180
        count += record is not None
    return count


def convention_terms(data: bytes) -> int | None:
    """The terms of a convention, as the operator writes them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "optics.toml").write_bytes(data)
        (Path(folder) / "optics.md").write_text("# Convention")
        try:
            return len(read_folder(Path(folder)))
        except ConventionUnreadable:
            return None


def convention_text(data: bytes) -> int | None:
    """The text of a convention: what is read can be printed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "optics.toml").write_text(seeds.TERMS)
        (Path(folder) / "optics.md").write_bytes(data)
        try:
            [terms] = read_folder(Path(folder))
            refuse_unprintable(terms)
        except ConventionUnreadable:
            return None
    return 1


def accept_header(data: bytes) -> bool:
    return is_wanted(data.decode("utf-8", "replace"), "application/xml")


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


_XML_WORDS = (
    *("<!DOCTYPE a [", "<!ENTITY b ", "SYSTEM ", "PUBLIC ", "]>", "&b;", "&#10;", "&#x0;", "<![CDATA[", "]]>"),
    *("<!--", "-->", "<?x ", "?>", 'xmlns:x="', 'xsi:nil="true"'),
    *('encoding="UTF-16"', 'encoding="ISO-8859-1"', 'encoding="UTF-7"'),
)
_JWT_WORDS = (
    *('"alg":"none"', '"alg":"HS256"', '"alg":"EdDSA"', '"kid":', '"crit":["b64"]', '"b64":false', '"typ":"at+jwt"'),
    *('"exp":', '"nbf":', '"iat":', '"aud":', '"iss":', '"sub":', '"jti":', '"scope":', '"access":', "SOON"),
    *("Infinity", "NaN", "1e999", "null", "[]", "{}", "\\ud800"),
)
_JSON_WORDS = ("null", "true", "[]", "{}", "1e400", "-0", '\\u0000', '\\ud800')  # fmt: skip

TARGETS: Mapping[str, Target] = {
    "identifier": Target(run=identifier, seeds=seeds.IDENTIFIERS, longest=60),
    "rights_file": Target(run=rights_file, seeds=seeds.RIGHTS_FILES, words=(";nir", "\r\n", "\x1f")),
    "rights_xml": Target(run=rights_xml, seeds=seeds.RIGHTS_XML, words=_XML_WORDS),
    "card_text": Target(
        run=card_text, seeds=seeds.CARD_TEXTS, words=("TPG1/", "/00010101/", "ß", "ﬁ", "ſ"), longest=300
    ),
    "card_photo": Target(
        run=card_photo,
        seeds=seeds.PHOTOS,
        words=("IHDR", "IDAT", "PLTE", "tRNS", "iCCP", "zTXt", "eXIf", "acTL", "fdAT"),
    ),
    "proof": Target(run=proof, seeds=seeds.PROOFS, longest=40),
    "approval_xml": Target(run=approval_xml, seeds=seeds.APPROVALS_XML, words=_XML_WORDS),
    "approval_json": Target(run=approval_json, seeds=seeds.APPROVALS_JSON, words=_JSON_WORDS),
    "batch_line": Target(run=batch_line, seeds=seeds.BATCH_LINES, words=_JSON_WORDS),
    "access_token": Target(run=access_token, seeds=seeds.ACCESS_TOKENS, words=_JWT_WORDS),
    "client_assertion": Target(run=client_assertion, seeds=seeds.ASSERTIONS, words=_JWT_WORDS),
    "public_key": Target(
        run=public_key,
        seeds=seeds.PUBLIC_KEYS,
        words=('"kty":', '"crv":', '"OKP"', '"EC"', '"RSA"', '"P-256"', '"X25519"'),
    ),
    "table_signature": Target(run=table_signature, seeds=seeds.SIGNATURES, words=_JWT_WORDS),
    "webhook": Target(
        run=webhook,
        seeds=seeds.WEBHOOKS,
        words=("webhook-id:", "webhook-timestamp:", "webhook-signature:", "v1,", "v1a,"),
    ),
    "directory_file": Target(
        run=directory_file, seeds=seeds.DIRECTORIES, words=("structureet;", "geolocalisation;", "EPSG:", "LAMB93", '"')
    ),
    "convention_terms": Target(
        run=convention_terms, seeds=seeds.CONVENTION_TERMS, words=("[[tariffs]]", "domain = ", "'''")
    ),
    "convention_text": Target(
        run=convention_text, seeds=seeds.CONVENTION_TEXTS, words=("|---|", "[x](", "# ", "```", "> ", "1. ", "&nbsp;")
    ),
    "accept_header": Target(
        run=accept_header, seeds=seeds.ACCEPTS, words=("application/xml", ";q=", "*/*"), longest=200
    ),
}
