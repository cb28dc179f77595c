"""Approvals at the insurers' desk: what waits for a decision, all others, one of them decided line by line."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from aiohttp import web

from tpgateway.claims import parties, service
from tpgateway.claims.errors import (
    DecisionNeedsLines,
    DecisionNeedsReason,
    GrantAboveResponsible,
    GrantBelowAppealed,
    GrantedToAnother,
    GrantTooLarge,
)
from tpgateway.claims.handlers import approvals as handlers
from tpgateway.claims.handlers import documents as document_handlers
from tpgateway.claims.model import Party, State, Stay
from tpgateway.claims.payloads import (
    AttachmentPath,
    DecisionRequest,
    PriorApprovalView,
    QuestionRequest,
)
from tpgateway.claims.sentences import DOCUMENTS_FR, INSURERS_CODES, silence_fr
from tpgateway.errors import REASONS, Fault, FieldInvalid, FieldMissing, InvalidRequest, Problem
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.portal.approvals import NAMES, SEARCH_LABELS, listed, path_of, said_on_page, search_of, to_search
from tpgateway.portal.forms import Form, Typed, cents, number_of, read, typed_euros
from tpgateway.portal.pages import call_of, desk_person, draft, form_key, may_act, page, submitted, transaction
from tpgateway.practitioners import service as practitioners
from tpgateway.web.frame import respond
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_parameters

_MOST_WAITING = 100


async def waiting(request: web.Request) -> web.Response:
    """What waits for the insurer, what is due first on top."""
    caller = await desk_person(request)
    call, me = call_of(request, caller), InsurerId(caller.account_id)
    async with transaction(call):
        insurer = await insurers.get(call.connection, me)
        found, count = await parties.waiting_for_insurer(call.connection, me, limit=_MOST_WAITING, actor=call.actor)
    views = [PriorApprovalView.of(each) for each in found]
    return page(request, "desk/waiting.html", is_desk=True, insurer=insurer, found=views, count=count, **NAMES)


async def all_approvals(request: web.Request) -> web.Response:
    caller = await desk_person(request)
    call = call_of(request, caller)
    typed, query, problem = search_of(request, caller)
    async with transaction(call):
        found = await parties.list_of_insurer(
            call.connection, InsurerId(caller.account_id), query.search(), actor=call.actor
        )
    return page(
        request,
        "desk/approvals.html",
        is_desk=True,
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(SEARCH_LABELS, typed, problem),
        **listed(found, query),
    )


async def search(request: web.Request) -> web.StreamResponse:
    """To the list, narrowed to what was asked for."""
    return await to_search(request, await desk_person(request))


async def show(request: web.Request) -> web.Response:
    caller = await desk_person(request)
    call = call_of(request, caller)
    return await _one(request, call, await draft(request, call))


async def _one(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    path = path_of(request)
    problem = said_on_page(problem)
    async with transaction(call):
        approval = await handlers.read_own(call, path.reference)
        events = await parties.events(call.connection, approval)
        attachments = await parties.attachments(call.connection, approval)
        practitioner = await practitioners.get(call.connection, approval.practitioner_id)
        insurer = await insurers.get(call.connection, approval.insurer_id)
        agreed = await service.agreed_meanwhile(call.connection, approval)
        is_appeal = approval.state is State.APPEALED
        by_rules = await handlers.by_rules(call, approval) if is_appeal else ()
    view = PriorApprovalView.of(approval)
    known = {f"line.{line.line}.granted": typed_euros(line.granted_cents) for line in view.lines}
    labels = _LABELS | (_APPEAL_LABELS if is_appeal else {})
    for line in view.lines:
        name = NAMES["items"][line.item]
        labels |= {f"line.{line.line}.granted": f"{name}, accordé", f"line.{line.line}.code": f"{name}, motif"}
    return page(
        request,
        "desk/approval.html",
        is_desk=True,
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(labels, {**known, **typed}, problem),
        approval=view,
        practitioner=practitioner,
        insurer_name=insurer.name,
        events=events,
        attachments=attachments,
        agreed=agreed,
        by_rules=by_rules,
        silence=silence_fr(approval, insurer.approval_rules),
        reasons=REASONS,
        whys=[(code, REASONS[code].message_fr) for code in INSURERS_CODES],
        may_decide=may_act(call.caller) and approval.waits_for is Party.INSURER,
        may_ask=approval.state is State.UNDER_REVIEW,
        is_appeal=is_appeal,
        is_stay=isinstance(approval.request, Stay),
        key=form_key(typed, problem),
        may_act=may_act(call.caller),
        **NAMES,
    )


_LABELS = {
    "decision": "Décision",
    "code": "Motif du refus",
    "why": "Commentaire sur le refus",
    "comment": "Commentaire pour le professionnel",
    "question": "Votre question",
    **{f"documents.{kind}": name for kind, name in DOCUMENTS_FR.items()},
}


_APPEAL_LABELS = {"code": "Motif de la décision maintenue", "why": "Commentaire sur la décision maintenue"}


async def decide(request: web.Request) -> web.StreamResponse:
    """As computed, line by line, or not at all."""
    caller = await desk_person(request)
    path = path_of(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        values: dict[str, object] = {"version": number_of(typed.get("version"))}
        grants: list[dict[str, object]] = []
        match typed.get("decision"):
            case "refused":
                values |= {"decision": "refused", "code": typed.get("code"), "comment": typed.get("why")}
            case "lines":
                lines = (await handlers.read_own(call, path.reference)).lines
                grants = _grants(typed, len(lines))
                values |= {"decision": "approved", "lines": grants, "comment": typed.get("comment")}
            case "approved":
                values |= {"decision": "approved"}
            case _:
                sentence = "Choisissez une décision."
                raise InvalidRequest(faults=[Fault(pointer="/decision", problem=FieldMissing, message_fr=sentence)])
        with _placed(grants):
            body = read(DecisionRequest, {name: value for name, value in values.items() if value}, call)
            await handlers.decide(call, path=path, body=body)
        return f"/assureur/demandes/{path.reference}"

    return await submitted(request, caller, act, lambda call, typed, problem: _one(request, call, typed, problem))


def _grants(typed: Typed, lines: int) -> list[dict[str, object]]:
    """An amount for every line, and the reason where one was chosen; raises the faults of amounts that are none."""
    grants: list[dict[str, object]] = []
    faults = []
    for number in range(1, lines + 1):
        try:
            grant: dict[str, object] = {"line": number, "granted_cents": cents(typed.get(f"line.{number}.granted", ""))}
        except ValueError as error:
            pointer = f"/line/{number}/granted"
            faults.append(Fault(pointer=pointer, problem=FieldInvalid, message_fr=str(error)))
            continue
        if code := typed.get(f"line.{number}.code"):
            grant["code"] = code
        grants.append(grant)
    if faults:
        raise InvalidRequest(faults=faults)
    return grants


_OF_A_LINE = (GrantTooLarge, GrantBelowAppealed, GrantAboveResponsible, GrantedToAnother, DecisionNeedsReason)


@contextmanager
def _placed(grants: Sequence[Mapping[str, object]]) -> Iterator[None]:
    """What is wrong with a line or a word, at the field of the form that it was typed into."""
    try:
        yield
    except _OF_A_LINE as problem:
        number = (problem.detail or "").removeprefix("line ").split(":")[0]
        place = "code" if isinstance(problem, DecisionNeedsReason) else "granted"
        raise InvalidRequest(
            faults=[Fault(pointer=f"/line/{number}/{place}", problem=type(problem))], next_step=problem.next_step
        ) from None
    except DecisionNeedsLines:
        raise DecisionNeedsLines(
            next_step="Pour ne rien accorder, refusez la demande ou maintenez la décision."
        ) from None
    except InvalidRequest as problem:
        places = {f"/lines/{index}/": f"/line/{grant['line']}/" for index, grant in enumerate(grants)}
        places |= {} if grants else {"/comment": "/why"}
        faults = [_moved(each, places) for each in problem.faults]
        unsaid = "Dites pourquoi : par un motif, un commentaire ou les deux."
        raise InvalidRequest(
            faults=[replace(each, pointer="/why", message_fr=unsaid) if not each.pointer else each for each in faults]
        ) from None


def _moved(fault: Fault, places: Mapping[str, str]) -> Fault:
    place = next((each for each in places if fault.pointer.startswith(each)), None)
    return fault if place is None else replace(fault, pointer=places[place] + fault.pointer.removeprefix(place))


async def ask(request: web.Request) -> web.StreamResponse:
    """A question to the practitioner, who then has the insurer's days to answer."""
    caller = await desk_person(request)
    path = path_of(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        wanted = [kind for kind in DOCUMENTS_FR if f"documents.{kind}" in typed]
        values = {
            "version": number_of(typed.get("version")),
            "question": typed.get("question", ""),
            "documents": wanted,
        }
        await handlers.ask(call, path=path, body=read(QuestionRequest, values, call))
        return f"/assureur/demandes/{path.reference}"

    return await submitted(request, caller, act, lambda call, typed, problem: _one(request, call, typed, problem))


async def letter(request: web.Request) -> web.StreamResponse:
    caller = await desk_person(request)
    call = call_of(request, caller)
    async with transaction(call):
        answer = await document_handlers.show_letter(call, path=path_of(request))
    return respond(answer)


async def attachment(request: web.Request) -> web.StreamResponse:
    caller = await desk_person(request)
    try:
        path = parse_parameters(AttachmentPath, dict(request.match_info))
    except Problem:
        raise NotFound from None
    return await document_handlers.show_attachment(call_of(request, caller), path=path)
