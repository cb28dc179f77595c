"""Requests for approval: simulated, or decided and kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action
from tpgateway.cards.model import CardCheck, Outcome, Verdict
from tpgateway.claims import errors
from tpgateway.claims.deciding import Tools, after_decision, decide, refuse_other_day
from tpgateway.claims.model import Decision, Kind, PriorApproval, Request, Stay
from tpgateway.claims.parties import Act
from tpgateway.claims.rules import life
from tpgateway.claims.rules.consumption import uses_of
from tpgateway.claims.steps import event_of, telling
from tpgateway.claims.store.approvals import ApprovalStore, Proven
from tpgateway.database import Connection
from tpgateway.database.migrations.distribute import is_distributed
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import InsurerId, InsurerState
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web import limits

_SIMULATED_TOGETHER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Who asks what of whom: the proof is as it is kept, the insurer's number padded."""

    practitioner_id: PractitionerId
    insurer_number: str
    proof: str
    request: Request


async def simulate(connection: Connection, tools: Tools, submission: Submission, act: Act) -> Decision:
    """The decision that a submission would get. Raises as ``submit`` does.

    Nothing is kept of it but that it was asked: once in ten minutes of one check, however often a page calculates anew.
    """
    found = await ApprovalStore(connection).proven(submission.insurer_number, submission.proof, locks=False)
    proven, check, verdict = await _accepted(connection, tools, submission, act.now, found)
    decision = await decide(connection, tools, submission.request, proven.rules, check, verdict, proven.uses, act)
    await record_simulated(connection, check.id, check.insurer_id, act)
    return decision


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
    decision = await decide(connection, tools, submission.request, proven.rules, check, verdict, proven.uses, act)
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
    approval, decided = after_decision(new, submission.request, decision, proven.rules, now)
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
    refuse_other_day(submission.request, check)
    return proven, check, verdict


async def record_simulated(connection: Connection, subject: UUID, insurer_id: InsurerId, act: Act) -> None:
    key = f"simulated {subject} {act.actor.agent_id}"
    if await limits.spend(connection, key, quota=1, window=_SIMULATED_TOGETHER, now=act.now):
        await audit.record(
            connection,
            actor=act.actor,
            action=Action.APPROVAL_SIMULATED,
            subject_id=subject,
            insurer_id=insurer_id,
        )
