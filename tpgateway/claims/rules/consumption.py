"""What a decision uses of somebody's benefits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from tpgateway.claims.model import BY_DAY, AskedLine, DecidedLine, Item, Request, Stay
from tpgateway.guarantees.model import Use
from tpgateway.guarantees.rules.evaluation import Part, days_in_a_row, spread
from tpgateway.money import ZERO, Cents


def uses_of(lines: Sequence[DecidedLine], request: Request) -> list[tuple[int, Use]]:
    """Each granted line's number and its uses: at least one a calendar year."""
    return [(number, use) for number, line in enumerate(lines, start=1) for use in uses_of_line(line, request)]


def uses_of_line(line: DecidedLine, request: Request) -> list[Use]:
    """What one line uses: all of its days, also of a year whose part of a small sum is less than a cent."""
    asked = line.asked
    if not line.granted:
        return []
    return [
        Use(
            item=asked.item.value,
            benefit=asked.benefit,
            on=part.on,
            units=part.units,
            granted=part.granted,
            amo=ZERO if number else asked.amo,
            until=request.exit_date if isinstance(request, Stay) and asked.item not in BY_DAY else None,
        )
        for number, part in enumerate(line.parts)
    ]


def held_meanwhile(changed: Sequence[tuple[int, Use]], agreed: Sequence[tuple[int, Use]]) -> list[tuple[int, Use]]:
    """What is used while a change waits: what it asks for, and of what was agreed, which stands until then, all beyond it."""
    held = list(changed)
    last = max((number for number, _ in changed), default=0)
    rest = [use for _, use in changed]
    for number, use in agreed:
        same = next(
            (each for each in rest if (each.item, each.benefit, each.on) == (use.item, use.benefit, use.on)), None
        )
        more = use
        if same is not None:
            rest.remove(same)
            units, granted = max(0, use.units - same.units), Cents(max(ZERO, use.granted - same.granted))
            if not units and not granted:
                continue
            on = use.on + timedelta(days=same.units) if units and Item(use.item) in BY_DAY else use.on
            more = replace(use, on=on, units=units, granted=granted, amo=Cents(max(ZERO, use.amo - same.amo)))
        held.append((last + number, more))
    return held


def regranted(line: DecidedLine, granted: Cents, code: str, request: Request, care_date: date) -> DecidedLine:
    """The line with another sum, over the same days; where nothing was granted, over all that were asked for."""
    spans = [(part.on, part.units) for part in line.parts] or spans_asked(line.asked, request, care_date)
    parts: tuple[Part, ...] = spread(granted, spans) if granted else ()
    return replace(line, granted=granted, parts=parts, code=code, available_from=None, limit=None)


def spans_asked(asked: AskedLine, request: Request, care_date: date) -> list[tuple[date, int]]:
    """First day and units of what is asked for: of days, those of each calendar year."""
    first = request.entry_date if isinstance(request, Stay) else care_date
    return days_in_a_row(first, asked.units) if asked.item in BY_DAY else [(first, asked.units)]
