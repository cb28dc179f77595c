"""Postal code: five digits, those of CEDEX deliveries included, which are not communes. No key."""

import re
from typing import NewType

from stdnum.exceptions import InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

PostalCode = NewType("PostalCode", str)


def compact(number: str) -> str:
    """The code without separators."""
    return str(clean(number, " .-")).strip()


def validate(number: str) -> PostalCode:
    """The code as a PostalCode; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if len(number) != 5:
        raise InvalidLength
    if not re.fullmatch(r"\d{5}", number, re.ASCII):
        raise InvalidFormat
    if number.startswith("00"):
        raise InvalidComponent  # 00 is the armed forces' mail, where no practice is
    return PostalCode(number)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the code."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The code as people write it: five digits."""
    return compact(number)
