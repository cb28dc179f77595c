"""SIRET: the number of a business's site; SIREN (nine digits) and five of order. Read and checked by python-stdnum."""

from typing import NewType

from stdnum.fr import siret as _siret

Siret = NewType("Siret", str)


def compact(number: str) -> str:
    """The number without separators."""
    return str(_siret.compact(number))


def validate(number: str) -> Siret:
    """The number as a Siret; raises a stdnum ``ValidationError`` otherwise."""
    return Siret(_siret.validate(number))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    return bool(_siret.is_valid(number))


def format(number: str) -> str:
    """The number as people read it: ``260 100 045 00012``."""
    return str(_siret.format(number))
