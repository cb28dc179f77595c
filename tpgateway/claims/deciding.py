"""What decisions are made with: the contract, the law, and what the person used before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiohttp import web

from tpgateway.cards import service as cards
from tpgateway.cards.model import CardCheck, Verdict
from tpgateway.cards.verdicts import Verdicts
from tpgateway.claims import errors
from tpgateway.claims.model import ApprovalEvent, Decision, OpticalRequest, PriorApproval, Request
from tpgateway.claims.parties import Act
from tpgateway.claims.rules import decisions, life
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.steps import day_of, due_at_of, event_of
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.database import Connection
from tpgateway.guarantees.model import Use
from tpgateway.guarantees.service import TariffCache
from tpgateway.insurers.model import ApprovalRules


@dataclass(slots=True)
class Tools:
    """What decisions are made with beside the caller's connection; one a process."""

    verdicts: Verdicts
    tariffs: TariffCache
    is_spread: bool | None = None
    """Whether the data are on several servers, as soon as that was asked."""


TOOLS: web.AppKey[Tools] = web.AppKey("claims_tools", Tools)


async def decide(
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
    """What a request comes to on a card check, given what the person used; ``must_be_seen`` as of ``decisions.decide``."""
    case = await _case(connection, tools, check, verdict, uses)
    return decisions.decide(request, case, rules, today=day_of(act.now), must_be_seen=must_be_seen)


def after_decision(
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


async def case_of(connection: Connection, tools: Tools, approval: PriorApproval) -> Case:
    """What the approval would be decided on now: others' uses, and not its own."""
    check, verdict = await cards.proven(connection, tools.verdicts, approval.insurer_id, approval.card_check_id)
    uses = await ApprovalStore(connection).uses(approval.insurer_id, check.person, but=approval.id)
    return await _case(connection, tools, check, verdict, uses)


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


def refuse_other_day(request: Request, check: CardCheck) -> None:
    """Raises ``PrescriptionInFuture`` and ``ProofOfOtherDay``: the day of care is the check's."""
    if isinstance(request, OpticalRequest):
        if request.prescription_date > check.ask.care_date:
            raise errors.PrescriptionInFuture
    elif request.entry_date != check.ask.care_date:
        raise errors.ProofOfOtherDay
