"""Handlers of the pages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import aiohttp_jinja2
from aiohttp import web
from pydantic import ConfigDict

from tpgateway.errors import Problem
from tpgateway.mail import Post
from tpgateway.members import handlers as member_handlers
from tpgateway.members import service as members
from tpgateway.members.model import MemberId
from tpgateway.members.payloads import FactorRequest, InvitationAcceptance, TokenPath, TokenRequest
from tpgateway.members.rules import masked
from tpgateway.practitioners import access, api_clients, handlers, service
from tpgateway.practitioners.client import ProSanteConnect, Ticket
from tpgateway.practitioners.errors import PscOff, PscRefused, PscUnknown
from tpgateway.practitioners.model import PractitionerId, Scheme
from tpgateway.practitioners.payloads import (
    ActivatedView,
    ActivationRequest,
    ClientRequest,
    LoginRequest,
    NewClientView,
    NewPasswordRequest,
    PasswordResetRequest,
    ReminderRequest,
    RevocationRequest,
)
from tpgateway.web import sessions
from tpgateway.web.callers import Access, Caller, Role, Scope
from tpgateway.web.frame import (
    REQUEST_ID,
    address_of,
    read_body,
    refuse_cross_site,
    refuse_old_factor,
    refuse_role,
    take,
)
from tpgateway.web.problems import RateLimited, SecondFactorNeeded, WrongEncoding
from tpgateway.web.routing import Answer, Call
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
    # The addresses of pages opened from mails hold their tokens.
    "Referrer-Policy": "same-origin",
}
_FORM_LIMIT = 16 * 1024
_LOGIN_COST = 50
_MAIL_COST = 10
_CODE_COST = 5
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
    return _page(request, "home.html", is_logged_in=await _whole_caller(request) is not None)


async def activation(request: web.Request) -> web.Response:
    """Asks for a click: mail filters open links too, and must not use them up."""
    return _page(request, "activation.html")


async def activate(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    call = _call(request)
    try:
        async with _transaction(call):
            answer = await handlers.activate(call, body=ActivationRequest(token=request.match_info["token"]))
    except Problem as problem:
        return _page(request, "activation.html", status=problem.status, problem=problem)
    assert isinstance(answer.body, ActivatedView)
    page = _page(request, "activated.html", practitioner=answer.body)
    page.headers.update(answer.headers)
    return page


# Getting in ------------------------------------------------------------------------------------------------------------


async def login(request: web.Request) -> web.Response:
    return _login_page(request, {})


def _login_page(request: web.Request, typed: dict[str, str], problem: Problem | None = None) -> web.Response:
    return _page(
        request,
        "login.html",
        status=problem.status if problem else 200,
        problem=problem,
        schemes=SCHEME_NAMES,
        scheme=typed.get("scheme", Scheme.FINESS.value),
        value=typed.get("value", ""),
        email=typed.get("email", ""),
        is_kept="keep_logged_in" in typed,
        has_psc=request.app[STATE].settings.psc_issuer is not None,
    )


async def log_in(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    typed = dict(await _form(request))
    call = _call(request)
    try:
        await _take(request, _LOGIN_COST)
        # An empty address is no address; a box that is not ticked is not sent.
        asked = parse_parameters(_LoginForm, {name: value for name, value in typed.items() if value or name != "email"})
        entered = await handlers.log_in(call, asked)
    except Problem as problem:
        return _login_page(request, typed, problem)
    return _see_other("/compte" if entered.status == "open" else "/connexion/code")


class _LoginForm(LoginRequest):
    """The log-in form: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def code(request: web.Request) -> web.Response:
    caller = await _any_caller(request)
    return await _code_page(request, _call(request, caller))


async def _code_page(request: web.Request, call: Call, problem: Problem | None = None) -> web.Response:
    async with call.state.connection() as connection:
        assert call.caller.member_id is not None
        member = await members.get(connection, MemberId(call.caller.member_id))
    return _page(
        request,
        "code.html",
        status=problem.status if problem else 200,
        problem=problem,
        is_logged_in=call.caller.access is Access.SESSION,
        has_totp=member.has_totp,
        address=masked(member.email),
        is_pending=call.caller.access is Access.PENDING_SESSION,
    )


async def send_code(request: web.Request) -> web.Response:
    caller = await _any_caller(request)
    refuse_cross_site(request)
    call = _call(request, caller)
    try:
        async with _transaction(call):
            await member_handlers.send_code(call)
    except Problem as problem:
        return await _code_page(request, call, problem)
    return _see_other("/connexion/code")


