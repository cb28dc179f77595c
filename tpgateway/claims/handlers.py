"""Handlers of prior approvals."""

from collections.abc import Sequence

from tpgateway.cards.checker import CHECKER
from tpgateway.cards.verdicts import Verdicts
from tpgateway.claims import service
from tpgateway.claims.model import ApprovalId, PriorApproval, State
from tpgateway.claims.payloads import (
    ApprovalEventListView,
    ApprovalEventView,
    ApprovalsQuery,
    PriorApprovalListView,
    PriorApprovalRequest,
    PriorApprovalView,
    SimulationView,
)
from tpgateway.claims.rules import life
from tpgateway.errors import Fault, FieldInvalid, InvalidRequest
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import InsurerId, Reference
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call


async def submit(call: Call, *, body: PriorApprovalRequest) -> Answer:
    """Decides by rule, in this call, and tells the insurer. A refusal is an answer too."""
    approval = await service.submit(
        call.connection, _verdicts(call), _submission(call, body), now=call.now, actor=call.actor
    )
    view = PriorApprovalView.of(approval)
    return Answer(status=201, body=view, headers={"Location": f"/v1/prior-approvals/{view.id}"})


async def simulate(call: Call, *, body: PriorApprovalRequest) -> Answer:
    """The same decision, kept nowhere and told to nobody."""
    decision = await service.simulate(
        call.connection, _verdicts(call), _submission(call, body), now=call.now, actor=call.actor
    )
    state = life.after(State.SUBMITTED, decision.kind)
    return Answer(body=SimulationView.of_decision(decision, state))


async def list_approvals(call: Call, *, query: ApprovalsQuery) -> Answer:
    found = await service.list_of_practitioner(
        call.connection, _me(call), state=query.state, after=_after(query), limit=query.limit, actor=call.actor
    )
    return _page(found, query.limit)


async def show_approval(call: Call, *, path: ReferencePath) -> Answer:
    return Answer(body=PriorApprovalView.of(await _mine(call, path.reference)))


async def list_approval_events(call: Call, *, path: ReferencePath) -> Answer:
    events = await service.events(call.connection, await _mine(call, path.reference))
    return Answer(body=ApprovalEventListView(events=[ApprovalEventView.of(event) for event in events]))


async def cancel(call: Call, *, path: ReferencePath) -> Answer:
    """Cancels a decided request and tells the insurer."""
    try:
        cancelled = await service.cancel(call.connection, path.reference, _me(call), now=call.now, actor=call.actor)
    except InsurerUnknown:
        cancelled = None
    if cancelled is None:
        raise NotFound
    return Answer(body=PriorApprovalView.of(cancelled))


async def list_insurer_approvals(call: Call, *, query: ApprovalsQuery) -> Answer:
    found = await service.list_of_insurer(
        call.connection,
        InsurerId(call.caller.account_id),
        state=query.state,
        after=_after(query),
        limit=query.limit,
        actor=call.actor,
    )
    return _page(found, query.limit)


def _submission(call: Call, body: PriorApprovalRequest) -> service.Submission:
    return service.Submission(
        practitioner_id=_me(call),
        insurer_number=body.insurer_number,
        proof=body.proof,
        request=body.request(),
    )


async def _mine(call: Call, reference: Reference) -> PriorApproval:
    try:
        approval = await service.read(call.connection, reference, _me(call), actor=call.actor)
    except InsurerUnknown:
        approval = None
    if approval is None:
        raise NotFound
    return approval


def _after(query: ApprovalsQuery) -> ApprovalId | None:
    if query.after is None:
        return None
    try:
        return ApprovalId(Reference.parse(query.after).id)
    except ValueError:
        raise InvalidRequest(faults=[Fault(pointer="/query/after", problem=FieldInvalid)]) from None


def _page(found: Sequence[PriorApproval], limit: int) -> Answer:
    views = [PriorApprovalView.of(approval) for approval in found]
    return Answer(
        body=PriorApprovalListView(prior_approvals=views, after=views[-1].id if len(views) == limit else None)
    )


def _verdicts(call: Call) -> Verdicts:
    return call.request.app[CHECKER].verdicts


def _me(call: Call) -> PractitionerId:
    return PractitionerId(call.caller.account_id)
