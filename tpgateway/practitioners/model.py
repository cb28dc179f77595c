"""What a practitioner's account is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

PractitionerId = NewType("PractitionerId", UUID)
ClientId = NewType("ClientId", UUID)


class Scheme(StrEnum):
    """The schemes by which a practitioner may be known; the caller always names it."""

    FINESS = "finess"
    ADELI = "adeli"
    RPPS = "rpps"
    TREASURY = "treasury"


class Specialty(StrEnum):
    """The specialities that have a convention."""

    PHARMACY = "pharmacy"
    OPTICS = "optics"
    RADIOLOGY = "radiology"
    LABORATORY = "laboratory"
    DENTAL = "dental"
    MEDICINE = "medicine"
    NURSING = "nursing"
    PHYSIOTHERAPY = "physiotherapy"
    HEARING_AIDS = "hearing_aids"
    MIDWIVES = "midwives"
    HOSPITAL = "hospital"
    TRANSPORT = "transport"


class AccountState(StrEnum):
    UNCONFIRMED = "unconfirmed"
    """Registered; the link in the mail was not used yet."""
    IN_REVIEW = "in_review"
    """Confirmed by mail; what was given does not agree with the directory, and a person looks at it."""
    REFUSED = "refused"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One number of a practitioner, in its written form."""

    scheme: Scheme
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The versions of the texts that were accepted."""

    terms: str
    privacy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What a practitioner gives to register: a person's names or a body's legal name, never both."""

    identifier: Identifier
    first_name: str | None
    last_name: str | None
    legal_name: str | None
    specialty: Specialty
    postal_code: str
    email: str
    mobile: str | None
    bic: str
    iban: str | None
    finess: str | None
    siret: str | None
    is_listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """An account. ``bic`` is of the bank details in force."""

    id: PractitionerId
    state: AccountState
    state_reason: str | None
    name: str
    first_name: str | None
    last_name: str | None
    legal_name: str | None
    specialty: Specialty
    street: str | None
    postal_code: str
    town: str | None
    mobile: str | None
    email: str
    bic: str
    finess: str | None
    siret: str | None
    is_listed: bool
    identifiers: tuple[Identifier, ...]
    registered_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an owner changes without more ado; None leaves the mobile or the street empty."""

    mobile: str | None
    street: str | None
    postal_code: str
    town: str | None
    is_listed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A claim that a person must look at: a registration, or a number that an account wants to add."""

    id: UUID
    practitioner_id: PractitionerId
    identifier: Identifier
    is_registration: bool
    reason: str
    asked_at: datetime
    name: str
    specialty: Specialty
    postal_code: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BankDetails:
    """Where an account is paid, from when; ``iban_ending`` are the last four characters."""

    id: UUID
    bic: str
    iban_ending: str | None
    requested_at: datetime
    in_force_from: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A practitioner who agreed to be listed, and how far away."""

    id: PractitionerId
    name: str
    specialty: Specialty
    street: str | None
    postal_code: str
    town: str | None
    mobile: str | None
    identifiers: tuple[Identifier, ...]
    metres: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """A practitioner's software, as its owner sees it; a former credential works until ``former_until``."""

    id: ClientId
    name: str
    scopes: tuple[str, ...]
    has_key: bool
    created_at: datetime
    last_used_at: datetime | None
    former_until: datetime | None
    revoked_at: datetime | None
