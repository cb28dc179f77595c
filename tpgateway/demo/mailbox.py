"""A mailbox: takes mail by SMTP, shows it on a page and as JSON."""

import asyncio
import email
import email.policy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import ChoiceLoader, Environment, PackageLoader, select_autoescape

_KEPT = 500
_pages = Environment(
    loader=ChoiceLoader([PackageLoader("tpgateway.demo"), PackageLoader("tpgateway.sandbox")]),
    autoescape=select_autoescape(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A mail as it arrived."""

    to: str
    subject: str
    text: str
    received_at: str


@dataclass
class Mailbox:
    """Receives on one port, shows on another; both are free ports of this machine unless given.

    Without slots: aiosmtpd looks at every attribute of its handler, and some Pythons then trip over ``__weakref__``.
    """

    letters: list[Letter] = field(default_factory=list)
    received: int = 0
    """How many letters ever came; of them the last few hundred are kept."""
    smtp_port: int = 0
    url: str = ""
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _server: asyncio.Server | None = None
    _runner: web.AppRunner | None = None

    async def open(self, host: str = "127.0.0.1", port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, enable_SMTPUTF8=True, loop=loop), host, self.smtp_port
        )
        self.smtp_port = self._server.sockets[0].getsockname()[1]
        app = web.Application()
        app.router.add_get("/", self._show)
        app.router.add_get("/mails.json", self._list)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        if self._server:
            self._server.close()
        if self._runner:
            await self._runner.cleanup()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's
        content = envelope.content
        message: EmailMessage = email.message_from_bytes(
            content if isinstance(content, bytes) else str(content).encode(), policy=email.policy.default
        )
        body = message.get_body(("plain",))
        letter = Letter(
            to=", ".join(str(each) for each in envelope.rcpt_tos),
            subject=str(message["Subject"]),
            text=body.get_content() if body else "",
            received_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        async with self._arrived:
            self.letters = [*self.letters[-_KEPT:], letter]
            self.received += 1
            self._arrived.notify_all()
        return "250 OK"

    async def wait_for(self, to: str, *, after: int, words: str = "", seconds: float = 15) -> Letter:
        """The first letter to an address, past the first ``after`` of all, whose subject holds ``words``.

        Raises ``TimeoutError``.
        """

        def found() -> Letter | None:
            gone = self.received - len(self.letters)
            later = self.letters[max(0, after - gone) :]
            return next((each for each in later if each.to == to and words in each.subject), None)

        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: found() is not None)
        letter = found()
        assert letter is not None
        return letter

    async def _show(self, request: web.Request) -> web.Response:
        if "application/json" in request.headers.get("Accept", ""):
            return await self._list(request)
        text = _pages.get_template("mailbox.html").render(letters=self.letters[::-1])
        return web.Response(text=text, content_type="text/html")

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response({"mails": [_as_json(letter) for letter in self.letters]})


def _as_json(letter: Letter) -> dict[str, Any]:
    return {"to": letter.to, "subject": letter.subject, "text": letter.text, "received_at": letter.received_at}
