"""Use cases of prior approvals."""

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action, Actor
from tpgateway.cards import service as cards
from tpgateway.cards.model import CardCheck, Person, Verdict
from tpgateway.cards.verdicts import Verdicts
from tpgateway.claims import errors
from tpgateway.claims.codec import requests as codec
from tpgateway.claims.model import (
    ApprovalEvent,
    ApprovalId,
    Attachment,
    AttachmentId,
    DecidedLine,
    Decision,
    Kind,
    OpticalRequest,
    Party,
    PriorApproval,
    Request,
    Search,
    Standing,
    State,
    Stay,
)
from tpgateway.claims.rules import decisions, life, reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.consumption import regranted, uses_of
from tpgateway.claims.store import ApprovalStore
from tpgateway.database import Connection
from tpgateway.errors import Reason
from tpgateway.guarantees.model import Domain, Use
from tpgateway.guarantees.service import TariffCache, tariffs
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import ApprovalRules, EventKind, Insurer, InsurerId, Reference, TacitOutcome
from tpgateway.money import ZERO, Cents
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.routing import PARIS

_MOST_ATTACHMENTS = 10


@dataclass(frozen=True, slots=True)
class Tools:
    """What decisions are made with beside the caller's connection; one a process."""

    verdicts: Verdicts
    tariffs: TariffCache


