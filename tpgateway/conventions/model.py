"""What a convention is."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NewType
from uuid import UUID

from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty

ConventionId = NewType("ConventionId", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionTerms:
    """A convention as it is published: the text people sign, and the terms that software obeys.

    ``participants`` are padded AMC numbers, None where every insurer of the network takes part; ``valid_to`` is the last
    day, None where none is set.
    """

    specialty: Specialty
    title: str
    text_markdown: str
    domains: tuple[Domain, ...]
    payment_days: int
    notice_days: int
    participants: tuple[str, ...] | None
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A published version; ``text_hash`` is the SHA-256 of the text, which a signature binds."""

    id: ConventionId
    version: int
    text_hash: bytes
    terms: ConventionTerms
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """That a practitioner signed a version; ``left_on`` is the first day on which it takes part no more, where it left."""

    version: int
    text_hash: bytes
    signed_at: datetime
    left_on: date | None
