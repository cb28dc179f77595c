"""Pages of getting in: activation, log-in, codes, Pro Santé Connect."""

from datetime import UTC, datetime

import structlog
from aiohttp import web
from pydantic import ConfigDict

from tpgateway.errors import Problem
from tpgateway.insurers import people
from tpgateway.insurers.payloads import DeskLoginRequest
from tpgateway.mail import Post
from tpgateway.members import door
from tpgateway.members import handlers as member_handlers
from tpgateway.members import service as members
from tpgateway.members.model import MemberId
from tpgateway.members.payloads import FactorRequest
from tpgateway.members.rules import masked
from tpgateway.portal.forms import Form, read
from tpgateway.portal.pages import (
    CODE,
    CODE_COST,
    LOGIN_COST,
    MAIL_COST,
    SCHEME_NAMES,
    any_caller,
    call_of,
    form_of,
    home_of,
    page,
    see_other,
    spend,
    transaction,
    way_of,
    with_way,
)
from tpgateway.practitioners import access, handlers
from tpgateway.practitioners.client import ProSanteConnect, Ticket
from tpgateway.practitioners.errors import PscOff, PscRefused, PscUnknown
from tpgateway.practitioners.model import Scheme
from tpgateway.practitioners.payloads import (
    AcceptedView,
    ActivatedView,
    ActivationLinkRequest,
    ActivationRequest,
    LoginRequest,
)
from tpgateway.web import sessions
from tpgateway.web.callers import Access
from tpgateway.web.frame import REQUEST_ID, address_of, refuse_cross_site
from tpgateway.web.routing import Call
from tpgateway.web.state import STATE
from tpgateway.web.validation import parse_parameters

_log = structlog.get_logger(__name__)


async def activation(request: web.Request) -> web.Response:
    """Asks for a click: mail filters open links too, and must not use them up."""
    return page(request, "activation.html")


