"""The door: passwords tried, second factors given, browsers known, sessions ended."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pyotp
import segno

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.mail import Post
from tpgateway.members import rules, service
from tpgateway.members.errors import CodeRefused, CodesTooMany, LoginRefused, TotpAlreadyThere, TotpMissing
from tpgateway.members.model import Guard, Member, MemberId, Method, OpenSession, Secrets, SessionId
from tpgateway.members.store import DoorStore, MemberStore
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web import limits
from tpgateway.web.sessions import hash_token

_GUARD, _CODE, _RECOVERY = "login guard", "mailed code", "recovery code"
_ISSUER = "Réseau tiers payant"
_RECOVERY_CODES = 10
_RECOVERY_LETTERS = 24  # 118 bits: whoever had the hashes and their key could not try them through
# Without 0 O 1 I L, which are read one for another.
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_CODES_PER_HOUR = 20
_DEVICE_TOKEN = 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What somebody types at the door. ``door`` names it, whether or not there is anything behind."""

    door: str
    password: str
    device: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """Who came in, and whether from a browser that is known."""

    member: Member
    is_known_device: bool


class DoorLocked(Exception):
    """This failure was one too many: the owner must be told. Raised once for each lock."""


async def try_password(
    connection: Connection,
    vault: Vault,
    attempt: Attempt,
    found: tuple[Member, Secrets] | None,
    *,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> Entered:
    """Whom the password lets in; raises ``LoginSlowed``, ``LoginLocked``, ``LoginRefused`` or ``DoorLocked``.

    Not for a transaction that ends with what is raised: failures must be counted and stay in the trail. What is done and
    how long it takes is the same whether or not there is somebody. A known browser has a count of its own, so that a
    stranger's failures do not keep the owner out.
    """
    member, kept = found or (None, None)
    store = DoorStore(connection)
    device = hash_token(_own_token(attempt.device) or "")
    is_known = await store.is_known_device(member.id if member else uuid4(), device, now)
    key = vault.match(f"{attempt.door} {attempt.device if is_known else ''}".encode(), purpose=_GUARD)
    is_locked_now = await _count_failure(connection, key, settings=settings, now=now)
    is_right = await service.verify_password(kept.password_hash if kept else None, attempt.password)
    if member is None or kept is None or kept.password_hash is None or not is_right:
        subject = member.account_id if member else None
        await audit.record(connection, actor=actor, action=Action.LOGIN_FAILED, subject_id=subject)
        if is_locked_now:
            await audit.record(connection, actor=actor, action=Action.LOGIN_LOCKED, subject_id=subject)
            raise DoorLocked
        raise LoginRefused
    await store.clear_guard(key)
    await service.renew_hash(connection, member.id, kept.password_hash, attempt.password)
    return Entered(member=member, is_known_device=is_known)


async def _count_failure(connection: Connection, key: bytes, *, settings: Settings, now: datetime) -> bool:
    """Counts an attempt as failed before it is judged, so that many at once cannot outrun the count.

    Answers whether it locks the door; raises ``LoginSlowed`` or ``LoginLocked`` where it may not even be tried.
    """
    async with connection.transaction():
        store = DoorStore(connection)
        guard = await store.lock_guard(key)
        if (problem := rules.guard_problem(guard, now)) is not None:
            raise problem
        failures = rules.standing_failures(guard, now) + 1
        locks = failures >= settings.login_failures
        until = now + timedelta(minutes=settings.login_lock_minutes) if locks else None
        # After the lock, half as many failures lock again.
        kept = settings.login_failures // 2 if locks else failures
        await store.set_guard(key, Guard(failures=kept, failed_at=now, locked_until=until))
    return locks


async def unlock(connection: Connection, vault: Vault, member: Member, doors: Sequence[str]) -> None:
    """Opens a member's doors again, as a new password does: those named, and those within."""
    for door in [*(f"{door} " for door in doors), f"second factor {member.id}", f"own password {member.id}"]:
        await DoorStore(connection).clear_guard(vault.match(door.encode(), purpose=_GUARD))


async def confirm_password(
    connection: Connection,
    post: Post,
    member: Member,
    password: str,
    *,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> None:
    """Raises ``LoginRefused`` unless it is the member's own password; counts failures as a door does.

    Not for a transaction that ends with what is raised.
    """
    key = post.vault.match(f"own password {member.id}".encode(), purpose=_GUARD)
    is_locked_now = await _count_failure(connection, key, settings=settings, now=now)
    kept = await MemberStore(connection).secrets(member.id)
    if not await service.verify_password(kept.password_hash, password):
        await audit.record(connection, actor=actor, action=Action.LOGIN_FAILED, subject_id=member.account_id)
        if is_locked_now:
            await _tell_locked_within(connection, post, member, settings=settings, now=now, actor=actor)
        raise LoginRefused(next_step="Vérifiez votre mot de passe actuel.")
    await DoorStore(connection).clear_guard(key)


async def _tell_locked_within(
    connection: Connection, post: Post, member: Member, *, settings: Settings, now: datetime, actor: Actor
) -> None:
    """Somebody who has the password, or a session, failed too often at what comes next: worse than failures at the door."""
    async with connection.transaction():
        await audit.record(connection, actor=actor, action=Action.LOGIN_LOCKED, subject_id=member.id)
        minutes = settings.login_lock_minutes
        await service.tell(connection, post, member, "members/locked_within", minutes=minutes, moment=now)


# Second factors --------------------------------------------------------------------------------------------------------


async def mail_code(
    connection: Connection, post: Post, member: Member, session_id: UUID, *, minutes: int, now: datetime
) -> None:
    """Mails six digits that are good for one session and some minutes; raises ``CodesTooMany``."""
    hour = timedelta(hours=1)
    if not await limits.spend(connection, f"code {member.id}", quota=_CODES_PER_HOUR, window=hour, now=now):
        raise CodesTooMany(retry_after_seconds=3600 - int(now.timestamp()) % 3600)
    code = f"{secrets.randbelow(1_000_000):06d}"
    expires_at = now + timedelta(minutes=minutes)
    await DoorStore(connection).set_code(SessionId(session_id), _hash_code(post.vault, session_id, code), expires_at)
    values = {"door": service.door_of(member), "code": code, "minutes": minutes}
    await post.send(connection, "members/code", to=member.email, **values)


async def give_factor(
    connection: Connection,
    post: Post,
    member: Member,
    session_id: UUID,
    code: str,
    *,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> Method:
    """By which means the code proves who it is; raises ``CodeRefused``, or as ``try_password`` does after many failures.

    Not for a transaction that ends with what is raised.
    """
    key = post.vault.match(f"second factor {member.id}".encode(), purpose=_GUARD)
    is_locked_now = await _count_failure(connection, key, settings=settings, now=now)
    method = await _method_of(connection, post.vault, member, session_id, code, now)
    if method is None:
        await audit.record(connection, actor=actor, action=Action.SECOND_FACTOR_FAILED, subject_id=member.id)
        if is_locked_now:
            await _tell_locked_within(connection, post, member, settings=settings, now=now, actor=actor)
        raise CodeRefused
    async with connection.transaction():
        store = DoorStore(connection)
        await store.clear_guard(key)
        await store.mark_factor(SessionId(session_id), now)
        action = Action.RECOVERY_CODE_USED if method is Method.RECOVERY_CODE else Action.SECOND_FACTOR_GIVEN
        await audit.record(connection, actor=actor, action=action, subject_id=member.id)
    return method


async def _method_of(
    connection: Connection, vault: Vault, member: Member, session_id: UUID, code: str, now: datetime
) -> Method | None:
    bare = "".join(each for each in code if each.isalnum()).upper()
    if not member.has_totp:
        kept = await DoorStore(connection).try_code(SessionId(session_id))
        is_good = (
            kept is not None
            and kept.expires_at is not None
            and now < kept.expires_at
            and kept.tries <= rules.CODE_TRIES
            and kept.hash == _hash_code(vault, session_id, bare)
        )
        if is_good:
            await DoorStore(connection).use_code(SessionId(session_id))
        return Method.EMAIL if is_good else None
    store = MemberStore(connection)
    if len(bare) > 6:
        is_used = await store.use_recovery_code(member.id, _hash_recovery(vault, member.id, bare), now)
        return Method.RECOVERY_CODE if is_used else None
    return Method.TOTP if await _uses_totp(connection, vault, member.id, bare, now) else None


async def _uses_totp(connection: Connection, vault: Vault, member_id: MemberId, code: str, now: datetime) -> bool:
    """Whether it is the application's code of this half minute or a neighbour, and was not used before."""
    store = MemberStore(connection)
    kept = await store.secrets(member_id)
    if kept.totp_secret is None:
        return False
    totp = pyotp.TOTP(vault.open(kept.totp_secret, purpose=service.TOTP_PURPOSE).decode())
    for step in (0, -1, 1):
        moment = now + step * timedelta(seconds=totp.interval)
        if pyotp.utils.strings_equal(code, totp.at(moment)):
            return await store.use_totp(member_id, totp.timecode(moment))
    return False


def _hash_code(vault: Vault, session_id: UUID, code: str) -> bytes:
    # Six digits are soon tried through: without the key, the hash tells nothing.
    return vault.match(f"{session_id} {code}".encode(), purpose=_CODE)


def _hash_recovery(vault: Vault, member_id: UUID, code: str) -> bytes:
    return vault.match(f"{member_id} {code}".encode(), purpose=_RECOVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """An application about to be added: what it scans, and what is typed where it cannot."""

    secret: str
    uri: str
    qr_svg: str


async def begin_totp(connection: Connection, vault: Vault, member: Member) -> Enrolment:
    """A fresh secret that waits for its first code; raises ``TotpAlreadyThere``."""
    if member.has_totp:
        raise TotpAlreadyThere
    secret = pyotp.random_base32()
    await MemberStore(connection).set_totp(member.id, vault.seal(secret.encode(), purpose=service.TOTP_PURPOSE), None)
    return _enrolment(member, secret)


async def pending_totp(connection: Connection, vault: Vault, member: Member) -> Enrolment | None:
    """The secret that waits for its first code, shown again; None where none does."""
    kept = await MemberStore(connection).secrets(member.id)
    if kept.totp_secret is None or kept.totp_since is not None:
        return None
    return _enrolment(member, vault.open(kept.totp_secret, purpose=service.TOTP_PURPOSE).decode())


def _enrolment(member: Member, secret: str) -> Enrolment:
    uri = pyotp.TOTP(secret).provisioning_uri(name=member.email, issuer_name=_ISSUER)
    svg = segno.make(uri, error="m").svg_inline(scale=4, border=2, light="#fff")
    return Enrolment(secret=secret, uri=uri, qr_svg=svg)


async def confirm_totp(
    connection: Connection, post: Post, member: Member, code: str, *, now: datetime, actor: Actor
) -> list[str]:
    """The application's first code puts it in use; answers ten recovery codes. Raises ``TotpMissing``, ``CodeRefused``."""
    store = MemberStore(connection)
    kept = await store.secrets(member.id)
    if kept.totp_secret is None or kept.totp_since is not None:
        raise TotpMissing
    if not await _uses_totp(connection, post.vault, member.id, code.replace(" ", ""), now):
        raise CodeRefused
    await store.start_totp(member.id, now)
    await service.tell(connection, post, member, "members/totp_added")
    await audit.record(connection, actor=actor, action=Action.TOTP_ADDED, subject_id=member.id)
    return await _new_recovery_codes(connection, post.vault, member)


async def remove_totp(connection: Connection, post: Post, member: Member, *, actor: Actor) -> None:
    """Back to codes by mail; raises ``TotpMissing``."""
    if not member.has_totp:
        raise TotpMissing
    store = MemberStore(connection)
    await store.set_totp(member.id, None, None)
    await store.replace_recovery_codes(member.id, [])
    await service.tell(connection, post, member, "members/totp_removed")
    await audit.record(connection, actor=actor, action=Action.TOTP_REMOVED, subject_id=member.id)


async def renew_recovery_codes(connection: Connection, vault: Vault, member: Member, *, actor: Actor) -> list[str]:
    """Ten new codes, the former ones void; raises ``TotpMissing``."""
    if not member.has_totp:
        raise TotpMissing
    await audit.record(connection, actor=actor, action=Action.RECOVERY_CODES_MADE, subject_id=member.id)
    return await _new_recovery_codes(connection, vault, member)


async def count_recovery_codes(connection: Connection, member: Member) -> int:
    """How many are left."""
    return await MemberStore(connection).count_recovery_codes(member.id)


async def _new_recovery_codes(connection: Connection, vault: Vault, member: Member) -> list[str]:
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_LETTERS)) for _ in range(_RECOVERY_CODES)]
    hashes = [_hash_recovery(vault, member.id, code) for code in codes]
    await MemberStore(connection).replace_recovery_codes(member.id, hashes)
    return ["-".join(code[start : start + 6] for start in range(0, _RECOVERY_LETTERS, 6)) for code in codes]


# Browsers and sessions -------------------------------------------------------------------------------------------------


async def know_device(connection: Connection, member_id: UUID, offered: str | None, *, days: int, now: datetime) -> str:
    """The token by which the browser is known to the member from now on: its own where it is known to somebody.

    One that everybody forgot does not come back: a copy of it may be elsewhere.
    """
    store = DoorStore(connection)
    token = _own_token(offered)
    if token is None or not await store.is_anybodys_device(hash_token(token), now):
        token = secrets.token_urlsafe(32)
    until = now + timedelta(days=days)
    await store.know_device(member_id, hash_token(token), now=now, until=until)
    return token


def _own_token(offered: str | None) -> str | None:
    """A cookie that can be one of ours."""
    return offered if offered is not None and len(offered) == _DEVICE_TOKEN and offered.isascii() else None


async def sessions(connection: Connection, member_id: MemberId) -> list[OpenSession]:
    """The member's sessions, the one used last first."""
    return await DoorStore(connection).sessions(member_id)


async def end_session(connection: Connection, member_id: MemberId, session_id: SessionId, *, actor: Actor) -> bool:
    """Ends one of the member's sessions; False where there is none."""
    is_done = await DoorStore(connection).end_session(member_id, session_id)
    if is_done:
        await audit.record(connection, actor=actor, action=Action.SESSION_ENDED, subject_id=member_id)
    return is_done


async def end_other_sessions(connection: Connection, member_id: MemberId, but: UUID | None, *, actor: Actor) -> int:
    """Ends all of the member's sessions but this one, and forgets the browsers; answers how many sessions."""
    store = DoorStore(connection)
    ended = await store.end_sessions(member_id, but=but)
    await store.forget_devices(member_id)
    await audit.record(connection, actor=actor, action=Action.SESSION_ENDED, subject_id=member_id)
    return ended


async def forget_old(connection: Connection, *, now: datetime) -> int:
    """Removes failures and browsers past their time; answers how many."""
    store = DoorStore(connection)
    return await store.forget_guards(now - rules.FORGOTTEN_AFTER) + await store.forget_old_devices(now)
