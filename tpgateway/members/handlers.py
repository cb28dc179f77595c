"""Handlers of what people do with their own log-in, and owners with everybody's."""

import csv
import io
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from uuid import UUID

from aiohttp import web

from tpgateway import audit
from tpgateway.audit import Action, trail
from tpgateway.audit.sentences import SENTENCES_FR
from tpgateway.audit.trail import Entry, Search
from tpgateway.mail import Post
from tpgateway.members import door, rules, service
from tpgateway.members.model import Member, MemberId, Method, SessionId
from tpgateway.members.payloads import (
    CodeRequest,
    CodeSentView,
    EmailConfirmedView,
    EmailRequest,
    EndedView,
    EnrolmentView,
    FactorRequest,
    FactorsView,
    InvitationAcceptance,
    JournalEntryView,
    JournalQuery,
    JournalSearch,
    JournalView,
    MemberListView,
    MemberPath,
    MemberView,
    PasswordRequest,
    RecoveryCodesView,
    RoleRequest,
    SessionItemView,
    SessionListView,
    SessionPath,
    StatusView,
    TokenRequest,
)
from tpgateway.settings import Settings
from tpgateway.web import sessions
from tpgateway.web.frame import address_of
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import PARIS, Answer, Call

_EXPORT_PAGE = 500


# Second factors --------------------------------------------------------------------------------------------------------


async def send_code(call: Call) -> Answer:
    """Mails a code to whoever has no authenticator application; good for this session."""
    member = await _me(call)
    if member.has_totp:
        return Answer(
            status=200,
            body=CodeSentView(
                status="use_application",
                sent_to="",
                message_fr="Saisissez le code de votre application d'authentification, ou un code de secours.",
            ),
        )
    await door.mail_code(
        call.connection,
        _post(call),
        member,
        _session(call),
        minutes=call.state.settings.second_factor_minutes,
        now=call.now,
    )
    sent_to = rules.masked(member.email)
    return Answer(
        status=202,
        body=CodeSentView(status="sent", sent_to=sent_to, message_fr=f"Un code vient d'être envoyé à {sent_to}."),
    )


async def give_factor(call: Call, *, body: FactorRequest) -> Answer:
    """Completes a log-in, or opens sensitive changes for some minutes."""
    headers = await factor_given(call, body.code, knows_device=body.know_device)
    async with call.state.connection() as connection:
        member = await service.get(connection, MemberId(_member_id(call)))
        view = await _factors(connection, member, given_at=call.now)
    return Answer(body=view, headers=headers)


async def factor_given(call: Call, code: str, *, knows_device: bool) -> dict[str, str]:
    """The headers of an answer to a right code: the session is whole, the browser known; raises as ``door.give_factor``."""
    settings = call.state.settings
    async with call.state.connection() as connection:
        member = await service.get(connection, MemberId(_member_id(call)))
        method = await door.give_factor(
            connection,
            _post(call),
            member,
            _session(call),
            code,
            settings=settings,
            now=call.now,
            actor=call.actor,
        )
        if method is Method.RECOVERY_CODE:
            left = await door.count_recovery_codes(connection, member)
            async with connection.transaction():  # the mail and its job, or neither
                await service.tell(
                    connection, _post(call), member, "members/recovery_code_used", left=left, moment=call.now
                )
    if call.caller.is_pending:
        whole = sessions.Opened(
            member_id=member.id,
            is_kept=await sessions.wants_kept(call.request),
            is_pending=False,
            second_factor_at=call.now,
            address=address_of(call.request),
        )
        await sessions.complete(call.request, whole)
    else:
        await sessions.renew(call.request)
    token = None
    async with call.state.connection() as connection:
        if call.caller.is_pending:
            await audit.record(connection, actor=call.actor, action=Action.LOGGED_IN, subject_id=call.caller.account_id)
        if knows_device:
            offered = call.request.cookies.get(device_cookie_name(settings))
            days = settings.known_device_days
            token = await door.know_device(connection, member.id, offered, days=days, now=call.now)
    return {"Set-Cookie": device_cookie(settings, token)} if token else {}


def device_cookie_name(settings: Settings) -> str:
    """The cookie by which a browser is known."""
    return "__Host-device" if settings.is_https else "device"


def device_cookie(settings: Settings, token: str) -> str:
    """The Set-Cookie header that makes a browser known."""
    cookie = SimpleCookie({device_cookie_name(settings): token})
    (morsel,) = cookie.values()
    morsel["path"], morsel["samesite"], morsel["httponly"] = "/", "Lax", True
    morsel["max-age"] = settings.known_device_days * 86_400
    morsel["secure"] = settings.is_https
    return morsel.OutputString()


