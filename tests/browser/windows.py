"""Windows of a real browser, and what goes wrong in them."""

import re
from dataclasses import dataclass, field
from typing import Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError

from tests.driver import Practitioner

Scheme = Literal["light", "dark"]
_PATIENCE_MILLISECONDS = 10_000
HEIGHTS = {360: 740, 1280: 800}
"""The widths that pages are made for, a telephone's and a desk's, with a height for each."""


@dataclass
class Windows:
    """Opens pages of the service, each in a window that shares nothing with others, and notes every fault.

    Without slots: Playwright keeps something of its own on whoever listens.
    """

    browser: Browser
    url: str
    faults: list[str] = field(default_factory=list)
    _expected: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    async def open(self, path: str | None = None, *, width: int = 1280, scheme: Scheme = "light") -> Page:
        """A stranger's page."""
        context = await self._context(width, scheme)
        return await _page(context, path)

    async def logged_in(
        self,
        practitioner: Practitioner,
        path: str | None = None,
        *,
        width: int = 1280,
        scheme: Scheme = "light",
        runs_script: bool = True,
    ) -> Page:
        """A page of somebody who has logged in, by the cookies of ``practitioner.browser``."""
        context = await self._context(width, scheme, runs_script=runs_script)
        for cookie in practitioner.browser.cookie_jar:
            await context.add_cookies(
                [{"name": cookie.key, "value": cookie.value, "url": self.url, "httpOnly": True, "sameSite": "Lax"}]
            )
        return await _page(context, path)

    def expect(self, pattern: str) -> None:
        """Faults that this is found in are what the test is about."""
        self._expected.append(pattern)

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()

    @property
    def unexpected(self) -> list[str]:
        return [each for each in self.faults if not any(re.search(pattern, each) for pattern in self._expected)]

    async def _context(self, width: int, scheme: Scheme, *, runs_script: bool = True) -> BrowserContext:
        context = await self.browser.new_context(
            base_url=self.url,
            viewport={"width": width, "height": HEIGHTS[width]},
            color_scheme=scheme,
            locale="fr-FR",
            timezone_id="Europe/Paris",
            reduced_motion="reduce",
            java_script_enabled=runs_script,
        )
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        context.on("console", self._heard)
        context.on("weberror", self._thrown)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)
        self._contexts.append(context)
        return context

    def _heard(self, message: ConsoleMessage) -> None:
        """Errors in the console, a broken Content-Security-Policy among them; what was answered is judged as an answer."""
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    def _thrown(self, error: WebError) -> None:
        self.faults.append(f"uncaught: {error.error}")

    def _failed(self, request: Request) -> None:
        # What the browser itself gave up: a page that was left, a link that was a file to keep.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        """A refusal may be the answer to a person or to a script, not to a page that asks for what it is made of."""
        is_asked = response.request.resource_type in {"document", "fetch", "xhr"}
        if response.status >= (500 if is_asked else 400):
            self.faults.append(f"answered {response.status}: {response.request.method} {response.url}")


async def _page(context: BrowserContext, path: str | None) -> Page:
    page = await context.new_page()
    if path is not None:
        await page.goto(path)
    return page
