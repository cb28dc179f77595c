"""What a prior approval is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NewType
from uuid import UUID

from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.rules.evaluation import Part
from tpgateway.insurers.model import InsurerId
from tpgateway.money import ZERO, Cents
from tpgateway.practitioners.model import PractitionerId

ApprovalId = NewType("ApprovalId", UUID)
AttachmentId = NewType("AttachmentId", UUID)


class State(StrEnum):
    """Where an approval stands."""

    SUBMITTED = "submitted"
    INFORMATION_REQUESTED = "information_requested"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    PARTIALLY_APPROVED = "partially_approved"
    REFUSED = "refused"
    APPEALED = "appealed"
    CANCELLED = "cancelled"
    USED = "used"
    EXPIRED = "expired"


class Kind(StrEnum):
    """What can happen to an approval."""

    SUBMITTED = "submitted"
    INFORMATION_REQUESTED = "information_requested"
    INFORMATION_GIVEN = "information_given"
    REVIEW_STARTED = "review_started"
    APPROVED = "approved"
    PARTIALLY_APPROVED = "partially_approved"
    REFUSED = "refused"
    AMENDED = "amended"
    EXTENDED = "extended"
    APPEALED = "appealed"
    CANCELLED = "cancelled"
    USED = "used"
    EXPIRED = "expired"


class Party(StrEnum):
    """Who can be waited for."""

    PRACTITIONER = "practitioner"
    INSURER = "insurer"


class Item(StrEnum):
    """What a request asks for."""

    RIGHT_LENS = "right_lens"
    LEFT_LENS = "left_lens"
    FRAME = "frame"
    SUPPLEMENT = "supplement"
    COPAYMENT = "copayment"
    DAILY_FEE = "daily_fee"
    EMERGENCY_FEE = "emergency_fee"
    HIGH_COST_ACT_FEE = "high_cost_act_fee"
    SINGLE_ROOM = "single_room"
    ACCOMPANYING_BED = "accompanying_bed"
    EXCESS_FEES = "excess_fees"


LENSES = frozenset({Item.RIGHT_LENS, Item.LEFT_LENS})
EQUIPMENT = LENSES | {Item.FRAME}
BY_DAY = frozenset({Item.DAILY_FEE, Item.SINGLE_ROOM, Item.ACCOMPANYING_BED})


class Correction(StrEnum):
    """Classes of lenses: all that an insurer needs to know of somebody's sight."""

    SIMPLE = "simple"
    COMPLEX = "complex"
    VERY_COMPLEX = "very_complex"


class PriceClass(StrEnum):
    """Class A is covered in full by law (100 % Santé); the price of class B is free."""

    A = "a"
    B = "b"


class RenewalReason(StrEnum):
    """Why glasses are needed before the period has passed."""

    SIGHT_CHANGE = "sight_change"
    """The prescription differs enough from the one before."""
    MEDICAL_CONDITION = "medical_condition"
    """An illness on the list that knows no period; somebody of the insurer's looks at it."""


class Admission(StrEnum):
    """How somebody came to the hospital."""

    PLANNED = "planned"
    URGENT = "urgent"


FULL_STAY = "03"


