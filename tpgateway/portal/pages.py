"""What every page stands on: its frame, its form, its caller, the limits of a stranger."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID, uuid4

import aiohttp_jinja2
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.multipart import BodyPartReader

from tpgateway.database.sealed import Sealed
from tpgateway.errors import Problem
from tpgateway.members import handlers as member_handlers
from tpgateway.practitioners.model import Scheme
from tpgateway.web import sessions
from tpgateway.web.callers import Access, Caller, Role
from tpgateway.web.frame import (
    REQUEST_ID,
    read_body,
    refuse_cross_site,
    refuse_old_factor,
    refuse_role,
    replay_of,
    stranger_of,
    take,
)
from tpgateway.web.idempotency import KeptAnswer, parse_key
from tpgateway.web.problems import (
    BodyTooLarge,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    NotFound,
    RateLimited,
    SecondFactorNeeded,
    WrongEncoding,
)
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
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # The addresses of pages opened from mails hold their tokens.
    "Referrer-Policy": "same-origin",
}
_FORM_LIMIT = 64 * 1024
_CHUNK = 256 * 1024
_FORM: web.RequestKey[list[tuple[str, str]]] = web.RequestKey("form", list)
LOGIN, DESK_LOGIN, CODE = "/connexion", "/assureur/connexion", "/connexion/code"
_SEARCHES = {"/demandes", "/assureur/demandes"}
_TRIES, _WAIT_SECONDS = 50, 0.2
_WAY, _RESUMED, _KEY = "vers", "reprise", "key"
LOGIN_COST = 50
MAIL_COST = 10
CODE_COST = 5
_STATIC = {"style.css": "text/css", "portal.js": "text/javascript", "icon.svg": "image/svg+xml"}


_DONE = {
    "coordonnees": "Vos coordonnées sont enregistrées.",
    "numero": "Le numéro est ajouté à votre compte.",
    "numero-en-verification": "Le numéro sera ajouté après vérification ; vous recevrez la décision par mail.",
    "invitation": "L'invitation est partie.",
    "role": "Le rôle est changé.",
    "retrait": "L'accès est retiré.",
    "mot-de-passe": "Votre mot de passe est changé. Vos autres sessions sont fermées.",
    "adresse": "Un message vient d'être envoyé à la nouvelle adresse : ouvrez le lien qu'il contient.",
    "application-retiree": "L'application est retirée : les codes arrivent de nouveau par mail.",
    "session": "La session est fermée.",
    "envoye": "C'est envoyé.",
}
"""What was done, said on the page that one comes back to; the address names it."""


def page(request: web.Request, template: str, *, status: int = 200, **context: Any) -> web.Response:
    """A page; ``is_logged_in`` shows a practice's pages, ``is_desk`` an insurer's, ``form`` what is wrong with its fields."""
    context = {"is_logged_in": False, "is_desk": False, "problem": None, "form": None, "path": request.path, **context}
    context["is_resumed"] = request.method == "GET" and _RESUMED in request.query
    context["told"] = None if context["problem"] else _DONE.get(request.query.get("fait", ""))
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update(_HEADERS)
    return response


async def error_page(request: web.Request, problem: Problem, request_id: str) -> web.Response:
    """A problem, as a person reads it."""
    response = page(request, "error.html", status=problem.status, problem=problem, request_id=request_id)
    response.headers.update(problem.said_in_headers)
    return response


def home_of(caller: Caller) -> str:
    """Where somebody begins who is in."""
    return "/assureur" if caller.kind == "insurer" else "/comptoir"


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
    """The fields of the form that was sent."""
    known: list[tuple[str, str]] | None = request.get(_FORM)
    if known is not None:
        return known
    raw = await read_body(request, _FORM_LIMIT)
    try:
        request[_FORM] = pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise WrongEncoding from None
    return pairs


def keep_form(request: web.Request, fields: Sequence[tuple[str, str]]) -> None:
    """The fields of a form that came with files, read part by part."""
    request[_FORM] = list(fields)


async def parts_of(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """The parts of a form with a file, one after the other; raises ``FormUnreadable``."""
    with _readable():
        reader = await request.multipart()
    while True:
        with _readable():
            part = await reader.next()
        if part is None:
            return
        if isinstance(part, BodyPartReader):
            yield part


@contextmanager
def _readable() -> Iterator[None]:
    """What aiohttp makes of a form that breaks off or was never one, as our problem."""
    try:
        yield
    except (ValueError, AssertionError, HttpProcessingError):
        raise FormUnreadable from None


async def read_part(request: web.Request, part: BodyPartReader, limit: int = 200) -> bytes:
    """All of a part; raises ``BodyTooLarge``."""
    read = b""
    async for piece in chunks_of(request, part):
        read += piece
        if len(read) > limit:
            raise BodyTooLarge(f"at most {limit} bytes")
    return read


async def text_of(request: web.Request, part: BodyPartReader) -> str:
    """A short part as text."""
    return (await read_part(request, part)).decode("utf-8", "replace")


async def chunks_of(request: web.Request, part: BodyPartReader) -> AsyncIterator[bytes]:
    """A file's part, piece by piece; raises ``FormUnreadable`` where it breaks off: what ends a part comes after it."""
    while True:
        with _readable():
            chunk = await part.read_chunk(_CHUNK)
        if not chunk:
            break
        yield chunk
    if request.content.at_eof():
        raise FormUnreadable


