"""One's own security, for the people of practices and of insurers: password, address, second factor, sessions."""

from typing import Any

from aiohttp import web
from markupsafe import Markup

from tpgateway.errors import Problem
from tpgateway.members import door
from tpgateway.members import handlers as member_handlers
from tpgateway.members import service as members
from tpgateway.members.model import MemberId
from tpgateway.members.payloads import (
    CodeRequest,
    EmailRequest,
    EnrolmentView,
    PasswordRequest,
    RecoveryCodesView,
    SessionListView,
    SessionPath,
)
from tpgateway.portal.account import account_page
from tpgateway.portal.forms import Typed, read
from tpgateway.portal.pages import Act, anybody, call_of, draft, submitted, transaction
from tpgateway.web.callers import Role
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_parameters

_SECURITY = {
    "current_password": "Mot de passe actuel",
    "password": "Nouveau mot de passe",
    "password_confirmation": "Nouveau mot de passe, encore une fois",
    "email": "Nouvelle adresse électronique",
    "code": "Code affiché par l'application",
}


async def security(request: web.Request) -> web.Response:
    caller = await anybody(request)
    call = call_of(request, caller)
    return await _security(request, call, await draft(request, call))


async def _security(
    request: web.Request,
    call: Call,
    typed: Typed,
    problem: Problem | None = None,
    *,
    enrolment: EnrolmentView | None = None,
    codes: list[str] | None = None,
) -> web.Response:
    assert call.caller.member_id is not None
    async with transaction(call):
        member = await members.get(call.connection, MemberId(call.caller.member_id))
        sessions = await member_handlers.list_sessions(call)
        if enrolment is None and "code" in typed and problem is not None:
            # A wrong digit is no reason to scan anew.
            pending = await door.pending_totp(call.connection, call.state.vault, member)
            enrolment = None if pending is None else EnrolmentView.showing(pending)
        codes_left = await door.count_recovery_codes(call.connection, member)
    assert isinstance(sessions.body, SessionListView)
    return account_page(
        request,
        call.caller,
        "security.html",
        _SECURITY,
        {name: value for name, value in typed.items() if "password" not in name},
        problem,
        member=member,
        sessions=sessions.body.sessions,
        codes_left=codes_left,
        enrolment=enrolment,
        qr=Markup(enrolment.qr_svg) if enrolment else "",  # noqa: S704  # drawn here, of our own
        codes=codes,
    )


async def change_password(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, typed: dict[str, str]) -> str:
        names = ("current_password", "password", "password_confirmation")
        asked = read(PasswordRequest, {name: typed.get(name, "") for name in names}, call)
        await member_handlers.change_password(call, body=asked)
        return "/compte/securite?fait=mot-de-passe"

    return await _on_security(request, act, cost=100, is_transactional=False)


async def change_email(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, typed: dict[str, str]) -> str:
        await member_handlers.ask_email_change(call, body=read(EmailRequest, {"email": typed.get("email", "")}, call))
        return "/compte/securite?fait=adresse"

    return await _on_security(request, act, cost=5)


async def begin_totp(request: web.Request) -> web.StreamResponse:
    caller = await anybody(request)
    begun: list[EnrolmentView] = []

    async def act(call: Call, _: dict[str, str]) -> str:
        answer = await member_handlers.begin_totp(call)
        assert isinstance(answer.body, EnrolmentView)
        begun.append(answer.body)
        return "/compte/securite"

    done = await _on_security(request, act)
    return await _security(request, call_of(request, caller), {}, enrolment=begun[0]) if begun else done


async def confirm_totp(request: web.Request) -> web.StreamResponse:
    return await _with_codes(request, confirms=True)


async def renew_codes(request: web.Request) -> web.StreamResponse:
    return await _with_codes(request, confirms=False)


async def _with_codes(request: web.Request, *, confirms: bool) -> web.StreamResponse:
    """The page with recovery codes that are shown this once."""
    caller = await anybody(request)
    made: list[str] = []

    async def act(call: Call, typed: dict[str, str]) -> str:
        if confirms:
            asked = read(CodeRequest, {"code": typed.get("code", "")}, call)
            answer = await member_handlers.confirm_totp(call, body=asked)
        else:
            answer = await member_handlers.renew_recovery_codes(call)
        assert isinstance(answer.body, RecoveryCodesView)
        made.extend(answer.body.recovery_codes)
        return "/compte/securite"

    done = await _on_security(request, act, cost=5)
    return await _security(request, call_of(request, caller), {}, codes=made) if made else done


async def remove_totp(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, _: dict[str, str]) -> str:
        await member_handlers.remove_totp(call)
        return "/compte/securite?fait=application-retiree"

    return await _on_security(request, act)


async def end_session(request: web.Request) -> web.StreamResponse:
    """Ends one of one's sessions, or all others."""

    async def act(call: Call, typed: dict[str, str]) -> str:
        if "all" in typed:
            await member_handlers.end_other_sessions(call)
        else:
            await member_handlers.end_session(call, path=parse_parameters(SessionPath, {"id": typed.get("id", "")}))
        return "/compte/securite?fait=session"

    return await _on_security(request, act, needs_second_factor=False)


async def _on_security(
    request: web.Request, act: Act, *, needs_second_factor: bool = True, **options: Any
) -> web.StreamResponse:
    caller = await anybody(request)
    return await submitted(
        request,
        caller,
        act,
        lambda call, typed, problem: _security(request, call, typed, problem),
        role=Role.READ_ONLY,
        needs_second_factor=needs_second_factor,
        **options,
    )
