"""What every page stands on: its frame, its form, its caller, the limits of a stranger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import aiohttp_jinja2
from aiohttp import web

from tpgateway.errors import Problem
from tpgateway.practitioners.model import Scheme
from tpgateway.web import sessions
from tpgateway.web.callers import Access, Caller
from tpgateway.web.frame import REQUEST_ID, read_body, stranger_of, take
from tpgateway.web.problems import RateLimited, WrongEncoding
from tpgateway.web.routing import Call
from tpgateway.web.state import STATE

SCHEME_NAMES = {
    Scheme.FINESS: "FINESS",
    Scheme.ADELI: "Adeli",
    Scheme.RPPS: "RPPS",
    Scheme.TREASURY: "Identifiant de trésorerie",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    # The addresses of pages opened from mails hold their tokens.
    "Referrer-Policy": "same-origin",
}
_FORM_LIMIT = 16 * 1024
LOGIN_COST = 50
MAIL_COST = 10
CODE_COST = 5
_STATIC = {"style.css": "text/css"}


def page(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    context = {"is_logged_in": False, "problem": None, **context}
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update(_HEADERS)
    return response


async def error_page(request: web.Request, problem: Problem, request_id: str) -> web.Response:
    """A problem, as a person reads it."""
    return page(request, "error.html", status=problem.status, problem=problem, request_id=request_id)


async def home(request: web.Request) -> web.Response:
    return page(request, "home.html", is_logged_in=await whole_caller(request) is not None)


async def static(request: web.Request) -> web.Response:
    if (kind := _STATIC.get(request.match_info["name"])) is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "public, max-age=3600"}
    return web.Response(body=_static(request.match_info["name"]), content_type=kind, headers=headers)


@cache
def _static(name: str) -> bytes:
    return files("tpgateway.portal").joinpath("static", name).read_bytes()


def see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})


async def form_of(request: web.Request) -> list[tuple[str, str]]:
    raw = await read_body(request, _FORM_LIMIT)
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise WrongEncoding from None


def call_of(request: web.Request, caller: Caller | None = None) -> Call:
    """The request as the API's handlers take it."""
    return Call(
        request=request, state=request.app[STATE], request_id=request[REQUEST_ID], now=datetime.now(UTC), known=caller
    )


@asynccontextmanager
async def transaction(call: Call) -> AsyncIterator[None]:
    """The call's connection, in a transaction of its own."""
    async with call.state.connection() as connection, connection.transaction():
        call.open_connection = connection
        yield
    call.open_connection = None


async def whole_caller(request: web.Request) -> Caller | None:
    """Who is logged in, all the way."""
    caller = await sessions.caller_of(request)
    return caller if caller is not None and caller.access is Access.SESSION else None


async def any_caller(request: web.Request) -> Caller:
    """Who is logged in, if only halfway; others go to the log-in page."""
    caller = await sessions.caller_of(request)
    if caller is None:
        raise web.HTTPSeeOther("/connexion")
    return caller


async def person(request: web.Request) -> Caller:
    caller = await any_caller(request)
    if caller.access is not Access.SESSION:
        raise web.HTTPSeeOther("/connexion/code")
    return caller


async def spend_own(request: web.Request, caller: Caller, cost: int) -> None:
    """Counts against the person's own limit."""
    allowance = await take(request.app[STATE], caller.owner, cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)


async def spend(request: web.Request, cost: int) -> None:
    allowance = await take(request.app[STATE], stranger_of(request), cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)
