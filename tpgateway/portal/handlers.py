"""Handlers of the pages."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import aiohttp_jinja2
from aiohttp import web
from pydantic import ConfigDict

from tpgateway.audit import NOBODY, Actor
from tpgateway.errors import Problem
from tpgateway.practitioners import service
from tpgateway.practitioners.model import PractitionerId, Scheme
from tpgateway.practitioners.payloads import ClientRequest, LoginRequest
from tpgateway.web import sessions
from tpgateway.web.callers import Scope
from tpgateway.web.frame import REQUEST_ID, address_of, read_body, refuse_cross_site
from tpgateway.web.limits import Allowance
from tpgateway.web.problems import RateLimited, WrongEncoding
from tpgateway.web.state import STATE
from tpgateway.web.validation import parse_parameters

SCHEME_NAMES = {
    Scheme.FINESS: "FINESS",
    Scheme.ADELI: "Adeli",
    Scheme.RPPS: "RPPS",
    Scheme.TREASURY: "Identifiant de trésorerie",
}
SCOPE_NAMES = {
    Scope.CARDS: "Vérifier les cartes",
    Scope.APPROVALS: "Demander les prises en charge",
    Scope.TABLES: "Lire les tables DRE et les conventions",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    # The activation page's address holds its token.
    "Referrer-Policy": "same-origin",
}
_FORM_LIMIT = 16 * 1024
_LOGIN_COST = 50
_STATIC = {"style.css": "text/css"}


def _page(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    context = {"is_logged_in": False, "problem": None, **context}
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update(_HEADERS)
    return response


async def error_page(request: web.Request, problem: Problem, request_id: str) -> web.Response:
    """A problem, as a person reads it."""
    return _page(request, "error.html", status=problem.status, problem=problem, request_id=request_id)


async def home(request: web.Request) -> web.Response:
    return _page(request, "home.html", is_logged_in=await sessions.practitioner_of(request) is not None)


async def activation(request: web.Request) -> web.Response:
    """Asks for a click: mail filters open links too, and must not use them up."""
    return _page(request, "activation.html")


async def activate(request: web.Request) -> web.Response:
    state = request.app[STATE]
    refuse_cross_site(request)
    try:
        async with state.connection() as connection, connection.transaction():
            await service.activate(
                connection, request.match_info["token"], now=datetime.now(UTC), actor=_nobody(request)
            )
    except Problem as problem:
        return _page(request, "activation.html", status=problem.status, problem=problem)
    return _page(request, "activated.html")


async def login(request: web.Request) -> web.Response:
    return _page(request, "login.html", schemes=SCHEME_NAMES, scheme=Scheme.FINESS.value, value="")


async def log_in(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    _take(request, _LOGIN_COST)
    form = dict(await _form(request))
    try:
        asked = parse_parameters(_LoginForm, form)
        practitioner_id = await _check_login(request, asked)
    except Problem as problem:
        kept = {"scheme": form.get("scheme", Scheme.FINESS.value), "value": form.get("value", "")}
        return _page(request, "login.html", status=problem.status, problem=problem, schemes=SCHEME_NAMES, **kept)
    await sessions.log_in(request, practitioner_id)
    return _see_other("/compte")


class _LoginForm(LoginRequest):
    """The log-in form: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def _check_login(request: web.Request, asked: LoginRequest) -> PractitionerId:
    async with request.app[STATE].connection() as connection:
        login = await service.open_door(connection, asked.scheme, asked.value, asked.password, actor=_nobody(request))
    return login.practitioner_id


async def log_out(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    await sessions.log_out(request)
    return _see_other("/")


async def account(request: web.Request) -> web.Response:
    return await _account(request)


async def create_client(request: web.Request) -> web.Response:
    me = await _me(request)
    refuse_cross_site(request)
    pairs = await _form(request)
    fields: dict[str, Any] = {"name": dict(pairs).get("name", ""), "scopes": [v for k, v in pairs if k == "scopes"]}
    try:
        asked = parse_parameters(_ClientForm, fields)
    except Problem as problem:
        return await _account(request, problem=problem)
    async with request.app[STATE].connection() as connection, connection.transaction():
        made = await service.create_client(
            connection,
            me,
            name=asked.name,
            scopes=[scope.value for scope in asked.scopes],
            public_jwk=None,
            actor=Actor(kind="practitioner", id=me, request_id=request[REQUEST_ID]),
        )
    return await _account(request, made=made)


class _ClientForm(ClientRequest):
    """The form for a new access: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def _account(
    request: web.Request, *, problem: Problem | None = None, made: service.NewClient | None = None
) -> web.Response:
    me = await _me(request)
    async with request.app[STATE].connection() as connection:
        practitioner = await service.get(connection, me)
        clients = await service.list_clients(connection, me)
    return _page(
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


async def static(request: web.Request) -> web.Response:
    if (kind := _STATIC.get(request.match_info["name"])) is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "public, max-age=3600"}
    return web.Response(body=_static(request.match_info["name"]), content_type=kind, headers=headers)


@cache
def _static(name: str) -> bytes:
    return files("tpgateway.portal").joinpath("static", name).read_bytes()


def _see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


async def _form(request: web.Request) -> list[tuple[str, str]]:
    raw = await read_body(request, _FORM_LIMIT)
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise WrongEncoding from None


async def _me(request: web.Request) -> PractitionerId:
    practitioner_id = await sessions.practitioner_of(request)
    if practitioner_id is None:
        raise web.HTTPSeeOther("/connexion")
    return PractitionerId(practitioner_id)


def _nobody(request: web.Request) -> Actor:
    return Actor(kind=NOBODY.kind, request_id=request[REQUEST_ID])


def _take(request: web.Request, cost: int) -> None:
    allowance: Allowance = request.app[STATE].limiter.take(f"address {address_of(request)}", cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)
