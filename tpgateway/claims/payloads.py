"""Shapes of prior approvals."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tpgateway.cards.codec.proofs import parse_proof
from tpgateway.cards.errors import ProofMistyped
from tpgateway.claims import errors
from tpgateway.claims.model import (
    BY_DAY,
    Admission,
    ApprovalEvent,
    ApprovalId,
    AskedLine,
    Attachment,
    Correction,
    DecidedLine,
    Decision,
    Item,
    Kind,
    OpticalRequest,
    Party,
    PriceClass,
    PriorApproval,
    RenewalReason,
    Request,
    Search,
    State,
    Stay,
)
from tpgateway.claims.rules import life, reasons
from tpgateway.claims.rules.corrections import correction_of
from tpgateway.errors import REASONS, Fault, FieldInvalid, FieldMissing, InvalidRequest
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import Reference
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.money import Cents
from tpgateway.web.fields import AmcNumberField, FinessField, LppField, RppsField
from tpgateway.web.validation import Parameters, Payload, View, fault_error, faults_error

Amount = Annotated[int, Field(ge=0, le=10_000_000)]
Price = Annotated[int, Field(ge=1, le=10_000_000)]
Dioptres = Annotated[Decimal, Field(ge=-40, le=40, multiple_of=Decimal("0.25"))]
Version = Annotated[
    int, Field(ge=1, description="of the approval as it was read; another one's change is told by a 409")
]
# What XML can hold: no control characters but tabs and line ends.
Said = Annotated[
    str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]+$")
]
Document = Literal["prescription", "quote"]
MOST_SUPPLEMENTS = 6
PRESCRIPTION = ("prescription_date", "prescriber_rpps")
"""What glasses are asked for on."""


class FrameRequest(Payload):
    """Amounts in cents; ``lpp`` is the grouping code, never the precise one."""

    price_class: PriceClass
    lpp: LppField
    price_cents: Price
    base_cents: Amount
    amo_cents: Amount

    @model_validator(mode="after")
    def _possible(self) -> "FrameRequest":
        if self.amo_cents > min(self.price_cents, self.base_cents):
            raise fault_error(errors.AmountsImpossible)
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
    """A lens with the class of its correction, or the values that give it: the class is computed, the values not kept."""

    correction: Correction | None = None
    sphere: Dioptres | None = Field(default=None, examples=[None])
    cylinder: Dioptres | None = Field(default=None, examples=[None])
    addition: Annotated[Decimal, Field(ge=0, le=10, multiple_of=Decimal("0.25"))] | None = Field(
        default=None, description="0 where there is none", examples=[None]
    )

    @model_validator(mode="after")
    def _clear(self) -> "LensRequest":
        values = (self.sphere, self.cylinder, self.addition)
        if (self.correction is None) == all(value is None for value in values):
            raise fault_error(errors.CorrectionUnclear)
        if self.correction is None and None in values:
            raise fault_error(errors.CorrectionUnclear)
        return self

    @property
    def correction_class(self) -> Correction:
        if self.correction is not None:
            return self.correction
        assert self.sphere is not None
        assert self.cylinder is not None
        assert self.addition is not None
        return correction_of(sphere=self.sphere, cylinder=self.cylinder, addition=self.addition)


class StayItemRequest(Payload):
    """One item of a stay. Amounts in cents are of the whole quantity; ``quantity`` counts days or acts.

    Of excess fees, the price is what is charged above the base, of which the AMO pays nothing.
    """

    item: Literal[
        "copayment",
        "daily_fee",
        "emergency_fee",
        "high_cost_act_fee",
        "single_room",
        "accompanying_bed",
        "excess_fees",
    ]
    quantity: int = Field(default=1, ge=1, le=366)
    price_cents: Price
    base_cents: Amount = Field(default=0, description="base de remboursement; of a high-cost act fee, the act's tariff")
    amo_cents: Amount = 0
    is_optam: bool = Field(default=True, description="of excess fees: whether the practitioner keeps to the option")

    @model_validator(mode="after")
    def _possible(self) -> "StayItemRequest":
        item = Item(self.item)
        is_excess = item is Item.EXCESS_FEES
        if self.amo_cents > self.price_cents or (item is Item.COPAYMENT and self.amo_cents > self.base_cents):
            raise fault_error(errors.AmountsImpossible)
        if is_excess and self.amo_cents:
            raise fault_error(errors.AmountsImpossible, detail="the AMO pays nothing of excess fees")
        if not is_excess and not self.is_optam:
            raise fault_error(FieldInvalid, detail="is_optam goes with excess_fees")
        return self

    def asked(self) -> AskedLine:
        return AskedLine(
            item=Item(self.item),
            price=Cents(self.price_cents),
            base=Cents(self.base_cents),
            amo=Cents(self.amo_cents),
            units=self.quantity,
            is_optam=self.is_optam,
        )


class TreasuryRequest(Payload):
    """Whom a public hospital is paid through."""

    office: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] = Field(examples=["033090"])
    body: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = Field(examples=["123"])


class StayRequest(Payload):
    """A stay in hospital, asked for on the proof of a check for HOSP on its day of entry."""

    finess: FinessField
    treasury: TreasuryRequest | None = None
    admission: Admission
    entry_date: date
    exit_date: date = Field(description="planned")
    dmt: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = Field(
        description="discipline médico-tarifaire", examples=["223"]
    )
    mode_of_treatment: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")] = Field(
        description="03 full stay, 04 day hospital, 07 out-patient, 19 at home", examples=["03"]
    )
    is_psychiatry: bool = False
    items: list[StayItemRequest] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _possible(self) -> "StayRequest":
        days = (self.exit_date - self.entry_date).days + 1
        if not 1 <= days <= 366:
            raise fault_error(errors.StayReversed)
        if any(item.item in BY_DAY and item.quantity > days for item in self.items):
            raise fault_error(errors.UnitsImpossible)
        if len({(item.item, item.is_optam) for item in self.items}) != len(self.items):
            raise fault_error(errors.ItemRepeated)
        return self

    def request(self) -> Stay:
        return Stay(
            finess=self.finess,
            treasury_office=self.treasury.office if self.treasury else None,
            treasury_body=self.treasury.body if self.treasury else None,
            admission=self.admission,
            entry_date=self.entry_date,
            exit_date=self.exit_date,
            dmt=self.dmt,
            mode=self.mode_of_treatment,
            is_psychiatry=self.is_psychiatry,
            lines=tuple(item.asked() for item in self.items),
        )


def _proof(text: str) -> str:
    try:
        return parse_proof(text)
    except ProofMistyped:
        raise fault_error(ProofMistyped) from None


class Asked(Payload):
    """What is asked for: glasses on a prescription, or a stay."""

    prescription_date: date | None = Field(default=None, description="of glasses")
    prescriber_rpps: RppsField | None = Field(default=None, description="of glasses")
    renewal_reason: RenewalReason | None = Field(
        default=None, description="why glasses are needed before the period has passed", examples=[None]
    )
    right_lens: LensRequest | None = None
    left_lens: LensRequest | None = None
    frame: FrameRequest | None = None
    supplements: list[FrameRequest] = Field(default=[], max_length=MOST_SUPPLEMENTS, examples=[[]])
    stay: StayRequest | None = Field(default=None, description="in place of all that is of glasses", examples=[None])

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Asked":
        glasses = (self.right_lens, self.left_lens, self.frame, self.supplements or None)
        more = (self.prescription_date, self.prescriber_rpps, self.renewal_reason)
        is_optical = any(each is not None for each in (*glasses, *more))
        if self.stay is not None:
            if is_optical:
                raise fault_error(errors.RequestOfTwoKinds)
            return self
        faults = []
        if is_optical:
            missing = [name for name in PRESCRIPTION if getattr(self, name) is None]
            faults += [Fault(pointer=f"/{name}", problem=FieldMissing) for name in missing]
        if self.supplements and not (self.right_lens or self.left_lens):
            faults.append(Fault(pointer="", problem=errors.SupplementAlone))
        elif not (self.right_lens or self.left_lens or self.frame):
            faults.append(Fault(pointer="", problem=errors.ItemMissing))
        if faults:
            raise faults_error(faults)
        return self

    def request(self) -> Request:
        if self.stay is not None:
            return self.stay.request()
        assert self.prescription_date
        assert self.prescriber_rpps
        lenses = [(Item.RIGHT_LENS, self.right_lens), (Item.LEFT_LENS, self.left_lens)]
        lines = [lens.asked(item, lens.correction_class) for item, lens in lenses if lens]
        if self.frame:
            lines.append(self.frame.asked(Item.FRAME))
        lines += [supplement.asked(Item.SUPPLEMENT) for supplement in self.supplements]
        return OpticalRequest(
            prescription_date=self.prescription_date,
            prescriber_rpps=self.prescriber_rpps,
            renewal_reason=self.renewal_reason,
            lines=tuple(lines),
        )


class PriorApprovalRequest(Asked):
    """A request on the proof of a card check. The person and the day of care are the check's."""

    insurer_number: AmcNumberField
    proof: Annotated[str, StringConstraints(max_length=30), AfterValidator(_proof)] = Field(
        examples=["HWYA-H1AG-MHEW"], description="of a card check for OPTI or HOSP by the same practitioner"
    )


