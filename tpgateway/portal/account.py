"""The account's pages: coordinates, bank, software."""

from typing import Any

from aiohttp import web

from tpgateway.errors import Fault, FieldMissing, InvalidRequest, Problem
from tpgateway.portal.forms import Form, Typed, read
from tpgateway.portal.pages import (
    SCHEME_NAMES,
    call_of,
    draft,
    form_key,
    page,
    person,
    side,
    submitted,
    transaction,
    uuid_of,
)
from tpgateway.practitioners import api_clients, handlers, service
from tpgateway.practitioners.model import PractitionerId
from tpgateway.practitioners.payloads import (
    BankDetailsRequest,
    BankDetailsView,
    ClientPath,
    ClientRequest,
    NewClientView,
    NewIdentifierRequest,
    NewIdentifierView,
    ProfileRequest,
    RotationRequest,
)
from tpgateway.practitioners.sentences import SPECIALTIES_FR
from tpgateway.web.callers import Caller, Role, Scope
from tpgateway.web.frame import refuse_role
from tpgateway.web.routing import Call

SCOPE_NAMES = {
    Scope.CARDS: "Vérifier les cartes",
    Scope.APPROVALS: "Demander les prises en charge",
    Scope.TABLES: "Lire les tables DRE et les conventions",
}


def account_page(
    request: web.Request,
    caller: Caller,
    template: str,
    labels: dict[str, str],
    typed: Typed,
    problem: Problem | None,
    **context: Any,
) -> web.Response:
    """One of the account's pages, with the way to the others."""
    return page(
        request,
        f"account/{template}",
        status=problem.status if problem else 200,
        is_owner=caller.role is Role.OWNER,
        problem=problem,
        form=Form.of(labels, typed, problem),
        **side(caller),
        **context,
    )


# Coordinates -----------------------------------------------------------------------------------------------------------

_PROFILE = {
    "street": "Adresse",
    "postal_code": "Code postal ou CEDEX",
    "town": "Ville",
    "mobile": "Téléphone mobile",
    "is_listed": "Les autres professionnels du réseau peuvent nous trouver dans l'annuaire",
    "scheme": "Type de numéro",
    "value": "Numéro",
}


async def account(request: web.Request) -> web.Response:
    caller = await person(request)
    call = call_of(request, caller)
    return await _account(request, call, await draft(request, call))


