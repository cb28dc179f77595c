"""Adeli: the former number of a health professional, department by department.

Nine digits: department, profession (28 optician, 21 pharmacist…), order, Luhn key. Adeli was taken out of service in
2024; accounts and files still carry it. Some numbers in use fail the key, hence ``validate_form`` beside ``validate``.
"""

from typing import NewType

from stdnum import luhn
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

Adeli = NewType("Adeli", str)


def compact(number: str) -> str:
    """The number without separators."""
    return str(clean(number, " .-")).strip()


def validate_form(number: str) -> Adeli:
    """The number as an Adeli whatever its key; raises a stdnum ``ValidationError`` if the rest is wrong."""
    number = compact(number)
    if len(number) != 9:
        raise InvalidLength
    if not (number.isascii() and number.isdigit()):
        raise InvalidFormat
    if number.startswith("00"):
        raise InvalidComponent  # no department 00
    return Adeli(number)


def validate(number: str) -> Adeli:
    """The number as an Adeli; raises a stdnum ``ValidationError`` otherwise."""
    adeli = validate_form(number)
    if not luhn.is_valid(adeli):
        raise InvalidChecksum
    return adeli


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The number as people read it, in groups of three: ``752 800 011``."""
    number = compact(number)
    return f"{number[:3]} {number[3:6]} {number[6:]}"
