"""Sessions of people: a random cookie, everything else on the server in PostgreSQL, the cookie itself stored hashed.

A session may belong to nobody (it then holds what a log-in elsewhere must bring back), to somebody who still owes a second
factor, or to somebody who is in.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp_session
import asyncpg
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp_session import STORAGE_KEY, AbstractStorage, Session, get_session, new_session

from tpgateway.database import Connection
from tpgateway.web.callers import Access, Caller, Role
from tpgateway.web.problems import AuthenticationRequired
from tpgateway.web.state import STATE

_WANTS_KEPT = "wants_kept"
_COOKIE_SECONDS = "cookie_seconds"
_CALLER: web.RequestKey[Caller] = web.RequestKey("session_caller", Caller)
# By whether it is of an insurer's person, and whether a second factor is still owed.
_ACCESSES = {
    (False, False): Access.SESSION,
    (False, True): Access.PENDING_SESSION,
    (True, False): Access.INSURER_SESSION,
    (True, True): Access.PENDING_INSURER_SESSION,
}
_PENDING_LIFETIME = timedelta(minutes=15)
_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_BROWSER_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = {
    "Windows": "Windows", "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Mac OS X": "macOS", "Linux": "Linux"
}  # fmt: skip


def hash_token(token: str) -> bytes:
    """What is kept of a cookie."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """How long sessions last."""

    whole: timedelta
    idle: timedelta
    kept: timedelta
    kept_idle: timedelta


class PostgresStorage(AbstractStorage):
    """aiohttp-session's storage over the table ``sessions``.

    A session ends after so many hours, or when idle for so many minutes; one that was asked to be kept after so many days,
    of all or of idleness. By HTTPS the cookie carries the ``__Host-`` prefix; by plain HTTP (demo, development) browsers
    would refuse it.
    """

    def __init__(self, *, is_https: bool, lives: Lives) -> None:
        super().__init__(
            cookie_name="__Host-session" if is_https else "session", secure=is_https, httponly=True, samesite="Lax"
        )
        self._lives = lives

    async def load_session(self, request: web.Request) -> Session:
        cookie = self.load_cookie(request)
        if cookie is None or not cookie.isascii():
            return Session(None, data=None, new=True)
        row = await self._fetchrow(
            request,
            """
            WITH known AS (
                SELECT t.token_hash, m.id AS member_id, m.role, m.practitioner_id, m.insurer_id
                FROM sessions t LEFT JOIN practitioner_members m ON m.id = t.member_id
                                LEFT JOIN practitioners p ON p.id = m.practitioner_id
                                LEFT JOIN insurers i ON i.id = m.insurer_id
                WHERE t.token_hash = $1 AND t.expires_at > now()
                  AND t.seen_at > now() - CASE WHEN t.is_kept THEN $3::interval ELSE $2 END
                  AND (t.member_id IS NULL OR m.state = 'active' AND coalesce(p.state, i.state) = 'active')
            )
            UPDATE sessions s SET seen_at = now() FROM known k WHERE s.token_hash = k.token_hash
            RETURNING s.id, s.data, s.created_at, s.is_pending, s.second_factor_at, k.member_id, k.role,
                      k.practitioner_id, k.insurer_id
            """,
            hash_token(cookie),
            self._lives.idle,
            self._lives.kept_idle,
        )
        if row is None:
            return Session(None, data=None, new=True)
        if row["member_id"] is not None:
            request[_CALLER] = Caller(
                access=_ACCESSES[row["insurer_id"] is not None, row["is_pending"]],
                account_id=row["practitioner_id"] or row["insurer_id"],
                member_id=row["member_id"],
                role=Role(row["role"]),
                session_id=row["id"],
                second_factor_at=row["second_factor_at"],
            )
        created = int(row["created_at"].timestamp())
        return Session(cookie, data={"session": row["data"], "created": created}, new=False)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        if session.empty:
            if session.identity is not None:
                await _end(request, session.identity)
            self.save_cookie(response, "")
            return
        token = session.identity or secrets.token_urlsafe(32)
        await self._fetchrow(
            request,
            "INSERT INTO sessions (token_hash, data, expires_at) VALUES ($1, $2, $3)"
            " ON CONFLICT (token_hash) DO UPDATE SET data = excluded.data",
            hash_token(token),
            dict(session),
            datetime.now(UTC) + self._lives.whole,
        )
        self.save_cookie(response, token, max_age=session.get(_COOKIE_SECONDS))

    async def open(self, request: web.Request, opened: "Opened") -> UUID:
        """A session of somebody's, in place of whatever the browser had; answers its id."""
        token = secrets.token_urlsafe(32)
        outlives = opened.is_kept and not opened.is_pending
        lifetime = _PENDING_LIFETIME if opened.is_pending else self._lives.kept if opened.is_kept else self._lives.whole
        row = await self._fetchrow(
            request,
            "INSERT INTO sessions (token_hash, data, expires_at, member_id, is_kept, is_pending, second_factor_at, agent,"
            " address) VALUES ($1, '{}', $2, $3, $4, $5, $6, $7, $8) RETURNING id",
            hash_token(token),
            datetime.now(UTC) + lifetime,
            opened.member_id,
            outlives,
            opened.is_pending,
            opened.second_factor_at,
            browser_name(request.headers.get("User-Agent", "")),
            opened.address[:100],
        )
        assert row is not None
        session = await new_session(request)
        session.set_new_identity(token)
        # What was asked for waits until the second factor is given; else the cookie lives as long as the session.
        session[_WANTS_KEPT if opened.is_pending else _COOKIE_SECONDS] = (
            opened.is_kept if opened.is_pending else int(lifetime.total_seconds()) if outlives else None
        )
        session_id: UUID = row["id"]
        return session_id

    async def renew(self, request: web.Request) -> None:
        """The same session under another cookie; raises ``AuthenticationRequired`` where it was ended meanwhile."""
        old, token = await get_session(request), secrets.token_urlsafe(32)
        row = await self._fetchrow(
            request,
            "UPDATE sessions SET token_hash = $2 WHERE token_hash = $1 RETURNING is_kept, expires_at",
            hash_token(old.identity or ""),
            hash_token(token),
        )
        if row is None:
            raise AuthenticationRequired
        left = int((row["expires_at"] - datetime.now(UTC)).total_seconds())
        session = await new_session(request)
        session.set_new_identity(token)
        session.update({**old, _COOKIE_SECONDS: left if row["is_kept"] else None})

    @staticmethod
    async def _fetchrow(request: web.Request, query: str, *values: object) -> asyncpg.Record | None:
        async with request.app[STATE].connection() as connection:
            return await connection.fetchrow(query, *values)


