"""What a practice does about an approval of its own."""

from dataclasses import replace
from datetime import date

from tpgateway.audit import SYSTEM, Action
from tpgateway.cards import service as cards
from tpgateway.claims import errors
from tpgateway.claims.deciding import Tools, after_decision, case_of, decide, refuse_other_day
from tpgateway.claims.documents import given
from tpgateway.claims.model import Decision, Kind, PriorApproval, Request, Standing, State, Stay
from tpgateway.claims.parties import Act, Owned, as_it_stands, locked
from tpgateway.claims.rules import decisions, life, reasons
from tpgateway.claims.steps import agreed, day_of, event_of, restored, save, standing_of, step, tell_insurer
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.claims.submissions import record_simulated
from tpgateway.database import Connection
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import ApprovalRules
from tpgateway.money import Cents

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


async def simulate_change(
    connection: Connection, tools: Tools, approval_of: Owned, request: Request, act: Act, *, kind: Kind = Kind.AMENDED
) -> Decision:
    """The decision that a change would get, ``change_refused`` where what was agreed would stand. Raises as ``amend`` does.

    Nothing is kept of it but that it was asked, as of ``simulate``.
    """
    approval = await as_it_stands(connection, approval_of, act)
    rules = (await insurers.get(connection, approval.insurer_id)).approval_rules
    decision = await _decide_change(connection, tools, approval, request, rules, act, kind)
    await record_simulated(connection, approval.id, approval.insurer_id, act)
    if decision.kind is Kind.REFUSED and _standing(approval) is not None:
        return replace(decision, code=reasons.CHANGE_REFUSED.code)
    return decision


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
        approval, decided = after_decision(changed, request, decision, rules, act.now)
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
    refuse_other_day(request, check)
    store = ApprovalStore(connection)
    uses = await store.uses(approval.insurer_id, check.person, but=approval.id)
    events = await store.events(approval.insurer_id, approval.id)
    has_taken_part = any(event.actor_kind == "insurer" for event in events)
    decision = await decide(connection, tools, request, rules, check, verdict, uses, act, must_be_seen=has_taken_part)
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


async def _refuse_taken(connection: Connection, tools: Tools, approval: PriorApproval) -> None:
    """What an expired approval gave back may be another's by now: it is not paid for twice."""
    case = await case_of(connection, tools, approval)
    now, alone = decisions.price(approval.request, case), decisions.price(approval.request, replace(case, uses=()))
    for was, left, whole in zip(approval.lines, now, alone, strict=True):
        if left.granted < min(was.granted, whole.granted):
            raise errors.BenefitsTaken


async def agreed_meanwhile(connection: Connection, approval: PriorApproval) -> Cents | None:
    """What stands granted while a change of it waits; None where none does."""
    if approval.standing is None:
        return None
    _, lines = await agreed(connection, approval, approval.standing)
    return Cents(sum(line.granted for line in lines))