class AmendmentRequest(Asked):
    """The whole request as it should be; what changes is seen from the lines of the new revision."""

    version: Version


class ExtensionRequest(Payload):
    """The whole stay as it should be: the same entry, a later exit, the items of all its days."""

    version: Version
    stay: StayRequest


class AppealRequest(Payload):
    version: Version
    arguments: Said = Field(description="why the insurer should decide otherwise", examples=["La vue a baissé."])


class InformationRequest(Payload):
    version: Version
    answer: Said = Field(examples=["Voici l'ordonnance."])


class UseRequest(Payload):
    version: Version
    billed_on: date


class QuestionRequest(Payload):
    version: Version
    question: Said = Field(examples=["Quel est le motif du renouvellement ?"])
    documents: list[Document] = Field(default=[], max_length=2, description="what must be attached", examples=[[]])


def _of_insurers(code: str) -> str:
    if code not in reasons.OF_INSURERS:
        raise fault_error(FieldInvalid, detail=f"one of {', '.join(reasons.OF_INSURERS)}")
    return code


InsurersCode = Annotated[
    str,
    AfterValidator(_of_insurers),
    Field(
        description="why; the sentences stand in GET /v1/problems", json_schema_extra={"enum": [*reasons.OF_INSURERS]}
    ),
]


