"""The insurer simulator: a server that receives and verifies events, shows them on a page, and behaves as it is told."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jinja2 import Environment, PackageLoader, select_autoescape
from jwt.algorithms import OKPAlgorithm

from tpgateway.client import Event, GatewayAway, GatewayProblem, WebhookRefused, verify_webhook

_KEPT = 500
pages = Environment(loader=PackageLoader("tpgateway.sandbox"), autoescape=select_autoescape())


class Behaviour(StrEnum):
    """How the insurer's server takes what is posted to it."""

    WELL = "well"
    SLOW = "slow"
    FAILING = "failing"
    WRONG = "wrong"
    GONE = "gone"

    @property
    def label(self) -> str:
        """In French, for the page."""
        return _LABELS[self]


_LABELS = {
    Behaviour.WELL: "répond bien",
    Behaviour.SLOW: "répond lentement",
    Behaviour.FAILING: "répond 503",
    Behaviour.WRONG: "ferme la connexion sans répondre",
    Behaviour.GONE: "répond 410 : l'adresse n'existe plus",
}


def make_key(private_file: Path, public_file: Path) -> None:
    """A fresh Ed25519 key: its private part as PEM, readable by its owner alone, its public part as a JWK."""
    key = Ed25519PrivateKey.generate()
    private_file.touch(mode=0o600)
    private_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public_file.write_text(OKPAlgorithm.to_jwk(key.public_key()))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that came to the server: its event where the signature was good, and what was answered."""

    at: datetime
    event: Event | None
    why: str
    answered: str


@dataclass(slots=True)
class Receiver:
    """The insurer's little server: verifies each webhook's signature, keeps the event, shows what came.

    POST and GET of ``url`` are the same address: events come in by the one and are read by the other. ``desk`` is told of
    each event that was taken, once.
    """

    name: str
    events: list[Event] = field(default_factory=list)
    refused: int = 0
    secret: str | None = None
    url: str = ""
    behaviour: Behaviour = Behaviour.WELL
    seconds: float = 5.0
    """How long a slow answer takes."""
    desk: Callable[[Event], Awaitable[None]] | None = None
    revive: Callable[[], Awaitable[None]] | None = None
    """Has the gateway post here again, once a server that was gone is back."""
    arrivals: list[Arrival] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None
    _at_work: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application()
        app.router.add_post("/events", self._receive)
        app.router.add_get("/events", self._show)
        app.router.add_get("/", self._redirect)
        app.router.add_post("/behaviour", self._behave)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}/events"

    async def close(self) -> None:
        for task in self._at_work:
            task.cancel()
        if self._runner:
            await self._runner.cleanup()

    async def wait_for(self, kind: str, subject: str, *, seconds: float = 15) -> Event:
        """The event of a kind that names a subject among its data; raises ``TimeoutError``."""

        def found() -> Event | None:
            return next(
                (each for each in self.events if each["type"] == kind and subject in each["data"].values()), None
            )

        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: found() is not None)
        event = found()
        assert event is not None
        return event

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = verify_webhook(body, request.headers, secrets=[self.secret] if self.secret else [])
        except WebhookRefused as refused:
            self.refused += 1
            self._note(None, str(refused), "401")
            return web.Response(status=401)
        match self.behaviour:
            case Behaviour.SLOW:
                await asyncio.sleep(self.seconds)
            case Behaviour.FAILING | Behaviour.GONE:
                status = 503 if self.behaviour is Behaviour.FAILING else 410
                self._note(event, "", str(status))
                return web.Response(status=status)
            case Behaviour.WRONG:
                self._note(event, "", "rien")
                assert request.transport
                request.transport.close()
                return web.Response()
        self._note(event, "", "204")
        async with self._arrived:
            # The same event may come twice: it is kept once.
            if is_new := all(each["id"] != event["id"] for each in self.events):
                self.events = [*self.events[-_KEPT:], event]
            self._arrived.notify_all()
        if is_new and self.desk is not None:
            task = asyncio.ensure_future(self.desk(event))
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)
        return web.Response(status=204)

    def _note(self, event: Event | None, why: str, answered: str) -> None:
        self.arrivals = [*self.arrivals[-_KEPT:], Arrival(datetime.now(UTC), event, why, answered)]

    async def _show(self, request: web.Request) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            return web.json_response({"events": self.events, "refused": self.refused})
        text = pages.get_template("insurer.html").render(
            name=self.name,
            arrivals=self.arrivals[::-1],
            refused=self.refused,
            kept=len(self.events),
            behaviour=self.behaviour,
            behaviours=list(Behaviour),
            dump=_dump,
        )
        return web.Response(text=text, content_type="text/html")

    async def _behave(self, request: web.Request) -> web.Response:
        """The page's form, from this page alone."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            raise web.HTTPForbidden
        wanted = (await request.post()).get("behaviour")
        if wanted not in set(Behaviour):
            raise web.HTTPBadRequest
        was, self.behaviour = self.behaviour, Behaviour(str(wanted))
        if was is Behaviour.GONE and self.revive is not None:
            with suppress(GatewayProblem, GatewayAway):
                await self.revive()
        raise web.HTTPSeeOther("/events")

    async def _redirect(self, _: web.Request) -> web.Response:
        raise web.HTTPFound("/events")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
