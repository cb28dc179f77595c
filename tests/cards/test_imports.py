"""Imports of rights: what loads, what is listed, and that a file is in or not at all."""

import asyncio
import gzip
import io
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from lxml import etree

from tests import builders
from tests.driver import Gateway, until
from tpgateway.cards.codec import rights_files
from tpgateway.cards.codec.rights_files import zstd
from tpgateway.cards.store.rights import IMPORT_MEANS, checked_lines
from tpgateway.web.state import STATE

ROWS = "SELECT count(*) FROM insured_rights"


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"membership_number": ""}, "membership_number", "wrong_form"),
        ({"membership_number": "x" * 17}, "membership_number", "wrong_form"),
        ({"membership_number": "12 34"}, "membership_number", "wrong_form"),
        ({"membership_number": "12ı"}, "membership_number", "wrong_form"),  # a capital I, by Turkish rules
        ({"birth_date": "1980022"}, "birth_date", "wrong_form"),
        ({"birth_date": "19８00229"}, "birth_date", "wrong_form"),
        ({"birth_rank": "0"}, "birth_rank", "wrong_form"),
        ({"birth_rank": "10"}, "birth_rank", "wrong_form"),
        ({"valid_from": "2026-02-30"}, "valid_from", "no_date"),
        ({"valid_from": "01/01/2026"}, "valid_from", "no_date"),
        ({"valid_to": "2026-13-01"}, "valid_to", "no_date"),
        ({"valid_to": "infinity"}, "valid_to", "no_date"),
        ({"valid_to": "99999-12-31"}, "valid_to", "no_date"),
        ({"valid_from": "0044-03-15 BC"}, "valid_from", "no_date"),
        ({"valid_from": "2026-02-01", "valid_to": "2026-01-31"}, "valid_to", "before_valid_from"),
        ({"convention_types": "S"}, "convention_types", "wrong_form"),
        ({"convention_types": ""}, "convention_types", "wrong_form"),
        ({"csr": "x" * 9}, "csr", "wrong_form"),
        ({"product_code": "low"}, "product_code", "wrong_form"),
        ({"product_code": "A;B"}, "", "wrong_column_count"),
        ({"product_code": "A" * 2_000}, "", "line_too_long"),
    ],
)
async def test_a_broken_line_is_listed_and_the_good_ones_load(
    gateway: Gateway, changes: dict[str, str], column: str, code: str
) -> None:
    insurer = await gateway.admit()
    done = await insurer.load(builders.a_right("1"), builders.a_right("2", **changes), builders.a_right("3"))
    assert (done.body["lines"], done.body["loaded"], done.body["rejected"]) == (3, 2, 1)
    [reject] = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert (reject["line"], reject["column"], reject["code"]) == (3, column, code)
    assert reject["reason"]
    assert await gateway.fetchval(ROWS) == 2


