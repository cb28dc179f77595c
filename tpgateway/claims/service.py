"""Use cases of prior approvals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.cards import service as cards
from tpgateway.cards.model import CardCheck
from tpgateway.cards.verdicts import Verdicts
from tpgateway.claims.errors import PrescriptionInFuture, ProofExpired, ProofOfOtherDomain, ProofUnknown
from tpgateway.claims.model import ApprovalEvent, ApprovalId, Decision, Kind, PriorApproval, Request, State
from tpgateway.claims.rules import life, optical
from tpgateway.claims.store import ApprovalStore
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import EventKind, InsurerId, Reference
from tpgateway.practitioners.model import PractitionerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who asks what of whom: the proof is as it is kept, the insurer's number padded."""

    practitioner_id: PractitionerId
    insurer_number: str
    proof: str
    request: Request


async def decide(
    connection: Connection, verdicts: Verdicts, submission: Submission, *, now: datetime
) -> tuple[CardCheck, Decision]:
    """The decision that a submission gets at this moment, kept nowhere.

    Raises ``InsurerUnknown``, ``ProofUnknown``, ``ProofExpired``, ``ProofOfOtherDomain``, ``PrescriptionInFuture``.
    """
    insurer = await insurers.find(connection, submission.insurer_number)
    proven = await cards.find_proof(connection, verdicts, insurer.id, submission.proof)
    if proven is None or proven[0].ask.practitioner_id != submission.practitioner_id:
        raise ProofUnknown
    check, verdict = proven
    ask = check.ask
    if now >= check.proof_expires_at:
        raise ProofExpired
    if ask.domain is not Domain.OPTI:
        raise ProofOfOtherDomain
    if submission.request.prescription_date > ask.care_date:
        raise PrescriptionInFuture
    assert check.found.product_version_id is not None
    product = await verdicts.benefits.version(connection, insurer.id, check.found.product_version_id)
    decision = optical.decide(
        submission.request,
        benefits=verdict.benefits,
        is_responsible=product.is_responsible,
        care_date=ask.care_date,
    )
    return check, decision


async def simulate(
    connection: Connection, verdicts: Verdicts, submission: Submission, *, now: datetime, actor: Actor
) -> Decision:
    """The decision that a submission would get; of it nothing is kept but that it was asked. Raises as ``decide`` does."""
    check, decision = await decide(connection, verdicts, submission, now=now)
    await audit.record(
        connection,
        actor=actor,
        action=Action.APPROVAL_SIMULATED,
        subject_id=check.id,
        insurer_id=check.insurer_id,
    )
    return decision


async def submit(
    connection: Connection, verdicts: Verdicts, submission: Submission, *, now: datetime, actor: Actor
) -> PriorApproval:
    """Decides a request, keeps it, and tells the insurer, in the caller's transaction; raises as ``decide`` does."""
    check, decision = await decide(connection, verdicts, submission, now=now)
    submitted = life.after(None, Kind.SUBMITTED)
    decided = life.after(submitted, decision.kind)
    store = ApprovalStore(connection)
    insurer_id = check.insurer_id
    approval_id = await store.add(check, submission.request, decision, state=decided, now=now)
    await store.add_lines(insurer_id, approval_id, decision.lines)
    events = [
        (_event(1, Kind.SUBMITTED, submitted, "practitioner", "submitted", now), actor),
        (_event(2, decision.kind, decided, "system", decision.code, now), Actor(kind="system")),
    ]
    for event, who in events:
        await store.append_event(insurer_id, approval_id, event, actor=who)
    await audit.record(
        connection, actor=actor, action=Action.APPROVAL_SUBMITTED, subject_id=approval_id, insurer_id=insurer_id
    )
    approval = await store.get(insurer_id, approval_id)
    assert approval is not None
    await _tell_insurer(connection, approval, EventKind.APPROVAL_DECIDED, now=now)
    return approval


