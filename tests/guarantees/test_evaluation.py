"""What a benefit line pays of a charge, given what was used before: without I/O."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per, Use
from tpgateway.guarantees.rules.evaluation import Charge, add_months, evaluate, too_early
from tpgateway.money import Cents

DAY = date(2026, 11, 21)


def a_room(per: Per = Per.DAY, ceiling: int | None = None, **changes: Any) -> BenefitLine:
    formula = Formula(kind=FormulaKind.REMAINDER, per=per, ceiling_cents=None if ceiling is None else Cents(ceiling))
    return BenefitLine(
        domain=Domain.HOSP, benefit="single_room", formula=formula, approval=Approval.REQUIRED, **changes
    )


def a_stay(length: int, price: int, **changes: Any) -> Charge:
    return Charge(
        **{
            "on": DAY,
            "price": Cents(price),
            "base": Cents(0),
            "amo": Cents(0),
            "units": length,
            "is_by_day": True,
            **changes,
        }
    )


def used(days: int, on: date = date(2026, 2, 1), granted: int = 0) -> Use:
    return Use(item="single_room", benefit="single_room", on=on, units=days, granted=Cents(granted))


@pytest.mark.parametrize(
    ("line", "charge", "uses", "expected"),
    [
        (a_room(), a_stay(5, 30_000), [], (30_000, 5, "formula_applied")),
        (a_room(ceiling=5_000), a_stay(5, 30_000), [], (25_000, 5, "ceiling_reached")),
        (a_room(ceiling=6_000), a_stay(5, 30_000), [], (30_000, 5, "formula_applied")),
        (a_room(waiting_days=2), a_stay(5, 30_000), [], (18_000, 3, "waiting_days")),
        (a_room(waiting_days=5), a_stay(5, 30_000), [], (0, 0, "waiting_days")),
        (a_room(days_covered=30), a_stay(5, 30_000), [used(27)], (18_000, 3, "days_used_up")),
        (a_room(days_covered=30), a_stay(5, 30_000), [used(30)], (0, 0, "days_used_up")),
        (a_room(days_covered=30), a_stay(5, 30_000), [used(30, date(2025, 12, 31))], (30_000, 5, "formula_applied")),
        (
            a_room(days_covered=10),
            a_stay(6, 36_000, on=date(2026, 12, 29)),
            [used(8)],
            (30_000, 5, "days_used_up"),
        ),
        (a_room(Per.YEAR, 50_000), a_stay(5, 30_000), [used(9, granted=30_000)], (20_000, 5, "year_ceiling_reached")),
        (a_room(Per.YEAR, 50_000), a_stay(5, 30_000), [used(9, granted=50_000)], (0, 0, "year_ceiling_reached")),
        (a_room(renewal_months=12), a_stay(5, 30_000), [used(9)], (0, 0, "renewal_too_early")),
        (a_room(renewal_months=9), a_stay(5, 30_000), [used(9)], (30_000, 5, "formula_applied")),
    ],
)
def test_limits_of_days_ceilings_and_years(
    line: BenefitLine, charge: Charge, uses: list[Use], expected: tuple[int, int, str]
) -> None:
    found = evaluate(line, charge, uses)
    assert (found.granted, found.units, found.code) == expected


@pytest.mark.parametrize(
    ("before", "on", "is_early"),
    [
        (date(2024, 11, 21), DAY, False),
        (date(2024, 11, 22), DAY, True),
        (DAY, DAY, True),
        (date(2028, 11, 20), DAY, True),  # one that was granted for later
        (date(2028, 11, 21), DAY, False),
    ],
)
def test_a_period_ends_on_its_very_day(before: date, on: date, is_early: bool) -> None:
    assert too_early(24, on, [used(1, before)]) is is_early


def test_months_end_where_the_month_does() -> None:
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)
    assert add_months(date(2026, 12, 31), 2) == date(2027, 2, 28)
    assert add_months(date(2026, 11, 21), 0) == date(2026, 11, 21)


@given(
    st.integers(1, 60),
    st.integers(0, 500_000),
    st.integers(0, 500_000),
    st.integers(0, 40),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(0, 100_000),
    st.sampled_from([Per.DAY, Per.STAY, Per.YEAR]),
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100_000)), max_size=4),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
)
def test_no_more_is_granted_than_is_left_of_price_days_and_ceiling(
    days: int,
    price: int,
    amo: int,
    waiting: int,
    covered: int | None,
    ceiling: int | None,
    per: Per,
    before: list[tuple[int, int]],
    on: date,
) -> None:
    amo = min(amo, price)
    line = a_room(per, ceiling, waiting_days=waiting, days_covered=covered)
    uses = [used(units, granted=granted) for units, granted in before]
    found = evaluate(line, a_stay(days, price, amo=Cents(amo), on=on), uses)
    granted, units = found.granted, found.units
    assert 0 <= granted <= price - amo
    assert 0 <= units <= max(0, days - waiting)
    by_year = {part.on.year: part for part in found.parts}
    assert len(by_year) == len(found.parts)
    of_2026 = by_year.get(2026)
    if covered is not None and of_2026:
        assert of_2026.units <= max(0, covered - sum(use.units for use in uses))
    if ceiling is not None and per is Per.YEAR:
        assert all(part.granted <= ceiling for part in found.parts)
        assert not of_2026 or of_2026.granted <= max(0, ceiling - sum(use.granted for use in uses))
    if ceiling is not None and per is Per.DAY:
        assert granted <= ceiling * units
