"""RPPS: the national number of a health professional, for life.

Eleven digits, the first is 1, the last a Luhn key.
"""

from functools import lru_cache
from typing import NewType

from stdnum import luhn
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

Rpps = NewType("Rpps", str)


def compact(number: str) -> str:
    """The number without separators."""
    return str(clean(number, " .-")).strip()


def validate(number: str) -> Rpps:
    """The number as an Rpps; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if len(number) != 11:
        raise InvalidLength
    if not (number.isascii() and number.isdigit()):
        raise InvalidFormat
    if number[0] != "1":
        raise InvalidComponent
    if not _has_key(number):
        raise InvalidChecksum
    return Rpps(number)


@lru_cache(10_000)  # of the same few thousand prescribers, again and again
def _has_key(number: str) -> bool:
    return bool(luhn.is_valid(number))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The number as people read it: ``10 999 999 906``."""
    number = compact(number)
    return f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:]}"
