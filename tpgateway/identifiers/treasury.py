"""Treasury identifier: how a public hospital is known to the public accountant who collects for it.

Six digits name the accountant's office (the "codique", e.g. ``033090``). One office serves several bodies, so three digits
name the body and, where it keeps several budgets, two more name the budget: ``033090-123`` or ``033090-123-01``. There is
no key: whoever uses it gives a FINESS or SIRET beside it.
"""

import re
from dataclasses import dataclass
from typing import NewType

from stdnum.exceptions import InvalidComponent, InvalidFormat, InvalidLength, ValidationError
from stdnum.util import clean

Treasury = NewType("Treasury", str)

_LENGTHS = {9, 11}  # office and body; office, body and budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a treasury identifier is made of; ``budget`` is None where the body has one budget."""

    office: str
    body: str
    budget: str | None


def compact(number: str) -> str:
    """The digits alone."""
    return str(clean(number, " .-/")).strip()


def validate(number: str) -> Treasury:
    """The identifier in its written form, ``033090-123`` or ``033090-123-01``.

    Raises a stdnum ``ValidationError`` otherwise; an office without a body is an ``InvalidLength``.
    """
    digits = compact(number)
    if not re.fullmatch(r"\d*", digits, re.ASCII):
        raise InvalidFormat
    if len(digits) not in _LENGTHS:
        raise InvalidLength
    if digits.startswith("000"):
        raise InvalidComponent  # an office number opens with its department
    return Treasury(format(digits))


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the identifier."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def split(number: Treasury) -> Parts:
    """The parts of a valid identifier."""
    digits = compact(number)
    return Parts(office=digits[:6], body=digits[6:9], budget=digits[9:] or None)


def format(number: str) -> str:
    """The identifier as people write it: ``033090-123-01``."""
    digits = compact(number)
    return "-".join(part for part in (digits[:6], digits[6:9], digits[9:]) if part)
