"""What a prior approval is."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import InsurerId
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId

ApprovalId = NewType("ApprovalId", UUID)


class State(StrEnum):
    """Where an approval stands."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    PARTIALLY_APPROVED = "partially_approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """What can happen to an approval."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    PARTIALLY_APPROVED = "partially_approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class Item(StrEnum):
    """What an optical request asks for."""

    RIGHT_LENS = "right_lens"
    LEFT_LENS = "left_lens"
    FRAME = "frame"


class Correction(StrEnum):
    """Classes of lenses: all that an insurer needs to know of somebody's sight."""

    SIMPLE = "simple"
    COMPLEX = "complex"
    VERY_COMPLEX = "very_complex"


class PriceClass(StrEnum):
    """Class A is covered in full by law (100 % Santé); the price of class B is free."""

    A = "a"
    B = "b"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLine:
    """One thing asked for. ``correction`` goes with a lens; ``lpp`` is the grouping code."""

    item: Item
    correction: Correction | None
    price_class: PriceClass
    lpp: str
    price: Cents
    base: Cents
    amo: Cents

    @property
    def benefit(self) -> str:
        """The benefit line that may pay for it, such as ``lens_complex_b``."""
        kind = f"lens_{self.correction}" if self.correction else "frame"
        return f"{kind}_{self.price_class}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An optical request; the care date and the person are those of the proof."""

    prescription_date: date
    prescriber_rpps: str
    lines: tuple[AskedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedLine:
    """What becomes of one line; granted, AMO and patient add up to the price. ``code`` names the rule applied."""

    item: Item
    benefit: str
    price: Cents
    base: Cents
    amo: Cents
    granted: Cents
    code: str

    @property
    def patient(self) -> Cents:
        return Cents(self.price - self.amo - self.granted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The whole, decided: the last day on which it may be used is None where nothing was granted."""

    kind: Kind
    code: str
    lines: tuple[DecidedLine, ...]
    valid_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorApproval:
    """An approval as it stands; ``version`` counts its events."""

    insurer_id: InsurerId
    insurer_number: str
    id: ApprovalId
    practitioner_id: PractitionerId
    domain: Domain
    state: State
    version: int
    care_date: date
    prescription_date: date
    membership_number: str
    birth_date: str
    birth_rank: int
    submitted_at: datetime
    valid_until: date | None
    code: str
    lines: tuple[DecidedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEvent:
    """One thing that happened, and who did it."""

    version: int
    kind: Kind
    state: State
    actor_kind: str
    reason_code: str
    occurred_at: datetime