class GrantRequest(Payload):
    line: int = Field(ge=1, le=50)
    granted_cents: Amount
    code: InsurersCode | None = None


class DecisionRequest(Payload):
    """What the insurer decides. Without ``lines`` an approval grants what the rules computed."""

    version: Version
    decision: Literal["approved", "partially_approved", "refused"]
    lines: list[GrantRequest] = Field(default=[], max_length=50, examples=[[]])
    code: InsurersCode | None = Field(default=None, examples=[None])
    comment: Said | None = Field(default=None, description="in French, shown to the practice", examples=[None])

    @model_validator(mode="after")
    def _refusal_has_a_reason_and_no_lines(self) -> "DecisionRequest":
        if self.decision == "refused" and self.lines:
            raise fault_error(FieldInvalid, detail="a refusal grants nothing: leave lines out")
        if self.decision == "refused" and self.code is None and self.comment is None:
            raise fault_error(FieldMissing, detail="a refusal says why: code, comment or both")
        if self.decision != "refused" and self.code is not None:
            raise fault_error(FieldInvalid, detail="code is of a refusal; a line that is cut has its own")
        return self


class LineView(View):
    line: int
    item: Item
    benefit: str
    lpp: str | None
    units: int
    price_cents: int
    base_cents: int
    amo_cents: int
    granted_cents: int
    patient_cents: int = Field(description="what is left to the patient")
    not_due_cents: int = Field(description="what nobody owes, by law: it may not be billed")
    code: str = Field(description="the rule that was applied")
    message_fr: str
    next_step_fr: str | None
    available_from: date | None = Field(description="of what comes too early: the day from which it is paid for again")
    limit_cents: int | None = Field(
        description="the one amount that the rule goes by: a price limit, a ceiling, a floor, a national amount"
    )

    @classmethod
    def of(cls, number: int, line: DecidedLine) -> "LineView":
        asked, reason = line.asked, REASONS[line.code]
        return cls(
            line=number,
            item=asked.item,
            benefit=asked.benefit,
            lpp=asked.lpp,
            units=asked.units,
            price_cents=asked.price,
            base_cents=asked.base,
            amo_cents=asked.amo,
            granted_cents=line.granted,
            patient_cents=line.patient,
            not_due_cents=line.not_due,
            code=line.code,
            message_fr=reason.message_fr,
            next_step_fr=reason.next_step_fr,
            available_from=line.available_from,
            limit_cents=line.limit,
        )


