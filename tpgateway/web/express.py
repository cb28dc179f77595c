"""Answers what is asked most as soon as it is read, where nothing about it is out of the ordinary.

For a card check, the library's way from a parsed message to a handler and back costs as much as the check itself. Here an
operation that has an ``at_once`` or an ``ahead`` is answered without it: the same identity, scope, limit, shape, headers and
log line, by the same rules as in ``frame``. Whatever this way is not made for (a key, a tag, XML, a session, a wrong body,
nobody known) goes the usual way as if it had never been here, and so does what turns out to want it after all.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from tpgateway.errors import Problem
from tpgateway.web import frame, problems
from tpgateway.web.limits import Allowance
from tpgateway.web.request_log import Entry
from tpgateway.web.routing import Answer, Route, Said
from tpgateway.web.safety import Safety
from tpgateway.web.state import STATE
from tpgateway.web.steady import http_date
from tpgateway.web.validation import parse_json

_FOR_SOFTWARE = "/v1/"
_JSON = "application/json"
_CLOSE = "Connection: close\r\n"


class _Asked(NamedTuple):
    """A request under way; ``waiter`` is what its connection's own loop waits on for the next."""

    connection: RequestHandler
    message: RawRequestMessage
    body: StreamReader
    waiter: Any
    owner: str
    allowance: Allowance
    request_id: str
    started: float


class Express:
    """Of one process."""

    def __init__(self, app: web.Application, safety: Safety, routes: Sequence[Route]) -> None:
        self._app, self._state, self._safety = app, app[STATE], safety
        # Traces follow a request through the frame, and in a sandbox its clock is looked up first.
        is_usual = self._state.traces is None and not self._state.settings.sandbox
        self.routes = {route.path: route for route in routes if (route.at_once or route.ahead) and is_usual}
        self._operations = {path: route.operation for path, route in self.routes.items()}
        self._heads = {
            status: self._head_of(web.Response(status=status, headers={"Content-Type": _JSON}))
            for status in {200}.union(*(route.answers for route in self.routes.values()))
        }
        self._under_way: set[asyncio.Task[None]] = set()

    def _head_of(self, answer: web.Response) -> str:
        self._safety.put_on(_FOR_SOFTWARE, answer)
        lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items() if name != "Content-Length")
        return f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}"

    def takes(self, message: RawRequestMessage, body: StreamReader, connection: RequestHandler) -> bool:
        """Whether the request, which is plain, is answered here; until it is, its connection takes up no other."""
        started = time.perf_counter()
        route, state, headers = self.routes[message.path], self._state, message.headers
        if (
            message.method != route.method
            or headers.get("Content-Type") != _JSON
            or (authorization := headers.get("Authorization")) is None
            or "Idempotency-Key" in headers
            or "If-None-Match" in headers
            or "Content-Encoding" in headers
            or "Expect" in headers
            or not body.total_bytes
            or (route.xml is not None and "xml" in headers.get("Accept", "").lower())
        ):
            return False
        now = datetime.now(UTC)
        assert isinstance(route.body, type)
        try:
            caller = frame.caller_by_token(authorization, state, now)
            if caller.access not in route.access or not caller.covers(route.scope) or caller.certificate is not None:
                return False
            shape = parse_json(route.body, b"".join(body._buffer), state.parsing)
        except Problem:
            return False
        allowance = state.limiter.take(caller.owner)
        if allowance.is_exceeded:
            return False
        request_id = frame.id_for(headers)
        asked = _Asked(connection, message, body, connection._waiter, caller.owner, allowance, request_id, started)
        state.pressure.begin()
        is_taken = False
        try:
            if route.at_once is not None:
                is_taken = route.at_once(self._app, caller, shape, now, partial(self._tell, route, asked))
            else:
                assert route.ahead is not None
                doing = self._do(route, route.ahead(self._app, caller, shape, now, request_id), asked)
                self._under_way.add(task := asyncio.create_task(doing))
                task.add_done_callback(self._under_way.discard)
                is_taken = True
        finally:
            if not is_taken:
                self._leave(asked)
        if is_taken:
            # As while the library answers: the parser goes on, what comes is queued, and the connection is not idle.
            assert connection._parser is not None
            connection._parser.message_consumed()
            connection._waiter = None
        return is_taken

    async def _do(self, route: Route, doing: Coroutine[Any, Any, Answer | None], asked: _Asked) -> None:
        """Waits for what a handler answers, and writes it."""
        told: Answer | Problem | None
        try:
            told = await doing
        except Problem as problem:
            told = problem
        except Exception as error:
            told = frame.problem_of(error, asked.request_id)
        except BaseException:
            asked.connection._waiter = asked.waiter
            asked.connection.force_close()  # no answer is to come any more
            raise
        self._tell(route, asked, told)

    def _leave(self, asked: _Asked) -> None:
        """As if it had not been taken."""
        self._state.limiter.give_back(asked.owner)
        self._state.pressure.in_hand -= 1

    def _tell(self, route: Route, asked: _Asked, told: Said | Answer | Problem | None) -> None:
        """Writes the answer; where there is none, the connection's own loop goes on with the request."""
        connection, waiter, state = asked.connection, asked.waiter, self._state
        connection._waiter = waiter
        try:
            if told is None:
                self._leave(asked)
                connection._messages.appendleft((asked.message, asked.body))
                return
            state.pressure.in_hand -= 1
            if isinstance(told, Problem):
                status, head, body = self._refusal(asked, told)
            elif isinstance(told, Answer):
                said = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items())
                status, head, body = told.status, f"{self._heads[told.status]}{said}", frame.written(told.body) or b""
            else:
                status, head, body = 200, f"{self._heads[200]}ETag: {told.tag}\r\n", told.body
            spent = time.perf_counter() - asked.started
            if connection.transport is not None:
                self._write(asked, head, body, spent)
            operation = self._operations[route.path]
            state.request_log.note(Entry(time.time(), asked.request_id, operation, route.method, status, spent))
        except BaseException:
            connection.force_close()  # no answer is to come any more
            raise
        finally:
            if connection.transport is None:
                waiter.cancel()
            elif connection._messages and not waiter.done():
                waiter.set_result(None)
            elif connection._close:  # it was asked to, while it did not seem idle
                waiter.cancel()

    def _refusal(self, asked: _Asked, problem: Problem) -> tuple[int, str, bytes]:
        state, problem = self._state, problems.same_or_several(problem)
        state.metrics.problems.labels(problem.code).inc()
        answer = problems.answer(problem, base_url=state.settings.base_url, request_id=asked.request_id)
        assert isinstance(answer.body, bytes)
        return answer.status, self._head_of(answer), answer.body

    def _write(self, asked: _Asked, head: str, body: bytes, spent: float) -> None:
        connection, allowance = asked.connection, asked.allowance
        assert connection.transport is not None
        is_last = self._state.is_draining
        connection.transport.write(
            f"{head}Content-Length: {len(body)}\r\nRateLimit-Policy: {allowance.policy}\r\nRateLimit: {allowance.said}\r\n"
            f"X-Request-Id: {asked.request_id}\r\nDate: {http_date(int(time.time()))}\r\n{_CLOSE if is_last else ''}"
            f"Server-Timing: total;dur={spent * 1000:.1f}\r\n\r\n".encode()
            + body
        )
        if is_last:
            connection.force_close()
