"""DRE tables: built, published, downloaded."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.conftest import TABLE_KEYS
from tests.driver import Gateway, Practitioner, Reply
from tpgateway.audit import OPERATOR
from tpgateway.conventions.model import Convention, ConventionId, ConventionTerms
from tpgateway.dre import rules, service
from tpgateway.dre.codec import files as codec
from tpgateway.dre.codec.signatures import Signer
from tpgateway.dre.errors import EffectiveInPast
from tpgateway.dre.model import Change, InsurerOffer, Match, Version
from tpgateway.dre.shelf import SHELF
from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per, ProductTerms
from tpgateway.practitioners.model import Specialty
from tpgateway.web.callers import Access, Caller
from tpgateway.web.limits import Limiter
from tpgateway.web.steady import GROUND, Steady
from tpgateway.web.tokens import Tokens

DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def a_convention(participants: tuple[str, ...] | None = None) -> Convention:
    return Convention(
        id=ConventionId(uuid4()),
        version=1,
        text_hash=b"",
        published_at=NOW,
        terms=ConventionTerms(
            specialty=Specialty.OPTICS,
            title="Optique",
            text_markdown="",
            domains=(Domain.OPTI,),
            approval_domains=(),
            documents=(),
            tariffs=(),
            payment_days=10,
            notice_days=30,
            participants=participants,
            valid_from=DAY,
            valid_to=None,
        ),
    )


def a_version(version: int = 1, **changes: Any) -> Version:
    terms = {"id": uuid4(), "effective_from": DAY, "published_at": NOW, "note": None, "restores": None}
    return Version(version=version, **{**terms, **changes})


def an_offer(number: str, *domains: Domain, amount: int | None = None, code: str = "A") -> InsurerOffer:
    formula = Formula(kind=FormulaKind.REMAINDER, per=Per.ACT, ceiling_cents=amount)
    lines = tuple(
        BenefitLine(domain=domain, benefit="b", formula=formula, approval=Approval.REQUIRED) for domain in domains
    )
    product = ProductTerms(code=code, name=code, is_responsible=True, valid_from=DAY, valid_to=None, benefits=lines)
    return InsurerOffer(number=number, convention_types=("SP", "IS"), products=(product,))


def test_insurers_that_offer_the_same_share_a_group() -> None:
    offers = [an_offer(number, Domain.OPTI) for number in ("3", "1", "2")] + [an_offer("4", Domain.OPTI, amount=5)]
    tables = rules.build(a_convention(), offers)
    groups = {line.amc_number: line.group for line in tables.grouping}
    assert groups["1"] == groups["2"] == groups["3"] != groups["4"]
    assert len(tables.grouping) == 8
    assert len(tables.convention) == len(tables.guarantee) == 2


def test_what_changes_in_an_offer_changes_those_lines_and_no_names() -> None:
    offers = [an_offer("0000000001", Domain.OPTI), an_offer("0000000002", Domain.OPTI, amount=5)]
    older = codec.lines_of(rules.build(a_convention(), offers))
    more = replace(offers[0], products=(*offers[0].products, *an_offer("x", Domain.OPTI, code="B").products))
    newer = codec.lines_of(rules.build(a_convention(), [more, offers[1]]))
    counts = {name: rules.difference(name, older[name], newer[name]).counts for name in rules.KEYS}
    assert counts == {"grouping": (0, 0, 0), "convention": (0, 0, 0), "guarantee": (1, 0, 0)}


def test_who_takes_no_part_or_has_nothing_in_the_domain_is_left_out() -> None:
    offers = [an_offer("1", Domain.OPTI), an_offer("2", Domain.OPTI), an_offer("3", Domain.PHAR)]
    tables = rules.build(a_convention(("1", "3")), offers)
    assert {line.amc_number for line in tables.grouping} == {"1"}


def test_the_same_input_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    version = a_version()
    later = a_version(published_at=NOW + timedelta(days=1))
    offers = [an_offer(str(number), Domain.OPTI, amount=number % 3 or None) for number in range(20)]
    one, two = rules.build(a_convention(), offers), rules.build(a_convention(), offers[::-1])
    assert codec.to_json(version, one) == codec.to_json(later, two)
    assert codec.to_csv_zip(version, one) == codec.to_csv_zip(later, two)


def test_json_and_csv_say_the_same() -> None:
    version = a_version(7)
    tables = rules.build(a_convention(), [an_offer("1", Domain.OPTI, amount=5)])
    document = json.loads(codec.to_json(version, tables))
    archive = zipfile.ZipFile(io.BytesIO(codec.to_csv_zip(version, tables)))
    assert archive.read("version.csv").decode().splitlines()[1] == "7;2026-11-21;optics"
    for name in ("grouping", "convention", "guarantee"):
        header, *rows = archive.read(f"{name}.csv").decode().splitlines()
        expected = [["" if value is None else str(value) for value in line.values()] for line in document[name]]
        assert header.split(";") == list(document[name][0])
        assert [row.split(";") for row in rows] == expected


async def publish(
    gateway: Gateway, effective: date | None = None, **more: Any
) -> tuple[Version, Mapping[Specialty, int]]:
    """Publishes, and waits until the service has heard of it."""
    connection = await gateway.connect()
    try:
        async with connection.transaction():
            version, lines = await service.publish(
                connection,
                Signer(TABLE_KEYS),
                effective_from=effective or builders.today(),
                today=builders.today(),
                now=datetime.now(UTC),
                actor=OPERATOR,
                **more,
            )
    finally:
        await connection.close()
    for specialty in lines:
        assert await gateway.app[SHELF].news(specialty, after=version.version - 1, wait=10)
    return version, lines


async def test_versions_count_up_and_old_ones_stay(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    first = (await optician.call("GET", "/v1/dre/tables/latest")).body
    tomorrow = builders.today() + timedelta(days=1)
    version, lines = await publish(gateway, tomorrow)
    assert (version.version, lines[Specialty.OPTICS]) == (2, 5)
    assert (await optician.call("GET", "/v1/dre/tables/1")).body == first
    latest = (await optician.call("GET", "/v1/dre/tables/latest")).body
    assert (latest["version"], latest["effective_from"]) == (2, tomorrow.isoformat())
    listed = (await optician.call("GET", "/v1/dre/tables")).body
    assert [each["version"] for each in listed["versions"]] == [2, 1]
    assert listed["specialty"] == "optics"


def remaining(reply: Reply) -> int:
    """How many requests the caller may send yet in this minute."""
    return int(reply.headers["RateLimit"].partition("r=")[2].partition(";")[0])


async def test_what_is_known_already_is_not_sent_again(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    etag = (await optician.call("GET", "/v1/dre/tables/latest")).headers["ETag"]
    again = await optician.call("GET", "/v1/dre/tables/latest", headers={"If-None-Match": f'"x", {etag}'})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    before = remaining(again)
    for count in (1, 2):  # what is asked again is answered as before, and counted as ever
        same = await optician.call("GET", "/v1/dre/tables/latest", headers={"If-None-Match": f'"x", {etag}'})
        left = remaining(same)
        assert (same.status, same.headers["ETag"], same.headers["X-Tables-Version"]) == (304, etag, "1")
        assert left == before - count or left > before  # a new minute began
        assert same.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    stranger = {"If-None-Match": f'"x", {etag}', "Authorization": f"Bearer {optician.token}x"}
    assert (await gateway.call("GET", "/v1/dre/tables/latest", headers=stranger)).status == 401
    other = await optician.call("GET", "/v1/dre/tables/latest?format=csv", headers={"If-None-Match": etag})
    assert other.status == 200
    await publish(gateway)
    async with asyncio.timeout(10):
        while same.status == 304:
            same = await optician.call("GET", "/v1/dre/tables/latest", headers={"If-None-Match": f'"x", {etag}'})
    assert same.body["version"] == 2


class Unread:
    """A connection whose reader keeps up."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> None:
        return None


