"""What surrounds every operation: identity, limits, shapes, the transaction, idempotency, problems, timing, logs.

One middleware gives each request an id and turns whatever happens into an answer; one closure a route does the rest.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
from aiohttp import web
from pydantic import BaseModel

from tpgateway.errors import Problem
from tpgateway.settings import Settings
from tpgateway.web import problems, sessions
from tpgateway.web.callers import Access, Caller, Role
from tpgateway.web.idempotency import KeptAnswer, Replay, parse_key
from tpgateway.web.limits import Allowance
from tpgateway.web.logs import where
from tpgateway.web.routing import Answer, Call, Route
from tpgateway.web.state import STATE, State
from tpgateway.web.validation import parse_json, parse_parameters

_log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_GONE = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    TimeoutError,
)

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
ALLOWANCE: web.RequestKey[Allowance] = web.RequestKey("allowance", Allowance)

_FAILURE_COST = 5

# How a page, rather than a machine, is told of a problem; the portal gives it.
ErrorPage = Callable[[web.Request, Problem, str], Awaitable[web.Response]]
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("error_page")


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Adds the operations to the application; raises ``TypeError`` where a handler does not fit its row."""
    for route in routes:
        if wrong := route.mismatch():
            raise TypeError(wrong)
        framed = _framed(route)
        app.router.add_route(route.method, route.path, framed, name=route.operation)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, framed, name=f"{route.operation}.head")


