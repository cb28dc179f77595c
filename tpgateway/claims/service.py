"""Use cases of prior approvals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from aiohttp import web

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action
from tpgateway.cards import service as cards
from tpgateway.cards.model import CardCheck, Outcome, Verdict
from tpgateway.cards.verdicts import Verdicts
from tpgateway.claims import errors
from tpgateway.claims.documents import given
from tpgateway.claims.model import (
    ApprovalEvent,
    ApprovalId,
    DecidedLine,
    Decision,
    Kind,
    OpticalRequest,
    Party,
    PriorApproval,
    Request,
    Standing,
    State,
    Stay,
)
from tpgateway.claims.parties import Act, Owned, as_it_stands, lock, locked
from tpgateway.claims.rules import decisions, hospital, life, optical, reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.consumption import uses_of
from tpgateway.claims.steps import (
    Grant,
    agreed,
    day_of,
    due_at_of,
    event_of,
    granted_anew,
    none_granted,
    restore,
    restored,
    save,
    standing_of,
    step,
    tell_insurer,
    telling,
)
from tpgateway.claims.store.approvals import ApprovalStore, Proven
from tpgateway.database import Connection
from tpgateway.database.migrations.distribute import is_distributed
from tpgateway.guarantees.model import Domain, Use
from tpgateway.guarantees.service import TariffCache
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import ApprovalRules, InsurerId, InsurerState, TacitOutcome
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web import limits


@dataclass(slots=True)
class Tools:
    """What decisions are made with beside the caller's connection; one a process."""

    verdicts: Verdicts
    tariffs: TariffCache
    is_spread: bool | None = None
    """Whether the data are on several servers, as soon as that was asked."""


TOOLS: web.AppKey[Tools] = web.AppKey("claims_tools", Tools)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who asks what of whom: the proof is as it is kept, the insurer's number padded."""

    practitioner_id: PractitionerId
    insurer_number: str
    proof: str
    request: Request


_SIMULATED_TOGETHER = timedelta(minutes=10)
_BY_PRACTITIONER = frozenset(
    {Kind.AMENDED, Kind.EXTENDED, Kind.APPEALED, Kind.CANCELLED, Kind.USED, Kind.INFORMATION_GIVEN}
)


def possible(approval: PriorApproval) -> frozenset[Kind]:
    """What its practitioner may do about an approval as it stands."""
    found = _BY_PRACTITIONER & frozenset(life.TRANSITIONS[approval.state])
    if not isinstance(approval.request, Stay):
        found -= {Kind.EXTENDED}
    if approval.code == reasons.NOT_ANSWERED.code:
        found -= {Kind.USED}  # it was closed before anything was agreed
    return found


async def simulate(connection: Connection, tools: Tools, submission: Submission, act: Act) -> Decision:
    """The decision that a submission would get. Raises as ``submit`` does.

    Nothing is kept of it but that it was asked: once in ten minutes of one check, however often a page calculates anew.
    """
    found = await ApprovalStore(connection).proven(submission.insurer_number, submission.proof, locks=False)
    proven, check, verdict = await _accepted(connection, tools, submission, act.now, found)
    decision = await _decide(connection, tools, submission.request, proven.rules, check, verdict, proven.uses, act)
    await _record_simulated(connection, check.id, check.insurer_id, act)
    return decision