@dataclass(frozen=True, kw_only=True)
class AskedLine:
    """One thing asked for; amounts are of all its ``units`` (pieces, acts, days) together.

    ``correction`` goes with a lens, class and grouping code (``lpp``) with optics, ``is_optam`` with excess fees: whether the
    practitioner keeps to the controlled-fee option.
    """

    item: Item
    price: Cents
    base: Cents
    amo: Cents
    units: int = 1
    correction: Correction | None = None
    price_class: PriceClass | None = None
    lpp: str | None = None
    is_optam: bool = True

    @cached_property
    def benefit(self) -> str:
        """The benefit line that may pay for it, such as ``lens_complex_b`` or ``single_room``."""
        if self.price_class is not None:
            kind = f"lens_{self.correction}" if self.correction else self.item.value
            return f"{kind}_{self.price_class}"
        return self.item.value if self.is_optam else f"{self.item.value}_not_optam"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpticalRequest:
    """Glasses on a prescription; the day of care and the person are those of the proof."""

    prescription_date: date
    prescriber_rpps: str
    renewal_reason: RenewalReason | None
    lines: tuple[AskedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """A stay in hospital: ``dmt`` is the medical discipline's code, ``mode`` that of treatment; both days are its own."""

    finess: str
    treasury_office: str | None
    treasury_body: str | None
    admission: Admission
    entry_date: date
    exit_date: date
    dmt: str
    mode: str
    is_psychiatry: bool
    lines: tuple[AskedLine, ...]

    @property
    def days(self) -> int:
        """Days of presence, that of entry and that of exit included."""
        return (self.exit_date - self.entry_date).days + 1


Request = OpticalRequest | Stay


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedLine:
    """What becomes of one line; granted, AMO, patient and what nobody owes add up to the price.

    ``parts`` are what is granted by calendar year; ``code`` names the rule applied.
    """

    asked: AskedLine
    granted: Cents
    code: str
    parts: tuple[Part, ...] = ()
    not_due: Cents = ZERO
    available_from: date | None = None
    """Where it comes too early: from which day on it would be paid."""
    limit: Cents | None = None
    """The one amount that the rule goes by, where it does: a price limit, a ceiling, a floor, a national amount."""

    @property
    def units(self) -> int:
        """Pieces, acts or days that are paid."""
        return sum(part.units for part in self.parts)

    @property
    def patient(self) -> Cents:
        return Cents(self.asked.price - self.asked.amo - self.granted - self.not_due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The whole, decided by rule: ``kind`` is what it comes to, or who must look at it first.

    ``lines`` are what the rules grant, also where somebody must still agree to it.
    """

    kind: Kind
    code: str
    lines: tuple[DecidedLine, ...]
    valid_until: date
    billable_until: date
    asks_for: tuple[str, ...] = ()
    """Documents that the insurer's rules want to see first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An agreement that was made before: its revision has its lines."""

    revision: int
    state: State
    request: Mapping[str, Any]
    valid_until: date
    billable_until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorApproval:
    """An approval as it stands; ``version`` counts its events, ``revision`` the requests that its lines answer.

    ``waits_for`` is who acts next and ``due_at`` by when, or when a decided approval ends.
    """

    insurer_id: InsurerId
    insurer_number: str
    id: ApprovalId
    practitioner_id: PractitionerId
    card_check_id: UUID
    domain: Domain
    state: State
    version: int
    revision: int
    care_date: date
    request: Request
    membership_number: str
    birth_date: str
    birth_rank: int
    submitted_at: datetime
    valid_until: date | None
    billable_until: date | None
    waits_for: Party | None
    due_at: datetime | None
    code: str
    comment: str | None
    standing: "Standing | None"
    """What holds in spite of a change that still waits for somebody."""
    documents: tuple[str, ...]
    """What must be attached before the practitioner answers."""
    lines: tuple[DecidedLine, ...]

    @property
    def usable_until(self) -> date | None:
        """The last day of its validity; None where nothing is granted, or no more."""
        is_over = self.state in {State.CANCELLED, State.EXPIRED}
        return None if is_over or not any(line.granted for line in self.lines) else self.valid_until


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEvent:
    """One thing that happened, and who did it; ``details`` hold what was said with it."""

    version: int
    kind: Kind
    state: State
    actor_kind: str
    reason_code: str
    occurred_at: datetime
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A document given with an approval; its content is read apart, piece by piece."""

    id: AttachmentId
    kind: str
    media_type: str
    size: int
    sha256: str
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a list of approvals is narrowed to; a person is named exactly, or not at all."""

    state: State | None = None
    membership_number: str | None = None
    care_date: date | None = None
    waits_for: Party | None = None
    after: ApprovalId | None = None
    limit: int = 50
