"""Answers that nothing is new (304), remembered: software asks the same again and again, and mostly nothing is.

A handler that answers so says what its answer rests on. As long as that holds, the same question by the same token comes to
the same, and is answered before anything else of the frame is gone through; the caller's limit is counted as ever.
"""

import time
from typing import NamedTuple, Protocol

from aiohttp import web
from multidict import CIMultiDict

from tpgateway.web.limits import Limiter
from tpgateway.web.tokens import Tokens

_MOST = 20_000


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
    headers: "CIMultiDict[str]"


class Steady:
    """One a process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str | None, ...], _Kept] = {}

    def again(self, request: web.BaseRequest, limiter: Limiter) -> tuple[web.Response, str] | None:
        """The answer to what was asked before and its operation, where it still holds; None where it must go its way."""
        if "If-None-Match" not in request.headers or (kept := self._kept.get(key := _key(request))) is None:
            return None
        if not kept.ground.holds or kept.expires_at <= time.time():
            del self._kept[key]
            return None
        allowance = limiter.take(kept.owner)
        if allowance.is_exceeded:
            return None
        response = web.Response(status=304, headers=kept.headers)
        response.headers["RateLimit"] = allowance.said
        return response, kept.operation

    def keep(
        self, request: web.BaseRequest, response: web.StreamResponse, tokens: Tokens, *, owner: str, operation: str
    ) -> None:
        """Remembers an answer of which the handler said what it rests on, for as long as the caller's token lasts."""
        ground = request.get(GROUND)
        expires_at = tokens.expires_at(request.headers.get("Authorization", "").partition(" ")[2])
        if ground is None or response.status != 304 or not expires_at:
            return
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[_key(request)] = _Kept(ground, expires_at, owner, operation, CIMultiDict(response.headers))


def _key(request: web.BaseRequest) -> tuple[str | None, ...]:
    asked = request.headers
    return (
        request.method,
        request.raw_path,
        asked.get("Authorization"),
        asked.get("If-None-Match"),
        asked.get("Accept-Encoding"),
    )
