"""Ages, from birth dates that may be no calendar dates."""

from datetime import date


def age(birth_date: str, on: date) -> int:
    """Full years on a day; ``birth_date`` is text of 8 digits. Somebody of a lunar month has the birthday at its place."""
    return on.year - int(birth_date[:4]) - (on.month * 100 + on.day < int(birth_date[4:]))
