"""Statements that go to the server together: a round trip costs more than most of them do."""

import re
from functools import lru_cache
from typing import NamedTuple


class Statement(NamedTuple):
    """SQL, its parameters numbered from ``$1``, with their values."""

    text: str
    values: tuple[object, ...]


def together(main: Statement, *others: Statement) -> Statement:
    """One statement that does what all of them do, each seeing what was so before, and answers what ``main`` does.

    The others are an INSERT each, without RETURNING.
    """
    text = _joined(main.text, len(main.values), tuple((each.text, len(each.values)) for each in others))
    return Statement(text, sum((each.values for each in others), start=main.values))


@lru_cache(maxsize=100)
def _joined(main: str, count: int, others: tuple[tuple[str, int], ...]) -> str:
    parts = []
    for number, (text, more) in enumerate(others):
        # What is inserted comes back: on Citus what does not may be sent by COPY, which row-level security refuses.
        parts.append(f"beside_{number} AS ({_numbered_from(count, text)} RETURNING 1)")
        count += more
    before = f"WITH {', '.join(parts)}"
    return f"{before}, {main.removeprefix('WITH ')}" if main.startswith("WITH ") else f"{before} {main}"


def _numbered_from(count: int, text: str) -> str:
    return re.sub(r"\$(\d+)", lambda parameter: f"${int(parameter[1]) + count}", text)