async def give_code(request: web.Request) -> web.Response:
    caller = await _any_caller(request)
    refuse_cross_site(request)
    await _take(request, _CODE_COST)
    typed = dict(await _form(request))
    call = _call(request, caller)
    try:
        asked = parse_parameters(_FactorForm, {**typed, "know_device": "know_device" in typed})
        headers = await member_handlers.factor_given(call, asked.code, knows_device=asked.know_device)
    except Problem as problem:
        return await _code_page(request, call, problem)
    response = _see_other("/compte")
    response.headers.update(headers)
    return response


class _FactorForm(FactorRequest):
    model_config = ConfigDict(strict=False)


_PSC = "psc"


async def psc(request: web.Request) -> web.Response:
    """To Pro Santé Connect, and what must come back kept with the session."""
    ticket = Ticket.new()
    try:
        await _take(request, _CODE_COST)
        address = await _provider(request).address(ticket)
    except Problem as problem:
        return _login_page(request, {}, problem)
    await sessions.remember(request, _PSC, {"state": ticket.state, "nonce": ticket.nonce, "verifier": ticket.verifier})
    return _see_other(address)


async def psc_return(request: web.Request) -> web.Response:
    """Back from Pro Santé Connect: a strong log-in by itself, which no code of ours completes."""
    state, settings = request.app[STATE], request.app[STATE].settings
    await _take(request, _CODE_COST)
    try:
        kept = await sessions.recall(request, _PSC)
        if kept is None:
            raise PscRefused("nothing was begun in this browser, or it was brought back before")
        vouched = await _provider(request).vouch(Ticket(**kept), dict(request.query))
        identifier = access.identifier_of_psc(vouched.national_id)
        if identifier is None:
            raise PscUnknown
        async with state.connection() as connection, connection.transaction():
            member = await access.enter_by_psc(
                connection,
                Post.of(settings, state.vault),
                identifier,
                vouched.subject,
                settings=settings,
                actor=_call(request).actor,
            )
    except Problem as problem:
        return _login_page(request, {}, problem)
    opened = sessions.Opened(
        member_id=member.id,
        is_kept=False,
        is_pending=False,
        second_factor_at=datetime.now(UTC),
        address=address_of(request),
    )
    await sessions.log_in(request, opened)
    return _see_other("/compte")


PSC: web.AppKey[ProSanteConnect] = web.AppKey("psc", ProSanteConnect)


def _provider(request: web.Request) -> ProSanteConnect:
    if request.app[STATE].settings.psc_issuer is None:
        raise PscOff
    return request.app[PSC]