async def show_factors(call: Call) -> Answer:
    return Answer(body=await _factors(call.connection, await _me(call), given_at=call.caller.second_factor_at))


async def _factors(connection: object, member: Member, *, given_at: object) -> FactorsView:
    return FactorsView.model_validate(
        {
            "methods": list(rules.methods(has_totp=member.has_totp)),
            "totp_is_in_use": member.has_totp,
            "recovery_codes_left": await door.count_recovery_codes(connection, member),  # type: ignore[arg-type]
            "given_at": given_at,
        }
    )


async def begin_totp(call: Call) -> Answer:
    """A secret for an authenticator application, in use once its first code was confirmed."""
    enrolment = await door.begin_totp(call.connection, call.state.vault, await _me(call))
    return Answer(status=201, body=EnrolmentView.showing(enrolment))


async def confirm_totp(call: Call, *, body: CodeRequest) -> Answer:
    """The recovery codes are in this answer and nowhere else afterwards."""
    codes = await door.confirm_totp(
        call.connection, _post(call), await _me(call), body.code, now=call.now, actor=call.actor
    )
    return Answer(body=RecoveryCodesView(recovery_codes=codes))


async def remove_totp(call: Call) -> Answer:
    await door.remove_totp(call.connection, _post(call), await _me(call), actor=call.actor)
    return Answer(status=204)


async def renew_recovery_codes(call: Call) -> Answer:
    codes = await door.renew_recovery_codes(call.connection, call.state.vault, await _me(call), actor=call.actor)
    return Answer(status=201, body=RecoveryCodesView(recovery_codes=codes))


# Sessions --------------------------------------------------------------------------------------------------------------


async def list_sessions(call: Call) -> Answer:
    found = await door.sessions(call.connection, MemberId(_member_id(call)))
    items = [
        SessionItemView(
            id=each.id,
            agent=each.agent,
            address=each.address,
            is_current=each.id == call.caller.session_id,
            is_kept=each.is_kept,
            created_at=each.created_at,
            seen_at=each.seen_at,
            expires_at=each.expires_at,
        )
        for each in found
    ]
    return Answer(body=SessionListView(sessions=items))


async def close_session(call: Call) -> Answer:
    """Log out."""
    await sessions.log_out(call.request)
    await audit.record(call.connection, actor=call.actor, action=Action.LOGGED_OUT, subject_id=call.caller.account_id)
    return Answer(status=204)


async def end_session(call: Call, *, path: SessionPath) -> Answer:
    member_id = MemberId(_member_id(call))
    if not await door.end_session(call.connection, member_id, SessionId(path.id), actor=call.actor):
        raise NotFound
    return Answer(status=204)


async def end_other_sessions(call: Call) -> Answer:
    """Ends all of one's sessions but this one; browsers that were known are asked again."""
    ended = await door.end_other_sessions(
        call.connection, MemberId(_member_id(call)), call.caller.session_id, actor=call.actor
    )
    return Answer(body=EndedView(ended=ended))


# One's own log-in ------------------------------------------------------------------------------------------------------


async def change_password(call: Call, *, body: PasswordRequest) -> Answer:
    """Ends all other sessions."""
    async with call.state.connection() as connection:
        member = await service.get(connection, MemberId(_member_id(call)))
        await door.confirm_password(
            connection,
            _post(call),
            member,
            body.current_password,
            settings=call.state.settings,
            now=call.now,
            actor=call.actor,
        )
        async with connection.transaction():
            await service.change_password(
                connection, _post(call), member, body.password, but_session=call.caller.session_id, now=call.now
            )
            await audit.record(connection, actor=call.actor, action=Action.PASSWORD_CHANGED, subject_id=member.id)
    return Answer(status=204)


async def ask_email_change(call: Call, *, body: EmailRequest) -> Answer:
    """The new address counts once the link mailed to it was used; the old one is told."""
    await service.ask_email_change(
        call.connection,
        _post(call),
        await _me(call),
        body.email,
        hours=call.state.settings.activation_hours,
        session_id=call.caller.session_id,
        now=call.now,
        actor=call.actor,
    )
    view = StatusView(
        status="confirmation_sent",
        message_fr="Un message vient d'être envoyé à la nouvelle adresse : ouvrez le lien qu'il contient.",
    )
    return Answer(status=202, body=view)


async def confirm_email(call: Call, *, body: TokenRequest) -> Answer:
    member = await service.change_email(call.connection, _post(call), body.token, now=call.now, actor=call.actor)
    return Answer(body=EmailConfirmedView(email=rules.masked(member.email)))


# Collaborators ---------------------------------------------------------------------------------------------------------


async def list_members(call: Call) -> Answer:
    found = await service.list_all(call.connection, call.caller.account_id)
    return Answer(body=MemberListView(members=[MemberView.showing(member) for member in found]))


