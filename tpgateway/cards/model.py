"""Checks, what was found, and answers.

What is made anew for every check is a named tuple: thousands are made a second, at a third of a dataclass's cost.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import NamedTuple, NewType
from uuid import UUID

from tpgateway.conventions.model import ConventionId
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


class Card(NamedTuple):
    """What stands on a card, of one beneficiary. ``birth_date`` is text of 8 digits: it can be no calendar date.

    The person is named by membership number and birth rank, or by the keyed hash of a NIR, with the rank if it is known.
    """

    insurer_number: str
    convention_type: str
    csr: str
    membership_number: str | None
    birth_date: str
    birth_rank: int | None
    nir_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRights:
    """What an insurer that is asked live answered of a person on a day."""

    membership_number: str
    birth_rank: int
    valid_from: date
    valid_to: date
    convention_types: tuple[str, ...]
    csr: str
    product_code: str


class LiveSilence(Enum):
    """What an insurer that is asked live may come to without rights."""

    UNKNOWN = "unknown"
    """It does not know the person."""
    SILENT = "silent"
    """It did not answer in time, or not as agreed."""


class LiveFinding(NamedTuple):
    """What an insurer that is asked live came to, and since when it is asked at the address that was asked."""

    rights: LiveRights | LiveSilence
    source_set_at: datetime


class Ask(NamedTuple):
    """A check to be made. ``live`` is what the insurer said, where it is asked live."""

    practitioner_id: PractitionerId
    agent_id: UUID | None
    card: Card
    domain: Domain
    care_date: date
    checked_at: datetime
    idempotency_key: str | None
    live: LiveFinding | None = None


class Found(NamedTuple):
    """What a check found when it was made."""

    membership_number: str | None
    birth_rank: int | None
    convention_id: ConventionId | None
    is_domain_agreed: bool
    has_signed: bool
    participates: bool
    is_silent: bool
    is_ambiguous: bool
    holds_type: bool
    holds_csr: bool
    rights_from: date | None
    rights_to: date | None
    product_version_id: ProductVersionId | None


class CardCheck(NamedTuple):
    """A check as recorded: what was asked and what was found. The answer follows from it alone."""

    insurer_id: InsurerId
    id: CardCheckId
    proof: str
    proof_expires_at: datetime
    ask: Ask
    found: Found

    @property
    def person(self) -> "Person":
        """The one person whom the check found."""
        assert self.found.membership_number is not None
        assert self.found.birth_rank is not None
        return Person(self.found.membership_number, self.ask.card.birth_date, self.found.birth_rank)


class Person(NamedTuple):
    """How an insurer knows an insured person."""

    membership_number: str
    birth_date: str
    birth_rank: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """The outcome with its reason: ``code`` has one meaning, the sentences are for the practice.

    One object for all checks that come to the same, so that how it is written is worked out once.
    """

    outcome: Outcome
    code: str
    message_fr: str
    next_step_fr: str | None
    benefits: tuple[BenefitLine, ...] = ()


RIGHTS_FILE_LIMIT = 16 * 1024**3
"""Bytes of a rights file, once unpacked."""


class ImportMode(StrEnum):
    """A full file closes the rights of whoever is missing; an update touches only those it names."""

    FULL = "full"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsImport:
    """What an import came to; ``loaded`` and ``rejected`` add up to ``lines``, the header left out.

    ``unchanged`` are those of the loaded that said what was so already.
    """

    id: ImportId
    mode: ImportMode
    lines: int
    loaded: int
    unchanged: int
    rejected: int
    closed: int
    started_at: datetime
    finished_at: datetime


class UploadStage(StrEnum):
    """What is being done with a rights file."""

    RECEIVING = "receiving"
    COPYING = "copying"
    CHECKING = "checking"
    MERGING = "merging"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A rights file on its way in; ``size`` in bytes where the sender said it."""

    stage: UploadStage
    received: int
    size: int | None
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A line that was not loaded; lines count from 1, the header being the first."""

    line: int
    column: str
    code: str
