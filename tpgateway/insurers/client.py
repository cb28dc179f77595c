"""The network side of deliveries: one signed POST to an insurer's endpoint."""

import asyncio
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from standardwebhooks import Webhook

from tpgateway.insurers.model import Delivery
from tpgateway.insurers.rules import is_public

_ANSWER_BYTES = 64 * 1024


class TargetNotPublic(OSError):
    """The endpoint's name leads to a private address, where events are never sent."""


class PublicResolver(AbstractResolver):
    """Resolves names as usual, then refuses those that lead inside: the check that a changed name cannot evade."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: Sequence[ResolveResult] = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise TargetNotPublic(host)
        return list(found)

    async def close(self) -> None:
        await self._resolver.close()


def open_session(*, allows_private: bool, limit: int = 200) -> aiohttp.ClientSession:
    """A session to insurers' own servers, with so many connections (0 for any number); it keeps no cookies."""
    connector = aiohttp.TCPConnector(resolver=None if allows_private else PublicResolver(), limit=limit)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def post_event(
    session: aiohttp.ClientSession,
    *,
    url: str,
    secret: str,
    event_id: str,
    body: str,
    now: datetime,
    timeout_seconds: int,
) -> Delivery:
    """Posts an event as Standard Webhooks has it; never raises for what the other side does."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "tpgateway",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body),
    }
    started = time.perf_counter()
    status, failure = None, None
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer,
        ):
            await answer.content.read(_ANSWER_BYTES)
            status = answer.status
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _name(error)
    return Delivery(status=status, failure=failure, milliseconds=round((time.perf_counter() - started) * 1000))


def _name(error: Any) -> str:
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__