class TotalsView(View):
    price_cents: int
    amo_cents: int
    granted_cents: int
    patient_cents: int = Field(description="what is left to the patient")
    not_due_cents: int = Field(description="what nobody owes, by law: it may not be billed")

    @classmethod
    def of(cls, lines: Sequence[DecidedLine]) -> "TotalsView":
        return cls(
            price_cents=sum(line.asked.price for line in lines),
            amo_cents=sum(line.asked.amo for line in lines),
            granted_cents=sum(line.granted for line in lines),
            patient_cents=sum(line.patient for line in lines),
            not_due_cents=sum(line.not_due for line in lines),
        )


class SimulationView(View):
    """What would be decided; nothing is kept."""

    state: State
    code: str
    message_fr: str
    next_step_fr: str | None
    waits_for: Party | None = Field(description="who acts next, where it is not final")
    documents: list[str] = Field(description="what must be attached first")
    valid_until: date | None
    billable_until: date | None
    lines: list[LineView]
    totals: TotalsView

    @classmethod
    def of_decision(cls, decision: Decision) -> "SimulationView":
        state = life.after(State.SUBMITTED, decision.kind)
        is_granted = any(line.granted for line in decision.lines)
        return cls(
            state=state,
            **_said(decision.code),
            waits_for=life.WAITS_FOR.get(state),
            documents=list(decision.asks_for),
            valid_until=decision.valid_until if is_granted else None,
            billable_until=decision.billable_until if is_granted else None,
            lines=[LineView.of(number, line) for number, line in enumerate(decision.lines, start=1)],
            totals=TotalsView.of(decision.lines),
        )


def _said(code: str) -> dict[str, Any]:
    reason = REASONS[code]
    return {"code": code, "message_fr": reason.message_fr, "next_step_fr": reason.next_step_fr}


class StayView(View):
    finess: str
    treasury_office: str | None
    treasury_body: str | None
    admission: Admission
    entry_date: date
    exit_date: date
    dmt: str
    mode: str = Field(serialization_alias="mode_of_treatment")
    is_psychiatry: bool