async def test_of_two_periods_of_one_person_that_overlap_the_one_that_begins_first_is_loaded(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    done = await insurer.load(
        builders.a_right("abc"),
        builders.a_right("ABC"),
        builders.a_right("1", valid_from="2026-06-30"),
        builders.a_right("1", valid_from="2026-01-01", valid_to="2026-06-30"),
        builders.a_right("1", birth_rank="2"),
    )
    assert (done.body["loaded"], done.body["rejected"]) == (3, 2)
    rejects = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert [(each["line"], each["column"], each["code"]) for each in rejects] == [
        (3, "valid_from", "overlaps"),
        (4, "valid_from", "overlaps"),
    ]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "rights_file_unreadable"),
        (b"membership;birth\n1;2\n", 422, "rights_file_unreadable"),
        (builders.a_right().encode(), 422, "rights_file_unreadable"),
        (f"{builders.RIGHTS_HEADER}\n{builders.a_right('é')}\n".encode("latin-1"), 400, "wrong_encoding"),
        (f"{builders.RIGHTS_HEADER}\n{builders.a_right()}\n".encode("utf-16"), 400, "wrong_encoding"),
        (f"{builders.RIGHTS_HEADER}\n{builders.a_right()}\n\x01\n".encode(), 400, "wrong_encoding"),
        (f"{builders.RIGHTS_HEADER}\n{'x' * 3_000_000}\n".encode(), 422, "rights_file_unreadable"),
    ],
    ids=["empty", "other header", "no header", "latin-1", "utf-16", "control", "endless line"],
)
async def test_a_file_that_cannot_be_read_changes_nothing(
    gateway: Gateway, content: bytes, status: int, code: str
) -> None:
    insurer = await gateway.admit()
    await insurer.load(builders.a_right())
    reply = await insurer.load_bytes(content, mode="full")
    assert (reply.status, reply.code) == (status, code)
    assert await gateway.fetchval(ROWS) == 1
    assert await gateway.fetchval("SELECT count(*) FROM rights_imports") == 1
    assert (await insurer.load(builders.a_right("2"))).body["loaded"] == 1  # the connection serves on


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
async def test_line_endings_marks_and_blank_lines_do_not_matter(gateway: Gateway, ending: str, mark: str) -> None:
    insurer = await gateway.admit()
    lines = [builders.RIGHTS_HEADER, builders.a_right("1"), "", builders.a_right("2"), "", ""]
    done = await insurer.load_bytes((mark + ending.join(lines)).encode())
    assert (done.body["loaded"], done.body["rejected"]) == (2, 0)


