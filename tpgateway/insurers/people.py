"""Use cases of insurers' people: invited by an operator or an owner, and how they get in to the desk.

Everything else about them is as for the people of practices, in ``members``. A code is asked for at every log-in: what the
desk opens is health data of many, and a browser that is known is not a person.
"""

import json
from datetime import datetime
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.insurers.errors import OwnPlace
from tpgateway.insurers.model import Insurer, InsurerId
from tpgateway.insurers.store.accounts import InsurerStore, RequestStore
from tpgateway.jobs import JobKind, enqueue
from tpgateway.links import LinkUnknown
from tpgateway.mail import Post, may_mail
from tpgateway.members import door
from tpgateway.members import service as members
from tpgateway.members.door import Attempt, DoorLocked
from tpgateway.members.errors import LoginRefused
from tpgateway.members.model import Member, MemberId, MemberState
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web.callers import Role
from tpgateway.web.problems import RoleNotAllowed

_PURPOSE = "insurer request"
SEALED = (Sealed("insurer_requests", "sealed", ("id",), lambda _: _PURPOSE),)
_LOCK_NOTICE, _PASSWORD_RESET = "lock_notice", "password_reset"


async def invite(
    connection: Connection,
    post: Post,
    insurer: Insurer,
    *,
    email: str,
    name: str | None,
    role: Role,
    days: int,
    session_id: UUID | None,
    now: datetime,
    actor: Actor,
) -> Member:
    """Invites somebody to the insurer's desk by mail; raises ``MemberAlreadyThere``, ``MailsTooMany``."""
    return await members.invite(
        connection,
        post,
        insurer.id,
        practice=insurer.name,
        login=insurer.number,
        email=email,
        name=name,
        role=role,
        days=days,
        session_id=session_id,
        now=now,
        actor=actor,
    )


async def change_role(
    connection: Connection, post: Post, insurer_id: InsurerId, member_id: MemberId, role: Role, *, actor: Actor
) -> Member | None:
    """Gives somebody another role; None where the insurer has no such person. Raises ``OwnPlace``, ``RoleNotAllowed``."""
    await _refuse_to_leave_none(connection, insurer_id, actor, member_id)
    return await members.change_role(connection, post, insurer_id, member_id, role, actor=actor)


async def remove(
    connection: Connection, insurer_id: InsurerId, member_id: MemberId, *, now: datetime, actor: Actor
) -> bool:
    """Removes somebody, whose sessions end at once; False where there is nobody. Raises ``OwnPlace``, ``RoleNotAllowed``."""
    await _refuse_to_leave_none(connection, insurer_id, actor, member_id)
    return await members.remove(connection, insurer_id, member_id, now=now, actor=actor)


async def _refuse_to_leave_none(
    connection: Connection, insurer_id: InsurerId, actor: Actor, member_id: MemberId
) -> None:
    """So that an owner is always left: who acts is another one, and is an owner still once nobody else can change that."""
    if actor.agent_id == member_id:
        raise OwnPlace
    await members.lock_account(connection, insurer_id, None)
    who = await members.get(connection, MemberId(actor.agent_id)) if actor.agent_id else None
    if who is None or who.state is not MemberState.ACTIVE or who.role is not Role.OWNER:
        raise RoleNotAllowed


async def open_door(
    connection: Connection,
    vault: Vault,
    number: str,
    email: str,
    password: str,
    *,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> Member:
    """Whom number, address and password let in; raises ``LoginRefused``, ``LoginSlowed``, ``LoginLocked``.

    A suspended insurer's people are not told from strangers. Not for a transaction that ends with what is raised.
    """
    insurer = await InsurerStore(connection).find(number)
    found = await members.find(connection, insurer.id, email) if insurer and insurer.is_active else None
    attempt = Attempt(door=_door(number, email), password=password, device=None)
    try:
        entered = await door.try_password(connection, vault, attempt, found, settings=settings, now=now, actor=actor)
    except DoorLocked:
        async with connection.transaction():  # the request and its job, or neither
            await _ask(connection, vault, _LOCK_NOTICE, number, email)
        raise LoginRefused from None
    return entered.member


def _door(number: str, email: str) -> str:
    return f"insurer {number} {email.lower()}"


async def ask_password_reset(connection: Connection, vault: Vault, number: str, email: str) -> None:
    """Leaves the request for the worker, whatever it will find: a link to set a new password."""
    await _ask(connection, vault, _PASSWORD_RESET, number, email)


async def _ask(connection: Connection, vault: Vault, what: str, number: str, email: str) -> None:
    sealed = vault.seal(json.dumps({"what": what, "number": number, "email": email}).encode(), purpose=_PURPOSE)
    request_id = await RequestStore(connection).add(sealed)
    await enqueue(connection, JobKind.ANSWER_INSURER_REQUEST, request=request_id)


async def answer(connection: Connection, post: Post, request_id: UUID, *, settings: Settings, now: datetime) -> None:
    """Looks up what was asked and mails what there is to say."""
    sealed = await RequestStore(connection).take(request_id)
    if sealed is None:
        return
    asked = json.loads(post.vault.open(sealed, purpose=_PURPOSE))
    insurer = await InsurerStore(connection).find(asked["number"])
    found = await members.find(connection, insurer.id, asked["email"]) if insurer and insurer.is_active else None
    if found is None:
        return
    member, _ = found
    if not await may_mail(connection, member.email, f"desk {asked['what']}", per_hour=settings.mails_per_hour, now=now):
        return
    if asked["what"] == _LOCK_NOTICE:
        minutes = settings.login_lock_minutes
        await post.send(
            connection,
            "members/login_locked",
            to=member.email,
            door=members.door_of(member),
            minutes=minutes,
            moment=now,
        )
        return
    await members.mail_reset(connection, post, member, minutes=settings.password_reset_minutes, now=now)
    await audit.record(connection, actor=SYSTEM, action=Action.PASSWORD_RESET_ASKED, subject_id=member.account_id)


async def reset_password(
    connection: Connection, post: Post, token: str, password: str, *, now: datetime, actor: Actor
) -> None:
    """Sets a new password by the link of the mail, ends all sessions and opens the locked door.

    Raises as ``links.use`` does, or the password's fault.
    """
    member = await members.reset_password(connection, post, token, password, now=now, actor=actor)
    if member.account_kind != "insurer":
        raise LinkUnknown
    insurer = await InsurerStore(connection).get(InsurerId(member.account_id))
    assert insurer is not None
    await door.unlock(connection, post.vault, member, [_door(insurer.number, member.email)])


async def forget_old(connection: Connection, *, now: datetime) -> int:
    """Removes requests that nobody answered for a day; answers how many."""
    return await RequestStore(connection).forget(now)
