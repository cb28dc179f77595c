"""Turns requests away as soon as they are read, when more come than can be answered.

Going the usual way, a refusal would cost half of what an answer does, so that a process that gets far more than it carries
would do little else. Here it is written as it lies ready, before there is a request.
"""

import time
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

from aiohttp import HttpVersion11, StreamReader
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from tpgateway.web import frame, problems
from tpgateway.web.request_log import Entry
from tpgateway.web.safety import Safety
from tpgateway.web.state import State

_FOR_SOFTWARE = ("/v1/", "/oauth/")
_ID = "0" * 32
# A larger body may have stopped the reading of what comes behind it.
_MOST_BODY = 16 * 1024
_MOST_UNREAD = 64 * 1024


class _Refusal(NamedTuple):
    """An answer in pieces; between them stand its length, the request's id, and that again."""

    head: str
    after_length: str
    body: str
    after_id: str

    def naming(self, request_id: str) -> bytes:
        body = f"{self.body}{request_id}{self.after_id}".encode()
        return f"{self.head}{len(body)}{self.after_length}{request_id}\r\n\r\n".encode() + body


class Turnstile:
    """Of one process; each connection's parser is to be wrapped in a ``Sieve``."""

    def __init__(self, state: State, safety: Safety) -> None:
        self.state = state
        self.pressure = state.pressure
        self._ready = cycle([self._prepared(seconds, safety) for seconds in frame.COME_AGAIN])
        self._refusals = state.metrics.problems.labels(problems.Overloaded.code)

    def _prepared(self, seconds: int, safety: Safety) -> _Refusal:
        problem = problems.Overloaded(retry_after_seconds=seconds)
        answer = problems.answer(problem, base_url=self.state.settings.base_url, request_id=_ID)
        safety.put_on(_FOR_SOFTWARE[0], answer)
        lines = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        before, after = (answer.text or "").split(_ID)
        head = f"HTTP/1.1 {answer.status} {answer.reason}\r\n{lines}Content-Length: "
        return _Refusal(head, "\r\nX-Request-Id: ", before, after)

    def turns_away(self, message: RawRequestMessage, body: StreamReader, connection: RequestHandler) -> bool:
        """Whether what was read has been refused; its connection waits for nothing else."""
        transport = connection.transport
        if (
            transport is None
            or not message.path.startswith(_FOR_SOFTWARE)
            or message.method == "HEAD"
            or message.version != HttpVersion11
            or message.should_close
            or message.upgrade
            or not (body is EMPTY_PAYLOAD or (body.is_eof() and body.total_bytes <= _MOST_BODY))
            or "If-None-Match" in message.headers  # to answer that nothing is new costs hardly more
            or self.state.is_draining
            or transport.get_write_buffer_size() > _MOST_UNREAD
        ):
            return False
        self.pressure.coming += 1
        if not self.pressure.refuses():
            return False
        self.pressure.coming -= 1
        started = time.perf_counter()
        request_id = frame.id_for(message.headers)
        transport.write(next(self._ready).naming(request_id))
        self._refusals.inc()
        spent = time.perf_counter() - started
        self.state.request_log.note(Entry(time.time(), request_id, "refused", message.method, 503, spent))
        return True


class Sieve:
    """A connection's parser that keeps to itself what is turned away."""

    __slots__ = ("_connection", "_parser", "_turnstile")

    def __init__(self, connection: RequestHandler, turnstile: Turnstile) -> None:
        self._connection = connection
        self._parser: Any = connection._parser
        self._turnstile = turnstile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """As the parser's own."""
        messages, is_upgraded, tail = self._parser.feed_data(data)
        if self._turnstile.pressure.limit is None or len(messages) != 1:
            return messages, is_upgraded, tail
        connection = self._connection
        waits = connection._waiter is not None and not connection._waiter.done()
        # The first one on a connection goes the usual way, which begins to count how long nothing comes.
        message, body = messages[0]
        if not waits or not connection._request_count or not self._turnstile.turns_away(message, body, connection):
            return messages, is_upgraded, tail
        self._parser.message_consumed()
        connection._request_count += 1
        connection._next_keepalive_close_time = connection._loop.time() + connection._keepalive_timeout
        return (), is_upgraded, tail
