"""Turns requests away as soon as they are read, when more come than can be answered.

Going the usual way, a refusal would cost half of what an answer does, so that a process that gets far more than it carries
would do little else. Here it is written as it lies ready, before there is a request.
"""

import asyncio
import time
from itertools import cycle
from typing import NamedTuple

from aiohttp.http_parser import RawRequestMessage

from tpgateway.web import frame, problems
from tpgateway.web.request_log import Entry
from tpgateway.web.safety import Safety
from tpgateway.web.state import State

_FOR_SOFTWARE = ("/v1/", "/oauth/")
_ID = "0" * 32


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
    """Of one process."""

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

    def turns_away(self, message: RawRequestMessage, transport: asyncio.WriteTransport) -> bool:
        """Whether the request, which is plain, has been refused."""
        if (
            not message.path.startswith(_FOR_SOFTWARE)
            or message.method == "HEAD"
            or "If-None-Match" in message.headers  # to answer that nothing is new costs hardly more
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
