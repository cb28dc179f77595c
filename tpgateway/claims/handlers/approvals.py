"""Handlers of prior approvals."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import web

from tpgateway.claims import parties, reviews, service, submissions
from tpgateway.claims.deciding import TOOLS, Tools
from tpgateway.claims.model import Kind, PriorApproval, Request
from tpgateway.claims.parties import Act, ApprovalUnknown, Owned
from tpgateway.claims.payloads import (
    AmendmentRequest,
    AppealRequest,
    ApprovalEventListView,
    ApprovalEventView,
    ApprovalsQuery,
    CancellationQuery,
    DecisionRequest,
    ExtensionRequest,
    InformationRequest,
    LineView,
    PriorApprovalListView,
    PriorApprovalRequest,
    PriorApprovalView,
    QuestionRequest,
    SimulationView,
    UseRequest,
)
from tpgateway.claims.steps import Grant
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import InsurerId, Reference
from tpgateway.insurers.numbering import NUMBERING
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.callers import Caller
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call
from tpgateway.web.state import STATE


async def submit(call: Call, *, body: PriorApprovalRequest) -> Answer:
    """Decides by rule, in this call, and tells the insurer. A refusal is an answer too.

    Where the insurer wants to look first, the answer names who acts next and by when.
    """
    return _created(
        await submissions.submit(call.connection, _tools(call), _submission(call.caller, body), act_of(call))
    )


async def submit_ahead(
    app: web.Application, caller: Caller, body: PriorApprovalRequest, now: datetime, request_id: str
) -> Answer | None:
    """The same without a transaction, unless it takes one."""
    act = Act(now, caller.actor(request_id))
    async with app[STATE].connection() as connection:
        approval = await submissions.submit_ahead(connection, app[TOOLS], _submission(caller, body), act)
    if approval is None:
        return None
    app[NUMBERING].ask(approval.insurer_id)
    return _created(approval)


async def simulate(call: Call, *, body: PriorApprovalRequest) -> Answer:
    """The same decision, kept nowhere and told to nobody."""
    decision = await submissions.simulate(call.connection, _tools(call), _submission(call.caller, body), act_of(call))
    return Answer(body=SimulationView.of_decision(decision))


async def simulate_amendment(call: Call, *, path: ReferencePath, body: AmendmentRequest) -> Answer:
    """What the change would come to. ``change_refused`` says that what was agreed would stand."""
    return await _simulated_change(call, path, body.request(), body.version, Kind.AMENDED)


async def simulate_extension(call: Call, *, path: ReferencePath, body: ExtensionRequest) -> Answer:
    """What the longer stay would come to. ``change_refused`` says that what was agreed would stand."""
    return await _simulated_change(call, path, body.stay.request(), body.version, Kind.EXTENDED)


async def _simulated_change(call: Call, path: ReferencePath, request: Request, version: int, kind: Kind) -> Answer:
    async with or_not_found():
        decision = await service.simulate_change(
            call.connection, _tools(call), owned(call, path.reference), request, act_of(call, version), kind=kind
        )
    return Answer(body=SimulationView.of_decision(decision))


async def list_approvals(call: Call, *, query: ApprovalsQuery) -> Answer:
    found = await parties.list_of_practitioner(call.connection, _me(call), query.search(), actor=call.actor)
    return _page(found, query.limit)


async def show_approval(call: Call, *, path: ReferencePath) -> Answer:
    return Answer(body=PriorApprovalView.of(await read_own(call, path.reference)))


async def list_approval_events(call: Call, *, path: ReferencePath) -> Answer:
    events = await parties.events(call.connection, await read_own(call, path.reference))
    return Answer(body=ApprovalEventListView(events=[ApprovalEventView.of(event) for event in events]))


async def cancel(call: Call, *, path: ReferencePath, query: CancellationQuery) -> Answer:
    """Cancels a request that is not billed yet: what it used of the benefits is given back, and the insurer told.

    With ``version``, only where nothing else has changed it meanwhile.
    """
    return await _changed(service.cancel(call.connection, owned(call, path.reference), act_of(call, query.version)))


async def amend(call: Call, *, path: ReferencePath, body: AmendmentRequest) -> Answer:
    """Decides the changed request anew: same person, same day of care, a new revision of the lines."""
    return await _changed(
        service.amend(
            call.connection, _tools(call), owned(call, path.reference), body.request(), act_of(call, body.version)
        )
    )


async def extend(call: Call, *, path: ReferencePath, body: ExtensionRequest) -> Answer:
    """Decides the longer stay: the fees of each day by its date, the days covered as the year leaves them."""
    return await _changed(
        service.amend(
            call.connection,
            _tools(call),
            owned(call, path.reference),
            body.stay.request(),
            act_of(call, body.version),
            kind=Kind.EXTENDED,
        )
    )


async def appeal(call: Call, *, path: ReferencePath, body: AppealRequest) -> Answer:
    """Asks the insurer to look again at a refusal or a cut."""
    return await _changed(
        service.appeal(call.connection, owned(call, path.reference), body.arguments, act_of(call, body.version))
    )


async def inform(call: Call, *, path: ReferencePath, body: InformationRequest) -> Answer:
    """Answers what the insurer asked; documents that it wants are attached before."""
    return await _changed(
        service.inform(call.connection, owned(call, path.reference), body.answer, act_of(call, body.version))
    )


async def use(call: Call, *, path: ReferencePath, body: UseRequest) -> Answer:
    """Says that the approval was billed: nothing can be changed any more."""
    return await _changed(
        service.use(
            call.connection, _tools(call), owned(call, path.reference), body.billed_on, act_of(call, body.version)
        )
    )


async def list_insurer_approvals(call: Call, *, query: ApprovalsQuery) -> Answer:
    found = await parties.list_of_insurer(
        call.connection, InsurerId(call.caller.account_id), query.search(), actor=call.actor
    )
    return _page(found, query.limit)


async def show_insurer_approval(call: Call, *, path: ReferencePath) -> Answer:
    return Answer(body=PriorApprovalView.of(await read_own(call, path.reference)))


async def list_insurer_approval_events(call: Call, *, path: ReferencePath) -> Answer:
    return await list_approval_events(call, path=path)


async def decide(call: Call, *, path: ReferencePath, body: DecisionRequest) -> Answer:
    """Decides what waits for the insurer, line by line where it wants."""
    grants = [Grant(line=each.line, granted=Cents(each.granted_cents), code=each.code) for each in body.lines]
    return await _changed(
        reviews.decide(
            call.connection,
            _tools(call),
            owned(call, path.reference),
            Kind(body.decision),
            grants,
            act_of(call, body.version),
            code=body.code,
            comment=body.comment,
        )
    )


async def by_rules(call: Call, approval: PriorApproval) -> Sequence[LineView]:
    """What rules would grant today of the lines of an approval that the caller has read."""
    lines = await reviews.by_rules(call.connection, _tools(call), approval)
    return [LineView.of(number, line) for number, line in enumerate(lines, start=1)]


async def ask(call: Call, *, path: ReferencePath, body: QuestionRequest) -> Answer:
    """Asks the practitioner before deciding; the clock then runs on the practitioner's side."""
    return await _changed(
        reviews.ask(
            call.connection, owned(call, path.reference), body.question, body.documents, act_of(call, body.version)
        )
    )


