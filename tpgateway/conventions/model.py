"""What a convention is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NewType
from uuid import UUID

from tpgateway.guarantees.model import Domain
from tpgateway.money import Cents
from tpgateway.practitioners.model import Specialty

ConventionId = NewType("ConventionId", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDocument:
    """A document that the convention asks for; ``domain`` is None where it is asked for in all of its domains."""

    kind: str
    label: str
    domain: Domain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedTariff:
    """A price that the convention agrees on for what has a code; ``domain`` as for documents."""

    code: str
    label: str
    amount_cents: Cents
    domain: Domain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionTerms:
    """A convention as it is published: the text people sign, and the terms that software obeys.

    In ``approval_domains`` an approval comes first, whatever the product says. ``participants`` are padded AMC numbers, None
    where every insurer of the network takes part; ``valid_to`` is the last day, None where none is set.
    """

    specialty: Specialty
    title: str
    text_markdown: str
    domains: tuple[Domain, ...]
    approval_domains: tuple[Domain, ...]
    documents: tuple[AskedDocument, ...]
    tariffs: tuple[AgreedTariff, ...]
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
    """That a practitioner signed a version; ``left_on`` is the first day on which it takes part no more, where it left.

    ``member_id`` is who of the practice signed, None of those that were given before this was kept.
    """

    version: int
    text_hash: bytes
    signed_at: datetime
    left_on: date | None
    member_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What reads otherwise in two versions of a text, under the heading where it stands."""

    heading: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What changed from one version to another: terms by name, each as it was and as it is, and passages of the text."""

    terms: Mapping[str, tuple[Any, Any]]
    text: tuple[Passage, ...]
