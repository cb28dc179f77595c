"""Imports of rights: what loads, what is listed, and that a file is in or not at all."""

import asyncio

import aiohttp
import pytest

from tests import builders
from tests.driver import Gateway

ROWS = "SELECT count(*) FROM insured_rights"


@pytest.mark.parametrize(
    ("changes", "column", "code"),
    [
        ({"membership_number": ""}, "membership_number", "wrong_form"),
        ({"membership_number": "x" * 17}, "membership_number", "wrong_form"),
        ({"membership_number": "12 34"}, "membership_number", "wrong_form"),
        ({"birth_date": "1980022"}, "birth_date", "wrong_form"),
        ({"birth_date": "19８00229"}, "birth_date", "wrong_form"),
        ({"birth_rank": "0"}, "birth_rank", "wrong_form"),
        ({"birth_rank": "10"}, "birth_rank", "wrong_form"),
        ({"valid_from": "2026-02-30"}, "valid_from", "no_date"),
        ({"valid_from": "01/01/2026"}, "valid_from", "no_date"),
        ({"valid_to": "2026-13-01"}, "valid_to", "no_date"),
        ({"valid_from": "2026-02-01", "valid_to": "2026-01-31"}, "valid_to", "before_valid_from"),
        ({"convention_types": "S"}, "convention_types", "wrong_form"),
        ({"convention_types": ""}, "convention_types", "wrong_form"),
        ({"csr": "x" * 9}, "csr", "wrong_form"),
        ({"product_code": "low"}, "product_code", "wrong_form"),
        ({"product_code": "A;B"}, "", "wrong_column_count"),
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


async def test_a_person_stated_twice_from_the_same_day_is_loaded_once(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    done = await insurer.load(builders.a_right("abc"), builders.a_right("ABC"), builders.a_right("1", birth_rank="2"))
    assert (done.body["loaded"], done.body["rejected"]) == (2, 1)
    [reject] = (await insurer.call("GET", f"{done.headers['Location']}/rejects")).body["rejects"]
    assert (reject["line"], reject["code"]) == (3, "repeated")


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


async def test_a_full_file_closes_the_rights_of_whoever_is_missing(gateway: Gateway) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    await other.load(builders.a_right("1"))
    next_year = builders.today().year + 1
    future = builders.a_right("2", valid_from=f"{next_year}-01-01", valid_to=f"{next_year}-12-31")
    await insurer.load(builders.a_right("1"), builders.a_right("2"), future, builders.a_right("3"))
    done = await insurer.load(builders.a_right("1"), mode="full")
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


async def test_a_period_that_begins_within_another_ends_it(gateway: Gateway) -> None:
    insurer, year = await gateway.admit(), builders.today().year
    await insurer.load(builders.a_right())
    await insurer.load(builders.a_right(valid_from=f"{year}-06-01", product_code="OTHER"))
    periods = "SELECT array_agg(valid_from || ' ' || valid_to ORDER BY valid_from) FROM insured_rights"
    assert await gateway.fetchval(periods) == [f"{year}-01-01 {year}-05-31", f"{year}-06-01 {year}-12-31"]


async def test_imports_of_one_insurer_wait_for_each_other(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    files = [[builders.a_right(f"{n}") for n in range(start, start + 300)] for start in (0, 100, 200)]
    done = await asyncio.gather(*(insurer.load(*lines, mode="full") for lines in files))
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
