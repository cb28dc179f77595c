"""Sessions of people: a random cookie, everything else on the server in PostgreSQL, the cookie itself stored hashed."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp_session
import asyncpg
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp_session import AbstractStorage, Session, get_session, new_session

from tpgateway.database import Connection
from tpgateway.web.state import STATE

_PRACTITIONER = "practitioner_id"


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class PostgresStorage(AbstractStorage):
    """aiohttp-session's storage over the table ``sessions``.

    A session ends after so many hours, or when idle for so many minutes. By HTTPS the cookie carries the ``__Host-`` prefix;
    by plain HTTP (demo, development) browsers would refuse it.
    """

    def __init__(self, *, is_https: bool, lifetime: timedelta, idle: timedelta) -> None:
        super().__init__(
            cookie_name="__Host-session" if is_https else "session", secure=is_https, httponly=True, samesite="Lax"
        )
        self._lifetime = lifetime
        self._idle = idle

    async def load_session(self, request: web.Request) -> Session:
        cookie = self.load_cookie(request)
        if cookie is None or not cookie.isascii():
            return Session(None, data=None, new=True)
        row = await self._fetchrow(
            request,
            "UPDATE sessions s SET seen_at = now()"
            " WHERE s.token_hash = $1 AND s.expires_at > now() AND s.seen_at > now() - $2::interval"
            " AND NOT EXISTS (SELECT FROM practitioners p WHERE p.id = s.practitioner_id AND p.state <> 'active')"
            " RETURNING s.data, s.practitioner_id, s.created_at",
            _hash(cookie),
            self._idle,
        )
        if row is None:
            return Session(None, data=None, new=True)
        kept = {**row["data"], **({_PRACTITIONER: str(row["practitioner_id"])} if row["practitioner_id"] else {})}
        return Session(cookie, data={"session": kept, "created": int(row["created_at"].timestamp())}, new=False)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        if session.empty:
            if session.identity is not None:
                await _end(request, session.identity)
            self.save_cookie(response, "")
            return
        token = session.identity or secrets.token_urlsafe(32)
        kept = dict(session)
        practitioner = kept.pop(_PRACTITIONER, None)
        await self._fetchrow(
            request,
            "INSERT INTO sessions (token_hash, practitioner_id, data, expires_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (token_hash) DO UPDATE SET data = excluded.data",
            _hash(token),
            practitioner and UUID(practitioner),
            kept,
            datetime.now(UTC) + self._lifetime,
        )
        self.save_cookie(response, token)

    @staticmethod
    async def _fetchrow(request: web.Request, query: str, *values: object) -> asyncpg.Record | None:
        async with request.app[STATE].connection() as connection:
            return await connection.fetchrow(query, *values)


async def _end(request: web.Request, token: str) -> None:
    async with request.app[STATE].connection() as connection:
        await connection.execute("DELETE FROM sessions WHERE token_hash = $1", _hash(token))


def middleware(storage: PostgresStorage) -> Middleware:
    """What makes sessions available to handlers; a request that never asks for its session never reads it."""
    return aiohttp_session.session_middleware(storage)


async def practitioner_of(request: web.Request) -> UUID | None:
    """Whose session the request belongs to, None where nobody is logged in."""
    session = await get_session(request)
    kept = session.get(_PRACTITIONER)
    return UUID(kept) if kept else None


async def log_in(request: web.Request, practitioner_id: UUID) -> None:
    """Opens a new session; one that the browser had before does not carry over."""
    old = await get_session(request)
    if old.identity is not None:
        await _end(request, old.identity)
    session = await new_session(request)
    session[_PRACTITIONER] = str(practitioner_id)


async def log_out(request: web.Request) -> None:
    """Ends the request's session."""
    (await get_session(request)).invalidate()


async def forget_expired(connection: Connection, *, now: datetime) -> int:
    """Removes sessions past their end; answers how many."""
    done = await connection.execute("DELETE FROM sessions WHERE expires_at < $1", now)
    return int(done.split()[-1])
