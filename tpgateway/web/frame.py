"""What surrounds every operation: identity, limits, shapes, the transaction, idempotency, problems, timing, logs.

One middleware gives each request an id and turns whatever happens into an answer; one closure a route does the rest.
"""

import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
from aiohttp import web
from pydantic import BaseModel

from tpgateway import traces
from tpgateway.database import faults
from tpgateway.errors import InvalidRequest, Problem
from tpgateway.settings import Settings
from tpgateway.web import clock, problems, sessions, tls, xml
from tpgateway.web.callers import Access, Caller, Role
from tpgateway.web.idempotency import KeptAnswer, Replay, parse_key
from tpgateway.web.limits import Allowance
from tpgateway.web.logs import where
from tpgateway.web.request_log import Entry
from tpgateway.web.routing import Answer, Call, Route
from tpgateway.web.safety import SAFETY
from tpgateway.web.state import STATE, State
from tpgateway.web.steady import Steady
from tpgateway.web.validation import parse_json, parse_parameters

_log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_GONE = (*faults.LOST, *faults.UNABLE)

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
ALLOWANCE: web.RequestKey[Allowance] = web.RequestKey("allowance", Allowance)

STEADY: web.AppKey[Steady] = web.AppKey("steady", Steady)
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)

_FAILURE_COST = 5
_JSON = "application/json"
_IN_MEMORY = 64 * 1024

# How a page, rather than a machine, is told of a problem; the portal gives it.
ErrorPage = Callable[[web.Request, Problem, str], Awaitable[web.Response]]
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("error_page")

# What more an answer to a kind of caller says in its headers.
Remarks = Callable[[State, Caller], Awaitable[Mapping[str, str]]]
REMARKS: web.AppKey[Mapping[Access, Remarks]] = web.AppKey("remarks")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ROUTES: web.AppKey[Sequence[Route]] = web.AppKey("routes")
_FOR_SOFTWARE = ("/v1/", "/oauth/")
_ALWAYS = ("/health/", "/metrics")
# After how many seconds who is refused may try again: not the same for all, lest they come back together.
COME_AGAIN = (1, 2, 3, 4)
_BUSY = (
    '<!doctype html><html lang="fr"><meta charset="utf-8"><title>Service très sollicité</title>'
    "<h1>{}</h1><p>{}</p></html>"
)
# What gives a request its session, where one is wanted.
SESSIONS: web.AppKey[Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]] = web.AppKey("sessions")


def mount(app: web.Application, routes: Sequence[Route]) -> None:
    """Adds the operations to the application; raises ``TypeError`` where a handler does not fit its row."""
    app[ROUTES] = routes
    for route in routes:
        if wrong := route.mismatch():
            raise TypeError(wrong)
        framed = _framed(route)
        app.router.add_route(route.method, route.path, framed, name=route.operation)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, framed, name=f"{route.operation}.head")


def id_for(headers: Mapping[str, str]) -> str:
    """What a request is called: as its caller did, or by chance."""
    offered = headers.get("X-Request-Id")
    if offered and _REQUEST_ID.fullmatch(offered):
        return offered
    return f"{random.getrandbits(128):032x}"  # a name, no secret; asking the system costs ten times as much


