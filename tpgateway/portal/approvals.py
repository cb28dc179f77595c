"""A practice's approvals: asked for with what would be granted beside, listed, read, answered, changed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from aiohttp import web
from aiohttp.multipart import BodyPartReader

from tpgateway.cards import service as cards
from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.model import CardCheck, CardCheckId
from tpgateway.claims import documents, parties, service
from tpgateway.claims.errors import AttachmentUnreadable
from tpgateway.claims.handlers import approvals as handlers
from tpgateway.claims.handlers import documents as document_handlers
from tpgateway.claims.model import Item, Kind, Party, PriorApproval, State, Stay
from tpgateway.claims.payloads import (
    AmendmentRequest,
    AppealRequest,
    ApprovalsQuery,
    AttachmentQuery,
    ExtensionRequest,
    InformationRequest,
    PriorApprovalRequest,
    PriorApprovalView,
    SimulationView,
    UseRequest,
)
from tpgateway.claims.sentences import (
    ACTORS_FR,
    CLASSES_FR,
    CORRECTIONS_FR,
    DOCUMENTS_FR,
    ITEMS_FR,
    KINDS_FR,
    RENEWALS_FR,
    STATES_FR,
)
from tpgateway.database import Connection
from tpgateway.errors import REASONS, InvalidRequest, Problem
from tpgateway.guarantees.model import Domain
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import Reference
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.portal.forms import Form, Typed, read
from tpgateway.portal.pages import call_of, draft, form_of, page, person, see_other, spend_own, submitted, transaction
from tpgateway.portal.requests import (
    GLASSES,
    HOSPITAL,
    LENSES,
    OPTICAL,
    STAY_ITEMS,
    WITH_BASE,
    RequestForm,
    read_request,
    typed_of,
)
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId, Scheme, Specialty
from tpgateway.web.callers import Role
from tpgateway.web.frame import refuse_cross_site, refuse_role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_parameters

_PAGE = 25
_WAITING = 50
FORMS = {"optique": OPTICAL, "hospitalisation": HOSPITAL}
_DOMAINS = {OPTICAL: Domain.OPTI, HOSPITAL: Domain.HOSP}
_MODES = (
    ("03", "03 hospitalisation complète"),
    ("04", "04 hospitalisation de jour"),
    ("07", "07 consultation externe"),
    ("19", "19 à domicile"),
)
_ADMISSIONS = (("planned", "programmée"), ("urgent", "en urgence"))
NAMES: dict[str, Any] = {
    "states": STATES_FR,
    "kinds": KINDS_FR,
    "actors": ACTORS_FR,
    "items": ITEMS_FR,
    "document_names": DOCUMENTS_FR,
}


# The list --------------------------------------------------------------------------------------------------------------


async def list_page(request: web.Request) -> web.Response:
    """What waits for the practice first, then all that was searched for."""
    caller = await person(request)
    call, me = call_of(request, caller), PractitionerId(caller.account_id)
    typed, query, problem = await search_of(request)
    async with transaction(call):
        specialty = (await practitioners.get(call.connection, me)).specialty
        found = await parties.list_of_practitioner(call.connection, me, query.search(), actor=call.actor)
        waiting = []
        if query == ApprovalsQuery(limit=_PAGE):
            mine = ApprovalsQuery(waits_for=Party.PRACTITIONER, limit=_WAITING)
            waiting = list(await parties.list_of_practitioner(call.connection, me, mine.search(), actor=call.actor))
    return page(
        request,
        "approvals.html",
        is_logged_in=True,
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(SEARCH_LABELS, typed, problem),
        waiting=[PriorApprovalView.of(each) for each in waiting],
        **listed(found, query),
        kinds_of_request=_kinds_for(specialty),
    )


async def search(request: web.Request) -> web.Response:
    """The list, narrowed to what was asked for."""
    return await list_page(request)


SEARCH_LABELS = {
    "state": "État",
    "membership_number": "Numéro d'adhérent",
    "care_date": "Date des soins",
    "waits_for": "Attend",
}


async def search_of(request: web.Request) -> tuple[Typed, ApprovalsQuery, Problem | None]:
    """What is searched for, sent as a form: numbers of people stand in no address. What cannot be read is told."""
    if request.method != "POST":
        return {}, ApprovalsQuery(limit=_PAGE), None
    refuse_cross_site(request)
    typed = {name: value.strip() for name, value in await form_of(request)}
    asked = {name: value for name, value in typed.items() if value and name in {*SEARCH_LABELS, "after"}}
    try:
        query = parse_parameters(ApprovalsQuery, {**asked, "limit": _PAGE})
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


def _kinds_for(specialty: Specialty) -> list[tuple[str, str]]:
    """The requests that a speciality makes, its own first."""
    kinds = [("optique", "Optique"), ("hospitalisation", "Hospitalisation")]
    return kinds[::-1] if specialty is Specialty.HOSPITAL else kinds


# A new one -------------------------------------------------------------------------------------------------------------


async def new(request: web.Request) -> web.Response:
    """The form, filled in from the card check that it comes from."""
    caller = await person(request)
    call = call_of(request, caller)
    typed = await draft(request, call)
    return await _form(request, call, _form_named(request), typed)


async def submit(request: web.Request) -> web.StreamResponse:
    """Submits; simulates where the page asked for that."""
    caller = await person(request)
    form = _form_named(request)
    typed = dict(await form_of(request))
    if "simulate" in typed:
        refuse_cross_site(request)
        call = call_of(request, caller)
        simulation, problem = await _simulated(request, call, form, typed)
        return await _form(request, call, form, typed, problem=problem, simulation=simulation)

    async def act(call: Call, typed: dict[str, str]) -> str:
        answer = await handlers.submit(call, body=read_request(PriorApprovalRequest, form, typed, call))
        assert isinstance(answer.body, PriorApprovalView)
        return f"/demandes/{answer.body.id}"

    async def show(call: Call, typed: dict[str, str], problem: Problem) -> web.Response:
        return await _form(request, call, form, typed, problem=problem)

    return await submitted(request, caller, act, show)


async def simulate(request: web.Request) -> web.Response:
    """What would be granted by what was typed so far: a part of the page."""
    caller = await person(request)
    refuse_cross_site(request)
    form, call, typed = _form_named(request), call_of(request, caller), dict(await form_of(request))
    simulation, problem = await _simulated(request, call, form, typed)
    return page(
        request,
        "simulation.html",
        simulation=simulation,
        problem=problem,
        form=Form.of(form.labels, typed, problem),
        **NAMES,
    )


async def _simulated(
    request: web.Request, call: Call, form: RequestForm, typed: Typed
) -> tuple[SimulationView | None, Problem | None]:
    try:
        refuse_role(call.caller, Role.STAFF)
        await spend_own(request, call.caller, 1)
        asked = read_request(PriorApprovalRequest, form, typed, call)
        async with transaction(call):
            answer = await handlers.simulate(call, body=asked)
    except Problem as problem:
        call.open_connection = None
        return None, problem
    assert isinstance(answer.body, SimulationView)
    return answer.body, None


def _form_named(request: web.Request) -> RequestForm:
    if (form := FORMS.get(request.match_info["kind"])) is None:
        raise web.HTTPNotFound
    return form


async def _form(
    request: web.Request,
    call: Call,
    form: RequestForm,
    typed: Typed,
    *,
    problem: Problem | None = None,
    simulation: SimulationView | None = None,
    approval: PriorApproval | None = None,
    is_extension: bool = False,
) -> web.Response:
    known: dict[str, str] = {}
    async with call.state.connection() as connection, connection.transaction():
        practitioner = await practitioners.get(connection, PractitionerId(call.caller.account_id))
        check = None
        if approval is None:
            check = await _check_of(request, connection, call)
    if check is not None:
        known |= {
            "insurer_number": check.ask.card.insurer_number,
            "proof": format_proof(check.proof),
            "stay.entry_date": check.ask.care_date.isoformat(),
        }
    finess = next((each.value for each in practitioner.identifiers if each.scheme is Scheme.FINESS), "")
    known["stay.finess"] = finess
    if approval is not None:
        known |= typed_of(approval.request)
        known["version"] = str(approval.version)
    return page(
        request,
        form.template,
        status=problem.status if problem else 200,
        is_logged_in=True,
        problem=problem,
        form=Form.of(form.labels, {**known, **typed}, problem),
        check=check,
        approval=approval and PriorApprovalView.of(approval),
        is_extension=is_extension,
        simulation=simulation,
        kind="hospitalisation" if form.is_stay else "optique",
        key=str(uuid4()),
        is_other_domain=check is not None and check.ask.domain is not _DOMAINS[form],
        glasses=[(name, name in LENSES) for name in GLASSES],
        stay_items=[(item.value, ITEMS_FR[item], item in WITH_BASE, item is Item.EXCESS_FEES) for item in STAY_ITEMS],
        classes=[(each.value, name) for each, name in CLASSES_FR.items()],
        corrections=[(each.value, name) for each, name in CORRECTIONS_FR.items()],
        renewals=[(each.value, name) for each, name in RENEWALS_FR.items()],
        modes=_MODES,
        admissions=_ADMISSIONS,
        **NAMES,
    )


async def _check_of(request: web.Request, connection: Connection, call: Call) -> CardCheck | None:
    """The card check that the address names, where it is the practice's own and covered; the reading is audited."""
    with suppress(ValueError, InsurerUnknown):
        reference = Reference.parse(request.query.get("verification", ""))
        insurer = await insurers.find(connection, reference.insurer_number)
        return await cards.read_check(
            connection,
            insurer.id,
            CardCheckId(reference.id),
            practitioner=PractitionerId(call.caller.account_id),
            actor=call.actor,
        )
    return None


