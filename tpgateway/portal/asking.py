"""Requests asked for and changed, with what would be granted beside."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from tpgateway.cards import service as cards
from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.model import CardCheck, CardCheckId
from tpgateway.claims import service
from tpgateway.claims.errors import VersionStale
from tpgateway.claims.handlers import approvals as handlers
from tpgateway.claims.model import BY_DAY, Kind, PriorApproval, Stay
from tpgateway.claims.payloads import (
    AmendmentRequest,
    ExtensionRequest,
    PriorApprovalRequest,
    PriorApprovalView,
    SimulationView,
)
from tpgateway.claims.sentences import CLASSES_FR, CORRECTIONS_FR, RENEWALS_FR
from tpgateway.database import Connection
from tpgateway.errors import Problem
from tpgateway.guarantees.model import Domain
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import Reference
from tpgateway.portal.approvals import NAMES, path_of
from tpgateway.portal.forms import Form, Typed
from tpgateway.portal.pages import (
    call_of,
    draft,
    form_key,
    form_of,
    may_act,
    page,
    person,
    see_other,
    spend_own,
    submitted,
    transaction,
)
from tpgateway.portal.requests import (
    GLASSES,
    HOSPITAL,
    LENSES,
    OPTICAL,
    STAY_ITEMS,
    SUPPLEMENTS,
    WITH_AMO,
    WITH_BASE,
    RequestForm,
    read_request,
    typed_of,
)
from tpgateway.portal.requests import NAMES as PART_NAMES
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId, Scheme
from tpgateway.web.callers import Role
from tpgateway.web.frame import refuse_cross_site, refuse_role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call

FORMS = {"optique": OPTICAL, "hospitalisation": HOSPITAL}
_DOMAINS = {OPTICAL: Domain.OPTI, HOSPITAL: Domain.HOSP}
_MODES = (
    ("03", "03 hospitalisation complète"),
    ("04", "04 hospitalisation de jour"),
    ("07", "07 consultation externe"),
    ("19", "19 à domicile"),
)
_ADMISSIONS = (("planned", "programmée"), ("urgent", "en urgence"))


async def new(request: web.Request) -> web.Response:
    """The form, filled in from the card check that it comes from."""
    caller = await person(request)
    refuse_role(caller, Role.STAFF)
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
        simulation, problem = await _simulated(request, call, typed, lambda call, typed: _of_new(call, form, typed))
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
    form = _form_named(request)
    return await _panel(request, form, lambda call, typed: _of_new(call, form, typed))


Ask = Callable[[Call, Typed], Awaitable[Answer]]


async def _panel(request: web.Request, form: RequestForm, ask: Ask) -> web.Response:
    caller = await person(request)
    refuse_cross_site(request)
    call, typed = call_of(request, caller), dict(await form_of(request))
    simulation, problem = await _simulated(request, call, typed, ask)
    return page(
        request,
        "simulation.html",
        simulation=simulation,
        problem=problem,
        form=Form.of(form.labels, typed, problem),
        **NAMES,
    )


async def _of_new(call: Call, form: RequestForm, typed: Typed) -> Answer:
    asked = read_request(PriorApprovalRequest, form, typed, call)
    return await handlers.simulate(call, body=asked)


async def _simulated(
    request: web.Request, call: Call, typed: Typed, ask: Ask
) -> tuple[SimulationView | None, Problem | None]:
    refuse_role(call.caller, Role.STAFF)
    try:
        await spend_own(request, call.caller, 1)
        async with transaction(call):
            answer = await ask(call, typed)
    except NotFound:
        raise
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
    async with call.transaction() as connection:
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
    numbers = {each.scheme: each.value for each in practitioner.identifiers}
    known["stay.finess"] = numbers.get(Scheme.FINESS, "")
    office, _, body = numbers.get(Scheme.TREASURY, "").partition("-")
    known |= {"stay.treasury.office": office, "stay.treasury.body": body[:3]}
    if approval is not None:
        known |= typed_of(approval.request)
        known["version"] = str(approval.version)
    if isinstance(problem, VersionStale):
        # What was typed stands, to be sent again by who has read that it changed.
        problem.next_step = (
            "Ce que vous avez saisi est gardé : envoyez-le de nouveau pour l'appliquer à son état présent."
        )
        typed = {name: value for name, value in typed.items() if name != "version"}
    if typed:
        known.pop("stay.is_psychiatry", None)  # a box that is not ticked is not sent
    shown = {**known, **typed}
    parts = ("lpp", "price", "base", "amo")
    used = [name for name in SUPPLEMENTS if any(shown.get(f"{name}.{part}") for part in parts)]
    # One more than is used, so that there is always a place for another.
    glasses = [name for name in GLASSES if name not in SUPPLEMENTS[len(used) + 1 :]]
    return page(
        request,
        form.template,
        status=problem.status if problem else 200,
        is_logged_in=True,
        problem=problem,
        form=Form.of(form.labels, shown, problem),
        check=check,
        approval=approval and PriorApprovalView.of(approval),
        is_extension=is_extension,
        simulation=simulation,
        simulate_at=f"{request.path}/simulation",
        key=form_key(typed, problem),
        may_act=may_act(call.caller),
        is_other_domain=check is not None and check.ask.domain is not _DOMAINS[form],
        glasses=[(name, PART_NAMES[name], name in LENSES, name in SUPPLEMENTS) for name in glasses],
        has_supplements=bool(used),
        stay_items=[
            (name, title, name in WITH_BASE, name in WITH_AMO, name in BY_DAY) for name, title in STAY_ITEMS.items()
        ],
        classes=[(each.value, name) for each, name in CLASSES_FR.items()],
        corrections=[(each.value, name) for each, name in CORRECTIONS_FR.items()],
        renewals=[(each.value, name) for each, name in RENEWALS_FR.items()],
        modes=_with_present(_MODES, shown.get("stay.mode_of_treatment")),
        admissions=_ADMISSIONS,
        **NAMES,
    )


def _with_present(options: Sequence[tuple[str, str]], present: str | None) -> Sequence[tuple[str, str]]:
    """The options, and what is chosen already where it is none of them: another program may have asked for more."""
    is_known = not present or any(present == value for value, _ in options)
    return options if is_known else [*options, (present or "", present or "")]


async def _check_of(request: web.Request, connection: Connection, call: Call) -> CardCheck | None:
    """The card check that the address names, where it is the practice's own; the reading is audited."""
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


