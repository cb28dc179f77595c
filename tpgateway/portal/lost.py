"""Pages of what was lost, and those that links in mails lead to."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from pydantic import ConfigDict

from tpgateway.errors import Problem
from tpgateway.insurers import people
from tpgateway.insurers.payloads import DeskResetRequest
from tpgateway.links import LinkExpired, LinkUnknown, LinkUsed
from tpgateway.mail import Post
from tpgateway.members import handlers as member_handlers
from tpgateway.members import service as members
from tpgateway.members.model import Member
from tpgateway.members.payloads import InvitationAcceptance, TokenPath, TokenRequest
from tpgateway.portal.forms import Form, read
from tpgateway.portal.pages import LOGIN_COST, MAIL_COST, SCHEME_NAMES, call_of, form_of, page, spend, transaction
from tpgateway.practitioners import handlers
from tpgateway.practitioners.payloads import (
    NewPasswordRequest,
    PasswordResetRequest,
    ReminderRequest,
    RevocationRequest,
)
from tpgateway.web.frame import refuse_cross_site
from tpgateway.web.routing import Answer, Call
from tpgateway.web.validation import parse_parameters


async def lost_password(request: web.Request) -> web.Response:
    return page(request, "lost_password.html", schemes=SCHEME_NAMES, is_sent=False, typed={})


async def ask_password_reset(request: web.Request) -> web.Response:
    return await _ask(request, "lost_password.html", _ResetForm, handlers.ask_password_reset)


class _ResetForm(PasswordResetRequest):
    model_config = ConfigDict(strict=False)


async def lost_identifier(request: web.Request) -> web.Response:
    return page(request, "lost_identifier.html", schemes=SCHEME_NAMES, is_sent=False, typed={})


async def ask_reminder(request: web.Request) -> web.Response:
    return await _ask(request, "lost_identifier.html", _ReminderForm, handlers.ask_reminder)


class _ReminderForm(ReminderRequest):
    model_config = ConfigDict(strict=False)


async def _ask(
    request: web.Request, template: str, shape: type[Any], handler: Callable[..., Awaitable[Answer]]
) -> web.Response:
    """A stranger's request, answered alike whatever there is."""
    refuse_cross_site(request)
    call = call_of(request)
    try:
        await spend(request, MAIL_COST)
        asked = parse_parameters(shape, {name: value for name, value in await form_of(request) if value})
        async with transaction(call):
            await handler(call, body=asked)
    except Problem as problem:
        typed = dict(await form_of(request))
        return page(
            request,
            template,
            status=problem.status,
            problem=problem,
            schemes=SCHEME_NAMES,
            is_sent=False,
            typed=typed,
        )
    return page(request, template, schemes=SCHEME_NAMES, is_sent=True, typed={})


async def new_password(request: web.Request) -> web.Response:
    return _link_page(request, "new_password.html")


async def set_new_password(request: web.Request) -> web.Response:
    async def act(call: Call, typed: dict[str, str]) -> None:
        asked = parse_parameters(_NewPasswordForm, typed)
        await handlers.reset_password(call, path=parse_parameters(TokenPath, dict(request.match_info)), body=asked)

    return await _by_link(request, "new_password.html", act, cost=LOGIN_COST)


class _NewPasswordForm(NewPasswordRequest):
    model_config = ConfigDict(strict=False, str_strip_whitespace=False)


async def desk_lost_password(request: web.Request) -> web.Response:
    return page(request, "desk/lost_password.html", form=Form(labels=_DESK_LABELS))


async def desk_ask_password_reset(request: web.Request) -> web.Response:
    """Always answered alike."""
    refuse_cross_site(request)
    call, typed = call_of(request), dict(await form_of(request))
    try:
        await spend(request, MAIL_COST)
        asked = read(DeskResetRequest, {name: value for name, value in typed.items() if value}, call)
        async with transaction(call):
            await people.ask_password_reset(call.connection, call.state.vault, asked.number, asked.email)
    except Problem as problem:
        form = Form.of(_DESK_LABELS, typed, problem)
        return page(request, "desk/lost_password.html", status=problem.status, problem=problem, form=form)
    return page(request, "sent.html", said="Si ces informations sont connues, un message vient de partir.")


