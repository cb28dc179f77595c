"""AMC number: how a complementary insurer is known on cards and in claims.

Eight to ten digits, no key that may be enforced. Numbers are equal when they are equal padded to ten: ``75004407`` and
``0075004407`` are one insurer.
"""

import re
from functools import lru_cache
from typing import NewType

from stdnum.exceptions import InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

AmcNumber = NewType("AmcNumber", str)


def compact(number: str) -> str:
    """The number without separators, as written."""
    return str(clean(number, " .-")).strip()


@lru_cache(4096)  # each check names one of a few hundred
def validate(number: str) -> AmcNumber:
    """The number padded to ten digits; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if not re.fullmatch(r"\d+", number, re.ASCII):
        raise InvalidFormat
    if not 8 <= len(number) <= 10:
        raise InvalidLength
    if not int(number):
        raise InvalidComponent
    return AmcNumber(number.zfill(10))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The number as cards print it: ten digits."""
    return compact(number).zfill(10)
