"""What a decision uses of somebody's benefits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from tpgateway.claims.model import DecidedLine, Request, Stay
from tpgateway.guarantees.model import Use
from tpgateway.guarantees.rules.evaluation import Part, spread
from tpgateway.money import Cents


def uses_of(lines: Sequence[DecidedLine]) -> list[tuple[int, Use]]:
    """Each granted line's number and its uses: one a calendar year."""
    return [(number, use) for number, line in enumerate(lines, start=1) for use in uses_of_line(line)]


def uses_of_line(line: DecidedLine) -> list[Use]:
    """What one line uses: all of its days, also of a year whose part of a small sum is less than a cent."""
    asked = line.asked
    if not line.granted:
        return []
    return [
        Use(item=asked.item.value, benefit=asked.benefit, on=part.on, units=part.units, granted=part.granted)
        for part in line.parts
    ]


def regranted(line: DecidedLine, granted: Cents, code: str, request: Request, care_date: date) -> DecidedLine:
    """The line with another sum, over the same days; where nothing was granted, over all that were asked for."""
    if line.parts:
        years = [(part.on, part.units) for part in line.parts]
    else:
        years = [(request.entry_date if isinstance(request, Stay) else care_date, line.asked.units)]
    parts: tuple[Part, ...] = spread(granted, years) if granted else ()
    return replace(line, granted=granted, parts=parts, code=code, available_from=None)