class PriorApprovalView(View):
    id: str
    insurer_number: str
    domain: Domain
    state: State
    version: int = Field(description="counts what happened; name it when you change something")
    revision: int = Field(description="counts the requests and decisions that the lines come from")
    code: str
    message_fr: str
    next_step_fr: str | None
    comment: str | None = Field(description="what was said last, by either party")
    waits_for: Party | None = Field(description="who acts next, where it is not final")
    due_at: datetime | None = Field(description="by when, or when a decided approval ends")
    documents: list[str] = Field(description="what must be attached before the practitioner answers")
    care_date: date
    prescription_date: date | None
    prescriber_rpps: str | None
    renewal_reason: RenewalReason | None
    stay: StayView | None
    membership_number: str
    birth_date: str
    birth_rank: int
    submitted_at: datetime
    valid_until: date | None
    billable_until: date | None
    lines: list[LineView]
    totals: TotalsView

    @classmethod
    def of(cls, approval: PriorApproval) -> "PriorApprovalView":
        request = approval.request
        glasses = request if isinstance(request, OpticalRequest) else None
        return cls(
            id=str(Reference(insurer_number=approval.insurer_number, id=approval.id)),
            insurer_number=approval.insurer_number,
            domain=approval.domain,
            state=approval.state,
            version=approval.version,
            revision=approval.revision,
            **_said(approval.code),
            comment=approval.comment,
            waits_for=approval.waits_for,
            due_at=approval.due_at,
            documents=list(approval.documents),
            care_date=approval.care_date,
            prescription_date=glasses and glasses.prescription_date,
            prescriber_rpps=glasses and glasses.prescriber_rpps,
            renewal_reason=glasses and glasses.renewal_reason,
            stay=StayView.showing(request) if isinstance(request, Stay) else None,
            membership_number=approval.membership_number,
            birth_date=approval.birth_date,
            birth_rank=approval.birth_rank,
            submitted_at=approval.submitted_at,
            valid_until=approval.usable_until,
            billable_until=approval.billable_until if approval.usable_until else None,
            lines=[LineView.of(number, line) for number, line in enumerate(approval.lines, start=1)],
            totals=TotalsView.of(approval.lines),
        )


class ApprovalsQuery(Parameters):
    """What is searched for; a person is named exactly, by membership number."""

    state: State | None = None
    membership_number: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z0-9]{1,16}$")] | None = None
    care_date: date | None = None
    waits_for: Party | None = None
    after: Annotated[str, StringConstraints(max_length=60)] | None = Field(
        default=None, description="id of the last approval already had"
    )
    limit: int = Field(default=50, ge=1, le=200)

    def search(self) -> Search:
        """Raises ``InvalidRequest`` where ``after`` is no id."""
        after: ApprovalId | None = None
        if self.after is not None:
            try:
                after = ApprovalId(Reference.parse(self.after).id)
            except ValueError:
                raise InvalidRequest(faults=[Fault(pointer="/query/after", problem=FieldInvalid)]) from None
        return Search(
            state=self.state,
            membership_number=self.membership_number,
            care_date=self.care_date,
            waits_for=self.waits_for,
            after=after,
            limit=self.limit,
        )


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
    details: dict[str, Any] = Field(description="what was said: arguments, question, answer, comment, documents")

    @classmethod
    def of(cls, event: ApprovalEvent) -> "ApprovalEventView":
        return cls(
            version=event.version,
            kind=event.kind,
            state=event.state,
            actor=event.actor_kind,
            reason_code=event.reason_code,
            occurred_at=event.occurred_at,
            details=dict(event.details),
        )


class ApprovalEventListView(View):
    events: list[ApprovalEventView]


class CancellationQuery(Parameters):
    version: int | None = Field(
        default=None, ge=1, description="the version that you read; left out, whatever it is now"
    )


class AttachmentQuery(Parameters):
    kind: Document


class AttachmentPath(ReferencePath):
    attachment_id: UUID = Field(examples=["3f0b7a52-9c1d-4a86-b7de-1f2a3c4d5e6f"])


class AttachmentView(View):
    id: UUID
    kind: str
    media_type: str
    size: int
    sha256: str
    added_at: datetime

    @classmethod
    def of(cls, attachment: Attachment) -> "AttachmentView":
        return cls.showing(attachment)


class AttachmentListView(View):
    attachments: list[AttachmentView]


class ClockRequest(Payload):
    days: int = Field(
        ge=0, le=1000, description="how many days ahead of the true day; 0 goes back to it", examples=[16]
    )


class ClockView(View):
    days: int
    now: datetime = Field(description="what the clock says")
