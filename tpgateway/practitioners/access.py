"""Use cases of getting in: by number and password, by Pro Santé Connect, or after having lost one or the other.

What strangers ask for (a reminder, a reset, another link) is sealed and looked up by the worker: what they see, and how long
it takes, is the same whatever there is.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.jobs import JobKind, enqueue
from tpgateway.links import LinkUnknown
from tpgateway.mail import Post, may_mail
from tpgateway.members import door
from tpgateway.members import service as members
from tpgateway.members.door import Attempt, DoorLocked, Entered
from tpgateway.members.errors import LoginRefused
from tpgateway.members.model import Member
from tpgateway.practitioners import rules, service
from tpgateway.practitioners.errors import PscOtherPerson, PscUnknown
from tpgateway.practitioners.model import AccountState, Identifier, PractitionerId, Scheme
from tpgateway.practitioners.store import PractitionerStore, RequestStore
from tpgateway.settings import Settings
from tpgateway.vault import Vault

_PURPOSE = "practitioner request"
SEALED = (Sealed("practitioner_requests", "sealed", ("id",), lambda _: _PURPOSE),)


class Asked(StrEnum):
    """What strangers may ask for."""

    ACTIVATION_LINK = "activation_link"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # what is asked for, not a password
    REMINDER = "reminder"
    LOCK_NOTICE = "lock_notice"


async def open_door(
    connection: Connection,
    vault: Vault,
    identifier: Identifier,
    email: str | None,
    password: str,
    *,
    device: str | None,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> Entered:
    """Whom identifier and password let in; raises ``LoginRefused``, ``LoginSlowed``, ``LoginLocked``, ``AccountSuspended``
    and the like.

    Not for a transaction that ends with what is raised: a refused attempt must stay in the audit trail.
    """
    account = await PractitionerStore(connection).at_door(identifier)
    found = await members.find(connection, account["id"], email) if account else None
    attempt = Attempt(door=_door(identifier, email), password=password, device=device)
    try:
        entered = await door.try_password(connection, vault, attempt, found, settings=settings, now=now, actor=actor)
    except DoorLocked:
        async with connection.transaction():  # the request and its job, or neither
            await ask(connection, vault, Asked.LOCK_NOTICE, _asked(identifier, email))
        raise LoginRefused from None
    assert account is not None
    state = AccountState(account["state"])
    if (problem := rules.login_problem(state, account["state_reason"], settings.support_contact)) is not None:
        await audit.record(connection, actor=actor, action=Action.LOGIN_REFUSED, subject_id=account["id"])
        raise problem
    return entered


def _door(identifier: Identifier, email: str | None) -> str:
    return f"{identifier.scheme} {identifier.value} {(email or '').lower()}".strip()


async def record_login(connection: Connection, member: Member, *, actor: Actor) -> None:
    """In the trail: somebody is in."""
    who = Actor(kind=member.account_kind, id=member.account_id, agent_id=member.id, request_id=actor.request_id)
    await audit.record(connection, actor=who, action=Action.LOGGED_IN, subject_id=member.account_id)


async def enter_by_psc(
    connection: Connection, post: Post, identifier: Identifier, subject: str, *, settings: Settings, actor: Actor
) -> Member:
    """The holder of the account that has the number which Pro Santé Connect vouches for.

    Raises ``PscUnknown``, ``PscOtherPerson``, ``AccountSuspended`` and the like. The first time, the holder is told by mail;
    from then on nobody else comes in this way, whatever number is vouched for, until the operator unlinks the two.

    Not for a transaction that ends with what is raised: a refused attempt must stay in the audit trail.
    """
    store = PractitionerStore(connection)
    account = await store.at_door(identifier)
    if account is None:
        raise PscUnknown
    state = AccountState(account["state"])
    practitioner_id = PractitionerId(account["id"])
    if (problem := rules.login_problem(state, account["state_reason"], settings.support_contact)) is not None:
        await audit.record(connection, actor=actor, action=Action.LOGIN_REFUSED, subject_id=practitioner_id)
        raise problem
    async with connection.transaction():
        is_new = await store.link_psc(practitioner_id, subject)
        is_same = is_new or await store.psc_subject(practitioner_id) == subject
        holder = await members.holder(connection, practitioner_id)
        if is_new:
            await members.tell(connection, post, holder, "practitioners/psc_linked")
            await audit.record(connection, actor=actor, action=Action.PSC_LINKED, subject_id=practitioner_id)
        if is_same:
            await record_login(connection, holder, actor=actor)
        else:
            await audit.record(connection, actor=actor, action=Action.PSC_REFUSED, subject_id=practitioner_id)
    if not is_same:
        raise PscOtherPerson
    return holder


def identifier_of_psc(national_id: str) -> Identifier | None:
    """The number in a national identifier: ``8`` before an RPPS, ``0`` before an Adeli; None where it is neither."""
    scheme = {"8": Scheme.RPPS, "0": Scheme.ADELI}.get(national_id[:1])
    if scheme is None:
        return None
    try:
        return rules.parse_identifier(scheme, national_id[1:], is_adeli_key_enforced=False)
    except ValueError:
        return None


# What strangers ask for ------------------------------------------------------------------------------------------------


def _asked(identifier: Identifier, email: str | None) -> dict[str, Any]:
    return {"scheme": identifier.scheme, "value": identifier.value, "email": email}


async def ask(connection: Connection, vault: Vault, what: Asked, details: Mapping[str, Any]) -> None:
    """Leaves a request for the worker, whatever it will find."""
    sealed = vault.seal(json.dumps({"what": what, **details}).encode(), purpose=_PURPOSE)
    request_id = await RequestStore(connection).add(sealed)
    await enqueue(connection, JobKind.ANSWER_REQUEST, request=request_id)


async def ask_activation_link(connection: Connection, vault: Vault, identifier: Identifier, email: str) -> None:
    """Another activation link, to the address of the registration."""
    await ask(connection, vault, Asked.ACTIVATION_LINK, _asked(identifier, email))


async def ask_password_reset(connection: Connection, vault: Vault, identifier: Identifier, email: str | None) -> None:
    """A link to set a new password, to the member's own address."""
    await ask(connection, vault, Asked.PASSWORD_RESET, _asked(identifier, email))


