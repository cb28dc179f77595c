"""Checks, what was found, and answers."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from tpgateway.guarantees.model import BenefitLine, Domain, ProductVersionId
from tpgateway.insurers.model import InsurerId
from tpgateway.practitioners.model import PractitionerId

CardCheckId = NewType("CardCheckId", UUID)
ImportId = NewType("ImportId", UUID)


class Outcome(StrEnum):
    """What a check can come to."""

    COVERED = "covered"
    NOT_COVERED = "not_covered"
    UNKNOWN_PERSON = "unknown_person"
    RIGHTS_CLOSED = "rights_closed"
    NOT_CONTRACTED = "not_contracted"
    INSURER_SILENT = "insurer_silent"
    """Part of the contract from the start; it takes an insurer that is asked live, which none is yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What stands on a card, of one beneficiary. ``birth_date`` is text of 8 digits: it can be no calendar date."""

    insurer_number: str
    convention_type: str
    csr: str
    membership_number: str
    birth_date: str
    birth_rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A check to be made, with the proof that it will have."""

    practitioner_id: PractitionerId
    agent_id: UUID | None
    card: Card
    domain: Domain
    care_date: date
    proof: str
    proof_expires_at: datetime
    checked_at: datetime
    idempotency_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardCheck:
    """A check as recorded: what was asked and what was found. The answer follows from it alone."""

    insurer_id: InsurerId
    id: CardCheckId
    practitioner_id: PractitionerId
    card: Card
    domain: Domain
    care_date: date
    checked_at: datetime
    proof: str
    proof_expires_at: datetime
    has_convention: bool
    is_domain_agreed: bool
    has_signed: bool
    participates: bool
    holds_type: bool
    rights_from: date | None
    rights_to: date | None
    product_version_id: ProductVersionId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome with its reason: ``code`` has one meaning, the sentences are for the practice."""

    outcome: Outcome
    code: str
    message_fr: str
    next_step_fr: str | None
    benefits: tuple[BenefitLine, ...] = ()


RIGHTS_HEADER = "membership_number;birth_date;birth_rank;valid_from;valid_to;convention_types;csr;product_code"
"""The first line of a rights file; see schemas/README.md."""


class ImportMode(StrEnum):
    """A full file closes the rights of whoever is missing; an update touches only those it names."""

    FULL = "full"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsImport:
    """What an import came to; ``loaded`` and ``rejected`` add up to ``lines``, the header left out."""

    id: ImportId
    mode: ImportMode
    lines: int
    loaded: int
    rejected: int
    closed: int
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A line that was not loaded; lines count from 1, the header being the first."""

    line: int
    column: str
    code: str
