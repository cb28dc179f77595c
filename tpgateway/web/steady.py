"""Answers that nothing is new (304), remembered: software asks the same again and again, and mostly nothing is.

A handler that answers so says what its answer rests on. As long as that holds, the same question by the same token comes to
the same, and is answered before anything else of the frame is gone through; the caller's limit is counted as ever. The answer
is written as it lies: putting it together header by header would take longer than all the rest.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, Protocol

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from tpgateway.web.limits import Limiter
from tpgateway.web.tokens import Tokens

_MOST = 20_000
_LONGEST_TAG = 400
_MOST_UNREAD = 64 * 1024


class Ground(Protocol):
    """What an answer rests on."""

    @property
    def holds(self) -> bool: ...


GROUND: web.RequestKey[Ground] = web.RequestKey("ground", Ground)


class _Kept(NamedTuple):
    ground: Ground
    expires_at: float
    owner: str
    operation: str
    head: str


@lru_cache(maxsize=2)
def http_date(second: int) -> str:
    """A second since 1970 as the ``Date`` header says it."""
    return formatdate(second, usegmt=True)


class Brief(web.StreamResponse):
    """An answer that is all head, for a connection that stays open."""

    def __init__(self, head: str) -> None:
        super().__init__(status=304)
        self.head = head

    @property
    def prepared(self) -> bool:
        return True

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if request.transport is None:
            raise ConnectionResetError("the caller is gone")
        request.transport.write(self.head.encode())
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything is written."""


class Steady:
    """One a process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str | None, ...], _Kept] = {}

    def again(
        self, request: web.BaseRequest, limiter: Limiter, *, request_id: str, started: float
    ) -> tuple[Brief, str] | None:
        """The answer to what was asked before and its operation, where it still holds; None where it must go its way."""
        if "If-None-Match" not in request.headers or (kept := self._kept.get(key := _key(request))) is None:
            return None
        now = time.time()
        if not kept.ground.holds or kept.expires_at <= now:
            del self._kept[key]
            return None
        transport = request.transport
        if transport is None or transport.get_write_buffer_size() > _MOST_UNREAD or not _stays_open(request):
            return None
        allowance = limiter.take(kept.owner)
        if allowance.is_exceeded:
            return None
        head = (
            f"{kept.head}RateLimit: {allowance.said}\r\nX-Request-Id: {request_id}\r\nDate: {http_date(int(now))}\r\n"
            f"Server-Timing: total;dur={(time.perf_counter() - started) * 1000:.1f}\r\n\r\n"
        )
        return Brief(head), kept.operation

    def keep(
        self, request: web.BaseRequest, response: web.StreamResponse, tokens: Tokens, *, owner: str, operation: str
    ) -> None:
        """Remembers an answer of which the handler said what it rests on, for as long as the caller's token lasts."""
        ground = request.get(GROUND)
        asked = request.headers
        expires_at = tokens.expires_at(asked.get("Authorization", "").partition(" ")[2])
        if ground is None or response.status != 304 or not expires_at or len(asked["If-None-Match"]) > _LONGEST_TAG:
            return
        if len(self._kept) >= _MOST:
            self._kept.clear()
        lines = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items() if name != "RateLimit")
        head = f"HTTP/1.1 304 Not Modified\r\n{lines}"
        self._kept[_key(request)] = _Kept(ground, expires_at, owner, operation, head)


def _stays_open(request: web.BaseRequest) -> bool:
    return request.version == HttpVersion11 and request.keep_alive


def _key(request: web.BaseRequest) -> tuple[str | None, ...]:
    asked = request.headers
    return (
        request.method,
        request.raw_path,
        asked.get("Authorization"),
        asked.get("If-None-Match"),
        asked.get("Accept-Encoding"),
    )
