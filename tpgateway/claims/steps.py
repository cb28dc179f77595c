"""One step in the life of an approval: the event, the state and lines that follow, what is used, and who is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.claims import errors
from tpgateway.claims.codec import requests as codec
from tpgateway.claims.model import (
    ApprovalEvent,
    DecidedLine,
    Kind,
    Party,
    PriorApproval,
    Request,
    Standing,
    State,
)
from tpgateway.claims.parties import Act
from tpgateway.claims.rules import decisions, life, reasons
from tpgateway.claims.rules.consumption import held_meanwhile, regranted, uses_of
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.database import Connection
from tpgateway.database.statements import Statement, together
from tpgateway.errors import Reason
from tpgateway.guarantees.model import Use
from tpgateway.guarantees.service import tariffs
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import ApprovalRules, EventKind, Reference
from tpgateway.money import ZERO, Cents
from tpgateway.web.routing import PARIS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an insurer grants on a line."""

    line: int
    granted: Cents
    code: str | None = None


async def step(
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
    request: Request | None = None,
) -> PriorApproval:
    """One event on a locked approval, kept, audited and told; raises ``StateForbids``."""
    state = life.after(approval.state, kind)
    changes = lines is not None and lines != approval.lines
    valid_until, billable_until = approval.valid_until, approval.billable_until
    is_granted = life.holds(state) and any(line.granted for line in lines or ())
    if is_granted and (changes or approval.state is State.UNDER_REVIEW):
        # Granted after all, or later: its days are counted from now. What an appeal leaves as it was ends as it did.
        national = await tariffs(connection)
        valid_until, billable_until = decisions.validity(
            approval.request, approval.care_date, national, today=day_of(act.now)
        )
    after = replace(
        approval,
        state=state,
        version=approval.version + 1,
        revision=approval.revision + changes,
        request=request or approval.request,
        lines=lines if lines is not None else approval.lines,
        valid_until=valid_until,
        billable_until=billable_until,
        standing=approval.standing if life.WAITS_FOR.get(state) else None,
        code=reason.code,
        comment=comment,
        documents=tuple(documents),
        waits_for=life.WAITS_FOR.get(state),
        due_at=due_at_of(state, billable_until, rules or ApprovalRules(), act.now),
    )
    await save(connection, approval, after, [(event_of(after, kind, by, act.now, details), act.actor)])
    await tell_insurer(connection, after, kind, action, act, details=details)
    return after


async def restore(
    connection: Connection,
    approval: PriorApproval,
    act: Act,
    *,
    by: str,
    why: str | None = None,
    comment: str | None = None,
) -> PriorApproval:
    """A change that waited came to nothing, for an insurer's reason: kept, audited and told."""
    after = replace(await restored(connection, approval, act.now), comment=comment)
    kind = Kind(after.state.value)
    life.after(approval.state, kind)
    details = {name: said for name, said in (("reason", why), ("comment", comment)) if said}
    await save(connection, approval, after, [(event_of(after, kind, by, act.now, details), act.actor)])
    action = Action.APPROVAL_DECIDED if by == "insurer" else Action.APPROVAL_CLOCK_RAN_OUT
    await tell_insurer(connection, after, kind, action, act, details=details)
    return after


async def restored(connection: Connection, approval: PriorApproval, now: datetime) -> PriorApproval:
    """The approval as it stood before a change that came to nothing, as a revision of its own."""
    standing = approval.standing
    assert standing
    request, lines = await agreed(connection, approval, standing)
    after = replace(
        approval,
        state=standing.state,
        version=approval.version + 1,
        revision=approval.revision + 1,
        request=request,
        lines=lines,
        valid_until=standing.valid_until,
        billable_until=standing.billable_until,
        code=reasons.CHANGE_REFUSED.code,
        comment=None,
        standing=None,
        documents=(),
        waits_for=None,
    )
    return replace(after, due_at=due_at_of(after.state, after.billable_until, ApprovalRules(), now))


async def agreed(
    connection: Connection, approval: PriorApproval, standing: Standing
) -> tuple[Request, tuple[DecidedLine, ...]]:
    """What was agreed, and stands until a change of it is granted."""
    lines = await ApprovalStore(connection).lines(approval.insurer_id, approval.id, standing.revision)
    return codec.from_json(standing.request, tuple(line.asked for line in lines)), lines


def standing_of(approval: PriorApproval) -> Standing | None:
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


def none_granted(approval: PriorApproval, reason: Reason) -> tuple[DecidedLine, ...]:
    """The lines with nothing granted, for one reason."""
    return tuple(DecidedLine(asked=line.asked, granted=ZERO, code=reason.code) for line in approval.lines)


