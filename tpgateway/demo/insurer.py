"""The insurer simulator: an insurer's system with its key, a server that receives and verifies events, and a page."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jinja2 import Environment, PackageLoader, select_autoescape
from jwt.algorithms import OKPAlgorithm
from standardwebhooks import Webhook, WebhookVerificationError

_KEPT = 500
_pages = Environment(loader=PackageLoader("tpgateway.demo"), autoescape=select_autoescape())


def make_key(private_file: Path, public_file: Path) -> None:
    """A fresh Ed25519 key: its private part as PEM, readable by its owner alone, its public part as a JWK."""
    key = Ed25519PrivateKey.generate()
    private_file.touch(mode=0o600)
    private_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public_file.write_text(OKPAlgorithm.to_jwk(key.public_key()))


class InsurerSystem:
    """What an insurer's own software does: get a token by ``private_key_jwt``, call the gateway."""

    def __init__(self, http: aiohttp.ClientSession, *, gateway: str, client_id: str, private_key: bytes) -> None:
        self._http = http
        self._gateway = gateway
        self._client_id = client_id
        self._private_key = private_key
        self.token = ""

    async def log_in(self) -> None:
        """Gets a token by a signed assertion, good for one use."""
        now = datetime.now(UTC)
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": f"{self._gateway}/oauth/token",
            "exp": now + timedelta(minutes=1),
            "jti": uuid4().hex,
        }
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode(claims, self._private_key, algorithm="EdDSA"),
        }
        async with self._http.post(f"{self._gateway}/oauth/token", data=form) as answer:
            answer.raise_for_status()
            self.token = (await answer.json())["access_token"]

    async def call(
        self, method: str, path: str, *, body: Any = None, data: AsyncIterator[bytes] | None = None
    ) -> tuple[int, Any]:
        """One call with the token; answers status and JSON."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if data is not None:
            headers["Content-Type"] = "text/csv"
        async with self._http.request(method, self._gateway + path, json=body, data=data, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


@dataclass(slots=True)
class Receiver:
    """The insurer's little server: verifies each webhook's signature, keeps the event, shows what came.

    POST and GET of ``url`` are the same address: events come in by the one and are read by the other.
    """

    name: str
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    secret: str | None = None
    url: str = ""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application()
        app.router.add_post("/events", self._receive)
        app.router.add_get("/events", self._show)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}/events"

    async def close(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def wait_for(self, kind: str, subject: str, *, seconds: float = 15) -> dict[str, Any]:
        """The event of a kind that names a subject among its data; raises ``TimeoutError``."""

        def found() -> dict[str, Any] | None:
            return next(
                (each for each in self.events if each["type"] == kind and subject in each["data"].values()), None
            )

        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: found() is not None)
        event = found()
        assert event is not None
        return event

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        if self.secret is None or not _is_genuine(self.secret, body, request):
            self.refused += 1
            return web.Response(status=401)
        event = json.loads(body)
        async with self._arrived:
            # The same event may come twice: it is kept once.
            if all(each["id"] != event["id"] for each in self.events):
                self.events = [*self.events[-_KEPT:], event]
            self._arrived.notify_all()
        return web.Response(status=204)

    async def _show(self, request: web.Request) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            return web.json_response({"events": self.events, "refused": self.refused})
        page = _pages.get_template("insurer.html")
        text = page.render(name=self.name, events=self.events[::-1], refused=self.refused, dump=_dump)
        return web.Response(text=text, content_type="text/html")


def _is_genuine(secret: str, body: str, request: web.Request) -> bool:
    try:
        Webhook(secret).verify(body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return True


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
