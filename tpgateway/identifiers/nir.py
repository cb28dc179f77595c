"""NIR: the number by which social security knows a person.

Thirteen characters and a two-digit key: 97 minus the number modulo 97, where Corsica's 2A counts as 19 and 2B as 18.
Read and checked by python-stdnum. Use of the NIR is limited by decree 2019-341: never a key, a URL, a log or an event.
"""

import re
from typing import NewType

from stdnum.exceptions import InvalidFormat, ValidationError
from stdnum.fr import nir as _nir

Nir = NewType("Nir", str)

_FORM = re.compile(r"[0-9AB]*")
_PLAIN = re.compile(r"[0-9]{15}")


def compact(number: str) -> str:
    """The number without separators."""
    return str(_nir.compact(number))


def validate(number: str) -> Nir:
    """The number as a Nir; raises a stdnum ``ValidationError`` otherwise."""
    if _PLAIN.fullmatch(number) and 97 - int(number[:13]) % 97 == int(number[13:]):
        return Nir(number)  # what nearly all are, at a sixth of the time: files hold millions
    if not _FORM.fullmatch(compact(number)):
        raise InvalidFormat
    return Nir(_nir.validate(number))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def format(number: str) -> str:
    """The number as people read it: ``2 95 10 99 126 111 93``."""
    return str(_nir.format(number))
