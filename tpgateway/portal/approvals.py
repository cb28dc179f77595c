"""A practice's approvals: asked for with what would be granted beside, listed, read, answered, changed."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from tpgateway.claims import documents, parties, service
from tpgateway.claims.errors import AttachmentNotAsked, StateForbids, VersionStale
from tpgateway.claims.handlers import approvals as handlers
from tpgateway.claims.handlers import documents as document_handlers
from tpgateway.claims.model import Kind, PriorApproval, State, Stay
from tpgateway.claims.payloads import (
    AppealRequest,
    ApprovalsQuery,
    AttachmentQuery,
    CancellationQuery,
    InformationRequest,
    PriorApprovalView,
    UseRequest,
)
from tpgateway.claims.sentences import (
    ACTORS_FR,
    DOCUMENTS_FR,
    ITEMS_FR,
    KINDS_FR,
    RENEWALS_FR,
    SIMULATED_FR,
    STATES_FR,
    silence_fr,
)
from tpgateway.conventions import service as conventions
from tpgateway.conventions.errors import NoConvention
from tpgateway.errors import REASONS, Fault, FieldMissing, InvalidRequest, Problem
from tpgateway.guarantees.model import Domain
from tpgateway.insurers import service as insurers
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.portal.forms import Form, Typed, number_of, read
from tpgateway.portal.pages import (
    call_of,
    chunks_of,
    draft,
    form_key,
    form_of,
    keep_form,
    may_act,
    page,
    parts_of,
    person,
    read_part,
    see_other,
    spend_own,
    submitted,
    transaction,
)
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.vault import SealBroken
from tpgateway.web.callers import Caller, Role
from tpgateway.web.frame import refuse_cross_site, refuse_role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Call
from tpgateway.web.state import STATE
from tpgateway.web.validation import parse_parameters

_PAGE = 25
_SEARCH = "recherche"
_WAITING = 50
_DOCUMENT = "document"
_ANSWERED = {"version", "key", "answer"}
_ANSWER_BYTES = 50_000
NAMES: dict[str, Any] = {
    "states": STATES_FR,
    "kinds": KINDS_FR,
    "actors": ACTORS_FR,
    "items": ITEMS_FR,
    "document_names": DOCUMENTS_FR,
    "renewal_names": RENEWALS_FR,
    "simulated": SIMULATED_FR,
}


# The list --------------------------------------------------------------------------------------------------------------


async def list_page(request: web.Request) -> web.Response:
    """What waits for the practice first, then all that was searched for."""
    caller = await person(request)
    call, me = call_of(request, caller), PractitionerId(caller.account_id)
    typed, query, problem = search_of(request, caller)
    async with transaction(call):
        kinds = await _kinds_of_request(call, me) if may_act(caller) else []
        found = await parties.list_of_practitioner(call.connection, me, query.search(), actor=call.actor)
        waiting: Sequence[PriorApproval] = ()
        if query == ApprovalsQuery(limit=_PAGE):
            waiting = await parties.waiting_for_practitioner(call.connection, me, limit=_WAITING, actor=call.actor)
    return page(
        request,
        "approvals.html",
        is_logged_in=True,
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(SEARCH_LABELS, typed, problem),
        waiting=[PriorApprovalView.of(each) for each in waiting],
        **listed(found, query),
        kinds_of_request=kinds,
    )


async def search(request: web.Request) -> web.StreamResponse:
    """To the list, narrowed to what was asked for."""
    return await to_search(request, await person(request))


SEARCH_LABELS = {
    "state": "État",
    "membership_number": "Numéro d'adhérent",
    "care_date": "Date des soins",
    "waits_for": "Attend",
}
_SEARCHED = {*SEARCH_LABELS, "after"}


async def to_search(request: web.Request, caller: Caller) -> web.StreamResponse:
    """The list's address with what is searched for, sealed: numbers of people stand in no address."""
    refuse_cross_site(request)
    asked = {name: value.strip() for name, value in await form_of(request) if name in _SEARCHED and value.strip()}
    if not asked:
        return see_other(request.path)
    sealed = request.app[STATE].vault.seal(json.dumps(asked).encode(), purpose=f"search {caller.member_id}")
    return see_other(f"{request.path}?{_SEARCH}={base64.urlsafe_b64encode(sealed).decode()}")


def search_of(request: web.Request, caller: Caller) -> tuple[Typed, ApprovalsQuery, Problem | None]:
    """What the address seals; what cannot be read is told, and what was sealed for another is none."""
    try:
        sealed = base64.urlsafe_b64decode(request.query.get(_SEARCH, ""))
        opened = request.app[STATE].vault.open(sealed, purpose=f"search {caller.member_id}") if sealed else b"{}"
    except (ValueError, SealBroken):
        opened = b"{}"
    typed: dict[str, str] = json.loads(opened)
    try:
        query = parse_parameters(ApprovalsQuery, {**typed, "limit": _PAGE})
        query.search()
    except InvalidRequest as problem:
        return typed, ApprovalsQuery(limit=_PAGE), problem
    return typed, query, None


def listed(found: Sequence[PriorApproval], query: ApprovalsQuery) -> dict[str, Any]:
    """What a list of approvals is shown with."""
    views = [PriorApprovalView.of(each) for each in found]
    last = views[-1].id if len(views) == query.limit else None
    return {
        "found": views,
        "is_search": any(getattr(query, name) for name in SEARCH_LABELS),
        "older": last,
        "is_later": query.after is not None,
        "state_names": [(each.value, name) for each, name in STATES_FR.items()],
        **NAMES,
    }


