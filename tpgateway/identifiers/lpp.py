"""LPP: the code of a product or service on the national list (glasses, hearing aids, prostheses…).

Seven digits: the last is the sum of the first six, weighted 2 to 7 from the left, modulo 11, where 10 is written 0.
"""

import re
from functools import lru_cache
from typing import NewType

from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

Lpp = NewType("Lpp", str)


def compact(number: str) -> str:
    """The code without separators."""
    return str(clean(number, " .-")).strip()


def key(number: str) -> str:
    """The key of the first six digits."""
    return str(sum(weight * int(digit) for weight, digit in enumerate(number[:6], start=2)) % 11 % 10)


@lru_cache(10_000)  # of the same few hundred, again and again
def validate(number: str) -> Lpp:
    """The code as an Lpp; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if len(number) != 7:
        raise InvalidLength
    if not re.fullmatch(r"\d{7}", number, re.ASCII):
        raise InvalidFormat
    if key(number) != number[6]:
        raise InvalidChecksum
    return Lpp(number)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the code."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The code as the list prints it: seven digits."""
    return compact(number)