class Now:
    """Something that an answer rests on."""

    holds = True


def test_an_answer_is_given_again_as_long_as_it_rests_on_something_and_the_token_lasts() -> None:
    limiter, steady, ground = Limiter(3, clock=lambda: 30.0), Steady(), Now()
    caller = Caller(access=Access.PRACTITIONER_CLIENT, account_id=uuid4(), client_id=uuid4())

    def ask(tokens: Tokens, token: str) -> bool:
        asked = {"Authorization": f"Bearer {token}", "If-None-Match": '"t"'}
        request = make_mocked_request("GET", "/v1/x", headers=asked, transport=Unread())  # type: ignore[arg-type]
        if (again := steady.again(request, limiter, request_id="r", started=0.0)) is not None:
            return again[0].status == 304
        request[GROUND] = ground
        response = web.Response(status=304, headers={"ETag": '"t"'})
        steady.keep(request, response, tokens, owner="me", operation="x")
        return False

    def tokens(lifetime: timedelta) -> tuple[Tokens, str]:
        made = Tokens(keys_json=TABLE_KEYS, base_url="http://x", lifetime=lifetime)
        token = made.issue(caller, datetime.now(UTC))
        made.check(token, datetime.now(UTC))
        return made, token

    lasting = tokens(timedelta(minutes=1))
    assert [ask(*lasting) for _ in range(2)] == [False, True]
    ground.holds = False
    assert not ask(*lasting)
    ground.holds = True
    assert [ask(*lasting) for _ in range(2)] == [True, True]
    assert not ask(*lasting)  # the limit is reached: the frame tells so
    limiter = Limiter(100)
    brief = tokens(timedelta(seconds=2))
    assert [ask(*brief) for _ in range(2)] == [False, True]
    time.sleep(2.1)
    assert not ask(*brief)


