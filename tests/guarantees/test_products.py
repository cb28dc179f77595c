"""Products: versions in force one at a time."""

from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, Insurer

PERIODS = """
SELECT array_agg(lower(validity) || ' ' || coalesce((upper(validity) - 1)::text, '') || ' ' || name ORDER BY validity)
FROM product_versions WHERE superseded_at IS NULL
"""


async def put(insurer: Insurer, name: str, begin: str, end: str | None = None) -> tuple[int, str]:
    reply = await insurer.put_product("X", name=name, valid_from=begin, valid_to=end)
    return reply.status, reply.body.get("code", "")


async def test_a_later_version_ends_the_one_before(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    assert (await put(insurer, "first", "2026-01-01"))[0] == 200
    assert (await put(insurer, "second", "2027-01-01"))[0] == 200
    assert await gateway.fetchval(PERIODS) == ["2026-01-01 2026-12-31 first", "2027-01-01  second"]


async def test_a_version_that_begins_the_same_day_takes_the_place_of_the_other(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await put(insurer, "first", "2026-01-01")
    await put(insurer, "corrected", "2026-01-01", "2026-12-31")
    assert await gateway.fetchval(PERIODS) == ["2026-01-01 2026-12-31 corrected"]
    assert await gateway.fetchval("SELECT count(*) FROM product_versions") == 2


async def test_a_version_may_not_run_into_a_later_one(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await put(insurer, "later", "2027-01-01")
    assert await put(insurer, "open", "2026-01-01") == (409, "product_validity_overlaps")
    assert (await put(insurer, "closed", "2026-01-01", "2026-12-31"))[0] == 200


async def test_two_insurers_may_use_one_code(gateway: Gateway) -> None:
    for number in ("0099990011", "0099990029"):
        assert (await put(await gateway.admit(number), "mine", "2026-01-01"))[0] == 200


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"valid_to": "2020-01-01"}, "/valid_to", "validity_reversed"),
        ({"benefits": []}, "/benefits", "field_invalid"),
        ({"benefits": [builders.a_benefit(), builders.a_benefit()]}, "/benefits", "benefit_repeated"),
        (
            {"benefits": [builders.a_benefit(formula={"kind": "magic", "per": "act"})]},
            "/benefits/0/formula",
            "field_invalid",
        ),
        (
            {"benefits": [builders.a_benefit(formula={"kind": "flat", "per": "act"})]},
            "/benefits/0/formula/flat/amount_cents",
            "field_missing",
        ),
        (
            {"benefits": [builders.a_benefit(formula={"kind": "flat", "per": "act", "amount_cents": 1.5})]},
            "/benefits/0/formula/flat/amount_cents",
            "field_invalid",
        ),
        ({"benefits": [builders.a_benefit("Bad Name")]}, "/benefits/0/benefit", "field_invalid"),
    ],
)
async def test_a_wrong_product_says_what_is_wrong(
    gateway: Gateway, changes: dict[str, Any], pointer: str, code: str
) -> None:
    insurer = await gateway.admit()
    reply = await insurer.put_product(**changes)
    assert (reply.status, reply.faults, reply.code) == (422, {pointer: code}, code)
    assert await gateway.fetchval("SELECT count(*) FROM product_versions") == 0


async def test_a_code_that_cannot_be_is_not_found(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    for code in ("low-case", "X%0a", "%20X"):
        assert (await insurer.put_product(code)).code == "not_found"


def a_hospital_line(benefit: str, kind: str = "remainder", **more: Any) -> dict[str, Any]:
    formula = {"kind": kind, "per": "day", **more.pop("formula", {})}
    return builders.a_benefit(benefit, domain="HOSP", formula=formula, **more)


def flat(benefit: str, cents: int, **more: Any) -> dict[str, Any]:
    return builders.a_benefit(benefit, formula={"kind": "flat", "amount_cents": cents, "per": "act"}, **more)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ([a_hospital_line("daily_fee", days_covered=60)], "responsible_daily_fee"),
        ([a_hospital_line("daily_fee", waiting_days=1)], "responsible_daily_fee"),
        ([a_hospital_line("daily_fee", formula={"ceiling_cents": 2_000})], "responsible_daily_fee"),
        ([a_hospital_line("daily_fee", "flat", formula={"amount_cents": 2_000})], "responsible_daily_fee"),
        ([a_hospital_line("copayment", "percentage", formula={"rate_basis_points": 9_000})], "responsible_copayment"),
        ([a_hospital_line("emergency_fee", formula={"ceiling_cents": 1})], "responsible_copayment"),
        (
            [a_hospital_line("excess_fees_not_optam", "percentage", formula={"rate_basis_points": 20_001})],
            "responsible_excess_fees",
        ),
        ([flat("lens_simple_a", 3_000)], "responsible_class_a"),
        ([flat("frame_b", 10_001)], "responsible_frame"),
        ([builders.a_benefit("frame_b", formula={"kind": "remainder", "per": "act"}, renewal_months=12)],
         "responsible_renewal"),
        ([flat("lens_simple_b", 21_001)], "responsible_equipment_ceiling"),
        ([flat("lens_simple_b", 2_000)], "responsible_equipment_floor"),
    ],
)  # fmt: skip
async def test_a_responsible_product_keeps_its_rules_or_is_refused_with_the_rule_named(
    gateway: Gateway, lines: list[dict[str, Any]], rule: str
) -> None:
    insurer = await gateway.admit()
    reply = await insurer.put_product(benefits=lines)
    assert (reply.status, reply.faults) == (422, {"/benefits/0": rule})
    assert await gateway.fetchval("SELECT count(*) FROM product_versions") == 0
    assert (await insurer.put_product(benefits=lines, is_responsible=False)).status == 200


async def test_what_a_responsible_product_may_say(gateway: Gateway) -> None:
    lines = [
        a_hospital_line("daily_fee"),
        a_hospital_line("copayment", "copayment"),
        a_hospital_line("single_room", "daily_share", formula={"amount_cents": 5_000}, days_covered=30, waiting_days=2),
        a_hospital_line("excess_fees_not_optam", "percentage", formula={"rate_basis_points": 20_000}),
        flat("lens_simple_b", 21_000),
        flat("frame_b", 10_000),
        builders.a_benefit("frame_a", formula={"kind": "remainder", "per": "equipment"}),
    ]
    assert (await (await gateway.admit()).put_product(benefits=lines)).status == 200
