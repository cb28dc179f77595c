"""What a benefit line pays of a charge, given what was used of it before."""

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

from tpgateway.guarantees.model import BenefitLine, Domain, FormulaKind, Per, Use
from tpgateway.money import ZERO, Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged from a day on: price, base and AMO share of all ``units`` (acts or days) together.

    ``is_by_day``: the units are days, one after the other.
    """

    on: date
    price: Cents
    base: Cents
    amo: Cents
    units: int = 1
    is_by_day: bool = False


class Part(NamedTuple):
    """What is paid of a calendar year: from which day on, for how many units, and how much."""

    on: date
    units: int
    granted: Cents


class Evaluated(NamedTuple):
    """What the line pays, by calendar year, and the code of the rule that was applied."""

    parts: tuple[Part, ...]
    code: str

    @property
    def granted(self) -> Cents:
        return Cents(sum(part.granted for part in self.parts))

    @property
    def units(self) -> int:
        return sum(part.units for part in self.parts)


def evaluate(line: BenefitLine, charge: Charge, uses: Sequence[Use]) -> Evaluated:
    """What the line pays. The code is that of the last rule that cut it: of several, the one that counts.

    The renewal of glasses goes by piece, whichever benefit pays it, and is not looked at here.
    """
    own = [use for use in uses if use.benefit == line.benefit] if uses else []
    months = None if line.domain is Domain.OPTI else line.renewal_months
    if months is not None and too_early(months, charge.on, own):
        return Evaluated((), "renewal_too_early")
    years, code = _paid_years(line, charge, own)
    units = sum(count for _, count in years)
    if not units:
        return Evaluated((), code)
    formula = line.formula
    if formula.per is Per.YEAR:
        formula = replace(formula, ceiling_cents=None)  # it is each year's, and looked at below
    part = charge if units == charge.units else _share_of(charge, units)
    granted = formula.insurer_share(price=part.price, base=part.base, amo=part.amo, units=units)
    if code == "formula_applied" and formula.ceiling_cents is not None:
        times = units if formula.per in {Per.ACT, Per.DAY} else 1
        if granted == formula.ceiling_cents * times < part.price - part.amo:
            code = "ceiling_reached"
    parts = spread(granted, years)
    if formula.per is Per.YEAR and (limit := _year_limit(line)) is not None:
        limited = []
        for each in parts:
            left = max(ZERO, limit - sum(use.granted for use in own if use.on.year == each.on.year))
            limited.append(each._replace(granted=Cents(min(each.granted, left))))
            if each.granted > left:
                code = "year_ceiling_reached"
        parts = tuple(limited)
    if not granted:
        return Evaluated((), "formula_gives_nothing" if code == "formula_applied" else code)
    return Evaluated(parts if all(each.granted for each in parts) else tuple(filter(_is_paid, parts)), code)


def spread(granted: Cents, years: Sequence[tuple[date, int]]) -> tuple[Part, ...]:
    """A sum over calendar years, by their units; what does not divide falls to the last."""
    if len(years) == 1:
        return (Part(*years[0], granted),)
    units, left = sum(count for _, count in years), granted
    parts = []
    for on, count in years:
        share = left if count == units else Cents(left * count // units)
        parts.append(Part(on, count, share))
        units, left = units - count, Cents(left - share)
    return tuple(parts)


def too_early(months: int, on: date, uses: Sequence[Use]) -> bool:
    """Whether something used before, or to be used within so many months after, stands in the way of a use on a day."""
    return any(use.on < add_months(on, months) and on < add_months(use.on, months) for use in uses)


def add_months(day: date, months: int) -> date:
    """The same day so many months later, or that month's last where it has none such."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _is_paid(part: Part) -> bool:
    return part.granted > ZERO


def _year_limit(line: BenefitLine) -> Cents | None:
    formula = line.formula
    if formula.ceiling_cents is not None:
        return formula.ceiling_cents
    return formula.amount_cents if formula.kind is FormulaKind.FLAT else None


def _paid_years(line: BenefitLine, charge: Charge, uses: Sequence[Use]) -> tuple[list[tuple[date, int]], str]:
    """First day and units of each calendar year, less the waiting days, and no more of a year than the days covered."""
    if not charge.is_by_day:
        return [(charge.on, charge.units)], "formula_applied"
    first, left = charge.on + timedelta(days=line.waiting_days), charge.units - line.waiting_days
    code = "waiting_days" if line.waiting_days else "formula_applied"
    paid: list[tuple[date, int]] = []
    while left > 0:
        in_year = min(left, (date(first.year + 1, 1, 1) - first).days)
        count = in_year
        if line.days_covered is not None:
            used = sum(use.units for use in uses if use.on.year == first.year)
            if in_year > (count := min(in_year, max(0, line.days_covered - used))):
                code = "days_used_up"
        if count:
            paid.append((first, count))
        left -= in_year
        first = date(first.year + 1, 1, 1)
    return paid, code


def _share_of(charge: Charge, units: int) -> Charge:
    """The same charge for some of its units."""
    price, base, amo = (Cents(amount * units // charge.units) for amount in (charge.price, charge.base, charge.amo))
    return replace(charge, price=price, base=base, amo=amo, units=units)