# One -------------------------------------------------------------------------------------------------------------------


async def show(request: web.Request) -> web.Response:
    caller = await person(request)
    call = call_of(request, caller)
    return await _one(request, call, await draft(request, call))


async def _one(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    path = path_of(request)
    async with transaction(call):
        approval = await handlers.read_own(call, path.reference)
        events = await parties.events(call.connection, approval)
        attachments = await parties.attachments(call.connection, approval)
        may_attach = approval.state is State.INFORMATION_REQUESTED
        given = await documents.given(call.connection, approval) if may_attach else []
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
        wanted=[each for each in approval.documents if each not in {one.kind for one in given}],
        may=service.possible(approval),
        today=call.today.isoformat(),
        is_stay=isinstance(approval.request, Stay),
        key=str(uuid4()),
        kind_enum=Kind,
        **NAMES,
    )


ACTION_LABELS = {
    "arguments": "Pourquoi l'organisme devrait revoir sa décision",
    "answer": "Votre réponse",
    "billed_on": "Facturée le",
    "document": "Document (PDF, JPEG ou PNG, 10 Mo au plus)",
    "sure": "J'annule cette demande",
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
    version = typed.get("version", "")
    number = int(version) if version.isascii() and version.isdigit() else 0
    return {"version": number, **{name: typed[name] for name in names if typed.get(name)}}


async def cancel(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.cancel(call, path=path) if "sure" in typed else None

    return await _change(request, act)


async def appeal(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.appeal(call, path=path, body=read(AppealRequest, _values(typed, "arguments"), call))

    return await _change(request, act)


async def inform(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.inform(call, path=path, body=read(InformationRequest, _values(typed, "answer"), call))

    return await _change(request, act)


async def use(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, path: ReferencePath, typed: dict[str, str]) -> object:
        return await handlers.use(call, path=path, body=read(UseRequest, _values(typed, "billed_on"), call))

    return await _change(request, act)


async def change_form(request: web.Request) -> web.Response:
    """The request as it stands, to be changed."""
    caller = await person(request)
    call = call_of(request, caller)
    return await _changed_form(request, call, await draft(request, call), None)


async def extension_form(request: web.Request) -> web.Response:
    """The stay as it stands, to be made longer."""
    return await change_form(request)


async def _changed_form(request: web.Request, call: Call, typed: Typed, problem: Problem | None) -> web.Response:
    async with transaction(call):
        approval = await handlers.read_own(call, path_of(request).reference)
    form = HOSPITAL if isinstance(approval.request, Stay) else OPTICAL
    is_extension = request.path.endswith("/prolongation")
    return await _form(request, call, form, typed, problem=problem, approval=approval, is_extension=is_extension)


async def change(request: web.Request) -> web.StreamResponse:
    """Decides the changed request anew."""
    return await _changed(request, is_extension=False)


async def extend(request: web.Request) -> web.StreamResponse:
    """Decides the longer stay."""
    return await _changed(request, is_extension=True)


async def _changed(request: web.Request, *, is_extension: bool) -> web.StreamResponse:
    caller = await person(request)
    path = path_of(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        form = HOSPITAL if any(name.startswith("stay.") for name in typed) else OPTICAL
        asked = {name: value for name, value in typed.items() if name not in {"insurer_number", "proof"}}
        if is_extension:
            await handlers.extend(call, path=path, body=read_request(ExtensionRequest, form, asked, call))
        else:
            await handlers.amend(call, path=path, body=read_request(AmendmentRequest, form, asked, call))
        return f"/demandes/{path.reference}"

    return await submitted(
        request, caller, act, lambda call, typed, problem: _changed_form(request, call, typed, problem)
    )


async def attach(request: web.Request) -> web.StreamResponse:
    """Takes a document from the page, as the API takes it."""
    caller = await person(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    path = path_of(request)
    try:
        refuse_role(caller, Role.STAFF)
        await spend_own(request, caller, 20)
        kind = ""
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "kind":
                kind = (await part.read_chunk(100)).decode("utf-8", "replace")
            elif part.name == "document":
                query = parse_parameters(AttachmentQuery, {"kind": kind})
                await document_handlers.take_attachment(call, _chunks(part), path=path, query=query)
                return see_other(f"/demandes/{path.reference}")
    except Problem as problem:
        call.open_connection = None
        return await _one(request, call, {}, problem)
    except (ValueError, AssertionError):
        return await _one(request, call, {}, AttachmentUnreadable())
    return await _one(request, call, {}, AttachmentUnreadable())


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(64 * 1024):
        yield chunk