async def test_a_version_that_is_not_there_is_a_problem(gateway: Gateway, optician: Practitioner) -> None:
    for path in ("1", "9", "latest", "2026-01-01"):
        reply = await optician.call("GET", f"/v1/dre/tables/{path}")
        assert (reply.status, reply.code) == (404, "no_tables")
    for wrong in ("0", "-1", "first", "99999999999"):
        assert (await optician.call("GET", f"/v1/dre/tables/{wrong}")).code == "not_found"


async def test_nothing_takes_effect_in_the_past(gateway: Gateway) -> None:
    with pytest.raises(EffectiveInPast):
        await publish(gateway, builders.today() - timedelta(days=1))
    assert await gateway.fetchval("SELECT count(*) FROM dre_versions") == 0


async def test_a_publication_cannot_be_changed(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    for statement in ("UPDATE dre_files SET content = ''", "DELETE FROM dre_files", "TRUNCATE dre_versions CASCADE"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await gateway.execute(statement)


CELLS = st.sampled_from(["", "1", "2", "SP"])
LINES = st.fixed_dictionaries(
    dict.fromkeys(("amc_number", "convention_type", "csr", "group", "product_code", "domain", "benefit"), CELLS)
    | {"rate_basis_points": st.none() | st.integers(0, 3)}
)


@given(st.sampled_from(sorted(rules.KEYS)), st.lists(LINES), st.lists(LINES))
def test_what_changed_makes_the_newer_of_the_older_exactly(
    table: str, older: list[dict[str, str]], newer: list[dict[str, str]]
) -> None:
    before, after = (
        [line for _, line in sorted({rules.key_of(table, line): line for line in lines}.items())]
        for lines in (older, newer)
    )
    change = rules.difference(table, before, after)
    assert rules.apply(table, before, change) == after
    assert (not change.added and not change.removed and not change.changed) == (before == after)


def test_tables_stand_in_the_order_of_their_keys() -> None:
    offers = [
        an_offer(str(number), Domain.OPTI, amount=number % 3 or None, code=f"C{number % 2}") for number in range(20)
    ]
    document = codec.from_json(codec.to_json(a_version(), rules.build(a_convention(), offers)))
    for table in rules.KEYS:
        keys = [rules.key_of(table, line) for line in document[table]]
        assert keys == sorted(set(keys))


async def test_software_brings_its_tables_up_to_date_by_what_changed(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    older = (await optician.call("GET", "/v1/dre/tables/1")).body
    other = await gateway.admit("0099990029")
    await other.put_product()
    await publish(gateway)
    changes = await optician.call("GET", "/v1/dre/tables/latest/changes-since/1")
    assert (changes.status, changes.headers["X-Tables-Version"]) == (200, "2")
    assert (changes.body["from_version"], changes.body["to_version"]) == (1, 2)
    newer = (await optician.call("GET", "/v1/dre/tables/2")).body
    for table in rules.KEYS:
        assert rules.apply(table, older[table], Change(**changes.body[table])) == newer[table]
    assert len(changes.body["grouping"]["added"]) == 1
    back = (await optician.call("GET", "/v1/dre/tables/1/changes-since/2")).body
    assert back["grouping"]["removed"] == [
        {"amc_number": "0099990029", "convention_type": "SP", "csr": ""},
    ]
    for path in ("/v1/dre/tables/9/changes-since/1", "/v1/dre/tables/1/changes-since/9"):
        assert (await optician.call("GET", path)).code == "no_tables"
    assert (await optician.call("GET", "/v1/dre/tables/1/changes-since/0")).code == "not_found"


async def test_a_card_is_looked_up_by_the_version_that_counts_on_the_day_of_care(
    gateway: Gateway, optician: Practitioner
) -> None:
    ask = {"insurer_number": "99990011", "convention_type": "sp"}
    assert (await optician.call("POST", "/v1/dre/routes", ask)).code == "no_tables"
    await publish(gateway)
    found = (await optician.call("POST", "/v1/dre/routes", {**ask, "csr": "ABC"})).body
    assert (found["version"], found["match"], found["code"]) == (1, "type", "routed")
    assert found["grouping"]["group"] == found["convention"]["group"]
    assert {line["domain"] for line in found["guarantee"]} == {"OPTI"}
    assert found["guarantee"][0]["approval"] in {"none", "required"}
    nothing = (await optician.call("POST", "/v1/dre/routes", {**ask, "convention_type": "VM"})).body
    assert (nothing["code"], nothing["match"], nothing["guarantee"]) == ("no_route", None, [])
    tomorrow = builders.today() + timedelta(days=1)
    await publish(gateway, tomorrow)
    assert (await optician.call("POST", "/v1/dre/routes", ask)).body["version"] == 1
    later = {**ask, "care_date": tomorrow.isoformat(), "product_code": "NONE"}
    found = (await optician.call("POST", "/v1/dre/routes", later)).body
    assert (found["version"], found["code"], found["match"]) == (2, "no_guarantee", "exact")
    before = {**ask, "care_date": "2020-01-01"}
    assert (await optician.call("POST", "/v1/dre/routes", before)).code == "no_tables"


def test_a_route_is_looked_up_by_less_and_less_of_the_key() -> None:
    def line(kind: str, csr: str, group: str) -> dict[str, str]:
        return {"amc_number": "1", "convention_type": kind, "csr": csr, "group": group}

    tables = rules.RoutingTables(
        {
            "grouping": [line("", "", "A"), line("SP", "", "B"), line("SP", "X", "C")],
            "convention": [
                {"group": each, "valid_from": f"{DAY}", "valid_to": f"{DAY + timedelta(days=30)}"} for each in "ABC"
            ],
            "guarantee": [],
        }
    )
    found = [tables.route("1", kind, csr, on=DAY) for kind, csr in (("SP", "X"), ("SP", "Y"), ("VM", "X"))]
    assert [each and each.match for each in found] == [Match.EXACT, Match.TYPE, Match.INSURER]
    assert [each and each.convention["group"] for each in found] == ["C", "B", "A"]
    assert tables.route("2", "SP", "X", on=DAY) is None
    assert tables.route("1", "SP", "X", on=DAY + timedelta(days=31)) is None
    assert tables.route("1", "SP", "X", on=DAY - timedelta(days=1)) is None