def granted_anew(approval: PriorApproval, grants: Sequence[Grant]) -> tuple[DecidedLine, ...]:
    """The lines as the insurer grants them; raises ``LineUnknown`` and ``GrantTooLarge``."""
    lines = approval.lines
    by_line = {grant.line: grant for grant in grants}
    if len(by_line) != len(grants) or not set(by_line) <= set(range(1, len(lines) + 1)):
        raise errors.LineUnknown
    changed = []
    for number, line in enumerate(lines, start=1):
        grant = by_line.get(number)
        granted = line.granted if grant is None else grant.granted
        if granted > line.asked.price - line.asked.amo - line.not_due:
            raise errors.GrantTooLarge(f"line {number}")
        if granted == line.granted:
            changed.append(line)
        else:
            own = reasons.CUT_BY_INSURER if granted < line.granted else reasons.GRANTED_BY_INSURER
            code = (grant and grant.code) or own.code
            changed.append(regranted(line, granted, code, approval.request, approval.care_date))
    return tuple(changed)


async def save(
    connection: Connection,
    before: PriorApproval,
    after: PriorApproval,
    happened: Sequence[tuple[ApprovalEvent, Actor]],
) -> None:
    """Keeps a change: the state, what happened, new lines, and what is used of the benefits."""
    store = ApprovalStore(connection)
    await store.project(after)
    await store.append_events(after.insurer_id, after.id, happened)
    has_new_lines = after.revision != before.revision
    if has_new_lines:
        await store.add_lines(after)
    if has_new_lines or after.standing != before.standing or life.holds(after.state) != life.holds(before.state):
        await store.give_back(after.insurer_id, after.id)
        if life.holds(after.state) and (held := await _held(connection, after)):
            await store.add_uses(after, held)


async def _held(connection: Connection, approval: PriorApproval) -> list[tuple[int, Use]]:
    held = uses_of(approval.lines, approval.request)
    if approval.standing is None:
        return held
    request, lines = await agreed(connection, approval, approval.standing)
    return held_meanwhile(held, uses_of(lines, request))


def event_of(
    approval: PriorApproval, kind: Kind, by: str, now: datetime, details: Mapping[str, Any] | None = None
) -> ApprovalEvent:
    """What happened, by whom, as it left the approval."""
    return ApprovalEvent(
        version=approval.version,
        kind=kind,
        state=approval.state,
        actor_kind=by,
        reason_code=approval.code,
        occurred_at=now,
        details=details or {},
    )


def due_at_of(state: State, billable_until: date | None, rules: ApprovalRules, now: datetime) -> datetime | None:
    """By when somebody must act, or when a decided approval ends: with the day, in France."""
    match life.WAITS_FOR.get(state):
        case Party.INSURER:
            return now + timedelta(days=rules.tacit_days)
        case Party.PRACTITIONER:
            return now + timedelta(days=rules.answer_days)
    if state in {State.APPROVED, State.PARTIALLY_APPROVED} and billable_until is not None:
        return datetime.combine(billable_until + timedelta(days=1), time(), PARIS).astimezone(UTC)
    return None


def day_of(moment: datetime) -> date:
    """The day in France."""
    return moment.astimezone(PARIS).date()


async def tell_insurer(
    connection: Connection,
    approval: PriorApproval,
    kind: Kind,
    action: Action,
    act: Act,
    *,
    details: Mapping[str, Any] | None = None,
) -> None:
    """The insurer's event, and what the audit trail says of it."""
    text, values = together(*telling(approval, kind, action, act, details=details))
    await connection.execute(text, *values)


def telling(
    approval: PriorApproval,
    kind: Kind,
    action: Action,
    act: Act,
    *,
    details: Mapping[str, Any] | None = None,
    waits_for_number: bool = False,
) -> tuple[Statement, Statement]:
    """What writes the insurer's event, of ids, codes and amounts of its own insured person, and the audit entry."""
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
                "not_due_cents": line.not_due,
                "code": line.code,
            }
            for number, line in enumerate(approval.lines, start=1)
        ],
    }
    told = _TOLD.get(kind, EventKind.APPROVAL_DECIDED)
    done = audit.Entry(actor=act.actor, action=action, subject_id=approval.id, insurer_id=approval.insurer_id)
    event = insurers.told(
        [approval.insurer_id],
        told,
        subject_id=approval.id,
        data=data,
        now=act.now,
        waits_for_number=waits_for_number,
    )
    return event, done.appended()