async def _kinds_of_request(call: Call, me: PractitionerId) -> list[tuple[str, str]]:
    """The requests that the practice's convention has room for; all where there is none today."""
    specialty = (await practitioners.get(call.connection, me)).specialty
    try:
        domains = (await conventions.find(call.connection, specialty, call.today)).terms.domains
    except NoConvention:
        domains = tuple(Domain)
    return [(kind, name) for domain, (kind, name) in _KINDS.items() if domain in domains]


_KINDS = {Domain.OPTI: ("optique", "Optique"), Domain.HOSP: ("hospitalisation", "Hospitalisation")}


# One -------------------------------------------------------------------------------------------------------------------


async def show(request: web.Request) -> web.Response:
    caller = await person(request)
    call = call_of(request, caller)
    return await _one(request, call, await draft(request, call))


async def _one(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    path = path_of(request)
    problem = said_on_page(problem)
    async with transaction(call):
        approval = await handlers.read_own(call, path.reference)
        events = await parties.events(call.connection, approval)
        attachments = await parties.attachments(call.connection, approval)
        may_attach = approval.state is State.INFORMATION_REQUESTED
        given = {each.kind for each in await documents.given(call.connection, approval)} if may_attach else set()
        agreed = await service.agreed_meanwhile(call.connection, approval)
        insurer = await insurers.get(call.connection, approval.insurer_id)
    return page(
        request,
        "approval.html",
        status=problem.status if problem else 200,
        is_logged_in=True,
        problem=problem,
        form=Form.of(ACTION_LABELS, typed, problem),
        approval=PriorApprovalView.of(approval),
        insurer_name=insurer.name,
        events=events,
        reasons=REASONS,
        attachments=attachments,
        wanted=[each for each in approval.documents if each not in given],
        welcome=[each for each in approval.documents or DOCUMENTS_FR if each in given or not approval.documents],
        given=given,
        agreed=agreed,
        silence=silence_fr(approval, insurer.approval_rules),
        may_act=may_act(call.caller),
        was_agreed=any(event.kind in {Kind.APPROVED, Kind.PARTIALLY_APPROVED} for event in events),
        may=service.possible(approval) if may_act(call.caller) else frozenset(),
        today=call.today.isoformat(),
        is_stay=isinstance(approval.request, Stay),
        key=form_key(typed, problem),
        kind_enum=Kind,
        **NAMES,
    )


def said_on_page(problem: Problem | None) -> Problem | None:
    """What is wrong with an act, said on the page that shows the approval as it stands by now."""
    if isinstance(problem, (StateForbids, VersionStale)):
        problem.next_step = "La page montre maintenant son état : vérifiez, puis recommencez s'il le faut."
    return problem


ACTION_LABELS = {
    "arguments": "Pourquoi l'organisme devrait revoir sa décision",
    "answer": "Votre réponse",
    "billed_on": "Facturée le",
    "sure": "Oui, annuler cette demande : l'organisme ne paiera rien",
}


def path_of(request: web.Request) -> ReferencePath:
    """The approval that the address names; raises ``NotFound``."""
    try:
        return parse_parameters(ReferencePath, {"id": request.match_info["id"]})
    except Problem:
        raise NotFound from None


Change = Callable[[Call, ReferencePath, dict[str, str]], Awaitable[object]]


async def _change(request: web.Request, act: Change) -> web.StreamResponse:
    """A change of one approval, back on its page afterwards."""
    caller = await person(request)
    path = path_of(request)

    async def do(call: Call, typed: dict[str, str]) -> str:
        await act(call, path, typed)
        return f"/demandes/{path.reference}"

    return await submitted(request, caller, do, lambda call, typed, problem: _one(request, call, typed, problem))


def _values(typed: Typed, *names: str) -> dict[str, object]:
    return {"version": number_of(typed.get("version")), **{name: typed[name] for name in names if typed.get(name)}}


async def cancel(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        if "sure" not in typed:
            sentence = "Cochez la case pour confirmer."
            raise InvalidRequest(faults=[Fault(pointer="/sure", problem=FieldMissing, message_fr=sentence)])
        query = parse_parameters(CancellationQuery, {"version": typed["version"]} if typed.get("version") else {})
        return await handlers.cancel(call, path=path, query=query)

    return await _change(request, act)


async def appeal(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.appeal(call, path=path, body=read(AppealRequest, _values(typed, "arguments"), call))

    return await _change(request, act)


async def inform(request: web.Request) -> web.StreamResponse:
    """Takes the documents that were chosen, then the answer."""
    if request.content_type == "multipart/form-data" and (shown := await _take_documents(request)) is not None:
        return shown

    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.inform(call, path=path, body=read(InformationRequest, _values(typed, "answer"), call))

    return await _change(request, act)


async def _take_documents(request: web.Request) -> web.Response | None:
    """Keeps documents as the API does, and the fields beside them for the act; the page again where one cannot be kept."""
    caller = await person(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    typed: dict[str, str] = {}
    try:
        refuse_role(caller, Role.STAFF)
        await spend_own(request, caller, 20)
        async for part in parts_of(request):
            if part.filename is None and part.name in _ANSWERED:
                typed[part.name] = (await read_part(request, part, _ANSWER_BYTES)).decode("utf-8", "replace")
            elif part.filename:
                kind = (part.name or "").removeprefix(f"{_DOCUMENT}.")
                query = parse_parameters(AttachmentQuery, {"kind": kind})
                with suppress(AttachmentNotAsked):  # sent twice: the act tells what came of it
                    await document_handlers.take_attachment(
                        call, chunks_of(request, part), path=path_of(request), query=query
                    )
    except Problem as problem:
        call.open_connection = None
        return await _one(request, call, typed, problem)
    keep_form(request, list(typed.items()))
    return None


async def use(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.use(call, path=path, body=read(UseRequest, _values(typed, "billed_on"), call))

    return await _change(request, act)
