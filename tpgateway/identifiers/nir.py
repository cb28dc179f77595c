"""NIR: the number by which social security knows a person.

Thirteen characters and a two-digit key: 97 minus the number modulo 97, where Corsica's 2A counts as 19 and 2B as 18.
Read and checked by python-stdnum. Use of the NIR is limited by decree 2019-341: never a key, a URL, a log or an event.
"""

from typing import NewType

from stdnum.fr import nir as _nir

Nir = NewType("Nir", str)


def compact(number: str) -> str:
    """The number without separators."""
    return str(_nir.compact(number))


def validate(number: str) -> Nir:
    """The number as a Nir; raises a stdnum ``ValidationError`` otherwise."""
    return Nir(_nir.validate(number))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    return bool(_nir.is_valid(number))


def format(number: str) -> str:
    """The number as people read it: ``2 95 10 99 126 111 93``."""
    return str(_nir.format(number))
