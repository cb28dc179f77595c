"""FINESS: the number of a health establishment (site) or of the legal entity that runs it.

Nine characters: the department (two digits, ``2A`` or ``2B`` in Corsica, ``97`` and ``98`` overseas), six digits of order
and a Luhn key, computed after 2A is read as 21 and 2B as 22. Source: the public FINESS extraction, on which this rule
holds for every establishment.
"""

import re
from typing import NewType

from stdnum import luhn
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

Finess = NewType("Finess", str)

_FORM = re.compile(r"(\d{2}|2[AB])\d{7}", re.ASCII)
_CORSICA = {"2A": "21", "2B": "22"}


def compact(number: str) -> str:
    """The number without separators, Corsica's letter in upper case."""
    return str(clean(number, " .-")).strip().upper()


def validate(number: str) -> Finess:
    """The number as a Finess; raises a stdnum ``ValidationError`` otherwise."""
    number = compact(number)
    if len(number) != 9:
        raise InvalidLength
    if not _FORM.fullmatch(number):
        raise InvalidFormat
    if number.startswith("00"):
        raise InvalidComponent  # no department 00
    if not luhn.is_valid(_CORSICA.get(number[:2], number[:2]) + number[2:]):
        raise InvalidChecksum
    return Finess(number)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The number as people read it: ``01 000002 4``."""
    number = compact(number)
    return f"{number[:2]} {number[2:8]} {number[8:]}"
