"""What a benefit line pays of a charge, given what was used of it before."""

from calendar import monthrange
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import NamedTuple

from tpgateway.guarantees.model import BenefitLine, Domain, FormulaKind, Per, Use
from tpgateway.money import ZERO, Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What is charged from a day on: price, base and AMO share of all ``units`` (acts or days) together.

    ``is_by_day``: the units are days, one after the other; then ``prices`` are those of each, where they differ, and
    ``taken`` the days that are paid for already.
    """

    on: date
    price: Cents
    base: Cents
    amo: Cents
    units: int = 1
    is_by_day: bool = False
    prices: Sequence[Cents] = ()
    taken: Collection[date] = frozenset()


class Part(NamedTuple):
    """What is paid of a calendar year: from which day on, for how many units in a row, and how much."""

    on: date
    units: int
    granted: Cents


class Evaluated(NamedTuple):
    """What the line pays, by calendar year, the code of the rule that was applied, and the ceiling that it names."""

    parts: tuple[Part, ...]
    code: str
    limit: Cents | None = None

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
    paid, code = _paid_units(line, charge, own)
    units = sum(count for _, count in paid)
    if not units:
        return Evaluated((), code)
    formula = line.formula
    if formula.per is Per.YEAR:
        formula = replace(formula, ceiling_cents=None)  # it is each year's, and looked at below
    part, limit = charge if units == charge.units else _share_of(charge, paid), None
    granted = formula.insurer_share(price=part.price, base=part.base, amo=part.amo, units=units)
    if code == "formula_applied" and formula.ceiling_cents is not None:
        most = Cents(formula.ceiling_cents * (units if formula.per in {Per.ACT, Per.DAY} else 1))
        if granted == most < part.price - part.amo:
            code, limit = "ceiling_reached", most
    parts = spread(granted, paid)
    if formula.per is Per.YEAR and (of_year := limit_of(line)) is not None:
        limited: list[Part] = []
        for each in parts:
            used: int = sum(use.granted for use in own if use.on.year == each.on.year)
            used += sum(before.granted for before in limited if before.on.year == each.on.year)
            left = Cents(max(ZERO, of_year - used))
            limited.append(each._replace(granted=min(each.granted, left)))
            if each.granted > left:
                code, limit = "year_ceiling_reached", of_year
        parts = tuple(limited)
    if not granted:
        return Evaluated((), "formula_gives_nothing" if code == "formula_applied" else code)
    return Evaluated(parts if all(each.granted for each in parts) else tuple(filter(_is_paid, parts)), code, limit)


def spread(granted: Cents, spans: Sequence[tuple[date, int]]) -> tuple[Part, ...]:
    """A sum over first days and units, by the units; what does not divide falls to the last."""
    if len(spans) == 1:
        return (Part(*spans[0], granted),)
    units, left = sum(count for _, count in spans), granted
    parts = []
    for on, count in spans:
        share = left if count == units else Cents(left * count // units)
        parts.append(Part(on, count, share))
        units, left = units - count, Cents(left - share)
    return tuple(parts)


def days_in_a_row(first: date, days: int, taken: Collection[date] = frozenset()) -> list[tuple[date, int]]:
    """So many days less those taken: first day and length of each run of them within a calendar year."""
    found: list[tuple[date, int]] = []
    for day in (first + timedelta(days=number) for number in range(days)):
        if day in taken:
            continue
        on, count = found[-1] if found else (day, 0)
        if count and day.year == on.year and day == on + timedelta(days=count):
            found[-1] = (on, count + 1)
        else:
            found.append((day, 1))
    return found


def limit_of(line: BenefitLine) -> Cents | None:
    """The most that is paid for the whole of what the formula is per: a year, or an equipment."""
    formula = line.formula
    if formula.ceiling_cents is not None:
        return formula.ceiling_cents
    return formula.amount_cents if formula.kind is FormulaKind.FLAT else None


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


def _paid_units(line: BenefitLine, charge: Charge, uses: Sequence[Use]) -> tuple[list[tuple[date, int]], str]:
    """First day and units of what is paid: of days, not the waiting days, those taken, nor more of a year than it covers."""
    if not charge.is_by_day:
        return [(charge.on, charge.units)], "formula_applied"
    days = charge.units - line.waiting_days
    spans = days_in_a_row(charge.on + timedelta(days=line.waiting_days), days, charge.taken)
    code = "waiting_days" if line.waiting_days else "formula_applied"
    if sum(count for _, count in spans) < days:
        code = "stay_overlaps"
    if line.days_covered is None:
        return spans, code
    paid: list[tuple[date, int]] = []
    for on, count in spans:
        used = sum(use.units for use in uses if use.on.year == on.year)
        used += sum(units for first, units in paid if first.year == on.year)
        if count > (left := max(0, line.days_covered - used)):
            code = "days_used_up"
        if left:
            paid.append((on, min(count, left)))
    return paid, code


def _share_of(charge: Charge, paid: Sequence[tuple[date, int]]) -> Charge:
    """The same charge for some of its units."""
    units = sum(count for _, count in paid)
    price, base, amo = (Cents(amount * units // charge.units) for amount in (charge.price, charge.base, charge.amo))
    if charge.prices:
        starts = [((on - charge.on).days, count) for on, count in paid]
        price = Cents(sum(sum(charge.prices[start : start + count]) for start, count in starts))
    return replace(charge, price=price, base=base, amo=amo, units=units)
