"""Pages for everybody: what this is, help for those who cannot get in, the texts, how the service does."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from markdown_it import MarkdownIt
from markupsafe import Markup

from tpgateway import mail
from tpgateway.database import faults
from tpgateway.portal.pages import page, whole_caller
from tpgateway.practitioners import service as practitioners
from tpgateway.web.state import STATE

_LOOKED_AT_EVERY = timedelta(seconds=10)
_MAIL_IS_LATE = timedelta(minutes=5)
_markdown = MarkdownIt("commonmark", {"html": False}).disable("image")


async def home(request: web.Request) -> web.Response:
    return await _open(request, "home.html")


async def help_page(request: web.Request) -> web.Response:
    settings = request.app[STATE].settings
    return await _open(
        request,
        "help.html",
        support=settings.support_contact,
        lock_minutes=settings.login_lock_minutes,
        activation_hours=settings.activation_hours,
        reset_minutes=settings.password_reset_minutes,
    )


async def terms(request: web.Request) -> web.Response:
    return await _text(request, "terms")


async def privacy(request: web.Request) -> web.Response:
    return await _text(request, "privacy")


async def _text(request: web.Request, name: str) -> web.Response:
    _, markdown, _ = practitioners.texts()[name]
    text = Markup(_markdown.render(markdown))  # noqa: S704  # our own text, HTML turned off
    return await _open(request, "legal.html", text=text, title=markdown.partition("\n")[0].lstrip("# "))


async def status(request: web.Request) -> web.Response:
    """How the service does, looked at every few seconds at most: strangers must not cost the database anything."""
    kept = request.app[STATUS]
    if not kept.is_fresh:
        await kept.look(request)
    return await _open(request, "status.html", seen=kept, code=200 if kept.milliseconds is not None else 503)


class Status:
    """What was seen last."""

    def __init__(self) -> None:
        self.at: datetime | None = None
        self.milliseconds: float | None = None
        """How long the database took to answer; None where it did not."""
        self.mail_is_late = False
        self._looking = asyncio.Lock()

    async def look(self, request: web.Request) -> None:
        async with self._looking:
            if self.is_fresh:
                return
            milliseconds, oldest, began = None, None, time.perf_counter()
            with suppress(*faults.ANY):
                async with asyncio.timeout(1), request.app[STATE].connection() as connection:
                    oldest = await mail.oldest_waiting(connection)
                milliseconds = (time.perf_counter() - began) * 1000
            self.at, self.milliseconds = datetime.now(UTC), milliseconds
            self.mail_is_late = oldest is not None and self.at - oldest > _MAIL_IS_LATE

    @property
    def is_fresh(self) -> bool:
        """Whether it was looked at a short while ago."""
        return self.at is not None and datetime.now(UTC) - self.at < _LOOKED_AT_EVERY


STATUS: web.AppKey[Status] = web.AppKey("status", Status)


async def _open(request: web.Request, template: str, *, code: int = 200, **context: Any) -> web.Response:
    try:
        caller = await whole_caller(request)
    except faults.ANY:  # the database is away: what needs none of it is shown all the same
        caller = None
    is_desk = caller is not None and caller.kind == "insurer"
    return page(
        request, template, status=code, is_logged_in=caller is not None and not is_desk, is_desk=is_desk, **context
    )
