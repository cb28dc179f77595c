"""An insurer's server that does as it is told: answers in turn what a test wants, and keeps what it got."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.driver import Insurer, Reply, serving, until

Answers = Callable[[dict[str, Any]], int]


@dataclass(slots=True)
class Server:
    """``answer`` gives the status for an event; ``got`` holds what came, as (event, headers)."""

    answer: Answers = lambda _: 204
    delay: float = 0.0
    got: list[tuple[dict[str, Any], dict[str, str]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def opened(self) -> "AsyncIterator[Server]":
        """Serves for as long as it is held."""
        app = web.Application()
        app.router.add_post("/events", self._receive)
        app.router.add_post("/elsewhere", self._receive)
        async with serving(app) as url:
            self.url = f"{url}/events"
            yield self

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = await request.json() if request.content_type == "application/json" else {}
        await asyncio.sleep(self.delay)
        status = self.answer(event)
        self.raw.append(body)
        self.got.append((event, {name.lower(): value for name, value in request.headers.items()}))
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 307 else {})

    @property
    def sequences(self) -> list[int]:
        """Of what came, in the order of coming."""
        return [event["sequence"] for event, _ in self.got]

    async def wait_for(self, count: int, seconds: float = 10) -> None:
        async def is_there() -> bool:
            return len(self.got) >= count

        await until(is_there, seconds)


async def register(insurer: Insurer, url: str, **wanted: Any) -> Reply:
    """The insurer has events posted to a URL."""
    reply = await insurer.call("POST", "/v1/insurer/endpoints", {"url": url, **wanted})
    assert reply.status == 201, reply.body
    return reply
