"""What an insurer does about an approval that waits for it."""

from collections.abc import Sequence

from tpgateway.audit import Action
from tpgateway.claims import errors
from tpgateway.claims.deciding import Tools, case_of
from tpgateway.claims.model import DecidedLine, Kind, Party, PriorApproval, Request, State, Stay
from tpgateway.claims.parties import Act, Owned, locked
from tpgateway.claims.rules import decisions, hospital, optical, reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.steps import Grant, granted_anew, none_granted, restore, step
from tpgateway.database import Connection
from tpgateway.insurers import service as insurers


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


async def decide(
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


async def by_rules(connection: Connection, tools: Tools, approval: PriorApproval) -> Sequence[DecidedLine]:
    """The lines as rules would price them today, beside what others have got since."""
    return decisions.price(approval.request, await case_of(connection, tools, approval))


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
        case = await case_of(connection, tools, approval)
        _refuse_above_ceiling(approval.request, lines, case)
        _refuse_granted_to_another(approval, lines, case)
    return lines


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