class FormSentBefore(Problem):
    code = "form_sent_before"
    status = 409
    title = "This form was sent before, with something else in it"
    message_fr = "Ce formulaire a déjà été envoyé, avec un autre contenu."
    next_step_fr = "Ce qui a été envoyé est dans la liste : vérifiez-le avant d'envoyer de nouveau."
    hint = "Forms carry a key and are done once."


class FormUnreadable(Problem):
    code = "form_unreadable"
    status = 422
    title = "The form cannot be read"
    message_fr = "Le formulaire est arrivé incomplet."
    next_step_fr = "Recommencez l'envoi ; si le fichier est lourd, vérifiez votre connexion."
    hint = "multipart/form-data with named parts."


def call_of(request: web.Request, caller: Caller | None = None) -> Call:
    """The request as the API's handlers take it."""
    return Call(
        request=request, state=request.app[STATE], request_id=request[REQUEST_ID], now=datetime.now(UTC), known=caller
    )


@asynccontextmanager
async def transaction(call: Call) -> AsyncIterator[None]:
    """The call's connection, in a transaction of its own."""
    async with call.transaction() as connection:
        call.open_connection = connection
        yield
    call.open_connection = None


async def whole_caller(request: web.Request) -> Caller | None:
    """Who is logged in, all the way."""
    caller = await sessions.caller_of(request)
    return caller if caller is not None and not caller.is_pending else None


async def any_caller(request: web.Request) -> Caller:
    """Who is logged in, if only halfway; others go to the log-in page."""
    caller = await sessions.caller_of(request)
    if caller is None:
        raise web.HTTPSeeOther(_with_way(LOGIN, way_of(request)))
    return caller


async def person(request: web.Request) -> Caller:
    """One of the people of a practice; others go to the log-in page, and come back to what they were doing."""
    return await _logged_in(request, Access.SESSION, LOGIN)


async def desk_person(request: web.Request) -> Caller:
    """One of an insurer's people; others go to the desk's log-in page, and come back to what they were doing."""
    return await _logged_in(request, Access.INSURER_SESSION, DESK_LOGIN)


async def anybody(request: web.Request) -> Caller:
    """Somebody who is logged in all the way, of a practice or of an insurer."""
    caller = await sessions.caller_of(request)
    is_of_insurer = caller is not None and caller.kind == "insurer"
    return await desk_person(request) if is_of_insurer else await person(request)


def side(caller: Caller) -> dict[str, bool]:
    """Whose pages the page's head leads to."""
    is_desk = caller.kind == "insurer"
    return {"is_logged_in": not is_desk, "is_desk": is_desk}


def may_act(caller: Caller) -> bool:
    """Whether the person does more than look."""
    return caller.role is not None and caller.role.covers(Role.STAFF)


