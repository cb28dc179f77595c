"""Many checks in one call: a line each, read and answered as they come, in order.

So many are on their way at once and no more, whatever the length: the slower the caller reads, the slower its lines are read.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from aiohttp import StreamReader, web

from tpgateway.cards import service
from tpgateway.cards.errors import LineTooLong, TooManyLines
from tpgateway.cards.handlers.checks import make_ask
from tpgateway.cards.payloads import BATCH_LINES, LONGEST_ID, LONGEST_LINE, BatchLine
from tpgateway.cards.service import CHECKING
from tpgateway.errors import Problem
from tpgateway.web import problems
from tpgateway.web.frame import is_gone, refuse_encoded
from tpgateway.web.logs import where
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_json

BATCH_LIMIT = 100 * 1024 * 1024
_AT_ONCE = 128
# After so many lines whoever else is ready has a turn: the first are on their way to the database while the next are read.
_IN_A_ROW = 16
_WRITE_AT = 64 * 1024
_MOST_WAITING = 32 * 1024 * 1024
_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
_log = structlog.get_logger(__name__)


async def check_batch(call: Call) -> web.StreamResponse:
    """Answers each line in its turn: a check, or the problem of a line that is wrong."""
    if call.request.content_type not in _TYPES:
        raise problems.MediaTypeNotSupported(f"Content-Type must be one of {', '.join(_TYPES)}")
    refuse_encoded(call.request)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "X-Request-Id": call.request_id})
    await response.prepare(call.request)
    under_way: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_AT_ONCE)
    sending = asyncio.create_task(_send(under_way, _Out(response)))
    try:
        count = 0
        async for line in _lines(call.request.content):
            await under_way.put(asyncio.create_task(_answer(call, line)))
            count += 1
            if count % _IN_A_ROW == 0:
                await asyncio.sleep(0)
            if sending.done():
                break
        await under_way.put(None)
        await sending
    finally:
        sending.cancel()
        _drop(under_way)
    await response.write_eof()
    return response


async def _send(under_way: "asyncio.Queue[asyncio.Task[bytes] | None]", out: "_Out") -> None:
    """Sends answers in their order, each as soon as no other is ready to go with it."""
    try:
        while (task := await under_way.get()) is not None:
            if not task.done():
                out.write()
            await out.put(await task)
            if under_way.empty():
                out.write()
        await out.finish()
    finally:
        _drop(under_way)  # whoever waits to put one more in sees that nobody takes it


def _drop(under_way: "asyncio.Queue[asyncio.Task[bytes] | None]") -> None:
    while not under_way.empty():
        if (left := under_way.get_nowait()) is not None:
            left.cancel()


class _Out:
    """Answers on their way out. Some wait here, so that a caller who reads only once all is sent does not wait for ever."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response
        self._ready = bytearray()
        self._writing: asyncio.Task[None] | None = None
        self._has_more = False

    async def put(self, answer: bytes) -> None:
        self._ready += answer
        if len(self._ready) >= _MOST_WAITING and self._writing:
            await self._writing
        if len(self._ready) >= _WRITE_AT:
            self.write()

    async def finish(self) -> None:
        if self._writing:
            await self._writing
        self.write()
        if self._writing:
            await self._writing

    def write(self) -> None:
        """Begins to write what is ready: at once, or as soon as what was ready before is written."""
        if not self._ready:
            return
        if self._writing and not self._writing.done():
            self._has_more = True
            return
        if self._writing:
            self._writing.result()  # what went wrong with the last goes on to the caller
        block, self._ready, self._has_more = bytes(self._ready), bytearray(), False
        self._writing = asyncio.create_task(self._response.write(block))
        self._writing.add_done_callback(self._go_on)

    def _go_on(self, done: asyncio.Task[None]) -> None:
        # Looked at, so that asyncio does not complain of it where the caller is gone and nothing more is written.
        if not done.cancelled() and done.exception() is None and self._has_more:
            self.write()


async def _lines(content: StreamReader) -> AsyncIterator[bytes | Problem]:
    """The lines that are not blank, and in the place of one that cannot be one its problem."""
    count, size, pending, is_too_long = 0, 0, b"", False
    async for block in content.iter_any():
        size += len(block)
        if size > BATCH_LIMIT:
            yield TooManyLines()
            return
        *whole, pending = (pending + block).split(b"\n")
        for line in whole:
            if not line.strip() and not is_too_long:
                continue
            count += 1
            if count > BATCH_LINES:
                yield TooManyLines()
                return
            yield LineTooLong() if is_too_long or len(line) > LONGEST_LINE else line
            is_too_long = False
        if len(pending) > LONGEST_LINE:
            pending, is_too_long = b"", True
    if is_too_long or pending.strip():
        too_many = count >= BATCH_LINES
        yield TooManyLines() if too_many else LineTooLong() if is_too_long else pending


async def _answer(call: Call, line: bytes | Problem) -> bytes:
    """One line's answer; whatever happens to it, the next ones go on."""
    line_id: str | None = None
    try:
        if isinstance(line, Problem):
            return _document(call, line) + b"\n"
        body = parse_json(BatchLine, line, call.state.parsing)
        line_id = body.id
        ask = make_ask(replace(call, now=datetime.now(UTC)), body)
        checking = call.request.app[CHECKING]
        answered, _ = await service.check_card(
            checking, ask, care_date=body.care_date, nir=body.nir, is_one_of_many=True
        )
        written = answered.body
    except Problem as problem:
        if line_id is None:
            line_id = _id_of(line)
        written = _document(call, problems.same_or_several(problem))
    except Exception as error:
        failure = problems.DatabaseUnavailable() if is_gone(error) else problems.InternalError()
        _log.error(failure.code, request_id=call.request_id, failure=type(error).__name__, where=where(error))
        written = _document(call, failure)
    if line_id is not None:
        return b'{"line_id":' + json.dumps(line_id).encode() + b"," + written[1:] + b"\n"
    return written + b"\n"


def _id_of(line: bytes | Problem) -> str | None:
    """The id of a line of wrong shape, where it has one all the same."""
    try:
        read = {} if isinstance(line, Problem) else json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = read.get("id") if isinstance(read, dict) else None
    return found if isinstance(found, str) and len(found) <= LONGEST_ID else None


def _document(call: Call, problem: Problem) -> bytes:
    told = problems.document(problem, base_url=call.state.settings.base_url, request_id=call.request_id)
    return json.dumps(told, ensure_ascii=False).encode()
