"""Deliveries at the insurers' desk: how each endpoint does, what was posted, and posting it again."""

from contextlib import suppress
from datetime import datetime

from aiohttp import web

from tpgateway.errors import Fault, FieldInvalid, InvalidRequest, Problem
from tpgateway.insurers import endpoints
from tpgateway.insurers import service as insurers
from tpgateway.insurers.endpoints import EndpointChange
from tpgateway.insurers.model import EndpointId, EventId, EventKind, InsurerId
from tpgateway.portal.forms import Form, Typed, number_of
from tpgateway.portal.pages import Act, call_of, desk_person, draft, may_act, page, submitted, uuid_in, uuid_of
from tpgateway.web.callers import Role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import PARIS, Call

_ATTEMPTS = 50
KINDS_FR = {
    EventKind.APPROVAL_DECIDED: "Demande décidée",
    EventKind.APPROVAL_PENDING: "Demande en attente",
    EventKind.APPROVAL_AMENDED: "Demande modifiée",
    EventKind.APPROVAL_APPEALED: "Demande contestée",
    EventKind.APPROVAL_CANCELLED: "Demande annulée",
    EventKind.APPROVAL_USED: "Prise en charge facturée",
    EventKind.APPROVAL_EXPIRED: "Prise en charge expirée",
    EventKind.RIGHTS_IMPORTED: "Droits importés",
    EventKind.TABLES_PUBLISHED: "Tables publiées",
    EventKind.CONVENTION_SIGNED: "Convention signée",
    EventKind.CONVENTION_LEFT: "Convention quittée",
}
_LABELS = {"start": "Du", "end": "Au"}


async def deliveries(request: web.Request) -> web.Response:
    caller = await desk_person(request)
    call = call_of(request, caller)
    return await _deliveries(request, call, await draft(request, call))


async def _deliveries(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    me = InsurerId(call.caller.account_id)
    async with call.transaction() as connection:
        found = await endpoints.list_all(connection, me)
        waiting = await insurers.pending_events(connection, me)
        attempts = {
            each.id: await endpoints.attempts(connection, me, each.id, None, before=None, limit=_ATTEMPTS) or ()
            for each in found
        }
    return page(
        request,
        "desk/deliveries.html",
        is_desk=True,
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(_LABELS, typed, problem),
        endpoints=found,
        attempts=attempts,
        waiting=waiting,
        is_most=waiting >= insurers.MOST_COUNTED,
        kinds_fr=KINDS_FR,
        posted_again=number_of(request.query.get("relancees")),
        may_act=may_act(call.caller),
        named=request.match_info.get("id", ""),
    )


async def post_again(request: web.Request) -> web.StreamResponse:
    """One event once more, to the endpoint that it was posted to."""
    caller = await desk_person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        to = await endpoints.post_again(
            call.connection,
            InsurerId(caller.account_id),
            EventId(uuid_in(typed.get("event", ""))),
            EndpointId(uuid_of(request)),
            actor=call.actor,
        )
        if to is None:
            raise NotFound
        return "/assureur/livraisons?relancees=1"

    return await _submitted(request, act)


async def post_period_again(request: web.Request) -> web.StreamResponse:
    """All events of a period once more."""
    caller = await desk_person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        start, end = _moment(typed, "start"), _moment(typed, "end")
        if end <= start:
            sentence = "La fin doit venir après le début."
            raise InvalidRequest(faults=[Fault(pointer="/end", problem=FieldInvalid, message_fr=sentence)])
        count = await endpoints.post_period_again(
            call.connection,
            InsurerId(caller.account_id),
            EndpointId(uuid_of(request)),
            start=start,
            end=end,
            actor=call.actor,
        )
        if count is None:
            raise NotFound
        return f"/assureur/livraisons?relancees={count}"

    return await _submitted(request, act)


async def change(request: web.Request) -> web.StreamResponse:
    """A pause, or its end."""
    caller = await desk_person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        if typed.get("enabled") not in {"oui", "non"}:
            raise InvalidRequest(faults=[Fault(pointer="/enabled", problem=FieldInvalid)])
        wanted = EndpointChange(is_enabled=typed["enabled"] == "oui")
        changed = await endpoints.change(
            call.connection,
            InsurerId(caller.account_id),
            EndpointId(uuid_of(request)),
            wanted,
            now=call.now,
            actor=call.actor,
        )
        if changed is None:
            raise NotFound
        return "/assureur/livraisons"

    return await _submitted(request, act)


async def _submitted(request: web.Request, act: Act) -> web.StreamResponse:
    caller = await desk_person(request)
    return await submitted(
        request, caller, act, lambda call, typed, problem: _deliveries(request, call, typed, problem), role=Role.STAFF
    )


def _moment(typed: Typed, name: str) -> datetime:
    """A moment by the clocks of Paris, as browsers send it."""
    moment = None
    with suppress(ValueError):
        moment = datetime.fromisoformat(typed.get(name, ""))
    if moment is None or not 2000 <= moment.year <= 2200:
        sentence = "Choisissez un jour et une heure."
        raise InvalidRequest(faults=[Fault(pointer=f"/{name}", problem=FieldInvalid, message_fr=sentence)])
    return moment if moment.tzinfo else moment.replace(tzinfo=PARIS)
