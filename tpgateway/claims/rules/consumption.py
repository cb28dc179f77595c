"""What a decision uses of somebody's benefits."""

from collections.abc import Sequence
from datetime import date, timedelta

from tpgateway.claims.model import DecidedLine, Request, Stay
from tpgateway.guarantees.model import Use
from tpgateway.money import Cents


def uses_of(request: Request, lines: Sequence[DecidedLine], care_date: date) -> list[tuple[int, Use]]:
    """Each granted line's number and use; that of a stay over the new year is two, its days and money by year."""
    found: list[tuple[int, Use]] = []
    for number, line in enumerate(lines, start=1):
        if line.granted:
            parts = _by_year(request, line) if isinstance(request, Stay) else [(care_date, line.units, line.granted)]
            for on, units, granted in parts:
                use = Use(item=line.asked.item, benefit=line.asked.benefit, on=on, units=units, granted=granted)
                found.append((number, use))
    return found


def _by_year(stay: Stay, line: DecidedLine) -> list[tuple[date, int, Cents]]:
    """The paid days are the last ones asked for: waiting days come first."""
    first = stay.entry_date + timedelta(days=max(0, min(line.asked.units, stay.days) - line.units))
    parts: list[tuple[date, int, Cents]] = []
    left_units, left = line.units, line.granted
    while left_units > 0:
        in_year = min(left_units, (date(first.year + 1, 1, 1) - first).days)
        granted = left if in_year == left_units else Cents(left * in_year // left_units)
        if granted:
            parts.append((first, in_year, granted))
        left_units, left, first = left_units - in_year, Cents(left - granted), date(first.year + 1, 1, 1)
    return parts