async def log_out(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    caller = await sessions.caller_of(request)
    if caller is not None:
        call = _call(request, caller)
        async with _transaction(call):
            await member_handlers.close_session(call)
    return _see_other("/")


# What was lost, and links of mails -------------------------------------------------------------------------------------


async def lost_password(request: web.Request) -> web.Response:
    return _page(request, "lost_password.html", schemes=SCHEME_NAMES, is_sent=False)


async def ask_password_reset(request: web.Request) -> web.Response:
    return await _ask(request, "lost_password.html", _ResetForm, handlers.ask_password_reset)


class _ResetForm(PasswordResetRequest):
    model_config = ConfigDict(strict=False)


async def lost_identifier(request: web.Request) -> web.Response:
    return _page(request, "lost_identifier.html", schemes=SCHEME_NAMES, is_sent=False)


async def ask_reminder(request: web.Request) -> web.Response:
    return await _ask(request, "lost_identifier.html", _ReminderForm, handlers.ask_reminder)


class _ReminderForm(ReminderRequest):
    model_config = ConfigDict(strict=False)


async def _ask(
    request: web.Request, template: str, shape: type[Any], handler: Callable[..., Awaitable[Answer]]
) -> web.Response:
    """A stranger's request, answered alike whatever there is."""
    refuse_cross_site(request)
    call = _call(request)
    try:
        await _take(request, _MAIL_COST)
        asked = parse_parameters(shape, {name: value for name, value in await _form(request) if value})
        async with _transaction(call):
            await handler(call, body=asked)
    except Problem as problem:
        return _page(request, template, status=problem.status, problem=problem, schemes=SCHEME_NAMES, is_sent=False)
    return _page(request, template, schemes=SCHEME_NAMES, is_sent=True)


async def new_password(request: web.Request) -> web.Response:
    return _page(request, "new_password.html", is_done=False)


async def set_new_password(request: web.Request) -> web.Response:
    async def act(call: Call, typed: dict[str, str]) -> None:
        asked = parse_parameters(_NewPasswordForm, typed)
        await handlers.reset_password(call, path=TokenPath(token=request.match_info["token"]), body=asked)

    return await _by_link(request, "new_password.html", act, cost=_LOGIN_COST)


class _NewPasswordForm(NewPasswordRequest):
    model_config = ConfigDict(strict=False, str_strip_whitespace=False)


async def confirmation(request: web.Request) -> web.Response:
    return _page(request, "email.html", is_done=False)


async def confirm_email(request: web.Request) -> web.Response:
    async def act(call: Call, _: dict[str, str]) -> None:
        await member_handlers.confirm_email(call, body=TokenRequest(token=request.match_info["token"]))

    return await _by_link(request, "email.html", act)


async def invitation(request: web.Request) -> web.Response:
    return _page(request, "invitation.html", is_done=False)


async def accept_invitation(request: web.Request) -> web.Response:
    async def act(call: Call, typed: dict[str, str]) -> None:
        asked = parse_parameters(_InvitationForm, {**typed, "token": request.match_info["token"]})
        await member_handlers.accept_invitation(call, body=asked)

    return await _by_link(request, "invitation.html", act, cost=_LOGIN_COST)


class _InvitationForm(InvitationAcceptance):
    model_config = ConfigDict(strict=False)


async def revocation(request: web.Request) -> web.Response:
    return _page(request, "revocation.html", is_done=False)


async def revoke_bank_details(request: web.Request) -> web.Response:
    async def act(call: Call, _: dict[str, str]) -> None:
        await handlers.revoke_bank_details_by_link(call, body=RevocationRequest(token=request.match_info["token"]))

    return await _by_link(request, "revocation.html", act)


async def _by_link(
    request: web.Request, template: str, act: Callable[[Call, dict[str, str]], Awaitable[None]], cost: int = _MAIL_COST
) -> web.Response:
    """What a mailed link does once its page's button was pressed: a look at the page alone uses nothing up."""
    refuse_cross_site(request)
    call = _call(request)
    try:
        await _take(request, cost)
        typed = dict(await _form(request))
        async with _transaction(call):
            await act(call, typed)
    except Problem as problem:
        return _page(request, template, status=problem.status, problem=problem, is_done=False)
    return _page(request, template, is_done=True)


# The account -----------------------------------------------------------------------------------------------------------


async def account(request: web.Request) -> web.Response:
    return await _account(request)


async def create_client(request: web.Request) -> web.Response:
    caller = await _me(request)
    refuse_cross_site(request)
    call = _call(request, caller)
    try:
        refuse_role(caller, Role.OWNER)
        refuse_old_factor(caller, call.state.settings, call.now)
        pairs = await _form(request)
        fields: dict[str, Any] = {"name": dict(pairs).get("name", ""), "scopes": [v for k, v in pairs if k == "scopes"]}
        asked = parse_parameters(_ClientForm, fields)
        async with _transaction(call):
            answer = await handlers.create_client(call, body=asked)
    except SecondFactorNeeded:
        async with _transaction(call):
            await member_handlers.send_code(call)
        return _see_other("/connexion/code")
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
    caller = await _me(request)
    me = PractitionerId(caller.account_id)
    async with request.app[STATE].connection() as connection:
        practitioner = await service.get(connection, me)
        clients = await api_clients.list_all(connection, me)
    return _page(
        request,
        "account.html",
        status=problem.status if problem else 200,
        is_logged_in=True,
        is_owner=caller.role is Role.OWNER,
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


def _call(request: web.Request, caller: Caller | None = None) -> Call:
    """The request as the API's handlers take it."""
    return Call(
        request=request, state=request.app[STATE], request_id=request[REQUEST_ID], now=datetime.now(UTC), known=caller
    )


@asynccontextmanager
async def _transaction(call: Call) -> AsyncIterator[None]:
    """The call's connection, in a transaction of its own."""
    async with call.state.connection() as connection, connection.transaction():
        call.open_connection = connection
        yield
    call.open_connection = None


async def _whole_caller(request: web.Request) -> Caller | None:
    """Who is logged in, all the way."""
    caller = await sessions.caller_of(request)
    return caller if caller is not None and caller.access is Access.SESSION else None


async def _any_caller(request: web.Request) -> Caller:
    """Who is logged in, if only halfway; others go to the log-in page."""
    caller = await sessions.caller_of(request)
    if caller is None:
        raise web.HTTPSeeOther("/connexion")
    return caller


async def _me(request: web.Request) -> Caller:
    caller = await _any_caller(request)
    if caller.access is not Access.SESSION:
        raise web.HTTPSeeOther("/connexion/code")
    return caller


async def _take(request: web.Request, cost: int) -> None:
    allowance = await take(request.app[STATE], f"address {address_of(request)}", cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)
