"""What changed between two versions of a convention."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from difflib import SequenceMatcher

from tpgateway.conventions.model import ConventionTerms, Difference, Passage


def difference(older: ConventionTerms, newer: ConventionTerms) -> Difference:
    """What makes the newer version of the older: every term that differs, and the passages of the text."""
    names = [field.name for field in fields(ConventionTerms) if field.name not in {"specialty", "text_markdown"}]
    terms = {name: (getattr(older, name), getattr(newer, name)) for name in names}
    return Difference(
        terms={name: pair for name, pair in terms.items() if pair[0] != pair[1]},
        text=tuple(_passages(_lines(older.text_markdown), _lines(newer.text_markdown))),
    )


def _passages(before: Sequence[str], after: Sequence[str]) -> Iterator[Passage]:
    for kind, start, end, new_start, new_end in SequenceMatcher(None, before, after).get_opcodes():
        if kind != "equal":
            heading = _heading(after[:new_start]) if new_end > new_start else _heading(before[:start])
            yield Passage(heading=heading, removed=tuple(before[start:end]), added=tuple(after[new_start:new_end]))


def _lines(text: str) -> list[str]:
    """The lines that say something: were those that do not compared too, it would take many times as long."""
    return [line for line in text.splitlines() if line.strip()]


def _heading(lines: Sequence[str]) -> str:
    """The heading that the next line would stand under; empty above the first."""
    return next((line.lstrip("#").strip() for line in reversed(lines) if line.startswith("#")), "")
