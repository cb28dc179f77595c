"""How much checking is too much: what a stolen account would do and a practice does not.

A practice asks for the people at its counter: so many in an hour or a day, and seldom for somebody who does not exist. Who
asks for many more, or guesses, is slowed down from four fifths of a quota on, and locked when it is used up.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from tpgateway.cards.model import Outcome, Verdict


class Measure(StrEnum):
    """What is counted: different people asked for, and checks of people who were not found; in an hour and in a day."""

    PEOPLE_PER_HOUR = "people_per_hour"
    PEOPLE_PER_DAY = "people_per_day"
    MISSES_PER_HOUR = "misses_per_hour"
    MISSES_PER_DAY = "misses_per_day"


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Usage = Mapping[Measure, int]
Quotas = Mapping[Measure, int]
_SLOW_FROM = 0.8
_PEOPLE_STEPS = 16
_MISSES_STEPS = 8

DEFAULT = "default"
QUOTAS: Mapping[str, Quotas] = {
    DEFAULT: {
        Measure.PEOPLE_PER_HOUR: 300,
        Measure.PEOPLE_PER_DAY: 1_500,
        Measure.MISSES_PER_HOUR: 40,
        Measure.MISSES_PER_DAY: 120,
    },
    # A hospital prepares the next day's admissions in one batch.
    "hospital": {
        Measure.PEOPLE_PER_HOUR: 12_000,
        Measure.PEOPLE_PER_DAY: 30_000,
        Measure.MISSES_PER_HOUR: 600,
        Measure.MISSES_PER_DAY: 1_500,
    },
}
"""An account's, by speciality; an operator's settings come before these."""


def quotas_of(specialty: str, settings: Mapping[str, Mapping[str, int]], *, percent: int = 100) -> Quotas:
    """The quotas of a speciality, as set or as they stand here; ``percent`` of them, for one agent of an account."""
    ours = QUOTAS.get(specialty, QUOTAS[DEFAULT])
    theirs = {**settings.get(DEFAULT, {}), **settings.get(specialty, {})}
    return {measure: max(1, theirs.get(measure, ours[measure]) * percent // 100) for measure in Measure}


def is_miss(verdict: Verdict) -> bool:
    """Whether a check asked for somebody who was not found."""
    return verdict.outcome is Outcome.UNKNOWN_PERSON


def used_up(usage: Usage, quotas: Quotas) -> Measure | None:
    """The first quota that was gone over; None where all hold."""
    return next((measure for measure in Measure if usage[measure] > quotas[measure]), None)


def delay(usage: Usage, quotas: Quotas, *, slowest: float) -> float:
    """Seconds that an answer waits: none up to four fifths of every quota, then rising to the slowest at the end of one."""
    parts = (usage[measure] / quotas[measure] for measure in Measure)
    return round(slowest * max(0.0, min(1.0, (max(parts) - _SLOW_FROM) / (1 - _SLOW_FROM))), 2)


def until_next_count(usage: Usage, quotas: Quotas) -> tuple[int, int]:
    """How many checks, and how many of them misses, may pass until usage is counted again.

    It is a part of what is left, for other processes check as well. Of misses it is a larger one: no more checks than
    these are under way at once.
    """
    left = {measure: quotas[measure] - usage[measure] for measure in Measure}
    people = min(left[Measure.PEOPLE_PER_HOUR], left[Measure.PEOPLE_PER_DAY])
    misses = min(left[Measure.MISSES_PER_HOUR], left[Measure.MISSES_PER_DAY])
    return max(1, people // _PEOPLE_STEPS), max(1, misses // _MISSES_STEPS)