def owned(call: Call, reference: Reference) -> Owned:
    """The approval that the caller names as its own."""
    if call.caller.kind == "insurer":
        return Owned.by_insurer(reference, InsurerId(call.caller.account_id))
    return Owned.by_practitioner(reference, _me(call))


@asynccontextmanager
async def or_not_found() -> AsyncIterator[None]:
    """Raises ``NotFound`` where the caller has no such approval, whatever the reason."""
    try:
        yield
    except (ApprovalUnknown, InsurerUnknown):
        raise NotFound from None


async def read_own(call: Call, reference: Reference) -> PriorApproval:
    """The caller's own approval; raises ``NotFound``."""
    async with or_not_found():
        return await parties.read(call.connection, owned(call, reference), act_of(call))


async def _changed(change: Awaitable[PriorApproval]) -> Answer:
    async with or_not_found():
        return Answer(body=PriorApprovalView.of(await change))


def _submission(caller: Caller, body: PriorApprovalRequest) -> submissions.Submission:
    return submissions.Submission(
        practitioner_id=PractitionerId(caller.account_id),
        insurer_number=body.insurer_number,
        proof=body.proof,
        request=body.request(),
    )


def _created(approval: PriorApproval) -> Answer:
    view = PriorApprovalView.of(approval)
    return Answer(status=201, body=view, headers={"Location": f"/v1/prior-approvals/{view.id}"})


def _page(found: Sequence[PriorApproval], limit: int) -> Answer:
    views = [PriorApprovalView.of(approval) for approval in found]
    return Answer(
        body=PriorApprovalListView(prior_approvals=views, after=views[-1].id if len(views) == limit else None)
    )


def _tools(call: Call) -> Tools:
    return call.request.app[TOOLS]


def act_of(call: Call, version: int | None = None) -> Act:
    """Who acts and when, on which version."""
    return Act(call.now, call.actor, version)


def _me(call: Call) -> PractitionerId:
    return PractitionerId(call.caller.account_id)
