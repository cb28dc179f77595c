"""CIP13: the code of a presentation of a medicine; an EAN-13 that opens with 34009."""

from typing import NewType

from stdnum import ean
from stdnum.exceptions import InvalidComponent, InvalidLength, ValidationError

Cip13 = NewType("Cip13", str)


def compact(number: str) -> str:
    """The code without separators."""
    return str(ean.compact(number))


def validate(number: str) -> Cip13:
    """The code as a Cip13; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if len(number) != 13:
        raise InvalidLength
    number = ean.validate(number)
    if not number.startswith("34009"):
        raise InvalidComponent
    return Cip13(number)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the code."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The code as boxes print it: ``34009 359 558 3 8``."""
    number = compact(number)
    return f"{number[:5]} {number[5:8]} {number[8:11]} {number[11]} {number[12]}"
