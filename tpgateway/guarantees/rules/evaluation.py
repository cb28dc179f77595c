"""What a benefit line pays of a charge, given what was used of it before."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from tpgateway.guarantees.model import BenefitLine, Per, Use
from tpgateway.money import ZERO, Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged from a day on: price, base and AMO share of all ``units`` (acts or days) together."""

    on: date
    price: Cents
    base: Cents
    amo: Cents
    units: int = 1
    days: tuple[tuple[int, int], ...] = ()
    """Of a stay: calendar years and how many of its days lie in each."""


class Evaluated(NamedTuple):
    """What the line pays, for how many units, and the code of the rule that was applied."""

    granted: Cents
    units: int
    code: str


def evaluate(line: BenefitLine, charge: Charge, uses: Sequence[Use]) -> Evaluated:
    """What the line pays. The code is that of the last rule that cut it: of several, the one that counts."""
    own = [use for use in uses if use.benefit == line.benefit]
    if line.renewal_months is not None and too_early(line.renewal_months, charge.on, own):
        return Evaluated(ZERO, 0, "renewal_too_early")
    units, code = _units_paid(line, charge, own)
    if not units:
        return Evaluated(ZERO, 0, code)
    formula = line.formula
    part = charge if units == charge.units else _part(charge, units)
    granted = formula.insurer_share(price=part.price, base=part.base, amo=part.amo, units=units)
    if code == "formula_applied" and formula.ceiling_cents is not None:
        times = units if formula.per in {Per.ACT, Per.DAY} else 1
        if granted == formula.ceiling_cents * times < part.price - part.amo:
            code = "ceiling_reached"
    if formula.per is Per.YEAR:
        limit = formula.ceiling_cents if formula.ceiling_cents is not None else formula.amount_cents
        if limit is not None:
            left = max(ZERO, limit - sum(use.granted for use in own if use.on.year == charge.on.year))
            if granted > left:
                granted, code = Cents(left), "year_ceiling_reached"
    return Evaluated(granted, units, code)


def too_early(months: int, on: date, uses: Sequence[Use]) -> bool:
    """Whether something used before, or to be used within so many months after, stands in the way of a use on a day."""
    return any(use.on < add_months(on, months) and on < add_months(use.on, months) for use in uses)


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or that month's last where it has none such."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _units_paid(line: BenefitLine, charge: Charge, uses: Sequence[Use]) -> tuple[int, str]:
    """Units less the waiting days, and no more in a calendar year than the days covered."""
    if not charge.days:
        return charge.units, "formula_applied"
    waiting, code, paid = line.waiting_days, "waiting_days" if line.waiting_days else "formula_applied", 0
    for year, days in charge.days:
        waited = min(waiting, days)
        waiting, days_left = waiting - waited, days - waited
        if line.days_covered is not None:
            used = sum(use.units for use in uses if use.on.year == year)
            allowed = max(0, line.days_covered - used)
            if days_left > allowed:
                days_left, code = allowed, "days_used_up"
        paid += days_left
    return paid, code


def _part(charge: Charge, units: int) -> Charge:
    """The same charge for some of its units."""
    price, base, amo = (Cents(amount * units // charge.units) for amount in (charge.price, charge.base, charge.amo))
    return Charge(on=charge.on, price=price, base=base, amo=amo, units=units, days=charge.days)