TOOLS: web.AppKey[Tools] = web.AppKey("claims_tools", Tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who asks what of whom: the proof is as it is kept, the insurer's number padded."""

    practitioner_id: PractitionerId
    insurer_number: str
    proof: str
    request: Request


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, when, and on which version of the approval; None where it is left open."""

    now: datetime
    actor: Actor
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an insurer grants on a line."""

    line: int
    granted: Cents


async def simulate(connection: Connection, tools: Tools, submission: Submission, act: Act) -> Decision:
    """The decision that a submission would get; of it nothing is kept but that it was asked. Raises as ``submit`` does."""
    insurer, check, verdict = await _proven(connection, tools, submission, act.now)
    uses = await ApprovalStore(connection).uses(insurer.id, check.person)
    decision = await _decide(connection, tools, submission.request, insurer, check, verdict, uses, act)
    await audit.record(
        connection, actor=act.actor, action=Action.APPROVAL_SIMULATED, subject_id=check.id, insurer_id=insurer.id
    )
    return decision


async def submit(connection: Connection, tools: Tools, submission: Submission, act: Act) -> PriorApproval:
    """Decides a request, keeps it, and tells the insurer, in the caller's transaction.

    Two requests for one person are decided one after the other, so that what one uses up the other finds used. Raises
    ``InsurerUnknown``, ``ProofUnknown``, ``ProofExpired``, ``ProofOfOtherDomain``, ``ProofOfOtherDay``,
    ``PrescriptionInFuture``.
    """
    insurer, check, verdict = await _proven(connection, tools, submission, act.now)
    store, person, now = ApprovalStore(connection), check.person, act.now
    await store.lock_person(insurer.id, person)
    uses = await store.uses(insurer.id, person)
    decision = await _decide(connection, tools, submission.request, insurer, check, verdict, uses, act)
    new = PriorApproval(
        insurer_id=insurer.id,
        insurer_number=insurer.number,
        id=ApprovalId(check.id),  # until it has its own
        practitioner_id=submission.practitioner_id,
        card_check_id=check.id,
        domain=check.ask.domain,
        state=life.after(None, Kind.SUBMITTED),
        version=1,
        revision=1,
        care_date=check.ask.care_date,
        request=submission.request,
        membership_number=person.membership_number,
        birth_date=person.birth_date,
        birth_rank=person.birth_rank,
        submitted_at=now,
        valid_until=None,
        billable_until=None,
        waits_for=None,
        due_at=None,
        code=Kind.SUBMITTED.value,
        comment=None,
        standing=None,
        documents=(),
        lines=(),
    )
    approval, decided = _decided(new, submission.request, decision, insurer.approval_rules, now)
    submitted = _event(new, Kind.SUBMITTED, "practitioner", now)
    held = uses_of(approval.lines) if life.holds(approval.state) else []
    added = await store.add(approval, [(submitted, act.actor), (decided, SYSTEM)], held)
    approval = replace(approval, id=added)
    await audit.record(
        connection, actor=act.actor, action=Action.APPROVAL_SUBMITTED, subject_id=approval.id, insurer_id=insurer.id
    )
    await _tell_insurer(connection, approval, decided.kind, now=now)
    return approval


async def amend(
    connection: Connection, tools: Tools, approval_of: "Owned", request: Request, act: Act, *, kind: Kind = Kind.AMENDED
) -> PriorApproval:
    """The request is another, or the stay longer (``EXTENDED``): decided anew, as a new revision of the lines.

    What was agreed before stands until the change is granted, and goes on where it is not. Where the insurer has taken part,
    it sees the change before it is granted.

    Raises ``StateForbids``, ``VersionStale``, ``KindOfOther``, ``StayNotLonger``, ``ProofOfOtherDay``,
    ``PrescriptionInFuture``.
    """
    store = ApprovalStore(connection)
    approval = await _locked(connection, approval_of, act)
    if type(request) is not type(approval.request):
        raise errors.KindOfOther
    if kind is Kind.EXTENDED:
        was = approval.request
        if not (isinstance(was, Stay) and isinstance(request, Stay)):
            raise errors.KindOfOther
        if request.exit_date <= was.exit_date or request.entry_date != was.entry_date:
            raise errors.StayNotLonger
    state = life.after(approval.state, kind)
    insurer = await insurers.get(connection, approval.insurer_id)
    check, verdict = await cards.proven(connection, tools.verdicts, insurer.id, approval.card_check_id)
    _refuse_other_day(request, check)
    uses = await store.uses(insurer.id, check.person, but=approval.id)
    has_taken_part = any(event.actor_kind == "insurer" for event in await store.events(insurer.id, approval.id))
    decision = await _decide(
        connection, tools, request, insurer, check, verdict, uses, act, must_be_seen=has_taken_part
    )
    before, standing = approval, approval.standing or _standing(approval)
    changed = replace(
        approval, state=state, version=approval.version + 1, revision=approval.revision + 1, code=kind.value
    )
    first = _event(changed, kind, "practitioner", act.now, {"revision": changed.revision})
    if decision.kind is Kind.REFUSED and standing is not None:
        approval = await _restored(connection, replace(changed, standing=standing), act.now)
        decided = _event(approval, Kind(approval.state.value), "system", act.now)
    else:
        approval, decided = _decided(changed, request, decision, insurer.approval_rules, act.now)
        approval = replace(approval, standing=standing if approval.waits_for else None)
    await _save(connection, before, approval, [(first, act.actor), (decided, SYSTEM)])
    action = Action.APPROVAL_EXTENDED if kind is Kind.EXTENDED else Action.APPROVAL_AMENDED
    await audit.record(connection, actor=act.actor, action=action, subject_id=approval.id, insurer_id=insurer.id)
    await _tell_insurer(connection, approval, kind, now=act.now)
    return approval


async def appeal(connection: Connection, approval_of: "Owned", arguments: str, act: Act) -> PriorApproval:
    """The insurer is asked to look again at a refusal or a cut; raises ``StateForbids`` and ``VersionStale``."""
    approval = await _locked(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await _step(
        connection,
        approval,
        Kind.APPEALED,
        reasons.APPEAL_MADE,
        act,
        Action.APPROVAL_APPEALED,
        by="practitioner",
        rules=rules,
        details={"arguments": arguments},
        comment=arguments,
    )


async def inform(connection: Connection, approval_of: "Owned", answer: str, act: Act) -> PriorApproval:
    """The practitioner answers what was asked, documents having been attached before.

    Raises ``StateForbids``, ``VersionStale`` and ``AttachmentMissing``.
    """
    approval = await _locked(connection, approval_of, act)
    life.after(approval.state, Kind.INFORMATION_GIVEN)
    given = {each.kind for each in await _given(connection, approval)}
    if missing := sorted(set(approval.documents) - given):
        raise errors.AttachmentMissing(f"missing: {', '.join(missing)}")
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await _step(
        connection,
        approval,
        Kind.INFORMATION_GIVEN,
        reasons.INFORMATION_GIVEN,
        act,
        Action.APPROVAL_INFORMED,
        by="practitioner",
        rules=rules,
        details={"answer": answer},
        comment=answer,
    )


async def cancel(connection: Connection, approval_of: "Owned", act: Act) -> PriorApproval:
    """The practitioner no longer wants it: what it used of the benefits is given back. Raises ``StateForbids``."""
    approval = await _locked(connection, approval_of, act)
    return await _step(
        connection, approval, Kind.CANCELLED, reasons.CANCELLED, act, Action.APPROVAL_CANCELLED, by="practitioner"
    )


async def use(connection: Connection, approval_of: "Owned", billed_on: date, act: Act) -> PriorApproval:
    """It was billed: nothing can be changed any more. What was billed in time may be told late.

    Raises ``StateForbids``, ``VersionStale`` and ``BilledOnImpossible``.
    """
    approval = await _locked(connection, approval_of, act)
    life.after(approval.state, Kind.USED)
    last = approval.billable_until
    if not approval.care_date <= billed_on <= min(_day(act.now), last or date.max):
        raise errors.BilledOnImpossible
    return await _step(
        connection,
        approval,
        Kind.USED,
        reasons.USED,
        act,
        Action.APPROVAL_USED,
        by="practitioner",
        details={"billed_on": billed_on.isoformat()},
    )


async def ask(
    connection: Connection, approval_of: "Owned", question: str, documents: Sequence[str], act: Act
) -> PriorApproval:
    """The insurer wants to know more; raises ``StateForbids`` and ``VersionStale``."""
    approval = await _locked(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await _step(
        connection,
        approval,
        Kind.INFORMATION_REQUESTED,
        reasons.INFORMATION_ASKED,
        act,
        Action.APPROVAL_QUESTIONED,
        by="insurer",
        rules=rules,
        details={"question": question, "documents": list(documents)},
        comment=question,
        documents=documents,
    )


async def decide_by_insurer(
    connection: Connection, approval_of: "Owned", kind: Kind, grants: Sequence[Grant], comment: str | None, act: Act
) -> PriorApproval:
    """The insurer approves, approves in part or refuses what waits for it.

    Refusing an appeal leaves what was granted before. Raises ``StateForbids``, ``VersionStale``, ``DecisionNeedsLines``,
    ``LineUnknown`` and ``GrantTooLarge``.
    """
    approval = await _locked(connection, approval_of, act)
    if approval.waits_for is not Party.INSURER:
        raise errors.StateForbids(f"the state is {approval.state}")
    is_appeal = approval.state is State.APPEALED
    lines, reason = approval.lines, reasons.INSURER_APPROVED
    if kind is Kind.REFUSED and approval.standing is not None:
        return await _restore(connection, approval, act, by="insurer", comment=comment)
    if kind is Kind.REFUSED and is_appeal:
        reason = reasons.APPEAL_REJECTED
        kind = Kind.PARTIALLY_APPROVED if any(line.granted for line in lines) else Kind.REFUSED
    elif kind is Kind.REFUSED:
        reason = reasons.INSURER_REFUSED
        lines = _none_granted(approval, reasons.CUT_BY_INSURER)
    else:
        if not grants and (kind is Kind.PARTIALLY_APPROVED or is_appeal):
            raise errors.DecisionNeedsLines
        lines = _granted(approval, grants)
        if not any(line.granted for line in lines):
            raise errors.DecisionNeedsLines("nothing is granted: refuse instead")
        # What it comes to is seen from the lines: one that is less than before, or nothing, is a cut.
        is_cut = any(line.granted < was.granted for line, was in zip(lines, approval.lines, strict=True))
        if is_cut or decisions.outcome(lines)[0] is Kind.PARTIALLY_APPROVED:
            kind, reason = Kind.PARTIALLY_APPROVED, reasons.INSURER_CUT
        else:
            kind = Kind.APPROVED
    return await _step(
        connection,
        approval,
        kind,
        reason,
        act,
        Action.APPROVAL_DECIDED,
        by="insurer",
        details={"comment": comment} if comment else {},
        comment=comment,
        lines=lines,
    )


async def run_clock(
    connection: Connection, insurer_id: InsurerId, approval_id: ApprovalId, *, now: datetime
) -> PriorApproval | None:
    """What follows from nobody having acted in time; None where somebody has meanwhile."""
    approval = await _lock(connection, insurer_id, approval_id)
    if approval is None or approval.due_at is None or approval.due_at > now:
        return None
    act = Act(now, SYSTEM)
    if approval.standing is not None and approval.state is State.INFORMATION_REQUESTED:
        return await _restore(connection, approval, act, by="system")
    if approval.waits_for is Party.INSURER:
        rules = (await insurers.get(connection, insurer_id)).approval_rules
        is_granted = rules.tacit_outcome is TacitOutcome.APPROVE and any(line.granted for line in approval.lines)
        if approval.state is State.APPEALED:
            # Silence on an appeal leaves the decision as it was: there is no other that it could stand for.
            is_cut = any(line.granted for line in approval.lines)
            kind, reason = (Kind.PARTIALLY_APPROVED if is_cut else Kind.REFUSED), reasons.APPEAL_REJECTED
            lines = approval.lines
        elif is_granted:
            kind, _ = decisions.outcome(approval.lines)
            reason, lines = reasons.TACIT_APPROVAL, approval.lines
        elif approval.standing is not None:
            return await _restore(connection, approval, act, by="system")
        else:
            kind, reason = Kind.REFUSED, reasons.TACIT_REFUSAL
            lines = _none_granted(approval, reason)
        return await _step(
            connection, approval, kind, reason, act, Action.APPROVAL_CLOCK_RAN_OUT, by="system", lines=lines
        )
    reason = reasons.NOT_ANSWERED if approval.waits_for is Party.PRACTITIONER else reasons.EXPIRED
    return await _step(connection, approval, Kind.EXPIRED, reason, act, Action.APPROVAL_CLOCK_RAN_OUT, by="system")


async def due(
    connection: Connection, *, now: datetime, limit: int, skip: int
) -> Sequence[tuple[InsurerId, ApprovalId]]:
    """Approvals whose clock ran out, but for the first so many."""
    return await ApprovalStore(connection).due(now, limit, skip)


@dataclass(frozen=True, slots=True)
class Owned:
    """An approval as a party names it: a practitioner or an insurer, who must own it."""

    insurer_number: str
    id: UUID
    practitioner_id: PractitionerId | None = None
    insurer_id: InsurerId | None = None

    @classmethod
    def by_practitioner(cls, reference: Reference, practitioner: PractitionerId) -> "Owned":
        return cls(reference.insurer_number, reference.id, practitioner_id=practitioner)

    @classmethod
    def by_insurer(cls, reference: Reference, insurer: InsurerId) -> "Owned":
        return cls(reference.insurer_number, reference.id, insurer_id=insurer)

    def owns(self, approval: PriorApproval | None) -> bool:
        """Whether there is one and it is the party's own."""
        if approval is None or approval.insurer_number != self.insurer_number:
            return False
        if self.practitioner_id is not None:
            return approval.practitioner_id == self.practitioner_id
        return approval.insurer_id == self.insurer_id


class ApprovalUnknown(LookupError):
    """The party has no such approval."""


async def read(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """A party's own approval; raises ``ApprovalUnknown``. The reading is audited."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    await audit.record(
        connection, actor=act.actor, action=Action.APPROVAL_READ, subject_id=approval.id, insurer_id=insurer.id
    )
    return approval


async def events(connection: Connection, approval: PriorApproval) -> Sequence[ApprovalEvent]:
    """All that happened to an approval, in order."""
    return await ApprovalStore(connection).events(approval.insurer_id, approval.id)


async def attachments(connection: Connection, approval: PriorApproval) -> Sequence[Attachment]:
    """What is known of the documents of an approval."""
    return await ApprovalStore(connection).attachments(approval.insurer_id, approval.id)


def piece_purpose(attachment: AttachmentId, number: int) -> str:
    """What a piece of a document is sealed for: this document, at this place."""
    return f"attachment {attachment} {number}"


async def may_attach(connection: Connection, approval_of: Owned, kind: str, *, is_again: bool) -> AttachmentId:
    """The id that a document will have; raises ``AttachmentNotAsked``, ``AttachmentsTooMany`` and ``ApprovalUnknown``.

    What may have been sent before (``is_again``) is looked at once it is known what it is.
    """
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    if not is_again:
        await _refuse_attachment(connection, approval, kind)
    return AttachmentId(uuid4())


async def _refuse_attachment(connection: Connection, approval: PriorApproval, kind: str) -> None:
    # Data minimisation: nobody sends a prescription that nobody asked for.
    if approval.state is not State.INFORMATION_REQUESTED or (approval.documents and kind not in approval.documents):
        raise errors.AttachmentNotAsked(f"the state is {approval.state}")
    if len(await _given(connection, approval)) >= _MOST_ATTACHMENTS:
        raise errors.AttachmentsTooMany


async def _given(connection: Connection, approval: PriorApproval) -> list[Attachment]:
    """The documents attached since the latest question."""
    asked = [event for event in await events(connection, approval) if event.kind is Kind.INFORMATION_REQUESTED]
    return [each for each in await attachments(connection, approval) if each.added_at >= asked[-1].occurred_at]


async def attach(
    connection: Connection, approval_of: Owned, attachment: Attachment, pieces: AsyncIterable[bytes], act: Act
) -> None:
    """Keeps a document, its pieces sealed before; raises as ``may_attach`` does."""
    approval = await _locked(connection, approval_of, act)
    await _refuse_attachment(connection, approval, attachment.kind)
    store, number = ApprovalStore(connection), 0
    async for sealed in pieces:
        await store.add_piece(approval.insurer_id, attachment.id, number, sealed)
        number += 1
    await store.add_attachment(approval.insurer_id, approval.id, attachment)
    await audit.record(
        connection,
        actor=act.actor,
        action=Action.ATTACHMENT_ADDED,
        subject_id=approval.id,
        insurer_id=approval.insurer_id,
    )


async def open_attachment(
    connection: Connection, approval_of: Owned, attachment_id: AttachmentId, act: Act
) -> tuple[InsurerId, Attachment]:
    """A document of a party's own approval, whose reading is audited; raises ``ApprovalUnknown``."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    found = next((each for each in await attachments(connection, approval) if each.id == attachment_id), None)
    if found is None:
        raise ApprovalUnknown
    await audit.record(
        connection, actor=act.actor, action=Action.ATTACHMENT_READ, subject_id=approval.id, insurer_id=insurer.id
    )
    return insurer.id, found


async def piece(connection: Connection, insurer_id: InsurerId, attachment: AttachmentId, number: int) -> bytes:
    """A sealed piece of a document that was opened."""
    return await ApprovalStore(connection).piece(insurer_id, attachment, number)


async def letter_facts(connection: Connection, approval: PriorApproval, act: Act) -> tuple[str, str, datetime]:
    """The insurer's name, the practitioner's, and when it was decided. That the letter is read is audited."""
    insurer = await insurers.get(connection, approval.insurer_id)
    practitioner = await practitioners.get(connection, approval.practitioner_id)
    decided = {Kind.APPROVED, Kind.PARTIALLY_APPROVED, Kind.REFUSED}
    happened = [event.occurred_at for event in await events(connection, approval) if event.kind in decided]
    await audit.record(
        connection,
        actor=act.actor,
        action=Action.APPROVAL_LETTER_READ,
        subject_id=approval.id,
        insurer_id=approval.insurer_id,
    )
    return insurer.name, practitioner.name, happened[-1]


async def list_of_practitioner(
    connection: Connection, practitioner: PractitionerId, search: Search, *, actor: Actor
) -> Sequence[PriorApproval]:
    """A practitioner's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, subject_id=practitioner)
    return await ApprovalStore(connection).of_practitioner(practitioner, search)


async def list_of_insurer(
    connection: Connection, insurer: InsurerId, search: Search, *, actor: Actor
) -> Sequence[PriorApproval]:
    """An insurer's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, insurer_id=insurer)
    return await ApprovalStore(connection).of_insurer(insurer, search)


async def _proven(
    connection: Connection, tools: Tools, submission: Submission, now: datetime
) -> tuple[Insurer, CardCheck, Verdict]:
    insurer = await insurers.find(connection, submission.insurer_number)
    if not insurer.is_active:
        raise InsurerUnknown
    proven = await cards.find_proof(connection, tools.verdicts, insurer.id, submission.proof)
    if proven is None or proven[0].ask.practitioner_id != submission.practitioner_id:
        raise errors.ProofUnknown
    check, verdict = proven
    if now >= check.proof_expires_at:
        raise errors.ProofExpired
    if check.ask.domain is not (Domain.HOSP if isinstance(submission.request, Stay) else Domain.OPTI):
        raise errors.ProofOfOtherDomain
    _refuse_other_day(submission.request, check)
    return insurer, check, verdict


def _refuse_other_day(request: Request, check: CardCheck) -> None:
    if isinstance(request, OpticalRequest):
        if request.prescription_date > check.ask.care_date:
            raise errors.PrescriptionInFuture
    elif request.entry_date != check.ask.care_date:
        raise errors.ProofOfOtherDay


async def _decide(
    connection: Connection,
    tools: Tools,
    request: Request,
    insurer: Insurer,
    check: CardCheck,
    verdict: Verdict,
    uses: Sequence[Use],
    act: Act,
    *,
    must_be_seen: bool = False,
) -> Decision:
    assert check.found.product_version_id is not None
    product = await tools.verdicts.benefits.version(connection, insurer.id, check.found.product_version_id)
    case = Case(
        benefits={line.benefit: line for line in verdict.benefits},
        is_responsible=product.is_responsible,
        birth_date=check.person.birth_date,
        care_date=check.ask.care_date,
        tariffs=await tools.tariffs.get(connection),
        uses=uses,
    )
    return decisions.decide(request, case, insurer.approval_rules, today=_day(act.now), must_be_seen=must_be_seen)


def _decided(
    approval: PriorApproval, request: Request, decision: Decision, rules: ApprovalRules, now: datetime
) -> tuple[PriorApproval, ApprovalEvent]:
    """The approval after the rules' decision of a request, with the event."""
    state = life.after(approval.state, decision.kind)
    after = replace(
        approval,
        state=state,
        version=approval.version + 1,
        request=request,
        lines=decision.lines,
        valid_until=decision.valid_until,
        billable_until=decision.billable_until,
        code=decision.code,
        comment=None,
        documents=decision.asks_for,
    )
    after = replace(after, waits_for=life.WAITS_FOR.get(state), due_at=_due_at(after, rules, now))
    details = {"documents": list(decision.asks_for)} if decision.asks_for else {}
    return after, _event(after, decision.kind, "system", now, details)


def _day(moment: datetime) -> date:
    return moment.astimezone(PARIS).date()


def _standing(approval: PriorApproval) -> Standing | None:
    """What an agreed approval comes back to; None where nothing was agreed."""
    if approval.state not in {State.APPROVED, State.PARTIALLY_APPROVED}:
        return None
    assert approval.valid_until
    assert approval.billable_until
    return Standing(
        revision=approval.revision,
        state=approval.state,
        request=codec.as_json(approval.request),
        valid_until=approval.valid_until,
        billable_until=approval.billable_until,
    )


async def _restored(connection: Connection, approval: PriorApproval, now: datetime) -> PriorApproval:
    """The approval as it stood before a change that came to nothing, as a revision of its own."""
    standing = approval.standing
    assert standing
    lines = await ApprovalStore(connection).lines(approval.insurer_id, approval.id, standing.revision)
    after = replace(
        approval,
        state=standing.state,
        version=approval.version + 1,
        revision=approval.revision + 1,
        request=codec.from_json(standing.request, tuple(line.asked for line in lines)),
        lines=lines,
        valid_until=standing.valid_until,
        billable_until=standing.billable_until,
        code=reasons.CHANGE_REFUSED.code,
        comment=None,
        standing=None,
        documents=(),
        waits_for=None,
    )
    return replace(after, due_at=_due_at(after, ApprovalRules(), now))


async def _restore(
    connection: Connection, approval: PriorApproval, act: Act, *, by: str, comment: str | None = None
) -> PriorApproval:
    """A change that waited came to nothing: kept, audited and told."""
    after = replace(await _restored(connection, approval, act.now), comment=comment)
    kind = Kind(after.state.value)
    life.after(approval.state, kind)
    details = {"comment": comment} if comment else {}
    await _save(connection, approval, after, [(_event(after, kind, by, act.now, details), act.actor)])
    action = Action.APPROVAL_DECIDED if by == "insurer" else Action.APPROVAL_CLOCK_RAN_OUT
    await audit.record(connection, actor=act.actor, action=action, subject_id=after.id, insurer_id=after.insurer_id)
    await _tell_insurer(connection, after, kind, now=act.now)
    return after


def _none_granted(approval: PriorApproval, reason: Reason) -> tuple[DecidedLine, ...]:
    return tuple(replace(line, granted=ZERO, parts=(), code=reason.code) for line in approval.lines)


def _due_at(approval: PriorApproval, rules: ApprovalRules, now: datetime) -> datetime | None:
    """By when somebody must act, or when a decided approval ends: with the day, in France."""
    match life.WAITS_FOR.get(approval.state):
        case Party.INSURER:
            return now + timedelta(days=rules.tacit_days)
        case Party.PRACTITIONER:
            return now + timedelta(days=rules.answer_days)
    if approval.state in {State.APPROVED, State.PARTIALLY_APPROVED} and approval.billable_until is not None:
        return datetime.combine(approval.billable_until + timedelta(days=1), time(), PARIS).astimezone(UTC)
    return None


def _event(
    approval: PriorApproval, kind: Kind, by: str, now: datetime, details: Mapping[str, Any] | None = None
) -> ApprovalEvent:
    return ApprovalEvent(
        version=approval.version,
        kind=kind,
        state=approval.state,
        actor_kind=by,
        reason_code=approval.code,
        occurred_at=now,
        details=details or {},
    )


async def _locked(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """The party's approval, locked; raises ``ApprovalUnknown`` and ``VersionStale``."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await _lock(connection, insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    if act.version is not None and act.version != approval.version:
        raise errors.VersionStale(f"the state is {approval.state}, the version {approval.version}")
    return approval


async def _lock(connection: Connection, insurer_id: InsurerId, approval_id: ApprovalId) -> PriorApproval | None:
    """Locks the person's benefits, then the approval: in this order everywhere."""
    store = ApprovalStore(connection)
    known = await store.get(insurer_id, approval_id)
    if known is None:
        return None
    await store.lock_person(insurer_id, _person(known))
    return await store.lock(insurer_id, approval_id)


def _person(approval: PriorApproval) -> Person:
    return Person(approval.membership_number, approval.birth_date, approval.birth_rank)


async def _step(
    connection: Connection,
    approval: PriorApproval,
    kind: Kind,
    reason: Reason,
    act: Act,
    action: Action,
    *,
    by: str,
    rules: ApprovalRules | None = None,
    details: Mapping[str, Any] | None = None,
    comment: str | None = None,
    documents: Sequence[str] = (),
    lines: tuple[DecidedLine, ...] | None = None,
) -> PriorApproval:
    """One event on a locked approval, kept, audited and told; raises ``StateForbids``."""
    state = life.after(approval.state, kind)
    changes = lines is not None and lines != approval.lines
    valid_until, billable_until = approval.valid_until, approval.billable_until
    if any(line.granted for line in lines or ()):
        # Granted after all, or later: its days are counted from now.
        national = await tariffs(connection)
        valid_until, billable_until = decisions.validity(
            approval.request, approval.care_date, national, today=_day(act.now)
        )
    after = replace(
        approval,
        state=state,
        version=approval.version + 1,
        revision=approval.revision + changes,
        lines=lines if lines is not None else approval.lines,
        valid_until=valid_until,
        billable_until=billable_until,
        standing=approval.standing if life.WAITS_FOR.get(state) else None,
        code=reason.code,
        comment=comment,
        documents=tuple(documents),
        waits_for=life.WAITS_FOR.get(state),
    )
    after = replace(after, due_at=_due_at(after, rules or ApprovalRules(), act.now))
    await _save(connection, approval, after, [(_event(after, kind, by, act.now, details), act.actor)])
    await audit.record(connection, actor=act.actor, action=action, subject_id=after.id, insurer_id=after.insurer_id)
    await _tell_insurer(connection, after, kind, now=act.now, details=details)
    return after


def _granted(approval: PriorApproval, grants: Sequence[Grant]) -> tuple[DecidedLine, ...]:
    lines = approval.lines
    by_line = {grant.line: grant.granted for grant in grants}
    if len(by_line) != len(grants) or not set(by_line) <= set(range(1, len(lines) + 1)):
        raise errors.LineUnknown
    changed = []
    for number, line in enumerate(lines, start=1):
        granted = by_line.get(number, line.granted)
        if granted > line.asked.price - line.asked.amo:
            raise errors.GrantTooLarge(f"line {number}")
        if granted == line.granted:
            changed.append(line)
        else:
            changed.append(regranted(line, granted, reasons.CUT_BY_INSURER.code, approval.request, approval.care_date))
    return tuple(changed)


async def _save(
    connection: Connection,
    before: PriorApproval,
    after: PriorApproval,
    happened: Sequence[tuple[ApprovalEvent, Actor]],
) -> None:
    store = ApprovalStore(connection)
    await store.project(after)
    await store.append_events(after.insurer_id, after.id, happened)
    has_new_lines = after.revision != before.revision
    if has_new_lines:
        await store.add_lines(after)
    if has_new_lines or life.holds(after.state) != life.holds(before.state):
        await store.give_back(after.insurer_id, after.id)
        if life.holds(after.state) and (held := uses_of(after.lines)):
            await store.add_uses(after, held)


_TOLD: Mapping[Kind, EventKind] = {
    Kind.AMENDED: EventKind.APPROVAL_AMENDED,
    Kind.EXTENDED: EventKind.APPROVAL_AMENDED,
    Kind.APPEALED: EventKind.APPROVAL_APPEALED,
    Kind.CANCELLED: EventKind.APPROVAL_CANCELLED,
    Kind.USED: EventKind.APPROVAL_USED,
    Kind.EXPIRED: EventKind.APPROVAL_EXPIRED,
    Kind.INFORMATION_REQUESTED: EventKind.APPROVAL_PENDING,
    Kind.INFORMATION_GIVEN: EventKind.APPROVAL_PENDING,
    Kind.REVIEW_STARTED: EventKind.APPROVAL_PENDING,
}


async def _tell_insurer(
    connection: Connection,
    approval: PriorApproval,
    kind: Kind,
    *,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """The insurer's event: ids, codes and amounts of its own insured person's approval."""
    data = {
        "details": dict(details or {}),
        "prior_approval_id": str(Reference(insurer_number=approval.insurer_number, id=approval.id)),
        "version": approval.version,
        "revision": approval.revision,
        "state": approval.state.value,
        "code": approval.code,
        "domain": approval.domain.value,
        "care_date": approval.care_date.isoformat(),
        "valid_until": approval.usable_until and approval.usable_until.isoformat(),
        "waits_for": approval.waits_for and approval.waits_for.value,
        "due_at": approval.due_at and approval.due_at.isoformat(),
        "membership_number": approval.membership_number,
        "birth_date": approval.birth_date,
        "birth_rank": approval.birth_rank,
        "lines": [
            {
                "line": number,
                "item": line.asked.item.value,
                "benefit": line.asked.benefit,
                "units": line.asked.units,
                "price_cents": line.asked.price,
                "base_cents": line.asked.base,
                "amo_cents": line.asked.amo,
                "granted_cents": line.granted,
                "patient_cents": line.patient,
                "code": line.code,
            }
            for number, line in enumerate(approval.lines, start=1)
        ],
    }
    told = _TOLD.get(kind, EventKind.APPROVAL_DECIDED)
    await insurers.publish(connection, approval.insurer_id, told, subject_id=approval.id, data=data, now=now)