@web.middleware
async def middleware(request: web.Request, handler: Callable[..., Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Outermost: request id, problems, timing, metrics and the log line."""
    started = time.perf_counter()
    offered = request.headers.get("X-Request-Id", "")
    request_id = offered if _REQUEST_ID.fullmatch(offered) else uuid4().hex
    request[REQUEST_ID] = request_id
    state = request.app[STATE]
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Problem as problem:
        response = await _answer(request, problem, request_id)
    except web.HTTPException as error:
        if error.status < 400:
            response = web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        else:
            response = await _answer(request, problems.from_http(error), request_id)
    except Exception as error:
        # asyncpg's InterfaceError is a lost connection, but also (then a ValueError) an argument that cannot be sent.
        is_gone = isinstance(error, _GONE) and not isinstance(error, ValueError)
        if request.transport is None or request.transport.is_closing():
            _log.info("caller_gone", request_id=request_id, failure=type(error).__name__)
            raise
        ours = problems.DatabaseUnavailable(retry_after_seconds=1) if is_gone else problems.InternalError()
        _log.error(ours.code, request_id=request_id, failure=type(error).__name__, where=where(error))
        response = await _answer(request, ours, request_id)
    spent = time.perf_counter() - started
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
        response.headers["Server-Timing"] = f"total;dur={spent * 1000:.1f}"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        if (allowance := request.get(ALLOWANCE)) is not None:
            response.headers.update(allowance.headers)
    operation = request.match_info.route.name or "unmatched"
    state.metrics.requests.labels(operation, str(response.status)).inc()
    state.metrics.seconds.labels(operation).observe(spent)
    _log.info(
        "request",
        request_id=request_id,
        operation=operation,
        method=request.method,
        status=response.status,
        milliseconds=round(spent * 1000, 1),
    )
    return response


async def _answer(request: web.Request, problem: Problem, request_id: str) -> web.Response:
    problem = problems.same_or_several(problem)
    request.app[STATE].metrics.problems.labels(problem.code).inc()
    wants_page = (
        ERROR_PAGE in request.app and not _is_for_machines(request) and "text/html" in request.headers.get("Accept", "")
    )
    if wants_page:
        return await request.app[ERROR_PAGE](request, problem, request_id)
    return problems.answer(problem, base_url=request.app[STATE].settings.base_url, request_id=request_id)


def _is_for_machines(request: web.Request) -> bool:
    return request.path.startswith(("/v1/", "/oauth/", "/.well-known/", "/health/"))


def _framed(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The operation with all that surrounds it, as aiohttp calls it."""

    async def run(request: web.Request) -> web.StreamResponse:
        state = request.app[STATE]
        call = Call(request=request, state=state, request_id=request[REQUEST_ID], now=datetime.now(UTC))
        call.known = await _identify_sparingly(route, call)
        request[ALLOWANCE] = allowance = await take(state, _owner(call), route.cost)
        if allowance.is_exceeded:
            raise problems.RateLimited(retry_after_seconds=allowance.reset_seconds)
        if route.takes_key:
            call.idempotency_key = parse_key(request.headers.get("Idempotency-Key"))
        raw, shapes = await _read(route, call)
        if not route.transactional:
            return respond(await route.handler(call, **shapes))
        async with state.connection() as connection, connection.transaction():
            call.open_connection = connection
            return await _once(route, call, raw, shapes)

    return run


async def _once(route: Route, call: Call, raw: bytes, shapes: dict[str, BaseModel]) -> web.StreamResponse:
    """Runs the handler, or replays its first answer where the caller's key asks for it."""
    if call.idempotency_key is None:
        return respond(await route.handler(call, **shapes))
    replay = replay_of(call, request=raw)
    if (kept := await replay.begin()) is not None:
        return replayed(kept)
    response = respond(await route.handler(call, **shapes))
    await replay.keep(kept_from(response))
    return response


def replay_of(call: Call, *, request: bytes) -> Replay:
    """The idempotency of a call on its connection; ``request`` is what makes two requests the same."""
    assert call.idempotency_key is not None
    place = f"{call.request.method} {call.request.path_qs}\n".encode()
    return Replay(
        call.connection, call.state.vault, owner=_key_owner(call), key=call.idempotency_key, request=place + request
    )


def replayed(kept: KeptAnswer) -> web.Response:
    """A kept answer, marked as such."""
    return web.Response(
        status=kept.status, body=kept.body or None, headers={**kept.headers, "Idempotency-Replayed": "true"}
    )


def kept_from(response: web.StreamResponse) -> KeptAnswer:
    """What to keep of an answer that was not streamed."""
    assert isinstance(response, web.Response)
    body = response.body if isinstance(response.body, bytes) else b""
    return KeptAnswer(status=response.status, headers=dict(response.headers), body=body)


def _owner(call: Call) -> str:
    if call.known is None:
        return stranger_of(call.request)
    if call.known.member_id is not None:
        return f"member {call.known.member_id}"  # what people do must not stop their practice's software
    return f"{call.known.kind} {call.known.account_id}"


def _key_owner(call: Call) -> str:
    """Whose an Idempotency-Key is: people of one practice may choose the same, and must not get each other's answers."""
    client = call.known.client_id if call.known else None
    return f"{_owner(call)} {client}" if client else _owner(call)


def stranger_of(request: web.Request) -> str:
    """What a stranger's requests are counted by: the address, of IPv6 the network that one subscriber has."""
    address = address_of(request)
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address {address[:80]}"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"address {ip_network((parsed, 64), strict=False)}"
    return f"address {parsed}"


def address_of(request: web.Request) -> str:
    """The caller's address: the connection's, or what our own proxies say of it."""
    hops = request.app[STATE].settings.trusted_proxies
    if hops:
        # A proxy may append to the line that it got, or add one of its own below.
        lines = ",".join(request.headers.getall("X-Forwarded-For", []))
        forwarded = [each.strip() for each in lines.split(",") if each.strip()]
        if len(forwarded) >= hops:
            return forwarded[-hops]
    return request.remote or "unknown"


async def take(state: State, owner: str, cost: int) -> Allowance:
    """Counts a request; a costly one together with those of all processes."""
    if cost == 1:
        return state.limiter.take(owner)
    async with state.connection() as connection:
        return await state.limiter.take_shared(connection, owner, cost)


async def _identify_sparingly(route: Route, call: Call) -> Caller | None:
    """The caller; what fails counts against the address, whose cookies are no longer looked up once it failed too often.

    Tokens are checked all the same, without the database: who has a good one is not held up by a neighbour.
    """
    limiter, stranger = call.state.limiter, _owner(call)
    needs_look_up = route.access and "Authorization" not in call.request.headers
    if needs_look_up and (allowance := limiter.look(stranger)).is_exceeded:
        raise problems.RateLimited(retry_after_seconds=allowance.reset_seconds)
    try:
        return await _identify(route, call)
    except Problem:
        call.request[ALLOWANCE] = limiter.take(stranger, _FAILURE_COST)
        raise


async def _identify(route: Route, call: Call) -> Caller | None:
    """The caller, where the operation needs one; raises the problem of who may not."""
    if not route.access:
        return None
    authorization = call.request.headers.get("Authorization")
    if authorization is not None:
        caller = _by_token(authorization, call.state, call.now)
    else:
        caller = await _by_session(route, call)
    if caller.access not in route.access:
        raise problems.CallerNotAllowed
    refuse_role(caller, route.least_role)
    if route.needs_second_factor:
        refuse_old_factor(caller, call.state.settings, call.now)
    if route.scope and caller.access is Access.PRACTITIONER_CLIENT and route.scope not in caller.scopes:
        raise problems.ScopeMissing(f"scope needed: {route.scope}")
    return caller


def _by_token(authorization: str, state: State, now: datetime) -> Caller:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problems.AuthenticationRequired("the Authorization header is no Bearer token")
    return state.tokens.check(token.strip(), now)


async def _by_session(route: Route, call: Call) -> Caller:
    caller = await sessions.caller_of(call.request)
    if caller is None:
        raise problems.AuthenticationRequired
    if route.is_write:
        refuse_cross_site(call.request)
    if caller.access is Access.PENDING_SESSION and Access.PENDING_SESSION not in route.access:
        raise problems.SecondFactorRequired
    return caller


def refuse_role(caller: Caller, least: Role) -> None:
    """Raises ``RoleNotAllowed`` for one of the people of a practice whose role does not cover an act."""
    if caller.role is not None and not caller.role.covers(least):
        raise problems.RoleNotAllowed(f"role needed: {least}")


def refuse_old_factor(caller: Caller, settings: Settings, now: datetime) -> None:
    """Raises ``SecondFactorNeeded`` unless the person gave a second factor a short while ago."""
    fresh = timedelta(minutes=settings.second_factor_minutes)
    if caller.role is not None and (caller.second_factor_at is None or now - caller.second_factor_at > fresh):
        raise problems.SecondFactorNeeded


def refuse_cross_site(request: web.Request) -> None:
    """Raises ``CrossSiteRequest`` for a write that a browser sent from a page of another site."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise problems.CrossSiteRequest
        return
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.app[STATE].settings.base_url:
        raise problems.CrossSiteRequest


async def _read(route: Route, call: Call) -> tuple[bytes, dict[str, BaseModel]]:
    """The body as it came and everything declared, parsed."""
    request, shapes = call.request, dict[str, BaseModel]()
    if route.path_shape:
        try:
            shapes["path"] = parse_parameters(route.path_shape, request.match_info)
        except Problem:
            raise problems.NotFound from None
    if route.query:
        shapes["query"] = parse_parameters(route.query, request.query)
    if not isinstance(route.body, type):
        return b"", shapes
    if request.content_type != "application/json":
        raise problems.MediaTypeNotSupported("Content-Type must be application/json")
    raw = await read_body(request, route.body_limit)
    shapes["body"] = parse_json(route.body, raw, {"settings": call.state.settings})
    return raw, shapes


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body; raises ``BodyTooLarge`` as soon as it is known to be over the limit in bytes."""
    refuse_encoded(request)
    if request.content_length is not None and request.content_length > limit:
        raise problems.BodyTooLarge(f"at most {limit} bytes")
    chunks, size = [], 0
    async for chunk in request.content.iter_chunked(64 * 1024):
        size += len(chunk)
        if size > limit:
            raise problems.BodyTooLarge(f"at most {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def refuse_encoded(request: web.Request) -> None:
    """Raises ``MediaTypeNotSupported`` for a compressed body: one cut short would be taken for a whole one."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise problems.MediaTypeNotSupported("Content-Encoding is not accepted: send the body as it is")


def respond(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    """A handler's answer, as aiohttp sends it."""
    if isinstance(answer, web.StreamResponse):
        return answer
    body: Any = answer.body
    if isinstance(body, BaseModel):
        body = body.model_dump_json(by_alias=True).encode()
    headers = dict(answer.headers)
    if body is not None:
        headers["Content-Type"] = answer.media_type
    return web.Response(status=answer.status, body=body, headers=headers)