async def test_blank_lines_count_as_lines(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    done = await insurer.load("", "", builders.a_right("1"), "", builders.a_right("2", birth_rank="0"))
    [reject] = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert reject["line"] == 6
    filled = await insurer.load_bytes(f"{builders.RIGHTS_HEADER}\n".encode() + b"\n" * 2_100_000)
    assert (filled.status, filled.code) == (422, "rights_file_unreadable")


async def test_a_nir_under_a_header_that_does_not_name_it_is_refused_before_it_is_written(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    refused = await insurer.load(f"{builders.a_right()};{NIR}")
    assert (refused.status, refused.code) == (422, "rights_file_unreadable")
    assert ";nir" in refused.body["detail"]
    loaded = await insurer.load(f"{builders.a_right('1')};x", builders.a_right("2"))
    assert (loaded.body["loaded"], loaded.body["rejected"]) == (1, 1)


async def test_a_full_file_closes_the_rights_of_whoever_is_missing(gateway: Gateway) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    await other.load(builders.a_right("1"))
    next_year = builders.today().year + 1
    future = builders.a_right("2", valid_from=f"{next_year}-01-01", valid_to=f"{next_year}-12-31")
    await insurer.load(builders.a_right("1"), builders.a_right("2"), future, builders.a_right("3"))
    done = await insurer.load(builders.a_right("1"), mode="full&confirm_closing=true")
    assert done.body["closed"] == 3
    still = (
        "SELECT array_agg(membership_number ORDER BY 1) FROM insured_rights WHERE valid_to >= $1 AND insurer_id = $2"
    )
    assert await gateway.fetchval(still, builders.today(), insurer.id) == ["1"]
    assert await gateway.fetchval(still, builders.today(), other.id) == ["1"]


async def test_an_update_touches_only_whom_it_names(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await insurer.load(builders.a_right("1"), builders.a_right("2"))
    done = await insurer.load(builders.a_right("2", product_code="OTHER"))
    assert (done.body["loaded"], done.body["closed"]) == (1, 0)
    products = "SELECT array_agg(product_code ORDER BY membership_number) FROM insured_rights"
    assert await gateway.fetchval(products) == ["CONFORT", "OTHER"]


@pytest.mark.parametrize(
    ("before", "update", "after"),
    [
        (
            [("2026-01-01", "2026-12-31")],
            [("2026-06-01", "2026-12-31")],
            ["2026-01-01 2026-05-31 OLD", "2026-06-01 2026-12-31 NEW"],
        ),
        (
            [("2026-03-01", "2027-12-31")],
            [("2026-01-01", "2026-02-28"), ("2026-07-01", "2026-12-31")],
            [
                "2026-01-01 2026-02-28 NEW",
                "2026-03-01 2026-06-30 OLD",
                "2026-07-01 2026-12-31 NEW",
                "2027-01-01 2027-12-31 OLD",
            ],
        ),
        ([("2026-03-01", "2026-04-30")], [("2026-01-01", "9999-12-31")], ["2026-01-01 9999-12-31 NEW"]),
        (
            [("2026-01-01", "2026-03-31"), ("2026-04-01", "9999-12-31")],
            [("2026-03-31", "2026-04-01")],
            ["2026-01-01 2026-03-30 OLD", "2026-03-31 2026-04-01 NEW", "2026-04-02 9999-12-31 OLD"],
        ),
        ([("2026-01-01", "2026-12-31")], [("2026-01-01", "2026-12-31")], ["2026-01-01 2026-12-31 NEW"]),
        (
            [("2025-01-01", "2025-12-31")],
            [("2026-01-01", "2026-12-31")],
            ["2025-01-01 2025-12-31 OLD", "2026-01-01 2026-12-31 NEW"],
        ),
    ],
)
async def test_what_a_file_says_of_a_day_is_what_holds_and_other_days_stay(
    gateway: Gateway, before: list[tuple[str, str]], update: list[tuple[str, str]], after: list[str]
) -> None:
    insurer = await gateway.admit()
    for periods, product in ((before, "OLD"), (update, "NEW")):
        lines = [builders.a_right(valid_from=begin, valid_to=end, product_code=product) for begin, end in periods]
        await insurer.load(*lines, builders.a_right("OTHER", product_code="OLD"))
    held = """
        SELECT array_agg(valid_from || ' ' || valid_to || ' ' || product_code ORDER BY valid_from)
        FROM insured_rights WHERE membership_number = '1234567'
    """
    assert await gateway.fetchval(held) == after


async def held(gateway: Gateway, membership_number: str = "1234567") -> list[str]:
    """Somebody's periods."""
    found = await gateway.fetchval(
        "SELECT array_agg(valid_from || ' ' || valid_to ORDER BY valid_from) FROM insured_rights"
        " WHERE membership_number = $1",
        membership_number,
    )
    return found or []


@pytest.mark.parametrize("mode", ["full", "update"])
async def test_a_right_is_ended_early_by_a_line_that_begins_with_it(gateway: Gateway, mode: str) -> None:
    insurer = await gateway.admit()
    others = [builders.a_right(f"{number}") for number in range(9)]
    await insurer.load(*others, builders.a_right(valid_from="2026-01-01", valid_to="2099-12-31"))
    await insurer.load(*others, builders.a_right(valid_from="2026-01-01", valid_to="2026-03-31"), mode=mode)
    assert await held(gateway) == ["2026-01-01 2026-03-31"]


async def test_a_full_file_is_the_whole_truth_from_today_on(gateway: Gateway) -> None:
    insurer, today = await gateway.admit(), builders.today()
    yesterday, later = today - timedelta(days=1), today + timedelta(days=90)
    kept = [("2020-01-01", "2020-12-31"), ("2021-01-01", "2098-12-31"), ("2099-01-01", "2099-12-31")]
    broken = [builders.a_right("2", valid_from="2021-01-01", valid_to="2099-12-31"), builders.a_right("2", csr="?")]
    before = [builders.a_right(valid_from=first, valid_to=last) for first, last in kept]
    await insurer.load(*before, broken[0])
    done = await insurer.load(
        builders.a_right(valid_from=str(today), valid_to=str(later)), builders.a_right("2"), broken[1], mode="full"
    )
    assert (done.status, done.body["closed"]) == (201, 2)
    assert await held(gateway) == ["2020-01-01 2020-12-31", f"2021-01-01 {yesterday}", f"{today} {later}"]
    assert (await held(gateway, "2"))[-1].endswith("2099-12-31")
    again = await insurer.load(
        builders.a_right(valid_from=str(today), valid_to=str(later)), builders.a_right("2"), broken[1], mode="full"
    )
    assert (again.body["closed"], again.body["unchanged"]) == (0, 2)


@pytest.mark.parametrize("mode", ["full", "update"])
async def test_ends_that_leave_too_many_people_without_rights_are_asked_about(gateway: Gateway, mode: str) -> None:
    insurer = await gateway.admit()
    await insurer.load(*(builders.a_right(f"{n}", valid_from="2021-01-01", valid_to="2099-12-31") for n in range(10)))
    ended = [builders.a_right(f"{n}", valid_from="2021-01-01", valid_to="2021-12-31") for n in range(3)]
    others = [builders.a_right(f"{n}", valid_from="2021-01-01", valid_to="2099-12-31") for n in range(3, 10)]
    refused = await insurer.load(*ended, *others, mode=mode)
    assert refused.code == "closes_too_many"
    assert refused.body["detail"] == "3 of 10 people, with rights open today or to come, would have none"
    assert await held(gateway, "1") == ["2021-01-01 2099-12-31"]
    goes_on = builders.a_right("1", valid_from="2022-01-01", valid_to="2099-12-31")
    assert (await insurer.load(*ended, goes_on, *others, mode=mode)).status == 201
    assert await held(gateway, "0") == ["2021-01-01 2021-12-31"]
    assert await held(gateway, "1") == ["2021-01-01 2021-12-31", "2022-01-01 2099-12-31"]


async def test_many_rights_of_few_people_end_without_a_question(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    years = [(f"20{year}-01-01", f"20{year}-12-31") for year in range(80, 92)]
    await insurer.load(*(builders.a_right(f"{n}") for n in range(9)))
    await insurer.load(*(builders.a_right(valid_from=first, valid_to=last) for first, last in years))
    done = await insurer.load(*(builders.a_right(f"{n}") for n in range(9)), mode="full")
    assert (done.status, done.body["closed"]) == (201, 12)


async def test_a_full_file_that_would_close_too_many_asks_first(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await insurer.load(*(builders.a_right(f"{number}") for number in range(10)))
    for lines in ([], [builders.a_right("0", valid_from="01/01/2026")], [builders.a_right("0")]):
        refused = await insurer.load(*lines, mode="full")
        assert (refused.status, refused.code) == (409, "closes_too_many")
    assert await gateway.fetchval("SELECT count(*) FROM insured_rights WHERE valid_to > now()") == 10
    usual = await insurer.load(*(builders.a_right(f"{number}") for number in range(8)), mode="full")
    assert (usual.status, usual.body["closed"]) == (201, 2)


async def test_rights_that_begin_today_or_later_count_among_those_that_a_full_file_would_close(
    gateway: Gateway,
) -> None:
    insurer, today = await gateway.admit(), builders.today()
    await insurer.load(builders.a_right("1"))
    for begin in (today, today + timedelta(days=40)):
        lines = [
            builders.a_right(f"{begin}{n}".replace("-", ""), valid_from=str(begin), valid_to="2099-12-31")
            for n in "123"
        ]
        await insurer.load(*lines)
    for lines in ([], [builders.a_right("1")]):
        assert (await insurer.load(*lines, mode="full")).code == "closes_too_many"
    assert await gateway.fetchval(ROWS) == 7
    done = await insurer.load(builders.a_right("1"), mode="full&confirm_closing=true")
    assert (done.body["closed"], await gateway.fetchval(ROWS)) == (6, 1)


async def test_a_byte_order_mark_may_come_in_pieces(gateway: Gateway) -> None:
    insurer = await gateway.admit()

    async def pieces():  # type: ignore[no-untyped-def]
        rest = f"{builders.RIGHTS_HEADER}\n{builders.a_right()}\n"
        for piece in (b"\xef", b"\xbb", b"\xbf" + rest.encode()):
            yield piece
            await asyncio.sleep(0.05)

    path, headers = "/v1/insurer/rights-imports?mode=update", {"Content-Type": "text/csv"}
    done = await gateway.call("POST", path, data=pieces(), token=insurer.token, headers=headers)
    assert (done.status, done.body["loaded"]) == (201, 1)


async def test_a_full_file_does_not_close_the_rights_of_whom_a_broken_line_names(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await insurer.load(builders.a_right("1"), builders.a_right("2"))
    broken = builders.a_right("2", valid_from="01/01/2026")
    done = await insurer.load(builders.a_right("1"), broken, mode="full")
    assert (done.status, done.body["rejected"], done.body["closed"]) == (201, 1, 0)


PACKED = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("is_named", [True, False])
async def test_a_compressed_file_loads_whether_its_compression_is_named_or_not(
    gateway: Gateway, encoding: str, is_named: bool
) -> None:
    insurer = await gateway.admit()
    content = "\n".join([builders.RIGHTS_HEADER, *(builders.a_right(str(n)) for n in range(3_000))]).encode()
    headers = {"Content-Encoding": encoding} if is_named else {}
    done = await insurer.load_bytes(PACKED[encoding](content), headers=headers)
    assert (done.status, done.body["loaded"]) == (201, 3_000)


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_compressed_file_that_was_cut_changes_nothing(gateway: Gateway, encoding: str) -> None:
    insurer = await gateway.admit()
    content = "\n".join([builders.RIGHTS_HEADER, *(builders.a_right(str(n)) for n in range(3_000))]).encode()
    reply = await insurer.load_bytes(PACKED[encoding](content)[:-20])
    assert (reply.status, reply.code) == (422, "rights_file_unreadable")
    assert await gateway.fetchval(ROWS) == 0


async def test_an_encoding_that_nobody_unpacks_is_refused(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    reply = await insurer.load_bytes(b"x", headers={"Content-Encoding": "br"})
    assert (reply.status, reply.code) == (415, "media_type_not_supported")


NIR, TWIN_NIR = "295109912611193", "2 95 10 99 126 111 93"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<rights xmlns="urn:tpgateway:rights:1">
  <!-- a family -->
  {rights}
</rights>"""


def an_xml_right(**changes: str) -> str:
    names = builders.RIGHTS_HEADER.split(";")
    fields = {**dict(zip(names, builders.a_right().split(";"), strict=True)), **changes}
    return "<right " + " ".join(f'{name}="{value}"' for name, value in fields.items()) + "/>"


async def test_an_xml_file_loads_as_a_csv_one_does(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    bad = [
        {"birth_rank": "0"},
        {"nir": "295109912611194"},
        {"surprise": "x"},
        {"csr": "a;b"},
        {"membership_number": "1&#10;2;3"},
        {"membership_number": "1&#10;2", "surprise": "x"},
        {"birth_rank": "1;1;1;1;1;1;1;1;1", "surprise": "x"},
    ]
    rights = [
        an_xml_right(nir=NIR),
        an_xml_right(birth_rank="2", nir=TWIN_NIR),
        *(an_xml_right(**each) for each in bad),
        an_xml_right(membership_number="8").replace("/>", "><a><b/></a><a/></right>"),
        an_xml_right(membership_number="9"),
    ]
    content = XML.format(rights="\n".join(rights))
    schema = etree.XMLSchema(etree.parse(Path(__file__).parents[2] / "schemas" / "rights.xsd"))
    assert schema.validate(etree.fromstring(XML.format(rights="\n".join(rights[:2])).encode()))
    assert not schema.validate(etree.fromstring(content.encode()))
    done = await insurer.load_bytes(content.encode(), headers={"Content-Type": "application/xml"})
    assert (done.status, done.body["lines"], done.body["loaded"]) == (201, 11, 3)
    rejects = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert [(each["line"], each["column"], each["code"]) for each in rejects] == [
        (3, "birth_rank", "wrong_form"),
        (4, "nir", "wrong_key"),
        (5, "", "wrong_column_count"),
        (6, "", "wrong_column_count"),
        (7, "", "wrong_column_count"),
        (8, "", "wrong_column_count"),
        (9, "", "wrong_column_count"),
        (10, "", "wrong_column_count"),
    ]
    listed = await insurer.call("GET", f"{done.headers['Location']}/rejects?format=csv")
    assert listed.headers["Content-Disposition"].startswith("attachment")
    assert listed.body.decode().splitlines()[:2] == [
        "line;column;code;reason",
        '3;birth_rank;wrong_form;"The value does not have the form of its column; see schemas/README.md."',
    ]


@pytest.mark.parametrize(
    "content",
    [
        XML.format(rights="<right"),
        XML.format(rights="").replace("rights:1", "rights:2"),
        "<!DOCTYPE rights><rights xmlns='urn:tpgateway:rights:1'/>",
        '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><rights xmlns="urn:tpgateway:rights:1">&a;</rights>',
        "<rights xmlns='urn:tpgateway:rights:1'>" + "<a>" * 5_000,
    ],
    ids=["cut", "other version", "document type", "entity", "deep"],
)
async def test_an_xml_file_that_cannot_be_read_changes_nothing(gateway: Gateway, content: str) -> None:
    insurer = await gateway.admit()
    reply = await insurer.load_bytes(content.encode(), headers={"Content-Type": "application/xml"})
    assert (reply.status, reply.code) == (422, "rights_file_unreadable")
    assert "passwd" not in str(reply.body)


def test_an_element_with_thousands_of_attributes_is_a_reject_in_no_time() -> None:
    attributes = {f"a{number}": "" for number in range(80_000)}
    content, target = XML.format(rights=an_xml_right(**attributes)).encode(), io.BytesIO()
    started = time.monotonic()
    rights_files.prepare(io.BytesIO(content), target, None, limit=len(content))
    assert target.getvalue() == b"1\x011234567;19800229;1\n"
    assert time.monotonic() - started < 2


class Lasting(io.RawIOBase):
    """A start, and then the same again and again for 20 MB."""

    def __init__(self, start: str, again: str) -> None:
        self._rest, self._again, self.left = start.encode(), again.encode() * 1_000, 20_000_000

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        block = (self._rest + self._again)[: min(len(buffer), self.left)]
        self._rest, self.left = (self._rest + self._again)[len(block) :], self.left - len(block)
        buffer[: len(block)] = block
        return len(block)


@pytest.mark.parametrize(
    ("start", "again"),
    [
        ("<!DOCTYPE rights [", "<!ENTITY x 'y'>"),
        ("<!DOCTYPE rights [", "<!-- x -->"),
        ("", "<?x y?>"),
        ("<rights xmlns='urn:tpgateway:rights:1'>", "<!-- x -->"),
        ("<rights xmlns='urn:tpgateway:rights:1'>", "\n"),
    ],
)
def test_a_document_without_an_element_for_a_megabyte_is_read_no_further(start: str, again: str) -> None:
    source = Lasting(f'<?xml version="1.0"?>{start}', again)
    file = io.BufferedReader(source)
    with pytest.raises(rights_files.Unreadable, match="no element"):
        rights_files.prepare(file, io.BytesIO(), None, limit=1 << 30)
    assert source.left > 15_000_000


async def test_a_nir_is_kept_sealed_and_hashed_and_never_in_clear(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    lines = [
        f"{builders.a_right('1')};{NIR}",
        f"{builders.a_right('2')};",
        f"{builders.a_right('3')};295109912611194",
        f"{builders.a_right('4')};{NIR};x",
        f"{builders.a_right('5' * 1_000)};{NIR}",
        f"{builders.a_right('6')};\\x00;\\x00",
    ]
    content = "\n".join([f"{builders.RIGHTS_HEADER};nir", *lines]).encode()
    done = await insurer.load_bytes(content)
    rejects = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert [(each["line"], each["column"], each["code"]) for each in rejects] == [
        (4, "nir", "wrong_key"),
        (5, "", "wrong_column_count"),
        (6, "", "line_too_long"),
        (7, "", "wrong_column_count"),
    ]
    state = gateway.app[STATE]
    kept = await gateway.fetchval("SELECT nir_sealed FROM insured_nirs")
    assert NIR.encode() not in kept
    assert state.vault.open(kept, purpose="nir").decode() == NIR
    assert await gateway.fetchval("SELECT nir_hash FROM insured_nirs") == state.vault.match(NIR.encode(), purpose="nir")


async def test_what_a_file_repeats_is_told_and_not_written_again(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    people = [builders.a_right(str(n)) for n in range(10)]
    await insurer.load(*people, mode="full")
    written = "SELECT array_agg(ctid::text ORDER BY ctid) FROM insured_rights"
    before = await gateway.fetchval(written)
    again = await insurer.load(*people, mode="full")
    assert (again.body["loaded"], again.body["unchanged"], again.body["closed"]) == (10, 10, 0)
    assert await gateway.fetchval(written) == before
    changed = await insurer.load(*people[1:], builders.a_right("0", product_code="OTHER"), mode="full")
    assert (changed.body["loaded"], changed.body["unchanged"]) == (10, 9)
    assert await gateway.fetchval("SELECT product_code FROM insured_rights WHERE membership_number = '0'") == "OTHER"


async def test_lines_are_split_once_and_checked_by_several_processes(gateway: Gateway) -> None:
    connection = await gateway.connect()
    async with connection.transaction():
        await connection.execute(IMPORT_MEANS)
        await connection.execute("SET LOCAL min_parallel_table_scan_size = 0")
        await connection.execute("CREATE UNLOGGED TABLE staging.some_lines (line bigint, raw text)")
        query = checked_lines("some_lines", has_nir=True, longest=1_000)
        rows = await connection.fetch(f"EXPLAIN (VERBOSE) CREATE UNLOGGED TABLE staging.checked AS {query}")
        plan = "\n".join(row[0] for row in rows)
        await connection.execute("DROP TABLE staging.some_lines")
    await connection.close()
    assert plan.startswith("Gather"), plan
    assert plan.count("string_to_array(some_lines.raw") == 1, plan
    assert plan.count("pg_input_is_valid(") == 2, plan


async def test_an_import_leaves_no_table_behind(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await insurer.load(builders.a_right())
    await insurer.load(builders.a_right(), builders.a_right("2"))
    await insurer.load(f"{builders.a_right()}\x01")
    await insurer.load(builders.a_right("3"), mode="full")  # would close too many
    assert await gateway.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'staging'::regnamespace") == 0


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_an_upload_that_is_cut_by_a_lost_connection_changes_nothing(gateway: Gateway, is_chunked: bool) -> None:
    insurer = await gateway.admit()
    body = "\n".join([builders.RIGHTS_HEADER, *(builders.a_right(str(n)) for n in range(2_000)), ""]).encode()
    host, port = gateway.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body) + 100}"
    head = (
        f"POST /v1/insurer/rights-imports?mode=full HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {insurer.token}\r\n"
        f"Content-Type: text/csv\r\nIdempotency-Key: k\r\n{length}\r\n\r\n"
    )
    writer.write(head.encode() + (f"{len(body):x}\r\n".encode() + body + b"\r\n" if is_chunked else body))
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()
    await asyncio.sleep(1.5)
    assert await gateway.fetchval(ROWS) == 0
    assert await gateway.fetchval("SELECT count(*) FROM rights_imports") == 0
    again = await insurer.load_bytes(body, mode="full", key="k")
    assert (again.status, again.body["loaded"]) == (201, 2_000)


async def test_slow_uploads_hold_up_nobody(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    go_on = asyncio.Event()

    async def slow():  # type: ignore[no-untyped-def]
        yield f"{builders.RIGHTS_HEADER}\n".encode()
        await go_on.wait()
        yield f"{builders.a_right()}\n".encode()

    path, headers = "/v1/insurer/rights-imports?mode=update", {"Content-Type": "text/csv"}
    uploads = [
        asyncio.create_task(gateway.call("POST", path, data=slow(), token=insurer.token, headers=headers))
        for _ in range(15)
    ]
    await asyncio.sleep(0.3)
    assert (await gateway.call("GET", "/health/ready")).status == 200
    assert (await insurer.call("GET", "/v1/insurer")).status == 200
    go_on.set()
    assert {reply.status for reply in await asyncio.gather(*uploads)} == {201}


async def test_files_of_one_insurer_are_written_to_disk_one_at_a_time(gateway: Gateway) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0088880012")
    go_on = asyncio.Event()

    async def slow():  # type: ignore[no-untyped-def]
        yield f"{builders.RIGHTS_HEADER}\n".encode()
        await go_on.wait()
        yield f"{builders.a_right()}\n".encode()

    def spools() -> int:
        found = 0
        for child in psutil.Process().children():
            with suppress(psutil.Error):  # it ended meanwhile
                found += "tpgateway.cards.codec.rights_files" in child.cmdline()
        return found

    async def is_begun() -> bool:
        return spools() > 0

    path, headers = "/v1/insurer/rights-imports?mode=update", {"Content-Type": "text/csv"}
    uploads = [
        asyncio.create_task(gateway.call("POST", path, data=slow(), token=insurer.token, headers=headers))
        for _ in range(4)
    ]
    await until(is_begun)
    await asyncio.sleep(0.3)
    assert spools() == 1
    assert (await other.load(builders.a_right())).status == 201
    go_on.set()
    assert {reply.status for reply in await asyncio.gather(*uploads)} == {201}


async def test_imports_of_one_insurer_wait_for_each_other(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    files = [[builders.a_right(f"{n}") for n in range(start, start + 300)] for start in (0, 100, 200)]
    done = await asyncio.gather(*(insurer.load(*lines, mode="full&confirm_closing=true") for lines in files))
    assert [reply.status for reply in done] == [201, 201, 201]
    open_rights = await gateway.fetchval("SELECT count(*) FROM insured_rights WHERE valid_to >= $1", builders.today())
    assert open_rights == 300


async def test_an_interrupted_upload_leaves_nothing(gateway: Gateway) -> None:
    insurer = await gateway.admit()

    async def broken():  # type: ignore[no-untyped-def]
        yield f"{builders.RIGHTS_HEADER}\n{builders.a_right()}\n".encode()
        raise ConnectionResetError

    with pytest.raises(aiohttp.ClientError):
        await gateway.call(
            "POST",
            "/v1/insurer/rights-imports?mode=full",
            data=broken(),
            token=insurer.token,
            headers={"Content-Type": "text/csv"},
        )
    assert await gateway.fetchval(ROWS) == 0
    assert (await insurer.load(builders.a_right())).status == 201


async def test_the_mode_must_be_named_and_the_type_be_csv(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    assert (await insurer.load(builders.a_right(), mode="")).code == "field_invalid"
    reply = await insurer.call("POST", "/v1/insurer/rights-imports?mode=full", {"a": 1})
    assert (reply.status, reply.code) == (415, "media_type_not_supported")


async def test_an_import_is_the_insurers_own(gateway: Gateway) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    place = (await insurer.load(builders.a_right())).headers["Location"]
    assert (await insurer.call("GET", place)).body["loaded"] == 1
    for path in (place, f"{place}/rejects"):
        assert (await other.call("GET", path)).code == "not_found"


async def test_rejects_are_paged(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    place = (await insurer.load(*["broken"] * 5)).headers["Location"]
    first = (await insurer.call("GET", f"{place}/rejects?limit=3")).body
    rest = (await insurer.call("GET", f"{place}/rejects?limit=3&after={first['after']}")).body
    assert [each["line"] for each in first["rejects"] + rest["rejects"]] == [2, 3, 4, 5, 6]
    assert rest["after"] is None