def uuid_of(request: web.Request) -> UUID:
    """The thing that the address names; raises ``NotFound``."""
    return uuid_in(request.match_info["id"])


def uuid_in(text: str) -> UUID:
    """The id of a thing; raises ``NotFound``."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


async def _logged_in(request: web.Request, access: Access, door: str) -> Caller:
    caller = await sessions.caller_of(request)
    if caller is not None and caller.access is access:
        return caller
    back = await _way_back(request)
    raise web.HTTPSeeOther(_with_way(CODE if caller is not None and caller.is_pending else door, back))


async def _way_back(request: web.Request) -> str:
    """Where to go on after the log-in: what was typed is kept, for whoever the session belonged to."""
    if request.method != "POST":
        return request.path_qs
    refuse_cross_site(request)
    way = _page_of(request)
    path = way.partition("?")[0]
    if not way or path in _SEARCHES:
        return way
    if request.content_type == "application/x-www-form-urlencoded":
        sent = await form_of(request)
    elif request.content_type == "multipart/form-data":
        sent = await _before_files(request)
    else:
        return way
    typed = {name: value for name, value in sent if not _is_secret(name, path)}
    sealed = request.app[STATE].vault.seal(json.dumps(typed).encode(), purpose=_draft_purpose(path))
    is_kept = await sessions.keep_draft(request, path, sealed)
    return _resumed(way) if is_kept else way


async def _before_files(request: web.Request) -> list[tuple[str, str]]:
    """The fields of a form with files, up to the first file: a file must be chosen again."""
    fields: list[tuple[str, str]] = []
    left = _FORM_LIMIT
    with suppress(Problem):
        async for part in parts_of(request):
            if part.filename is not None or not part.name:
                break
            read = await read_part(request, part, left)
            left -= len(read)
            fields.append((part.name, read.decode("utf-8", "replace")))
    return fields


def _is_secret(name: str, path: str) -> bool:
    """Whether a field is kept nowhere: passwords, and the codes of an application."""
    return "password" in name or (name == "code" and path.startswith("/compte/"))


def _resumed(way: str) -> str:
    path, _, query = way.partition("?")
    named = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != _RESUMED]
    return f"{path}?{urlencode([*named, (_RESUMED, '1')])}"


def _page_of(request: web.Request) -> str:
    """The page whose form was sent, as the browser says; else what the form's own address belongs to."""
    referer = urlsplit(request.headers.get("Referer", ""))
    is_ours = f"{referer.scheme}://{referer.netloc}" == request.app[STATE].settings.base_url
    if is_ours and _is_shown(request, referer.path):
        return local_way(f"{referer.path}?{referer.query}" if referer.query else referer.path) or ""
    parent = request.path.rpartition("/")[0]
    return next((path for path in (request.path, parent) if _is_shown(request, path)), "")


def _is_shown(request: web.Request, path: str) -> bool:
    """Whether an address can be looked at: after a fault, the browser stands at one that can only be sent to."""
    return any(page.fullmatch(path) for page in request.app[SHOWN])


SHOWN: web.AppKey[tuple[re.Pattern[str], ...]] = web.AppKey("shown_pages", tuple)
"""The addresses that can be looked at."""


def _draft_purpose(path: str) -> str:
    return f"draft {path}"


SEALED = (Sealed("member_drafts", "sealed", ("member_id",), lambda row: _draft_purpose(row["path"])),)


async def draft(request: web.Request, call: Call) -> dict[str, str]:
    """What the person was typing at this page when the session ended, or a code was asked for; empty where nothing was."""
    if request.method != "GET" or _RESUMED not in request.query or call.caller.member_id is None:
        return {}
    async with call.state.connection() as connection:
        sealed = await sessions.take_draft(connection, call.caller.member_id, request.path)
    if sealed is None:
        return {}
    kept: dict[str, str] = json.loads(call.state.vault.open(sealed, purpose=_draft_purpose(request.path)))
    return kept