async def ask_reminder(connection: Connection, vault: Vault, email: str) -> None:
    """The numbers of the accounts at an address, partly masked."""
    await ask(connection, vault, Asked.REMINDER, {"email": email})


async def answer(connection: Connection, post: Post, sealed: bytes, *, settings: Settings, now: datetime) -> None:
    """Looks up what was asked and mails what there is to say."""
    details = json.loads(post.vault.open(sealed, purpose=_PURPOSE))
    what, email = Asked(details["what"]), details["email"]
    if what is Asked.REMINDER:
        await _remind(connection, post, email, settings=settings, now=now)
        return
    identifier = Identifier(scheme=Scheme(details["scheme"]), value=details["value"])
    if what is Asked.ACTIVATION_LINK:
        await _mail_activation_again(connection, post, identifier, email, settings=settings, now=now)
        return
    account = await PractitionerStore(connection).at_door(identifier)
    found = await members.find(connection, account["id"], email) if account else None
    if account is None or found is None or account["state"] != AccountState.ACTIVE:
        return
    member, _ = found
    if not await may_mail(connection, member.email, what, per_hour=settings.mails_per_hour, now=now):
        return
    if what is Asked.LOCK_NOTICE:
        await post.send(
            connection,
            "members/login_locked",
            to=member.email,
            door="",
            minutes=settings.login_lock_minutes,
            moment=now,
        )
        return
    await members.mail_reset(connection, post, member, minutes=settings.password_reset_minutes, now=now)
    await audit.record(connection, actor=SYSTEM, action=Action.PASSWORD_RESET_ASKED, subject_id=member.account_id)


async def _remind(connection: Connection, post: Post, email: str, *, settings: Settings, now: datetime) -> None:
    if not await may_mail(connection, email, Asked.REMINDER, per_hour=settings.mails_per_hour, now=now):
        return
    found = await PractitionerStore(connection).of_address(email)
    await post.send(connection, "practitioners/reminder", to=email, numbers=service.masked_numbers(list(found)))
    for practitioner_id in set(found.values()):
        await audit.record(connection, actor=SYSTEM, action=Action.IDENTIFIERS_REMINDED, subject_id=practitioner_id)


async def _mail_activation_again(
    connection: Connection, post: Post, identifier: Identifier, email: str, *, settings: Settings, now: datetime
) -> None:
    store = PractitionerStore(connection)
    per_hour = settings.mails_per_hour
    waiting = await store.unconfirmed(identifier, email)
    holder_id = await store.holder_of(identifier)
    if waiting is not None and holder_id is None:
        await service.mail_activation(
            connection,
            post,
            waiting,
            identifier,
            email,
            hours=settings.activation_hours,
            per_hour=per_hour,
            now=now,
        )
    elif holder_id is not None:
        await service.tell_held(connection, post, holder_id, identifier, email, per_hour=per_hour, now=now)
    elif await may_mail(connection, email, Asked.ACTIVATION_LINK, per_hour=per_hour, now=now):
        await post.send(connection, "practitioners/nothing_waits", to=email)


async def reset_password(
    connection: Connection, post: Post, token: str, password: str, *, now: datetime, actor: Actor
) -> None:
    """Sets a new password by the link of the mail, ends all sessions and opens the locked doors.

    Raises as ``links.use`` does, or the password's fault.
    """
    member = await members.reset_password(connection, post, token, password, now=now, actor=actor)
    if member.account_kind != "practitioner":
        raise LinkUnknown
    practitioner = await service.get(connection, PractitionerId(member.account_id))
    emails = [member.email, None] if member.is_holder else [member.email]
    doors = [_door(identifier, email) for identifier in practitioner.identifiers for email in emails]
    await door.unlock(connection, post.vault, member, doors)