async def simulate_change(
    connection: Connection, tools: Tools, approval_of: Owned, request: Request, act: Act, *, kind: Kind = Kind.AMENDED
) -> Decision:
    """The decision that a change would get, ``change_refused`` where what was agreed would stand. Raises as ``amend`` does.

    Nothing is kept of it but that it was asked, as of ``simulate``.
    """
    approval = await as_it_stands(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    decision = await _decide_change(connection, tools, approval, request, rules, act, kind)
    await _record_simulated(connection, approval.id, approval.insurer_id, act)
    if decision.kind is Kind.REFUSED and _standing(approval) is not None:
        return replace(decision, code=reasons.CHANGE_REFUSED.code)
    return decision


async def _record_simulated(connection: Connection, subject: UUID, insurer_id: InsurerId, act: Act) -> None:
    key = f"simulated {subject} {act.actor.agent_id}"
    if await limits.spend(connection, key, quota=1, window=_SIMULATED_TOGETHER, now=act.now):
        await audit.record(
            connection,
            actor=act.actor,
            action=Action.APPROVAL_SIMULATED,
            subject_id=subject,
            insurer_id=insurer_id,
        )


async def submit(connection: Connection, tools: Tools, submission: Submission, act: Act) -> PriorApproval:
    """Decides a request, keeps it, and tells the insurer, in the caller's transaction.

    Two requests for one person are decided one after the other, so that what one uses up the other finds used. Raises
    ``InsurerUnknown``, ``ProofUnknown``, ``ProofExpired``, ``ProofOfOtherDomain``, ``ProofOfOtherDay``,
    ``PrescriptionInFuture``.
    """
    proven = await ApprovalStore(connection).proven(submission.insurer_number, submission.proof, locks=True)
    approval = await _add(connection, tools, submission, act, proven, is_locked=True)
    assert approval is not None
    return approval


async def submit_ahead(connection: Connection, tools: Tools, submission: Submission, act: Act) -> PriorApproval | None:
    """The same in two statements and no transaction around them, which is half of the way to the database and back.

    The insurer's event waits for its number. Nothing is locked while the request is decided. Where somebody else used the
    person's benefits meanwhile nothing is kept, and None comes back: then it takes ``submit``; so it does where the data are
    on several servers, which only a transaction tells for whom it is. Raises as ``submit`` does.
    """
    if tools.is_spread is None:
        tools.is_spread = await is_distributed(connection)
    if tools.is_spread:
        return None
    store = ApprovalStore(connection)
    proven = await store.proven_ahead(submission.practitioner_id, submission.insurer_number, submission.proof)
    return await _add(connection, tools, submission, act, proven, is_locked=False)


async def _add(
    connection: Connection, tools: Tools, submission: Submission, act: Act, found: Proven | None, *, is_locked: bool
) -> PriorApproval | None:
    """Decides on what was found, and keeps it; None where it is not so any more."""
    proven, check, verdict = await _accepted(connection, tools, submission, act.now, found)
    person, now = check.person, act.now
    decision = await _decide(connection, tools, submission.request, proven.rules, check, verdict, proven.uses, act)
    new = PriorApproval(
        insurer_id=check.insurer_id,
        insurer_number=submission.insurer_number,
        id=proven.next_id,
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
    approval, decided = _decided(new, submission.request, decision, proven.rules, now)
    submitted = event_of(new, Kind.SUBMITTED, "practitioner", now)
    held = uses_of(approval.lines, approval.request) if life.holds(approval.state) else []
    telling_insurer = telling(approval, decided.kind, Action.APPROVAL_SUBMITTED, act, waits_for_number=not is_locked)
    is_kept = await ApprovalStore(connection).add(
        approval,
        [(submitted, act.actor), (decided, SYSTEM)],
        held,
        beside=telling_insurer,
        claims=None if is_locked else proven,
    )
    return approval if is_kept else None


async def amend(
    connection: Connection, tools: Tools, approval_of: Owned, request: Request, act: Act, *, kind: Kind = Kind.AMENDED
) -> PriorApproval:
    """The request is another, or the stay longer (``EXTENDED``): decided anew, as a new revision of the lines.

    What was agreed before stands until the change is granted, and goes on where it is not. Where the insurer has taken part,
    it sees the change before it is granted.

    Raises ``StateForbids``, ``VersionStale``, ``KindOfOther``, ``StayNotLonger``, ``ProofOfOtherDay``,
    ``PrescriptionInFuture``.
    """
    approval = await locked(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    decision = await _decide_change(connection, tools, approval, request, rules, act, kind)
    before, standing = approval, _standing(approval)
    state = life.after(approval.state, kind)
    changed = replace(
        approval, state=state, version=approval.version + 1, revision=approval.revision + 1, code=kind.value
    )
    first = event_of(changed, kind, "practitioner", act.now, {"revision": changed.revision})
    if decision.kind is Kind.REFUSED and standing is not None:
        approval = await restored(connection, replace(changed, standing=standing), act.now)
        details = {"reasons": list(dict.fromkeys(line.code for line in decision.lines))}
        decided = event_of(approval, Kind(approval.state.value), "system", act.now, details)
    else:
        approval, decided = _decided(changed, request, decision, rules, act.now)
        approval = replace(approval, standing=standing if approval.waits_for else None)
    await save(connection, before, approval, [(first, act.actor), (decided, SYSTEM)])
    action = Action.APPROVAL_EXTENDED if kind is Kind.EXTENDED else Action.APPROVAL_AMENDED
    await tell_insurer(connection, approval, kind, action, act)
    return approval


async def _decide_change(
    connection: Connection,
    tools: Tools,
    approval: PriorApproval,
    request: Request,
    rules: ApprovalRules,
    act: Act,
    kind: Kind,
) -> Decision:
    """What a change comes to, unless it is none that can be made; raises as ``amend`` does."""
    if type(request) is not type(approval.request):
        raise errors.KindOfOther
    if kind is Kind.EXTENDED:
        was = approval.request
        if not (isinstance(was, Stay) and isinstance(request, Stay)):
            raise errors.KindOfOther
        is_same_stay = (request.entry_date, request.finess) == (was.entry_date, was.finess)
        if request.exit_date <= was.exit_date or not is_same_stay:
            raise errors.StayNotLonger
    life.after(approval.state, kind)
    check, verdict = await cards.proven(connection, tools.verdicts, approval.insurer_id, approval.card_check_id)
    _refuse_other_day(request, check)
    store = ApprovalStore(connection)
    uses = await store.uses(approval.insurer_id, check.person, but=approval.id)
    events = await store.events(approval.insurer_id, approval.id)
    has_taken_part = any(event.actor_kind == "insurer" for event in events)
    decision = await _decide(connection, tools, request, rules, check, verdict, uses, act, must_be_seen=has_taken_part)
    if (standing := _standing(approval)) is None:
        return decision
    # A change leaves the days of validity as they are, unless the care itself ends later.
    own = decisions.validity(request, approval.care_date, await tools.tariffs.get(connection), today=approval.care_date)
    valid_until, billable_until = max((standing.valid_until, standing.billable_until), own)
    return replace(decision, valid_until=valid_until, billable_until=billable_until)


def _standing(approval: PriorApproval) -> Standing | None:
    """What stands where a change of the approval comes to nothing."""
    return approval.standing or standing_of(approval)


async def appeal(connection: Connection, approval_of: Owned, arguments: str, act: Act) -> PriorApproval:
    """The insurer is asked to look again at a refusal or a cut; raises ``StateForbids`` and ``VersionStale``."""
    approval = await locked(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await step(
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


async def inform(connection: Connection, approval_of: Owned, answer: str, act: Act) -> PriorApproval:
    """The practitioner answers what was asked, documents having been attached before.

    Raises ``StateForbids``, ``VersionStale`` and ``AttachmentMissing``.
    """
    approval = await locked(connection, approval_of, act)
    life.after(approval.state, Kind.INFORMATION_GIVEN)
    kinds = {each.kind for each in await given(connection, approval)}
    if missing := sorted(set(approval.documents) - kinds):
        raise errors.AttachmentMissing(f"missing: {', '.join(missing)}")
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await step(
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


async def cancel(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """The practitioner no longer wants it: what it used of the benefits is given back.

    Raises ``StateForbids`` and ``VersionStale``.
    """
    approval = await locked(connection, approval_of, act)
    request, lines = approval.request, approval.lines
    if approval.standing is not None:  # what ends is what was agreed, and not the change that nobody granted
        request, lines = await agreed(connection, approval, approval.standing)
    return await step(
        connection,
        approval,
        Kind.CANCELLED,
        reasons.CANCELLED,
        act,
        Action.APPROVAL_CANCELLED,
        by="practitioner",
        lines=lines,
        request=request,
    )


async def use(connection: Connection, tools: Tools, approval_of: Owned, billed_on: date, act: Act) -> PriorApproval:
    """It was billed: nothing can be changed any more. What was billed in time may be told late.

    Raises ``StateForbids``, ``VersionStale``, ``BilledOnImpossible``, and ``BenefitsTaken`` where it is told so late that
    another approval has got the same equipment, days or amount since.
    """
    approval = await locked(connection, approval_of, act)
    if Kind.USED not in possible(approval):
        raise errors.StateForbids(str(approval.state))
    if approval.state is State.EXPIRED:
        await _refuse_taken(connection, tools, approval)
    last = approval.billable_until
    if not approval.care_date <= billed_on <= min(day_of(act.now), last or date.max):
        raise errors.BilledOnImpossible
    return await step(
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
    connection: Connection, approval_of: Owned, question: str, documents: Sequence[str], act: Act
) -> PriorApproval:
    """The insurer wants to know more; raises ``StateForbids`` and ``VersionStale``."""
    approval = await locked(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    return await step(
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
    connection: Connection,
    tools: Tools,
    approval_of: Owned,
    kind: Kind,
    grants: Sequence[Grant],
    act: Act,
    *,
    code: str | None = None,
    comment: str | None = None,
) -> PriorApproval:
    """The insurer approves, approves in part or refuses what waits for it, for the reason that it names.

    Refusing an appeal leaves what was granted before. Raises ``StateForbids``, ``VersionStale``, ``DecisionNeedsLines``,
    ``DecisionNeedsReason``, ``LineUnknown``, ``GrantTooLarge``, ``GrantBelowAppealed``, ``GrantAboveResponsible`` and
    ``GrantedToAnother``.
    """
    approval = await locked(connection, approval_of, act)
    if approval.waits_for is not Party.INSURER:
        raise errors.StateForbids(str(approval.state))
    is_appeal = approval.state is State.APPEALED
    lines, reason = approval.lines, reasons.INSURER_APPROVED
    if kind is Kind.REFUSED and approval.standing is not None:
        return await restore(connection, approval, act, by="insurer", why=code, comment=comment)
    if kind is Kind.REFUSED and is_appeal:
        reason = reasons.APPEAL_REJECTED
        kind = Kind.PARTIALLY_APPROVED if any(line.granted for line in lines) else Kind.REFUSED
    elif kind is Kind.REFUSED:
        reason = reasons.OF_INSURERS[code] if code else reasons.INSURER_REFUSED
        lines = none_granted(approval, reasons.OF_INSURERS[code] if code else reasons.CUT_BY_INSURER)
    else:
        lines = await _lines_granted(connection, tools, approval, kind, grants, comment)
        is_cut = any(line.granted < was.granted for line, was in zip(lines, approval.lines, strict=True))
        # What it comes to is seen from the lines: one that is less than before, or nothing, is a cut.
        if is_cut or decisions.outcome(lines)[0] is Kind.PARTIALLY_APPROVED:
            kind, reason = Kind.PARTIALLY_APPROVED, reasons.INSURER_CUT
        else:
            kind = Kind.APPROVED
    return await step(
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


async def _lines_granted(
    connection: Connection,
    tools: Tools,
    approval: PriorApproval,
    kind: Kind,
    grants: Sequence[Grant],
    comment: str | None,
) -> tuple[DecidedLine, ...]:
    """The lines as the insurer grants them, which says why where one is less than before, and stays within the law."""
    is_appeal = approval.state is State.APPEALED
    if not grants and (kind is Kind.PARTIALLY_APPROVED or is_appeal):
        raise errors.DecisionNeedsLines
    lines = granted_anew(approval, grants)
    if not any(line.granted for line in lines):
        raise errors.DecisionNeedsLines("nothing is granted: refuse instead")
    for number, (line, was) in enumerate(zip(lines, approval.lines, strict=True), start=1):
        if line.granted < was.granted and is_appeal:
            raise errors.GrantBelowAppealed(f"line {number}")
        if line.granted < was.granted and not comment and line.code == reasons.CUT_BY_INSURER.code:
            raise errors.DecisionNeedsReason(f"line {number}")
    if any(line.granted > was.granted for line, was in zip(lines, approval.lines, strict=True)):
        case = await _case_of(connection, tools, approval)
        _refuse_above_ceiling(approval.request, lines, case)
        _refuse_granted_to_another(approval, lines, case)
    return lines


async def run_clock(
    connection: Connection, insurer_id: InsurerId, approval_id: ApprovalId, *, now: datetime
) -> PriorApproval | None:
    """What follows from nobody having acted in time; None where somebody has meanwhile."""
    approval = await lock(connection, insurer_id, approval_id)
    if approval is None or approval.due_at is None or approval.due_at > now:
        return None
    act = Act(now, SYSTEM)
    if approval.standing is not None and approval.state is State.INFORMATION_REQUESTED:
        return await restore(connection, approval, act, by="system")
    if approval.waits_for is Party.INSURER:
        rules = (await insurers.get(connection, insurer_id)).approval_rules
        is_granted = rules.tacit_outcome is TacitOutcome.APPROVE and any(line.granted for line in approval.lines)
        if approval.state is State.APPEALED:
            # Silence on an appeal leaves the decision as it was: there is no other that it could stand for.
            is_cut = any(line.granted for line in approval.lines)
            kind, reason = (Kind.PARTIALLY_APPROVED if is_cut else Kind.REFUSED), reasons.APPEAL_NOT_ANSWERED
            lines = approval.lines
        elif is_granted:
            kind, _ = decisions.outcome(approval.lines)
            reason, lines = reasons.TACIT_APPROVAL, approval.lines
        elif approval.standing is not None:
            return await restore(connection, approval, act, by="system")
        else:
            kind, reason = Kind.REFUSED, reasons.TACIT_REFUSAL
            lines = none_granted(approval, reason)
        return await step(
            connection, approval, kind, reason, act, Action.APPROVAL_CLOCK_RAN_OUT, by="system", lines=lines
        )
    reason, lines = reasons.EXPIRED, approval.lines
    if approval.waits_for is Party.PRACTITIONER:
        reason = reasons.NOT_ANSWERED
        lines = none_granted(approval, reason)
    return await step(
        connection, approval, Kind.EXPIRED, reason, act, Action.APPROVAL_CLOCK_RAN_OUT, by="system", lines=lines
    )


async def agreed_meanwhile(connection: Connection, approval: PriorApproval) -> Cents | None:
    """What stands granted while a change of it waits; None where none does."""
    if approval.standing is None:
        return None
    _, lines = await agreed(connection, approval, approval.standing)
    return Cents(sum(line.granted for line in lines))


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What no worker has seen to, as metrics."""
    return {"tpgateway_approvals_overdue": await ApprovalStore(connection).count_overdue()}


async def due(
    connection: Connection, *, now: datetime, limit: int, skip: int
) -> Sequence[tuple[InsurerId, ApprovalId]]:
    """Approvals whose clock ran out, but for the first so many."""
    return await ApprovalStore(connection).due(now, limit, skip)


async def _accepted(
    connection: Connection, tools: Tools, submission: Submission, now: datetime, proven: Proven | None
) -> tuple[Proven, CardCheck, Verdict]:
    """What a request may be decided with, unless the proof is none for it."""
    if proven is None or proven.state is not InsurerState.ACTIVE:
        raise InsurerUnknown
    check = proven.check
    if check is None or check.ask.practitioner_id != submission.practitioner_id:
        raise errors.ProofUnknown
    verdict = await tools.verdicts.of(connection, check)
    if verdict.outcome is not Outcome.COVERED:  # no proof of it was given out
        raise errors.ProofUnknown
    if now >= check.proof_expires_at:
        raise errors.ProofExpired
    if check.ask.domain is not (Domain.HOSP if isinstance(submission.request, Stay) else Domain.OPTI):
        raise errors.ProofOfOtherDomain
    _refuse_other_day(submission.request, check)
    return proven, check, verdict


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
    rules: ApprovalRules,
    check: CardCheck,
    verdict: Verdict,
    uses: Sequence[Use],
    act: Act,
    *,
    must_be_seen: bool = False,
) -> Decision:
    case = await _case(connection, tools, check, verdict, uses)
    return decisions.decide(request, case, rules, today=day_of(act.now), must_be_seen=must_be_seen)


async def _case(connection: Connection, tools: Tools, check: CardCheck, verdict: Verdict, uses: Sequence[Use]) -> Case:
    assert check.found.product_version_id is not None
    product = await tools.verdicts.benefits.version(connection, check.insurer_id, check.found.product_version_id)
    return Case(
        benefits={line.benefit: line for line in verdict.benefits},
        is_responsible=product.is_responsible,
        birth_date=check.person.birth_date,
        care_date=check.ask.care_date,
        tariffs=await tools.tariffs.get(connection),
        uses=uses,
    )


async def _case_of(connection: Connection, tools: Tools, approval: PriorApproval) -> Case:
    """What the approval would be decided on now: others' uses, and not its own."""
    check, verdict = await cards.proven(connection, tools.verdicts, approval.insurer_id, approval.card_check_id)
    uses = await ApprovalStore(connection).uses(approval.insurer_id, check.person, but=approval.id)
    return await _case(connection, tools, check, verdict, uses)


def _refuse_above_ceiling(request: Request, lines: Sequence[DecidedLine], case: Case) -> None:
    if not case.is_responsible:
        return
    if isinstance(request, Stay):
        above = hospital.above_ceiling(request, lines, case)
    else:
        above = optical.above_ceiling(request, lines, case)
    if above:
        raise errors.GrantAboveResponsible(f"line {above[0]}: {above[1]}")


def _refuse_granted_to_another(approval: PriorApproval, lines: Sequence[DecidedLine], case: Case) -> None:
    """What was granted nothing was free for others meanwhile; what had gone to them before, the insurer knew of."""
    for number, (line, was) in enumerate(zip(lines, approval.lines, strict=True), start=1):
        is_new = line.granted and not was.granted and was.code not in decisions.TAKEN_BEFORE
        if is_new and decisions.is_taken(line, approval.request, case):
            raise errors.GrantedToAnother(f"line {number}")


async def _refuse_taken(connection: Connection, tools: Tools, approval: PriorApproval) -> None:
    """What an expired approval gave back may be another's by now: it is not paid for twice."""
    case = await _case_of(connection, tools, approval)
    now, alone = decisions.price(approval.request, case), decisions.price(approval.request, replace(case, uses=()))
    for was, left, whole in zip(approval.lines, now, alone, strict=True):
        if left.granted < min(was.granted, whole.granted):
            raise errors.BenefitsTaken


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
        waits_for=life.WAITS_FOR.get(state),
        due_at=due_at_of(state, decision.billable_until, rules, now),
    )
    details = {"documents": list(decision.asks_for)} if decision.asks_for else {}
    return after, event_of(after, decision.kind, "system", now, details)
