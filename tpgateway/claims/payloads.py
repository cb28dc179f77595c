"""Shapes of prior approvals."""

from datetime import date, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tpgateway.cards.codec.proofs import parse_proof
from tpgateway.cards.errors import ProofMistyped
from tpgateway.claims.errors import AmountsImpossible, ItemMissing
from tpgateway.claims.model import (
    ApprovalEvent,
    AskedLine,
    Correction,
    DecidedLine,
    Decision,
    Item,
    Kind,
    PriceClass,
    PriorApproval,
    Request,
    State,
)
from tpgateway.claims.rules.optical import MESSAGES, NEXT_STEPS
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import Reference
from tpgateway.money import Cents
from tpgateway.web.fields import AmcNumberField, LppField, RppsField
from tpgateway.web.validation import Parameters, Payload, View, fault_error

Amount = Annotated[int, Field(ge=0, le=10_000_000)]


class FrameRequest(Payload):
    """Amounts in cents; ``lpp`` is the grouping code, never the precise one."""

    price_class: PriceClass
    lpp: LppField
    price_cents: Amount
    base_cents: Amount
    amo_cents: Amount

    @model_validator(mode="after")
    def _possible(self) -> "FrameRequest":
        if self.amo_cents > min(self.price_cents, self.base_cents):
            raise fault_error(AmountsImpossible)
        return self

    def asked(self, item: Item, correction: Correction | None = None) -> AskedLine:
        return AskedLine(
            item=item,
            correction=correction,
            price_class=self.price_class,
            lpp=self.lpp,
            price=Cents(self.price_cents),
            base=Cents(self.base_cents),
            amo=Cents(self.amo_cents),
        )


class LensRequest(FrameRequest):
    """A lens and the class of its correction; the exact values are not asked for."""

    correction: Correction


def _proof(text: str) -> str:
    try:
        return parse_proof(text)
    except ProofMistyped:
        raise fault_error(ProofMistyped) from None


class PriorApprovalRequest(Payload):
    """An optical request, on the proof of a card check. The person and the day of care are the check's."""

    insurer_number: AmcNumberField
    proof: Annotated[str, StringConstraints(max_length=30), AfterValidator(_proof)] = Field(
        examples=["HWYA-H1AG-MHEW"], description="of a card check for OPTI by the same practitioner"
    )
    prescription_date: date
    prescriber_rpps: RppsField
    right_lens: LensRequest | None = None
    left_lens: LensRequest | None = None
    frame: FrameRequest | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> "PriorApprovalRequest":
        if not (self.right_lens or self.left_lens or self.frame):
            raise fault_error(ItemMissing)
        return self

    def request(self) -> Request:
        lenses = [(Item.RIGHT_LENS, self.right_lens), (Item.LEFT_LENS, self.left_lens)]
        lines = [lens.asked(item, lens.correction) for item, lens in lenses if lens]
        if self.frame:
            lines.append(self.frame.asked(Item.FRAME))
        return Request(
            prescription_date=self.prescription_date, prescriber_rpps=self.prescriber_rpps, lines=tuple(lines)
        )


class LineView(View):
    item: Item
    benefit: str
    price_cents: int
    base_cents: int
    amo_cents: int
    granted_cents: int
    patient_cents: int = Field(description="what is left to the patient")
    code: str = Field(description="the rule that was applied")
    message_fr: str

    @classmethod
    def of(cls, line: DecidedLine) -> "LineView":
        return cls(
            item=line.item,
            benefit=line.benefit,
            price_cents=line.price,
            base_cents=line.base,
            amo_cents=line.amo,
            granted_cents=line.granted,
            patient_cents=line.patient,
            code=line.code,
            message_fr=MESSAGES[line.code],
        )


class TotalsView(View):
    price_cents: int
    amo_cents: int
    granted_cents: int
    patient_cents: int

    @classmethod
    def of(cls, lines: tuple[DecidedLine, ...]) -> "TotalsView":
        return cls(
            price_cents=sum(line.price for line in lines),
            amo_cents=sum(line.amo for line in lines),
            granted_cents=sum(line.granted for line in lines),
            patient_cents=sum(line.patient for line in lines),
        )


class SimulationView(View):
    """What would be decided; nothing is kept."""

    state: State
    code: str
    message_fr: str
    next_step_fr: str | None
    valid_until: date | None
    lines: list[LineView]
    totals: TotalsView

    @classmethod
    def of_decision(cls, decision: Decision, state: State) -> "SimulationView":
        return cls(
            state=state,
            code=decision.code,
            message_fr=MESSAGES[decision.code],
            next_step_fr=NEXT_STEPS[decision.code],
            valid_until=decision.valid_until,
            lines=[LineView.of(line) for line in decision.lines],
            totals=TotalsView.of(decision.lines),
        )


_CANCELLED_FR = "La prise en charge est annulée."


class PriorApprovalView(SimulationView):
    id: str
    insurer_number: str
    domain: Domain
    version: int
    care_date: date
    prescription_date: date
    membership_number: str
    birth_date: str
    birth_rank: int
    submitted_at: datetime

    @classmethod
    def of(cls, approval: PriorApproval) -> "PriorApprovalView":
        return cls(
            id=str(Reference(insurer_number=approval.insurer_number, id=approval.id)),
            insurer_number=approval.insurer_number,
            domain=approval.domain,
            state=approval.state,
            version=approval.version,
            code=approval.code,
            message_fr=MESSAGES.get(approval.code, _CANCELLED_FR),
            next_step_fr=NEXT_STEPS.get(approval.code),
            valid_until=approval.valid_until,
            care_date=approval.care_date,
            prescription_date=approval.prescription_date,
            membership_number=approval.membership_number,
            birth_date=approval.birth_date,
            birth_rank=approval.birth_rank,
            submitted_at=approval.submitted_at,
            lines=[LineView.of(line) for line in approval.lines],
            totals=TotalsView.of(approval.lines),
        )


class ApprovalsQuery(Parameters):
    state: State | None = None
    after: Annotated[str, StringConstraints(max_length=60)] | None = Field(
        default=None, description="id of the last approval already had"
    )
    limit: int = Field(default=50, ge=1, le=200)


class PriorApprovalListView(View):
    prior_approvals: list[PriorApprovalView]
    after: str | None = Field(description="what to send as after for the next page; null where this is the last")


class ApprovalEventView(View):
    version: int
    kind: Kind
    state: State
    actor: str
    reason_code: str
    occurred_at: datetime

    @classmethod
    def of(cls, event: ApprovalEvent) -> "ApprovalEventView":
        return cls(
            version=event.version,
            kind=event.kind,
            state=event.state,
            actor=event.actor_kind,
            reason_code=event.reason_code,
            occurred_at=event.occurred_at,
        )


class ApprovalEventListView(View):
    events: list[ApprovalEventView]