# A change -----------------------------------------------------------------------------------------------------------


async def change_form(request: web.Request) -> web.Response:
    """The request as it stands, to be changed."""
    caller = await person(request)
    call = call_of(request, caller)
    return await _changed_form(request, call, await draft(request, call), None)


async def extension_form(request: web.Request) -> web.Response:
    """The stay as it stands, to be made longer."""
    return await change_form(request)


async def _changed_form(
    request: web.Request,
    call: Call,
    typed: Typed,
    problem: Problem | None,
    simulation: SimulationView | None = None,
) -> web.Response:
    async with transaction(call):
        approval = await handlers.read_own(call, path_of(request).reference)
    is_extension = request.path.endswith("/prolongation")
    if problem is None and (Kind.EXTENDED if is_extension else Kind.AMENDED) not in service.possible(approval):
        return see_other(f"/demandes/{path_of(request).reference}")
    form = HOSPITAL if isinstance(approval.request, Stay) else OPTICAL
    return await _form(
        request,
        call,
        form,
        typed,
        problem=problem,
        simulation=simulation,
        approval=approval,
        is_extension=is_extension,
    )


@dataclass(frozen=True, slots=True)
class _Change:
    """A kind of change: how the API takes it, and how it says what would come of it."""

    shape: type[AmendmentRequest | ExtensionRequest]
    make: Callable[..., Awaitable[Answer]]
    simulate: Callable[..., Awaitable[Answer]]


_AMENDMENT = _Change(AmendmentRequest, handlers.amend, handlers.simulate_amendment)
_EXTENSION = _Change(ExtensionRequest, handlers.extend, handlers.simulate_extension)


async def change(request: web.Request) -> web.StreamResponse:
    """Decides the changed request anew; simulates where the page asked for that."""
    return await _changed(request, _AMENDMENT)


async def extend(request: web.Request) -> web.StreamResponse:
    """Decides the longer stay; simulates where the page asked for that."""
    return await _changed(request, _EXTENSION)


async def simulate_change(request: web.Request) -> web.Response:
    """What the change would come to: a part of the page."""
    return await _panel(request, _form_of(dict(await form_of(request))), _simulating(request, _AMENDMENT))


async def simulate_extension(request: web.Request) -> web.Response:
    """What the longer stay would come to: a part of the page."""
    return await _panel(request, HOSPITAL, _simulating(request, _EXTENSION))


async def _changed(request: web.Request, change: _Change) -> web.StreamResponse:
    caller = await person(request)
    path, typed = path_of(request), dict(await form_of(request))
    if "simulate" in typed:
        refuse_cross_site(request)
        call = call_of(request, caller)
        simulation, problem = await _simulated(request, call, typed, _simulating(request, change))
        return await _changed_form(request, call, typed, problem, simulation)

    async def act(call: Call, typed: dict[str, str]) -> str:
        await change.make(call, path=path, body=_read_change(change, typed, call))
        return f"/demandes/{path.reference}"

    return await submitted(
        request, caller, act, lambda call, typed, problem: _changed_form(request, call, typed, problem)
    )


def _simulating(request: web.Request, change: _Change) -> Ask:
    path = path_of(request)

    async def ask(call: Call, typed: Typed) -> Answer:
        return await change.simulate(call, path=path, body=_read_change(change, typed, call))

    return ask


def _read_change(change: _Change, typed: Typed, call: Call) -> AmendmentRequest | ExtensionRequest:
    asked = {name: value for name, value in typed.items() if name not in {"insurer_number", "proof"}}
    return read_request(change.shape, _form_of(typed), asked, call)


def _form_of(typed: Typed) -> RequestForm:
    return HOSPITAL if any(name.startswith("stay.") for name in typed) else OPTICAL
