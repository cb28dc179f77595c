"""Use cases of people: who belongs to a practice, with what password, address and role."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import argon2

from tpgateway import audit, links
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.errors import Fault, InvalidRequest
from tpgateway.links import Link, LinkUnknown, Purpose
from tpgateway.mail import Post
from tpgateway.members import rules
from tpgateway.members.errors import EmailTaken, HolderStays, MailsTooMany, MemberAlreadyThere
from tpgateway.members.model import Member, MemberId, MemberState, Secrets
from tpgateway.members.store import DoorStore, MemberStore
from tpgateway.web import limits
from tpgateway.web.callers import Role
from tpgateway.web.problems import AuthenticationRequired

TOTP_PURPOSE = "totp secret"
SEALED = (Sealed("practitioner_members", "totp_secret", ("id",), lambda _: TOTP_PURPOSE),)
_MAILS_PER_DAY = 40
# OWASP's first choice for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. The library's own default
# takes eight times the processor, which on a Monday morning is everybody's.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _nobodys_hash() -> str:
    """What a password is compared with where there is no account, so that both take the same time."""
    return _hasher.hash(secrets.token_urlsafe(16))


# Passwords -------------------------------------------------------------------------------------------------------------


async def hash_password(password: str) -> str:
    """Argon2id, in a thread."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(kept: str | None, password: str) -> bool:
    """Whether the password is the one kept; takes as long where none is."""
    return await asyncio.to_thread(_verifies, kept or _nobodys_hash(), password) and kept is not None


async def renew_hash(connection: Connection, member_id: MemberId, kept: str, password: str) -> None:
    """Keeps a password that was just given under today's cost, where it was kept under another."""
    if _hasher.check_needs_rehash(kept):
        await MemberStore(connection).set_password(member_id, await hash_password(password))