async def _end(request: web.Request, token: str) -> bool:
    async with request.app[STATE].connection() as connection:
        done = await connection.execute("DELETE FROM sessions WHERE token_hash = $1", hash_token(token))
    return done == "DELETE 1"


def middleware(storage: PostgresStorage) -> Middleware:
    """What makes sessions available to handlers; a request that never asks for its session never reads it."""
    return aiohttp_session.session_middleware(storage)


async def caller_of(request: web.Request) -> Caller | None:
    """Whose session the request belongs to, None where nobody is logged in, not even halfway."""
    await get_session(request)
    return request.get(_CALLER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Whose session is opened, and how."""

    member_id: UUID
    is_kept: bool
    is_pending: bool
    second_factor_at: datetime | None
    address: str


async def log_in(request: web.Request, opened: Opened) -> UUID:
    """Opens a new session and answers its id; one that the browser had before does not carry over."""
    await _end_present(request)
    storage = request[STORAGE_KEY]
    assert isinstance(storage, PostgresStorage)
    return await storage.open(request, opened)


async def complete(request: web.Request, opened: Opened) -> UUID:
    """Opens the whole session in place of the one that owed a factor; raises ``AuthenticationRequired``.

    Where that one was ended meanwhile, by a new password say, there is nothing to complete.
    """
    if not await _end_present(request):
        raise AuthenticationRequired
    storage = request[STORAGE_KEY]
    assert isinstance(storage, PostgresStorage)
    return await storage.open(request, opened)


async def renew(request: web.Request) -> None:
    """Gives somebody's session another cookie: who had a copy of the former has no part in what a second factor opens.

    Raises ``AuthenticationRequired`` where the session was ended meanwhile.
    """
    storage = request[STORAGE_KEY]
    assert isinstance(storage, PostgresStorage)
    await storage.renew(request)


async def _end_present(request: web.Request) -> bool:
    """Ends the browser's session; False where there was none."""
    old = await get_session(request)
    return old.identity is not None and await _end(request, old.identity)


async def wants_kept(request: web.Request) -> bool:
    """Whether the session, once whole, was asked to be kept."""
    return bool((await get_session(request)).get(_WANTS_KEPT))


async def log_out(request: web.Request) -> None:
    """Ends the request's session."""
    (await get_session(request)).invalidate()


async def remember(request: web.Request, name: str, value: Mapping[str, str]) -> None:
    """Keeps something small with the browser's session, somebody's or nobody's."""
    (await get_session(request))[name] = dict(value)


async def recall(request: web.Request, name: str) -> Mapping[str, str] | None:
    """Gives back what ``remember`` kept, once."""
    session = await get_session(request)
    value = session.get(name)
    if value is not None:
        del session[name]
        session["at"] = datetime.now(UTC).timestamp()  # an emptied session would be taken for one to end
    return value


async def keep_draft(request: web.Request, path: str, sealed: bytes) -> bool:
    """Keeps what was being typed at a path for whoever the cookie's session belongs to, ended or not.

    False where nobody can be told: nothing is kept then, since it could not be given back to the right person. Who owes a
    second factor is nobody yet.
    """
    storage = request[STORAGE_KEY]
    assert isinstance(storage, PostgresStorage)
    cookie = storage.load_cookie(request)
    if cookie is None or not cookie.isascii():
        return False
    async with request.app[STATE].connection() as connection:
        done = await connection.execute(
            "INSERT INTO member_drafts (member_id, path, sealed)"
            " SELECT s.member_id, $2, $3 FROM sessions s JOIN practitioner_members m ON m.id = s.member_id"
            " WHERE s.token_hash = $1 AND NOT s.is_pending AND m.state = 'active'"
            " ON CONFLICT (member_id) DO UPDATE SET path = excluded.path, sealed = excluded.sealed, kept_at = now()",
            hash_token(cookie),
            path,
            sealed,
        )
    return done == "INSERT 0 1"


async def take_draft(connection: Connection, member_id: UUID, path: str) -> bytes | None:
    """Gives back what ``keep_draft`` kept at a path for the member, once and within a day."""
    sealed: bytes | None = await connection.fetchval(
        "DELETE FROM member_drafts WHERE member_id = $1 AND path = $2 AND kept_at > now() - interval '1 day'"
        " RETURNING sealed",
        member_id,
        path,
    )
    return sealed


def browser_name(agent: str) -> str:
    """A browser as its owner knows it: ``Firefox, Windows``. What is not recognised is named by its first word."""
    browser = next((name for name in _BROWSERS if f"{name}/" in agent), None)
    system = next((name for mark, name in _SYSTEMS.items() if mark in agent), None)
    words = (browser and _BROWSER_NAMES.get(browser, browser), system)
    first = "".join(each for each in agent.partition("/")[0] if each.isprintable())[:40]
    return ", ".join(word for word in words if word) or first or "inconnu"


async def forget_expired(connection: Connection, *, now: datetime) -> int:
    """Removes sessions past their end, and drafts that nobody came back for; answers how many."""
    ended = await connection.execute("DELETE FROM sessions WHERE expires_at < $1", now)
    left = await connection.execute("DELETE FROM member_drafts WHERE kept_at < $1::timestamptz - interval '1 day'", now)
    return int(ended.split()[-1]) + int(left.split()[-1])