Act = Callable[[Call, dict[str, str]], Awaitable[str | web.StreamResponse]]
Show = Callable[[Call, dict[str, str], Problem], Awaitable[web.Response]]


async def _once(call: Call, act: Act, typed: dict[str, str]) -> str | web.StreamResponse:
    """What comes of the act, in its transaction; where the same form was sent before, what came of it then.

    Where that is still being done, it is waited for: nobody is shown a form to send again of what is under way.
    """
    for _ in range(_TRIES):
        try:
            async with transaction(call):
                return await _replayed(call, act, typed)
        except IdempotencyKeyReused:
            raise FormSentBefore from None
        except IdempotencyKeyInFlight:
            call.open_connection = None
            await asyncio.sleep(_WAIT_SECONDS)
    raise IdempotencyKeyInFlight


async def _replayed(call: Call, act: Act, typed: dict[str, str]) -> str | web.StreamResponse:
    if not (key := typed.get(_KEY)):
        return await act(call, typed)
    call.idempotency_key = parse_key(key)
    replay = replay_of(call, request=urlencode(typed).encode())
    if (kept := await replay.begin()) is not None:
        return kept.headers["Location"]
    done = await act(call, typed)
    if isinstance(done, str):
        await replay.keep(KeptAnswer(status=303, headers={"Location": done}, body=b""))
    return done


def form_key(typed: Mapping[str, str], problem: Problem | None) -> str:
    """A form's key: a new one, unless what was sent under the former may still be done."""
    return typed[_KEY] if isinstance(problem, IdempotencyKeyInFlight) and _KEY in typed else str(uuid4())


def local_way(way: str) -> str | None:
    """A path within our own pages, None where it is none: nobody is sent to another site by a link to ours."""
    is_own = way.startswith("/") and not way.startswith(("//", "/\\")) and len(way) <= 400
    return way if is_own and way.isascii() and way.isprintable() else None


def way_of(request: web.Request) -> str | None:
    """Where the address says to go on after the log-in."""
    return local_way(request.query.get(_WAY, ""))


def with_way(door: str, request: web.Request) -> str:
    """A page of the log-in, which leads on to where this one does."""
    return _with_way(door, way_of(request))


def _with_way(door: str, way: str | None) -> str:
    return f"{door}?{urlencode({_WAY: way})}" if way else door


async def submitted(
    request: web.Request,
    caller: Caller,
    act: Act,
    show: Show,
    *,
    role: Role = Role.STAFF,
    needs_second_factor: bool = False,
    cost: int = 1,
    is_transactional: bool = True,
) -> web.StreamResponse:
    """Does what a form asks for, in one transaction, and goes where ``act`` says; shows the page again where it cannot.

    Where a fresh code is needed, it is asked for first, and what was typed stands in the form afterwards. A form with a
    ``key`` is done once, however often it is sent.
    """
    refuse_cross_site(request)
    call = call_of(request, caller)
    typed = {name: value.strip() if "password" not in name else value for name, value in await form_of(request)}
    refuse_role(caller, role)  # the page itself may not be for them: it is not shown
    try:
        if needs_second_factor:
            refuse_old_factor(caller, call.state.settings, call.now)
        await spend_own(request, caller, cost)
        done = await (_once(call, act, typed) if is_transactional else act(call, typed))
    except SecondFactorNeeded:
        way = await _way_back(request)
        try:
            async with transaction(call):
                await member_handlers.send_code(call)
        except Problem as problem:
            call.open_connection = None
            return await show(call, typed, problem)
        raise web.HTTPSeeOther(_with_way(CODE, way)) from None
    except Problem as problem:
        call.open_connection = None
        return await show(call, typed, problem)
    return see_other(done) if isinstance(done, str) else done


async def spend_own(request: web.Request, caller: Caller, cost: int) -> None:
    """Counts against the person's own limit."""
    allowance = await take(request.app[STATE], caller.owner, cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)


async def spend(request: web.Request, cost: int) -> None:
    allowance = await take(request.app[STATE], stranger_of(request), cost)
    if allowance.is_exceeded:
        raise RateLimited(retry_after_seconds=allowance.reset_seconds)