def _verifies(expected: str, password: str) -> bool:
    try:
        return _hasher.verify(expected, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


async def set_password(connection: Connection, member_id: MemberId, password: str) -> None:
    """A member's new password; raises ``InvalidRequest`` where it may not be used."""
    store = MemberStore(connection)
    member = await _get(connection, member_id)
    refuse_password(password, await store.numbers(member.account_id))
    await store.set_password(member_id, await hash_password(password))


def refuse_password(password: str, forbidden: Sequence[str] = ()) -> None:
    """Raises the fault of a password that may not be used."""
    if (fault := rules.password_fault(password, forbidden)) is not None:
        problem, sentence = fault
        raise InvalidRequest(faults=[Fault(pointer="/password", problem=problem, message_fr=sentence)])


async def change_password(
    connection: Connection, post: Post, member: Member, password: str, *, but_session: UUID | None, now: datetime
) -> None:
    """Sets a password, ends the member's sessions but one and whatever is under way, and tells him by mail.

    Known browsers are forgotten. Changes of address that wait are void: a thief may have asked.
    """
    await MemberStore(connection).lock_account(member.account_id)
    await set_password(connection, member.id, password)
    door = DoorStore(connection)
    await door.end_sessions(member.id, but=but_session)
    await door.forget_devices(member.id)
    for purpose in (Purpose.PASSWORD_RESET, Purpose.EMAIL_CHANGE):
        await links.end_all(connection, purpose, member.account_id, now=now, subject_id=member.id)
    await tell(connection, post, member, "members/password_changed", moment=now)


async def tell(connection: Connection, post: Post, member: Member, letter: str, **values: object) -> None:
    """Tells a sensitive change to the member's address and to those that he gave up of late.

    Whoever took over the account and changed its address first is still seen.
    """
    for address in await MemberStore(connection).addresses(member.id, timedelta(days=post.former_days)):
        await post.send(connection, letter, to=address, door=door_of(member), **values)


def door_of(member: Member) -> str:
    """Where the pages begin by which the member gets in: practices' at the root, insurers' at their desk."""
    return "/assureur" if member.account_kind == "insurer" else ""


async def mail_reset(connection: Connection, post: Post, member: Member, *, minutes: int, now: datetime) -> None:
    """Mails the link by which a member sets a new password."""
    lifetime = timedelta(minutes=minutes)
    token = await links.create(
        connection, Purpose.PASSWORD_RESET, member.account_id, subject_id=member.id, lifetime=lifetime, now=now
    )
    await post.send(
        connection, "members/password_reset", to=member.email, door=door_of(member), token=token, minutes=minutes
    )


async def reset_password(
    connection: Connection, post: Post, token: str, password: str, *, now: datetime, actor: Actor
) -> Member:
    """Sets the password by the link of a mail; raises as ``links.use`` does, or the password's fault.

    An owner's voids the invitations that wait, too.
    """
    await _lock_account_of(connection, Purpose.PASSWORD_RESET, token)
    link = await links.use(connection, Purpose.PASSWORD_RESET, token, now=now)
    member = await _get(connection, MemberId(_subject(link)))
    if member.state is not MemberState.ACTIVE or not await _is_in_use(connection, link):
        raise LinkUnknown
    await change_password(connection, post, member, password, but_session=None, now=now)
    if member.role is Role.OWNER:
        await links.end_all(connection, Purpose.INVITATION, member.account_id, now=now)
    await _record(connection, actor, Action.PASSWORD_CHANGED, member)
    return member


# People ----------------------------------------------------------------------------------------------------------------


async def add_holder(connection: Connection, account_id: UUID, *, email: str, password: str, now: datetime) -> MemberId:
    """Whoever opens an account."""
    password_hash = await hash_password(password)
    return await MemberStore(connection).add_holder(account_id, email=email, password_hash=password_hash, now=now)


async def holder(connection: Connection, account_id: UUID) -> Member:
    """The holder of an account that is known to exist."""
    found = await MemberStore(connection).holder(account_id)
    assert found is not None
    return found


async def find(connection: Connection, account_id: UUID, email: str | None) -> tuple[Member, Secrets] | None:
    """Who logs in to a practice: its holder, or whoever has the address."""
    return await MemberStore(connection).find(account_id, email)


async def get(connection: Connection, member_id: MemberId) -> Member:
    """A member who is known to exist."""
    return await _get(connection, member_id)


async def list_all(connection: Connection, account_id: UUID) -> list[Member]:
    """Everybody of a practice, those invited included."""
    return await MemberStore(connection).list_all(account_id)


async def names(connection: Connection, account_id: UUID) -> dict[UUID, str]:
    """What to call the people and API clients of a practice, those of the past included."""
    return await MemberStore(connection).names(account_id)


async def invite(
    connection: Connection,
    post: Post,
    account_id: UUID,
    *,
    practice: str,
    login: str,
    email: str,
    name: str | None,
    role: Role,
    days: int,
    session_id: UUID | None,
    now: datetime,
    actor: Actor,
) -> Member:
    """Invites somebody by mail; raises ``MemberAlreadyThere``, ``MailsTooMany``. ``login`` is what he will log in with."""
    await lock_account(connection, account_id, session_id)
    await _spend_mail(connection, account_id, now)
    member = await MemberStore(connection).invite(account_id, email=email, name=name, role=role, now=now)
    if member is None:
        raise MemberAlreadyThere
    token = await links.create(
        connection,
        Purpose.INVITATION,
        account_id,
        subject_id=member.id,
        lifetime=timedelta(days=days),
        now=now,
    )
    await post.send(
        connection, "members/invitation", to=email, practice=practice, login=login, role=role, token=token, days=days
    )
    await _record(connection, actor, Action.MEMBER_INVITED, member)
    await _tell_of_owner(connection, post, member)
    return member


async def _tell_of_owner(connection: Connection, post: Post, member: Member) -> None:
    """Somebody gets, or is about to get, all of the account's rights: its holder hears of it, or all owners without one."""
    if member.role is not Role.OWNER:
        return
    others = [each for each in await list_all(connection, member.account_id) if each.id != member.id]
    holders = [each for each in others if each.is_holder]
    owners = [each for each in others if each.role is Role.OWNER and each.state is MemberState.ACTIVE]
    for whom in holders or owners:
        await tell(connection, post, whom, "members/owner_added", address=rules.masked(member.email))


async def join(connection: Connection, token: str, *, name: str | None, password: str, now: datetime) -> Member:
    """An invited person comes in by the link of the mail; raises as ``links.use`` does, or the password's fault."""
    await _lock_account_of(connection, Purpose.INVITATION, token)
    link = await links.use(connection, Purpose.INVITATION, token, now=now)
    store = MemberStore(connection)
    member_id = MemberId(_subject(link))
    if not await _is_in_use(connection, link):
        raise LinkUnknown
    refuse_password(password, await store.numbers(link.account_id))
    if not await store.join(member_id, name=name, password_hash=await hash_password(password), now=now):
        raise LinkUnknown
    member = await _get(connection, member_id)
    actor = Actor(kind=member.account_kind, id=link.account_id, agent_id=member_id)
    await _record(connection, actor, Action.MEMBER_JOINED, member)
    return member


async def change_role(
    connection: Connection, post: Post, account_id: UUID, member_id: MemberId, role: Role, *, actor: Actor
) -> Member | None:
    """Gives a member another role; None where the account has no such member. Raises ``HolderStays``."""
    await MemberStore(connection).lock_account(account_id)
    member = await _of_account(connection, account_id, member_id)
    if member is None:
        return None
    if member.is_holder:
        raise HolderStays
    await MemberStore(connection).set_role(member_id, role)
    await _record(connection, actor, Action.MEMBER_ROLE_CHANGED, member)
    changed = await _get(connection, member_id)
    await _tell_of_owner(connection, post, changed)
    return changed


async def remove(connection: Connection, account_id: UUID, member_id: MemberId, *, now: datetime, actor: Actor) -> bool:
    """Removes a member, whose sessions end at once; False where there is none. Raises ``HolderStays``."""
    await MemberStore(connection).lock_account(account_id)
    member = await _of_account(connection, account_id, member_id)
    if member is None:
        return False
    if member.is_holder:
        raise HolderStays
    await MemberStore(connection).remove(member_id, now)
    await DoorStore(connection).end_sessions(member_id)
    await DoorStore(connection).forget_devices(member_id)
    for purpose in (Purpose.INVITATION, Purpose.PASSWORD_RESET, Purpose.EMAIL_CHANGE):
        await links.end_all(connection, purpose, account_id, now=now, subject_id=member_id)
    await _record(connection, actor, Action.MEMBER_REMOVED, member)
    return True


async def close(connection: Connection, account_id: UUID, *, now: datetime) -> None:
    """Ends every session of a practice or insurer, forgets its browsers, and voids the links mailed to its people."""
    door = DoorStore(connection)
    await door.end_sessions_of_account(account_id)
    await door.forget_devices_of_account(account_id)
    for purpose in (Purpose.PASSWORD_RESET, Purpose.EMAIL_CHANGE, Purpose.INVITATION):
        await links.end_all(connection, purpose, account_id, now=now)


async def log_out(connection: Connection, email: str, *, actor: Actor) -> int | None:
    """Ends all sessions of whoever has a mail address, and forgets the browsers; None where nobody has it."""
    door = DoorStore(connection)
    people = await door.members_of_address(email)
    ended = 0
    for each in people:
        ended += await door.end_sessions(each)
        await door.forget_devices(each)
        await audit.record(connection, actor=actor, action=Action.SESSION_ENDED, subject_id=each)
    return ended if people else None


async def log_everybody_out(connection: Connection, *, actor: Actor) -> int:
    """Ends everybody's sessions, and forgets all browsers; answers how many sessions."""
    ended = await DoorStore(connection).end_all()
    await audit.record(connection, actor=actor, action=Action.SESSION_ENDED)
    return ended


async def recover_holder(
    connection: Connection,
    post: Post,
    account_id: UUID,
    *,
    email: str | None,
    forgets_former: bool,
    now: datetime,
    actor: Actor,
) -> None:
    """Lets a holder who lost telephone or mailbox begin again: no application, no sessions, maybe another address."""
    await MemberStore(connection).lock_account(account_id)
    member = await holder(connection, account_id)
    store, door = MemberStore(connection), DoorStore(connection)
    await store.set_totp(member.id, None, None)
    await store.replace_recovery_codes(member.id, [])
    await door.end_sessions(member.id)
    await door.forget_devices(member.id)
    for purpose in (Purpose.PASSWORD_RESET, Purpose.EMAIL_CHANGE):
        await links.end_all(connection, purpose, account_id, now=now, subject_id=member.id)
    if email is not None and email.lower() != member.email.lower() and not await store.set_email(member.id, email, now):
        raise EmailTaken
    await tell(connection, post, await _get(connection, member.id), "members/recovered")
    if forgets_former:
        await store.forget_former_addresses(member.id)
    await audit.record(connection, actor=actor, action=Action.HOLDER_RECOVERED, subject_id=account_id)


# Addresses -------------------------------------------------------------------------------------------------------------


async def ask_email_change(
    connection: Connection,
    post: Post,
    member: Member,
    email: str,
    *,
    hours: int,
    session_id: UUID | None,
    now: datetime,
    actor: Actor,
) -> None:
    """Mails a link to the new address, and tells the old one; raises ``MailsTooMany``."""
    await lock_account(connection, member.account_id, session_id)
    await _spend_mail(connection, member.account_id, now)
    await links.end_all(connection, Purpose.EMAIL_CHANGE, member.account_id, now=now, subject_id=member.id)
    token = await links.create(
        connection,
        Purpose.EMAIL_CHANGE,
        member.account_id,
        subject_id=member.id,
        address=email,
        lifetime=timedelta(hours=hours),
        now=now,
    )
    await post.send(connection, "members/email_change", to=email, token=token, hours=hours)
    await tell(connection, post, member, "members/email_change_asked", address=rules.masked(email))
    await _record(connection, actor, Action.EMAIL_CHANGE_ASKED, member)


async def change_email(connection: Connection, post: Post, token: str, *, now: datetime, actor: Actor) -> Member:
    """The link's address becomes the member's; raises as ``links.use`` does, or ``EmailTaken``."""
    await _lock_account_of(connection, Purpose.EMAIL_CHANGE, token)
    link = await links.use(connection, Purpose.EMAIL_CHANGE, token, now=now)
    member = await _get(connection, MemberId(_subject(link)))
    if member.state is not MemberState.ACTIVE or link.address is None or not await _is_in_use(connection, link):
        raise LinkUnknown
    await links.end_all(connection, Purpose.PASSWORD_RESET, member.account_id, now=now, subject_id=member.id)
    await tell(connection, post, member, "members/email_changed", address=rules.masked(link.address))
    if not await MemberStore(connection).set_email(member.id, link.address, now):
        raise EmailTaken
    await _record(connection, actor, Action.EMAIL_CHANGED, member)
    return await _get(connection, member.id)


async def _spend_mail(connection: Connection, account_id: UUID, now: datetime) -> None:
    """Mails to addresses that a practice chooses, and that nobody confirmed yet, are so many a day."""
    key, day = f"practice mail {account_id}", timedelta(days=1)
    if not await limits.spend(connection, key, quota=_MAILS_PER_DAY, window=day, now=now):
        raise MailsTooMany(retry_after_seconds=86_400 - int(now.timestamp()) % 86_400)


async def lock_account(connection: Connection, account_id: UUID, session_id: UUID | None) -> None:
    """Lets nobody else change who may get in until the transaction ends; raises ``AuthenticationRequired``.

    A new password or a suspension may have ended the caller's session between his request and now.
    """
    await MemberStore(connection).lock_account(account_id)
    if session_id is not None and not await DoorStore(connection).is_open(session_id):
        raise AuthenticationRequired


async def _lock_account_of(connection: Connection, purpose: Purpose, token: str) -> None:
    """The same for a link: the practice is locked before any of its links, in one order everywhere."""
    if (account_id := await links.account_of(connection, purpose, token)) is not None:
        await MemberStore(connection).lock_account(account_id)


async def _is_in_use(connection: Connection, link: Link) -> bool:
    """Whether the practice of a link is neither suspended nor closed."""
    return await MemberStore(connection).is_account_in_use(link.account_id)


async def _get(connection: Connection, member_id: MemberId) -> Member:
    found = await MemberStore(connection).get(member_id)
    assert found is not None
    return found


async def _of_account(connection: Connection, account_id: UUID, member_id: MemberId) -> Member | None:
    member = await MemberStore(connection).get(member_id)
    is_there = member is not None and member.account_id == account_id
    return member if is_there and member.state is not MemberState.REMOVED else None  # type: ignore[union-attr]


def _subject(link: Link) -> UUID:
    assert link.subject_id is not None
    return link.subject_id


async def _record(connection: Connection, actor: Actor, action: Action, member: Member) -> None:
    """In the practice's journal: by whom, and about whom of its people."""
    who = (
        actor
        if actor.id
        else Actor(kind=member.account_kind, id=member.account_id, agent_id=member.id, request_id=actor.request_id)
    )
    await audit.record(connection, actor=who, action=action, subject_id=member.id)