async def surround(app: web.Application, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: request id, problems, timing, metrics and the log line."""
    started = time.perf_counter()
    request_id = id_for(request.headers)
    state = app[STATE]
    state.pressure.begin()
    try:
        return await _surrounded(app, request, handler, state, request_id, started)
    finally:
        state.pressure.in_hand -= 1


async def _surrounded(
    app: web.Application, request: web.Request, handler: Handler, state: State, request_id: str, started: float
) -> web.StreamResponse:
    steady = app[STEADY]
    response: web.StreamResponse
    if (
        not state.is_draining
        and (again := steady.again(request, state.limiter, request_id=request_id, started=started)) is not None
    ):
        response, operation = again
    else:
        request[REQUEST_ID] = request_id
        if state.pressure.refuses() and not request.path.startswith(_ALWAYS):
            response, operation = _refused(app, request, request_id), "refused"
        elif state.traces is None:
            response = await _answered(app, request, handler, request_id)
            operation = request.match_info.route.name or "unmatched"
        else:
            with state.traces.request(request.headers, request_id) as span:
                response = await _answered(app, request, handler, request_id)
                operation = request.match_info.route.name or "unmatched"
                traces.name(span, operation, request.method, response.status)
        if not response.prepared:
            app[SAFETY].put_on(request.path, response)
            headers = response.headers
            if (allowance := request.get(ALLOWANCE)) is not None:
                headers["RateLimit-Policy"], headers["RateLimit"] = allowance.policy, allowance.said
            if operation != "refused":
                headers.update(await remarks(request))
            if response.status == 304 and (caller := request.get(CALLER)) is not None and caller.certificate is None:
                steady.keep(request, response, state.tokens, owner=caller.owner, operation=operation)
    spent = time.perf_counter() - started
    if state.is_draining:
        response.force_close()
    if not response.prepared:
        response.headers["X-Request-Id"] = request_id
        response.headers["Server-Timing"] = f"total;dur={spent * 1000:.1f}"
    state.request_log.note(Entry(time.time(), request_id, operation, request.method, response.status, spent))
    return response


def _refused(app: web.Application, request: web.Request, request_id: str) -> web.StreamResponse:
    """That there is too much to do, before it is known what was asked; most hear it before they come this far."""
    problem = problems.Overloaded(retry_after_seconds=random.choice(COME_AGAIN))  # noqa: S311
    state = app[STATE]
    state.metrics.problems.labels(problem.code).inc()
    if _is_for_machines(request.path) or "text/html" not in request.headers.get("Accept", ""):
        return problems.answer(problem, base_url=state.settings.base_url, request_id=request_id)
    text = _BUSY.format(problem.message_fr, problem.next_step_fr)
    return web.Response(status=problem.status, text=text, content_type="text/html", headers=problem.said_in_headers)


async def _answered(
    app: web.Application, request: web.Request, handler: Handler, request_id: str
) -> web.StreamResponse:
    """The answer, or the problem that came in its place."""
    try:
        if "Authorization" in request.headers and request.path.startswith(_FOR_SOFTWARE):
            return await handler(request)  # who brings a token needs no session
        return await app[SESSIONS](request, handler)
    except Problem as problem:
        return await _answer(app, request, problem, request_id)
    except web.HTTPException as error:
        if error.status < 400:
            return web.Response(status=error.status, headers={"Location": error.headers["Location"]})
        return await _answer(app, request, problems.from_http(error), request_id)
    except Exception as error:
        if request.transport is None or request.transport.is_closing():
            _log.info("caller_gone", request_id=request_id, failure=type(error).__name__)
            raise
        return await _answer(app, request, problem_of(error, request_id), request_id)


def problem_of(error: Exception, request_id: str) -> Problem:
    """What is said of a failure, which the log tells of."""
    ours = problems.DatabaseUnavailable(retry_after_seconds=1) if is_gone(error) else problems.InternalError()
    _log.error(ours.code, request_id=request_id, failure=type(error).__name__, where=where(error))
    return ours


async def remarks(request: web.Request) -> Mapping[str, str]:
    """What more the answer to this caller says in its headers; nothing where that cannot be known at this moment."""
    caller = request.get(CALLER)
    if caller is None or (remark := request.app[REMARKS].get(caller.access)) is None:
        return {}
    try:
        return await remark(request.app[STATE], caller)
    except Exception as error:
        if not is_gone(error):
            raise
        return {}


def is_gone(error: Exception) -> bool:
    """Whether an exception says that the database is away."""
    # asyncpg's InterfaceError is a lost connection, but also (then a ValueError) an argument that cannot be sent.
    return isinstance(error, _GONE) and not isinstance(error, ValueError)


async def _answer(app: web.Application, request: web.Request, problem: Problem, request_id: str) -> web.Response:
    problem = problems.same_or_several(problem)
    app[STATE].metrics.problems.labels(problem.code).inc()
    wants_page = (
        ERROR_PAGE in app and not _is_for_machines(request.path) and "text/html" in request.headers.get("Accept", "")
    )
    if wants_page:
        return await app[ERROR_PAGE](request, problem, request_id)
    return problems.answer(problem, base_url=app[STATE].settings.base_url, request_id=request_id)


def _is_for_machines(path: str) -> bool:
    return path.startswith(("/v1/", "/oauth/", "/.well-known/", "/health/"))


def _framed(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The operation with all that surrounds it, as aiohttp calls it."""
    handler, cost, takes_key, transactional = route.handler, route.cost, route.takes_key, route.transactional
    ahead = route.ahead
    identify, read, follows_clock = _identifying(route), _reading(route), route.follows_clock

    async def run(request: web.Request) -> web.StreamResponse:
        state = request.app[STATE]
        call = Call(request=request, state=state, request_id=request[REQUEST_ID], now=datetime.now(UTC))
        call.known = caller = await identify(call)
        if caller is not None:
            request[CALLER] = caller
            if follows_clock and state.settings.sandbox and caller.member_id is None:
                async with state.connection() as connection:
                    call.now += await clock.ahead(connection)
        owner = caller.owner if caller else stranger_of(request)
        allowance = state.limiter.take(owner) if cost == 1 else await take(state, owner, cost)
        request[ALLOWANCE] = allowance
        if allowance.is_exceeded:
            raise problems.RateLimited(retry_after_seconds=allowance.reset_seconds)
        if takes_key and (key := request.headers.get("Idempotency-Key")) is not None:
            call.idempotency_key = parse_key(key)
        raw, shapes = await read(call)
        if not transactional:
            return _respond(route, request, await handler(call, **shapes))
        if ahead is not None and call.idempotency_key is None:
            answer = await ahead(request.app, call.caller, shapes["body"], call.now, call.request_id)
            if answer is not None:
                return _respond(route, request, answer)
        async with call.transaction() as connection:
            call.open_connection = connection
            return await _once(route, call, raw, shapes)

    return run


async def _once(route: Route, call: Call, raw: bytes, shapes: dict[str, BaseModel]) -> web.StreamResponse:
    """Runs the handler, or replays its first answer where the caller's key asks for it."""
    if call.idempotency_key is None:
        return _respond(route, call.request, await route.handler(call, **shapes))
    replay = replay_of(call, request=raw)
    if (kept := await replay.begin()) is not None:
        return replayed(kept)
    response = _respond(route, call.request, await route.handler(call, **shapes))
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


def _key_owner(call: Call) -> str:
    """Whose an Idempotency-Key is: people of one practice may choose the same, and must not get each other's answers."""
    client = call.known.client_id if call.known else None
    owner = call.known.owner if call.known else stranger_of(call.request)
    return f"{owner} {client}" if client else owner


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


def _identifying(route: Route) -> Callable[[Call], Awaitable[Caller | None]]:
    """What finds the caller of an operation, where it needs one, and raises the problem of who may not.

    What fails counts against the address, whose cookies are no longer looked up once it failed too often. Tokens are checked
    all the same, without the database: who has a good one is not held up by a neighbour.
    """
    access, scope, least_role = route.access, route.scope, route.least_role

    async def identify(call: Call) -> Caller | None:
        if not access:
            return None
        limiter, authorization = call.state.limiter, call.request.headers.get("Authorization")
        if authorization is None:
            allowance = limiter.look(stranger_of(call.request))
            if allowance.is_exceeded:
                raise problems.RateLimited(retry_after_seconds=allowance.reset_seconds)
        try:
            if authorization is None:
                caller = await _by_session(route, call)
            else:
                caller = caller_by_token(authorization, call.state, call.now)
                _refuse_other_certificate(caller, call.request)
            if caller.access not in access:
                raise problems.CallerNotAllowed
            if caller.role is not None:
                refuse_role(caller, least_role)
                if route.needs_second_factor:
                    refuse_old_factor(caller, call.state.settings, call.now)
            if not caller.covers(scope):
                raise problems.ScopeMissing(f"scope needed: {scope}")
        except Problem:
            call.request[ALLOWANCE] = limiter.take(stranger_of(call.request), _FAILURE_COST)
            raise
        return caller

    return identify


def caller_by_token(authorization: str, state: State, now: datetime) -> Caller:
    """Whom an Authorization header names; raises ``AuthenticationRequired``, ``TokenInvalid`` and ``TokenExpired``.

    Where the token is bound to a certificate, whether it came over a connection with that one is still to be looked at.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problems.AuthenticationRequired("the Authorization header is no Bearer token")
    return state.tokens.check(token.strip(), now)


def _refuse_other_certificate(caller: Caller, request: web.Request) -> None:
    if caller.certificate is not None and caller.certificate != tls.certificate_of(request):
        raise problems.TokenInvalid("the token is bound to another client certificate than this connection's")


async def _by_session(route: Route, call: Call) -> Caller:
    caller = await sessions.caller_of(call.request)
    if caller is None:
        raise problems.AuthenticationRequired
    if route.is_write:
        refuse_cross_site(call.request)
    if caller.is_pending and caller.access not in route.access:
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


def _reading(route: Route) -> Callable[[Call], Awaitable[tuple[bytes, dict[str, BaseModel]]]]:
    """What gives the body of an operation as it came, and everything declared, parsed."""
    path, query, body, limit = route.path_shape, route.query, route.body, route.body_limit
    document = route.xml.request if route.xml else None

    async def read(call: Call) -> tuple[bytes, dict[str, BaseModel]]:
        request, shapes = call.request, dict[str, BaseModel]()
        if path:
            try:
                shapes["path"] = parse_parameters(path, request.match_info)
            except Problem:
                raise problems.NotFound from None
        if query:
            shapes["query"] = parse_parameters(query, request.query)
        if not isinstance(body, type):
            return b"", shapes
        if request.headers.get("Content-Type") != _JSON and request.content_type != _JSON:
            if document is None or request.content_type not in xml.TYPES:
                raise problems.MediaTypeNotSupported(f"Content-Type must be {_JSON}")
            raw = await read_body(request, limit)
            read_xml = document.read(raw, body)
            try:
                shapes["body"] = parse_json(body, read_xml.as_json, call.state.parsing)
            except InvalidRequest as wrong:
                raise read_xml.located(wrong) from None
            return raw, shapes
        raw = await read_body(request, limit)
        shapes["body"] = parse_json(body, raw, call.state.parsing)
        return raw, shapes

    return read


async def read_body(request: web.Request, limit: int) -> bytes:
    """The whole body; raises ``BodyTooLarge`` as soon as it is known to be over the limit in bytes."""
    refuse_encoded(request)
    if (length := request.content_length) is not None:
        if length > limit:
            raise problems.BodyTooLarge(f"at most {limit} bytes")
        if length <= _IN_MEMORY:
            return await request.read()
    chunks, size = [], 0
    async for chunk in request.content.iter_chunked(64 * 1024):
        size += len(chunk)
        if size > limit:
            raise problems.BodyTooLarge(f"at most {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def refuse_encoded(request: web.Request) -> None:
    """Raises ``MediaTypeNotSupported`` for a compressed body: one cut short would be taken for a whole one."""
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise problems.MediaTypeNotSupported("Content-Encoding is not accepted: send the body as it is")


def _respond(route: Route, request: web.Request, answer: Answer | web.StreamResponse) -> web.StreamResponse:
    """A handler's answer as the caller wants it: XML where the operation speaks it."""
    form = route.xml
    if form is None or form.answer is None or not isinstance(answer, Answer) or not isinstance(answer.body, BaseModel):
        return respond(answer)
    if not xml.is_wanted(request.headers.get("Accept"), request.content_type):
        return respond(answer)
    return respond(replace(answer, body=form.answer.write(answer.body), media_type="application/xml"))


def respond(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    """A handler's answer, as aiohttp sends it."""
    if not isinstance(answer, Answer):
        return answer
    body, headers = written(answer.body), dict(answer.headers)
    if body is not None:
        headers["Content-Type"] = answer.media_type
    return web.Response(status=answer.status, body=body, headers=headers)


def written(body: BaseModel | bytes | None) -> bytes | None:
    """An answer's body as it goes out, a shape as JSON."""
    return body.model_dump_json(by_alias=True).encode() if isinstance(body, BaseModel) else body
