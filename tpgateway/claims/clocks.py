"""What follows from nobody having acted in time."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tpgateway.audit import SYSTEM, Action
from tpgateway.claims.model import ApprovalId, Kind, PriorApproval
from tpgateway.claims.parties import Act, lock
from tpgateway.claims.rules import decisions, life, reasons
from tpgateway.claims.rules.life import Silence
from tpgateway.claims.steps import none_granted, restore, step
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.database import Connection
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId


async def run_clock(
    connection: Connection, insurer_id: InsurerId, approval_id: ApprovalId, *, now: datetime
) -> PriorApproval | None:
    """What follows from nobody having acted in time; None where somebody has meanwhile."""
    approval = await lock(connection, insurer_id, approval_id)
    if approval is None or approval.due_at is None or approval.due_at > now:
        return None
    rules = (await insurers.get(connection, insurer_id)).approval_rules
    act, lines = Act(now, SYSTEM), approval.lines
    match life.silence(approval, rules):
        case Silence.RESTORES:
            return await restore(connection, approval, act, by="system")
        case Silence.KEEPS:
            is_cut = any(line.granted for line in lines)
            kind, reason = (Kind.PARTIALLY_APPROVED if is_cut else Kind.REFUSED), reasons.APPEAL_NOT_ANSWERED
        case Silence.GRANTS:
            kind, reason = decisions.outcome(lines)[0], reasons.TACIT_APPROVAL
        case Silence.REFUSES:
            kind, reason = Kind.REFUSED, reasons.TACIT_REFUSAL
            lines = none_granted(approval, reason)
        case Silence.CLOSES:
            kind, reason = Kind.EXPIRED, reasons.NOT_ANSWERED
            lines = none_granted(approval, reason)
        case Silence.ENDS:
            kind, reason = Kind.EXPIRED, reasons.EXPIRED
    return await step(connection, approval, kind, reason, act, Action.APPROVAL_CLOCK_RAN_OUT, by="system", lines=lines)


async def due(
    connection: Connection, *, now: datetime, limit: int, skip: int
) -> Sequence[tuple[InsurerId, ApprovalId]]:
    """Approvals whose clock ran out, but for the first so many."""
    return await ApprovalStore(connection).due(now, limit, skip)


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What no worker has seen to, as metrics."""
    return {"tpgateway_approvals_overdue": await ApprovalStore(connection).count_overdue()}
