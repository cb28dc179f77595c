"""The account's page."""

from typing import Any

from aiohttp import web
from pydantic import ConfigDict

from tpgateway.errors import Problem
from tpgateway.members import handlers as member_handlers
from tpgateway.portal.pages import SCHEME_NAMES, call_of, form_of, page, person, see_other, transaction
from tpgateway.practitioners import api_clients, handlers, service
from tpgateway.practitioners.model import PractitionerId
from tpgateway.practitioners.payloads import ClientRequest, NewClientView
from tpgateway.web.callers import Role, Scope
from tpgateway.web.frame import refuse_cross_site, refuse_old_factor, refuse_role
from tpgateway.web.problems import SecondFactorNeeded
from tpgateway.web.state import STATE
from tpgateway.web.validation import parse_parameters

SCOPE_NAMES = {
    Scope.CARDS: "Vérifier les cartes",
    Scope.APPROVALS: "Demander les prises en charge",
    Scope.TABLES: "Lire les tables DRE et les conventions",
}


async def account(request: web.Request) -> web.Response:
    return await _account(request)


async def create_client(request: web.Request) -> web.Response:
    caller = await person(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    try:
        refuse_role(caller, Role.OWNER)
        refuse_old_factor(caller, call.state.settings, call.now)
        pairs = await form_of(request)
        fields: dict[str, Any] = {"name": dict(pairs).get("name", ""), "scopes": [v for k, v in pairs if k == "scopes"]}
        asked = parse_parameters(_ClientForm, fields)
        async with transaction(call):
            answer = await handlers.create_client(call, body=asked)
    except SecondFactorNeeded:
        async with transaction(call):
            await member_handlers.send_code(call)
        return see_other("/connexion/code")
    except Problem as problem:
        return await _account(request, problem=problem)
    assert isinstance(answer.body, NewClientView)
    return await _account(request, made=answer.body)


class _ClientForm(ClientRequest):
    """The form for a new access: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def _account(
    request: web.Request, *, problem: Problem | None = None, made: NewClientView | None = None
) -> web.Response:
    caller = await person(request)
    me = PractitionerId(caller.account_id)
    async with request.app[STATE].connection() as connection:
        practitioner = await service.get(connection, me)
        clients = await api_clients.list_all(connection, me) if caller.role is Role.OWNER else None
    return page(
        request,
        "account.html",
        status=problem.status if problem else 200,
        is_logged_in=True,
        practitioner=practitioner,
        clients=clients,
        scheme_names=SCHEME_NAMES,
        scope_names=SCOPE_NAMES,
        problem=problem,
        made=made,
    )