async def cancel(
    connection: Connection, reference: Reference, practitioner: PractitionerId, *, now: datetime, actor: Actor
) -> PriorApproval | None:
    """Cancels a practitioner's own approval; None where there is none. Raises ``StateForbids``."""
    insurer = await insurers.find(connection, reference.insurer_number)
    store = ApprovalStore(connection)
    approval = await store.lock(insurer.id, ApprovalId(reference.id))
    if approval is None or approval.practitioner_id != practitioner:
        return None
    state = life.after(approval.state, Kind.CANCELLED)
    version = approval.version + 1
    event = _event(version, Kind.CANCELLED, state, "practitioner", "cancelled_by_practitioner", now)
    await store.append_event(insurer.id, approval.id, event, actor=actor)
    await store.project(insurer.id, approval.id, state=state, version=version)
    await audit.record(
        connection, actor=actor, action=Action.APPROVAL_CANCELLED, subject_id=approval.id, insurer_id=insurer.id
    )
    cancelled = await store.get(insurer.id, approval.id)
    assert cancelled is not None
    await _tell_insurer(connection, cancelled, EventKind.APPROVAL_CANCELLED, now=now)
    return cancelled


async def read(
    connection: Connection, reference: Reference, practitioner: PractitionerId, *, actor: Actor
) -> PriorApproval | None:
    """A practitioner's own approval; None where there is none. The reading is audited."""
    insurer = await insurers.find(connection, reference.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(reference.id))
    if approval is None or approval.practitioner_id != practitioner:
        return None
    await audit.record(
        connection, actor=actor, action=Action.APPROVAL_READ, subject_id=approval.id, insurer_id=insurer.id
    )
    return approval


async def events(connection: Connection, approval: PriorApproval) -> Sequence[ApprovalEvent]:
    """All that happened to an approval, in order."""
    return await ApprovalStore(connection).events(approval.insurer_id, approval.id)


async def list_of_practitioner(
    connection: Connection,
    practitioner: PractitionerId,
    *,
    state: State | None,
    after: ApprovalId | None,
    limit: int,
    actor: Actor,
) -> Sequence[PriorApproval]:
    """A practitioner's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, subject_id=practitioner)
    return await ApprovalStore(connection).of_practitioner(practitioner, state, after, limit)


async def list_of_insurer(
    connection: Connection,
    insurer: InsurerId,
    *,
    state: State | None,
    after: ApprovalId | None,
    limit: int,
    actor: Actor,
) -> Sequence[PriorApproval]:
    """An insurer's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, insurer_id=insurer)
    return await ApprovalStore(connection).of_insurer(insurer, state, after, limit)


def _event(version: int, kind: Kind, state: State, actor_kind: str, reason_code: str, now: datetime) -> ApprovalEvent:
    return ApprovalEvent(
        version=version, kind=kind, state=state, actor_kind=actor_kind, reason_code=reason_code, occurred_at=now
    )


async def _tell_insurer(connection: Connection, approval: PriorApproval, kind: EventKind, *, now: datetime) -> None:
    """The insurer's event: ids, codes and amounts of its own insured person's approval."""
    data = {
        "prior_approval_id": str(Reference(insurer_number=approval.insurer_number, id=approval.id)),
        "version": approval.version,
        "state": approval.state.value,
        "code": approval.code,
        "domain": approval.domain.value,
        "care_date": approval.care_date.isoformat(),
        "valid_until": approval.valid_until and approval.valid_until.isoformat(),
        "membership_number": approval.membership_number,
        "birth_date": approval.birth_date,
        "birth_rank": approval.birth_rank,
        "lines": [
            {
                "item": line.item.value,
                "benefit": line.benefit,
                "price_cents": line.price,
                "base_cents": line.base,
                "amo_cents": line.amo,
                "granted_cents": line.granted,
                "patient_cents": line.patient,
                "code": line.code,
            }
            for line in approval.lines
        ],
    }
    await insurers.publish(connection, approval.insurer_id, kind, subject_id=approval.id, data=data, now=now)