async def activate(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    call = call_of(request)
    try:
        async with transaction(call):
            answer = await handlers.activate(call, body=parse_parameters(ActivationRequest, dict(request.match_info)))
    except Problem as problem:
        return page(request, "activation.html", status=problem.status, problem=problem)
    assert isinstance(answer.body, ActivatedView)
    shown = page(request, "activated.html", practitioner=answer.body)
    shown.headers.update(answer.headers)
    return shown


async def login(request: web.Request) -> web.Response:
    return _login_page(request, {})


def _login_page(request: web.Request, typed: dict[str, str], problem: Problem | None = None) -> web.Response:
    return page(
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
    typed = dict(await form_of(request))
    call = call_of(request)
    try:
        await spend(request, LOGIN_COST)
        # An empty address is no address; a box that is not ticked is not sent.
        asked = parse_parameters(_LoginForm, {name: value for name, value in typed.items() if value or name != "email"})
        entered = await handlers.log_in(call, asked)
    except Problem as problem:
        return _login_page(request, typed, problem)
    return see_other(way_of(request) or "/comptoir" if entered.status == "open" else with_way(CODE, request))


class _LoginForm(LoginRequest):
    """The log-in form: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def code(request: web.Request) -> web.Response:
    caller = await any_caller(request)
    return await _code_page(request, call_of(request, caller))


async def _code_page(request: web.Request, call: Call, problem: Problem | None = None) -> web.Response:
    async with call.state.connection() as connection:
        assert call.caller.member_id is not None
        member = await members.get(connection, MemberId(call.caller.member_id))
    return page(
        request,
        "code.html",
        status=problem.status if problem else 200,
        problem=problem,
        is_logged_in=call.caller.access is Access.SESSION,
        is_desk=call.caller.access is Access.INSURER_SESSION,
        has_totp=member.has_totp,
        address=masked(member.email),
        is_pending=call.caller.is_pending,
        may_be_known=call.caller.kind != "insurer",
        again=with_way("/connexion/code/envoi", request),
    )


async def send_code(request: web.Request) -> web.Response:
    caller = await any_caller(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    try:
        async with transaction(call):
            await member_handlers.send_code(call)
    except Problem as problem:
        return await _code_page(request, call, problem)
    return see_other(with_way(CODE, request))


async def give_code(request: web.Request) -> web.Response:
    caller = await any_caller(request)
    refuse_cross_site(request)
    await spend(request, CODE_COST)
    typed = dict(await form_of(request))
    call = call_of(request, caller)
    try:
        knows_device = "know_device" in typed and caller.kind != "insurer"
        asked = parse_parameters(_FactorForm, {**typed, "know_device": knows_device})
        headers = await member_handlers.factor_given(call, asked.code, knows_device=asked.know_device)
    except Problem as problem:
        return await _code_page(request, call, problem)
    response = see_other(way_of(request) or home_of(caller))
    response.headers.update(headers)
    return response


class _FactorForm(FactorRequest):
    model_config = ConfigDict(strict=False)


_PSC = "psc"


async def psc(request: web.Request) -> web.Response:
    """To Pro Santé Connect, and what must come back kept with the session."""
    ticket = Ticket.new()
    try:
        await spend(request, CODE_COST)
        address = await _provider(request).address(ticket)
    except Problem as problem:
        _note_refusal(request, problem)
        return _login_page(request, {}, problem)
    await sessions.remember(request, _PSC, {"state": ticket.state, "nonce": ticket.nonce, "verifier": ticket.verifier})
    return see_other(address)


async def psc_return(request: web.Request) -> web.Response:
    """Back from Pro Santé Connect: a strong log-in by itself, which no code of ours completes."""
    state, settings = request.app[STATE], request.app[STATE].settings
    await spend(request, CODE_COST)
    try:
        kept = await sessions.recall(request, _PSC)
        if kept is None:
            raise PscRefused("nothing was begun in this browser, or it was brought back before")
        vouched = await _provider(request).vouch(Ticket(**kept), dict(request.query))
        identifier = access.identifier_of_psc(vouched.national_id)
        if identifier is None:
            raise PscUnknown
        async with state.connection() as connection:
            member = await access.enter_by_psc(
                connection,
                Post.of(settings, state.vault),
                identifier,
                vouched.subject,
                settings=settings,
                actor=call_of(request).actor,
            )
    except Problem as problem:
        _note_refusal(request, problem)
        return _login_page(request, {}, problem)
    opened = sessions.Opened(
        member_id=member.id,
        is_kept=False,
        is_pending=False,
        second_factor_at=datetime.now(UTC),
        address=address_of(request),
    )
    await sessions.log_in(request, opened)
    return see_other("/comptoir")


def _note_refusal(request: web.Request, problem: Problem) -> None:
    """In the log: why nobody came in by Pro Santé Connect. The reasons are words of ours."""
    _log.warning(problem.code, request_id=request[REQUEST_ID], reason=problem.detail)


PSC: web.AppKey[ProSanteConnect] = web.AppKey("psc", ProSanteConnect)


def _provider(request: web.Request) -> ProSanteConnect:
    if request.app[STATE].settings.psc_issuer is None:
        raise PscOff
    return request.app[PSC]


async def log_out(request: web.Request) -> web.Response:
    refuse_cross_site(request)
    caller = await sessions.caller_of(request)
    if caller is not None:
        call = call_of(request, caller)
        async with transaction(call):
            await member_handlers.close_session(call)
    return see_other("/")


async def ask_activation(request: web.Request) -> web.Response:
    """Another activation link, for whom the first never reached; always answered alike."""
    refuse_cross_site(request)
    call = call_of(request)
    try:
        await spend(request, MAIL_COST)
        asked = parse_parameters(_ActivationLinkForm, dict(await form_of(request)))
        async with transaction(call):
            answer = await handlers.ask_activation_link(call, body=asked)
    except Problem as problem:
        return page(request, "sent.html", status=problem.status, problem=problem, said="")
    assert isinstance(answer.body, AcceptedView)
    return page(request, "sent.html", said=answer.body.message_fr)


class _ActivationLinkForm(ActivationLinkRequest):
    model_config = ConfigDict(strict=False)


# The insurers' desk ----------------------------------------------------------------------------------------------------


async def desk_login(request: web.Request) -> web.Response:
    return _desk_login_page(request, {})


async def desk_log_in(request: web.Request) -> web.Response:
    """A code always follows."""
    refuse_cross_site(request)
    typed = dict(await form_of(request))
    call = call_of(request)
    state = call.state
    try:
        await spend(request, LOGIN_COST)
        asked = read(DeskLoginRequest, {name: value for name, value in typed.items() if value}, call)
        async with state.connection() as connection:
            member = await people.open_door(
                connection,
                state.vault,
                asked.number,
                asked.email,
                asked.password,
                settings=state.settings,
                now=call.now,
                actor=call.actor,
            )
        opened = sessions.Opened(
            member_id=member.id, is_kept=False, is_pending=True, second_factor_at=None, address=address_of(request)
        )
        session_id = await sessions.log_in(request, opened)
        if not member.has_totp:
            async with state.connection() as connection, connection.transaction():
                minutes, post = state.settings.second_factor_minutes, Post.of(state.settings, state.vault)
                await door.mail_code(connection, post, member, session_id, minutes=minutes, now=call.now)
    except Problem as problem:
        return _desk_login_page(request, typed, problem)
    return see_other(with_way(CODE, request))


def _desk_login_page(request: web.Request, typed: dict[str, str], problem: Problem | None = None) -> web.Response:
    shown = {name: value for name, value in typed.items() if name != "password"}
    return page(
        request,
        "desk/login.html",
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(DESK_LABELS, shown, problem),
    )


DESK_LABELS = {"number": "Numéro de l'organisme (AMC)", "email": "Adresse électronique", "password": "Mot de passe"}