_DESK_LABELS = {"number": "Numéro de l'organisme (AMC)", "email": "Adresse électronique"}


async def desk_new_password(request: web.Request) -> web.Response:
    return _link_page(request, "new_password.html")


async def desk_set_new_password(request: web.Request) -> web.Response:
    async def act(call: Call, typed: dict[str, str]) -> None:
        asked = parse_parameters(_NewPasswordForm, typed)
        token = parse_parameters(TokenPath, dict(request.match_info)).token
        post = Post.of(call.state.settings, call.state.vault)
        await people.reset_password(call.connection, post, token, asked.password, now=call.now, actor=call.actor)

    return await _by_link(request, "new_password.html", act, cost=LOGIN_COST)


async def confirmation(request: web.Request) -> web.Response:
    return _link_page(request, "email.html")


async def confirm_email(request: web.Request) -> web.Response:
    async def act(call: Call, _: dict[str, str]) -> None:
        await member_handlers.confirm_email(call, body=parse_parameters(TokenRequest, dict(request.match_info)))

    return await _by_link(request, "email.html", act)


async def invitation(request: web.Request) -> web.Response:
    return _link_page(request, "invitation.html")


async def accept_invitation(request: web.Request) -> web.Response:
    joined: list[Member] = []

    async def act(call: Call, typed: dict[str, str]) -> None:
        asked = parse_parameters(_InvitationForm, {**typed, "token": request.match_info["token"]})
        joined.append(
            await members.join(call.connection, asked.token, name=asked.name, password=asked.password, now=call.now)
        )

    shown = await _by_link(request, "invitation.html", act, cost=LOGIN_COST)
    return page(request, "joined.html", is_desk_person=joined[0].account_kind == "insurer") if joined else shown


class _InvitationForm(InvitationAcceptance):
    model_config = ConfigDict(strict=False)


async def revocation(request: web.Request) -> web.Response:
    return _link_page(request, "revocation.html")


async def revoke_bank_details(request: web.Request) -> web.Response:
    async def act(call: Call, _: dict[str, str]) -> None:
        await handlers.revoke_bank_details_by_link(
            call, body=parse_parameters(RevocationRequest, dict(request.match_info))
        )

    return await _by_link(request, "revocation.html", act)


_LINK_LABELS = {
    "name": "Vos prénom et nom",
    "password": "Mot de passe",
    "password_confirmation": "Mot de passe, encore une fois",
}


async def _by_link(
    request: web.Request, template: str, act: Callable[[Call, dict[str, str]], Awaitable[None]], cost: int = MAIL_COST
) -> web.Response:
    """What a mailed link does once its page's button was pressed: a look at the page alone uses nothing up."""
    refuse_cross_site(request)
    call = call_of(request)
    typed = dict(await form_of(request))
    try:
        await spend(request, cost)
        async with transaction(call):
            await act(call, typed)
    except Problem as problem:
        shown = {name: value for name, value in typed.items() if "password" not in name}
        return _link_page(request, template, Form.of(_LINK_LABELS, shown, problem), problem)
    return page(request, template, form=Form(labels=_LINK_LABELS), is_done=True, is_dead=False)


def _link_page(
    request: web.Request, template: str, form: Form | None = None, problem: Problem | None = None
) -> web.Response:
    return page(
        request,
        template,
        status=problem.status if problem else 200,
        problem=problem,
        form=form or Form(labels=_LINK_LABELS),
        is_done=False,
        is_dead=isinstance(problem, (LinkUnknown, LinkUsed, LinkExpired)),
    )
