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
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One number of a practitioner, in its written form."""

    scheme: Scheme
    value: str


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
    bic: str
    finess: str | None
    siret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """An account."""

    id: PractitionerId
    state: AccountState
    name: str
    specialty: Specialty
    postal_code: str
    email: str
    bic: str
    identifiers: tuple[Identifier, ...]
    registered_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What is needed to let somebody in."""

    practitioner_id: PractitionerId
    state: AccountState
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that was mailed."""

    practitioner_id: PractitionerId
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """A practitioner's software, as its owner sees it."""

    id: ClientId
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
