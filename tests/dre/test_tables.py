"""DRE tables: built, published, downloaded."""

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway, Practitioner
from tpgateway.audit import OPERATOR
from tpgateway.conventions.model import Convention, ConventionId, ConventionTerms
from tpgateway.dre import codec, rules, service
from tpgateway.dre.errors import EffectiveInPast
from tpgateway.dre.model import InsurerOffer, Version
from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per, ProductTerms
from tpgateway.practitioners.model import Specialty

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
            payment_days=10,
            notice_days=30,
            participants=participants,
            valid_from=DAY,
            valid_to=None,
        ),
    )


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


def test_who_takes_no_part_or_has_nothing_in_the_domain_is_left_out() -> None:
    offers = [an_offer("1", Domain.OPTI), an_offer("2", Domain.OPTI), an_offer("3", Domain.PHAR)]
    tables = rules.build(a_convention(("1", "3")), offers)
    assert {line.amc_number for line in tables.grouping} == {"1"}


def test_the_same_input_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    version = Version(version=1, effective_from=DAY, published_at=NOW)
    later = Version(version=1, effective_from=DAY, published_at=NOW + timedelta(days=1))
    offers = [an_offer(str(number), Domain.OPTI, amount=number % 3 or None) for number in range(20)]
    one, two = rules.build(a_convention(), offers), rules.build(a_convention(), offers[::-1])
    assert codec.to_json(version, one) == codec.to_json(later, two)
    assert codec.to_csv_zip(version, one) == codec.to_csv_zip(later, two)


def test_json_and_csv_say_the_same() -> None:
    version = Version(version=7, effective_from=DAY, published_at=NOW)
    tables = rules.build(a_convention(), [an_offer("1", Domain.OPTI, amount=5)])
    document = json.loads(codec.to_json(version, tables))
    archive = zipfile.ZipFile(io.BytesIO(codec.to_csv_zip(version, tables)))
    assert archive.read("version.csv").decode().splitlines()[1] == "7;2026-11-21;optics"
    for name in ("grouping", "convention", "guarantee"):
        header, *rows = archive.read(f"{name}.csv").decode().splitlines()
        expected = [["" if value is None else str(value) for value in line.values()] for line in document[name]]
        assert header.split(";") == list(document[name][0])
        assert [row.split(";") for row in rows] == expected


async def publish(gateway: Gateway, effective: date | None = None) -> tuple[Version, Mapping[Specialty, int]]:
    connection = await gateway.connect()
    try:
        async with connection.transaction():
            return await service.publish(
                connection,
                effective_from=effective or builders.today(),
                today=builders.today(),
                now=datetime.now(UTC),
                actor=OPERATOR,
            )
    finally:
        await connection.close()


@pytest.fixture
async def optician(gateway: Gateway, worker: None, tmp_path: Path) -> Practitioner:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    await (await gateway.admit()).put_product()
    return await gateway.join(**builders.an_optician())


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


async def test_what_is_known_already_is_not_sent_again(gateway: Gateway, optician: Practitioner) -> None:
    await publish(gateway)
    etag = (await optician.call("GET", "/v1/dre/tables/latest")).headers["ETag"]
    again = await optician.call("GET", "/v1/dre/tables/latest", headers={"If-None-Match": f'"x", {etag}'})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
    other = await optician.call("GET", "/v1/dre/tables/latest?format=csv", headers={"If-None-Match": etag})
    assert other.status == 200


@pytest.mark.parametrize("path", ["1", "9", "latest"])
async def test_a_version_that_is_not_there_is_a_problem(gateway: Gateway, optician: Practitioner, path: str) -> None:
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