async def accept_invitation(call: Call, *, body: InvitationAcceptance) -> Answer:
    member = await service.join(call.connection, body.token, name=body.name, password=body.password, now=call.now)
    return Answer(body=MemberView.showing(member))


async def change_role(call: Call, *, path: MemberPath, body: RoleRequest) -> Answer:
    member = await service.change_role(
        call.connection, _post(call), call.caller.account_id, MemberId(path.id), body.role, actor=call.actor
    )
    if member is None:
        raise NotFound
    return Answer(body=MemberView.showing(member))


async def remove_member(call: Call, *, path: MemberPath) -> Answer:
    """The member's sessions end at once."""
    is_done = await service.remove(
        call.connection, call.caller.account_id, MemberId(path.id), now=call.now, actor=call.actor
    )
    if not is_done:
        raise NotFound
    return Answer(status=204)


# Journal ---------------------------------------------------------------------------------------------------------------


async def show_journal(call: Call, *, query: JournalQuery) -> Answer:
    """Who did what in the practice, its software included, and what was done to its account."""
    account = call.caller.account_id
    found = await trail.of_account(
        call.connection,
        account,
        _search(query),
        is_newest_first=query.order == "newest",
        after=query.after,
        limit=query.limit + 1,
    )
    names = await service.names(call.connection, account)
    page = found[: query.limit]
    return Answer(
        body=JournalView(
            entries=[_entry_view(entry, names) for entry in page],
            next_after=page[-1].id if len(found) > query.limit else None,
        )
    )


async def export_journal(call: Call, *, query: JournalSearch) -> Answer | web.StreamResponse:
    """The same as CSV for a spreadsheet: UTF-8 with a mark, semicolons, hours of Paris."""
    if call.request.method == "HEAD":
        return Answer(body=b"", media_type="text/csv; charset=utf-8")
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": 'attachment; filename="journal.csv"',
            "X-Request-Id": call.request_id,
        }
    )
    async with call.state.connection() as connection:
        names = await service.names(connection, call.caller.account_id)
        await audit.record(
            connection, actor=call.actor, action=Action.JOURNAL_EXPORTED, subject_id=call.caller.account_id
        )
    await response.prepare(call.request)
    await response.write("\ufeff".encode() + _csv(["date", "heure", "qui", "quoi", "action", "objet"]))
    async for entry in _all_entries(call, query):
        moment = entry.occurred_at.astimezone(PARIS)
        await response.write(
            _csv(
                [
                    f"{moment:%d/%m/%Y}",
                    f"{moment:%H:%M:%S}",
                    names.get(entry.agent_id, "") if entry.agent_id else "",
                    SENTENCES_FR[entry.action],
                    entry.action.value,
                    str(entry.subject_id or ""),
                ]
            )
        )
    await response.write_eof()
    return response


async def _all_entries(call: Call, query: JournalSearch) -> AsyncIterator[Entry]:
    """Page by page: a slow reader holds no connection."""
    after: UUID | None = None
    while True:
        async with call.state.connection() as connection:
            page = await trail.of_account(
                connection,
                call.caller.account_id,
                _search(query),
                is_newest_first=query.order == "newest",
                after=after,
                limit=_EXPORT_PAGE,
            )
        for entry in page:
            yield entry
        if len(page) < _EXPORT_PAGE:
            return
        after = page[-1].id


def _csv(cells: list[str]) -> bytes:
    # A spreadsheet would take a cell that opens like a formula for one.
    safe = [f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell for cell in cells]
    line = io.StringIO()
    csv.writer(line, delimiter=";").writerow(safe)
    return line.getvalue().encode()


def _search(query: JournalSearch) -> Search:
    return Search(
        actions=query.action,
        agent_id=query.agent,
        since=query.since,
        until=query.until,
        subject_id=query.subject,
    )


def _entry_view(entry: Entry, names: dict[UUID, str]) -> JournalEntryView:
    return JournalEntryView(
        id=entry.id,
        occurred_at=entry.occurred_at,
        action=entry.action,
        what_fr=SENTENCES_FR[entry.action],
        who=names.get(entry.agent_id) if entry.agent_id else None,
        agent_id=entry.agent_id,
        subject_id=entry.subject_id,
    )


async def _me(call: Call) -> Member:
    return await service.get(call.connection, MemberId(_member_id(call)))


def _member_id(call: Call) -> UUID:
    assert call.caller.member_id is not None
    return call.caller.member_id


def _session(call: Call) -> UUID:
    assert call.caller.session_id is not None
    return call.caller.session_id


def _post(call: Call) -> Post:
    return Post.of(call.state.settings, call.state.vault)