async def _account(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    async with call.transaction() as connection:
        practitioner = await service.get(connection, PractitionerId(call.caller.account_id))
    known = {
        name: str(value)
        for name in ("street", "postal_code", "town", "mobile")
        if (value := getattr(practitioner, name)) is not None
    }
    if practitioner.is_listed and "postal_code" not in typed:  # the form of coordinates was not sent
        known["is_listed"] = "oui"
    return account_page(
        request,
        call.caller,
        "coordinates.html",
        _PROFILE,
        {**known, **typed},
        problem,
        practitioner=practitioner,
        specialty=SPECIALTIES_FR[practitioner.specialty],
        scheme_names=SCHEME_NAMES,
        schemes=[(each.value, name) for each, name in SCHEME_NAMES.items()],
    )


async def change_coordinates(request: web.Request) -> web.StreamResponse:
    caller = await person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        values: dict[str, Any] = {name: typed.get(name) or None for name in ("street", "town", "mobile")}
        values |= {"postal_code": typed.get("postal_code", ""), "is_listed": "is_listed" in typed}
        await handlers.change_me(call, body=read(ProfileRequest, values, call))
        return "/compte?fait=coordonnees"

    return await submitted(
        request, caller, act, lambda call, typed, problem: _account(request, call, typed, problem), role=Role.OWNER
    )


async def add_identifier(request: web.Request) -> web.StreamResponse:
    """Another number of the same practitioner; where it needs a look, the page says so."""
    caller = await person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        values = {name: typed.get(name, "") for name in ("scheme", "value")}
        answer = await handlers.add_identifier(call, body=read(NewIdentifierRequest, values, call))
        assert isinstance(answer.body, NewIdentifierView)
        return "/compte?fait=numero" if answer.body.status == "added" else "/compte?fait=numero-en-verification"

    return await submitted(
        request,
        caller,
        act,
        lambda call, typed, problem: _account(request, call, typed, problem),
        role=Role.OWNER,
        needs_second_factor=True,
    )


# Bank ------------------------------------------------------------------------------------------------------------------

_BANK = {"bic": "BIC", "iban": "IBAN"}


async def bank(request: web.Request) -> web.Response:
    caller = await person(request)
    refuse_role(caller, Role.OWNER)
    call = call_of(request, caller)
    return await _bank(request, call, await draft(request, call))


async def _bank(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    async with transaction(call):
        answer = await handlers.show_bank_details(call)
    assert isinstance(answer.body, BankDetailsView)
    hours = call.state.settings.bank_details_hours
    return account_page(request, call.caller, "bank.html", _BANK, typed, problem, details=answer.body, hours=hours)


async def change_bank(request: web.Request) -> web.StreamResponse:
    caller = await person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        values = {name: typed[name] for name in _BANK if typed.get(name)}
        await handlers.change_bank_details(call, body=read(BankDetailsRequest, values, call))
        return "/compte/banque"

    return await submitted(
        request,
        caller,
        act,
        lambda call, typed, problem: _bank(request, call, typed, problem),
        role=Role.OWNER,
        needs_second_factor=True,
    )


async def revoke_bank(request: web.Request) -> web.StreamResponse:
    """Takes back what waits; no code is asked for, since it only undoes."""
    caller = await person(request)

    async def act(call: Call, _: dict[str, str]) -> str:
        await handlers.revoke_bank_details(call)
        return "/compte/banque"

    return await submitted(
        request, caller, act, lambda call, typed, problem: _bank(request, call, typed, problem), role=Role.OWNER
    )


# Software --------------------------------------------------------------------------------------------------------------

_CLIENT = {
    "name": "Nom du logiciel ou du poste",
    "scopes": "Ce qu'il pourra faire",
    **{f"scopes.{scope}": name for scope, name in SCOPE_NAMES.items()},
}


async def clients(request: web.Request) -> web.Response:
    caller = await person(request)
    refuse_role(caller, Role.OWNER)
    call = call_of(request, caller)
    return await _clients(request, call, await draft(request, call))


async def _clients(
    request: web.Request,
    call: Call,
    typed: Typed,
    problem: Problem | None = None,
    made: NewClientView | None = None,
) -> web.Response:
    async with call.transaction() as connection:
        found = await api_clients.list_all(connection, PractitionerId(call.caller.account_id))
    return account_page(
        request,
        call.caller,
        "clients.html",
        _CLIENT,
        typed or {f"scopes.{scope}": "oui" for scope in SCOPE_NAMES},
        problem,
        clients=found,
        scope_names=SCOPE_NAMES,
        made=made,
        now=call.now,
        key=form_key(typed, problem),
    )


async def create_client(request: web.Request) -> web.StreamResponse:
    caller = await person(request)
    made: list[NewClientView] = []

    async def act(call: Call, typed: dict[str, str]) -> str:
        scopes = [scope.value for scope in SCOPE_NAMES if f"scopes.{scope}" in typed]
        if not scopes:
            sentence = "Choisissez au moins un droit."
            raise InvalidRequest(faults=[Fault(pointer="/scopes", problem=FieldMissing, message_fr=sentence)])
        named = {"name": typed["name"]} if typed.get("name") else {}
        asked = read(ClientRequest, {**named, "scopes": scopes}, call)
        made.append(_made(await handlers.create_client(call, body=asked)))
        return "/compte/acces"

    return await _with_secret(request, caller, act, made)


async def rotate_client(request: web.Request) -> web.StreamResponse:
    """Another secret; the former one works on for a day."""
    caller = await person(request)
    made: list[NewClientView] = []

    async def act(call: Call, _: dict[str, str]) -> str:
        path = ClientPath(id=uuid_of(request))
        made.append(_made(await handlers.rotate_client(call, path=path, body=RotationRequest())))
        return "/compte/acces"

    return await _with_secret(request, caller, act, made)


def _made(answer: Any) -> NewClientView:
    assert isinstance(answer.body, NewClientView)
    return answer.body


async def _with_secret(request: web.Request, caller: Caller, act: Any, made: list[NewClientView]) -> web.StreamResponse:
    """The page with a secret that is shown this once."""
    done = await submitted(
        request,
        caller,
        act,
        lambda call, typed, problem: _clients(request, call, typed, problem),
        role=Role.OWNER,
        needs_second_factor=True,
    )
    return await _clients(request, call_of(request, caller), {}, made=made[0]) if made else done


async def revoke_client(request: web.Request) -> web.StreamResponse:
    caller = await person(request)

    async def act(call: Call, _: dict[str, str]) -> str:
        await handlers.revoke_client(call, path=ClientPath(id=uuid_of(request)))
        return "/compte/acces"

    return await submitted(
        request, caller, act, lambda call, typed, problem: _clients(request, call, typed, problem), role=Role.OWNER
    )
