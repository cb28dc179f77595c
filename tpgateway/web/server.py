"""What stands between aiohttp and the routes.

The frame surrounds every request here rather than as a middleware, which aiohttp would wrap in layers of its own. And the
last corner where aiohttp would answer in its own words: requests that are no HTTP, before any route is known. And who sends a
request so slowly that it never ends, to hold what others need, is cut off.
"""

import asyncio
from functools import partial
from typing import Any, cast
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tpgateway.web import frame, problems
from tpgateway.web.express import Express
from tpgateway.web.safety import SAFETY, Safety
from tpgateway.web.sieve import Sieve
from tpgateway.web.state import STATE
from tpgateway.web.turnstile import Turnstile

_LOOK_SECONDS = 0.02
_log = structlog.get_logger(__name__)


class _Handler(RequestHandler):
    """One connection; what its parser refuses is answered as a problem, without a word of the request.

    A head must be whole within ``patience`` seconds of the connection, or of its first byte; a body must not pause for as
    long, nor the reading of an answer. It is looked at once in that time. What waits because we do not read on is no fault of
    the client's.
    """

    __slots__ = ("_head_since", "_heard_at", "_unread", "_watch", "base_url", "patience", "safety")
    base_url: str
    patience: float
    safety: Safety

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._head_since: float | None = self._loop.time()
        self._heard_at = self._head_since
        self._unread = 0
        self._watch = self._loop.call_later(self.patience, self._look)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        count, was_in_body = self._request_count, self._is_in_body()
        # A read that is full is followed by another before anybody has taken up the request that the first began.
        is_rest = bool(self._messages) and not self._messages[-1][1].is_eof()
        is_stopping = was_in_body and (self._close or self._force_close)
        if is_stopping and self.transport is not None and not self.transport.is_closing():
            # While it stops the library reads no more of anything: what it waits for to answer would never come.
            stopping = self._close, self._force_close
            self._close = self._force_close = False
            super().data_received(data)
            self._close, self._force_close = stopping
        else:
            super().data_received(data)
        self._heard_at = self._loop.time()
        if self._request_count != count:
            self._head_since = None
        elif (
            data and self._head_since is None and not was_in_body and not is_rest
        ):  # without any, aiohttp goes on with what it had paused
            self._head_since = self._heard_at

    def _is_in_body(self) -> bool:
        return self._current_request is not None and not self._current_request.content.is_eof()

    def _look(self) -> None:
        latest = self._loop.time() - self.patience
        if self._is_in_body():
            is_slow = self._heard_at <= latest and not self._reading_paused and not self._buffer_paused
        else:
            is_slow = self._current_request is None and self._head_since is not None and self._head_since <= latest
        if (transport := self.transport) is None:
            return
        before, self._unread = self._unread, transport.get_write_buffer_size()
        reads_nothing = self._paused and self._unread >= before > 0  # nothing is added while it is paused
        if is_slow or reads_nothing:
            _log.info(
                "slow_client_cut_off", where="answer" if reads_nothing else "body" if self._is_in_body() else "head"
            )
            transport.abort()
        else:
            self._watch = self._loop.call_later(self.patience, self._look)

    def log_exception(self, *_args: object, **named: object) -> None:
        """A caller that breaks off is no fault of ours: not an error, and not in the library's words."""
        failure = named.get("exc_info")
        _log.info("connection_broken", failure=type(failure).__name__ if failure else None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was already on its way")
        request_id = uuid4().hex
        problem = problems.RequestMalformed("the request is not HTTP as it should be") if status < 500 else None
        _log.info("request_malformed", request_id=request_id, failure=type(exc).__name__ if exc else None)
        response = problems.answer(problem or problems.InternalError(), base_url=self.base_url, request_id=request_id)
        response.headers["X-Request-Id"] = request_id
        self.safety.put_on(request.path, response)
        response.force_close()
        return response


class _Server(web.Server):
    base_url = ""
    patience = 20.0
    safety: Safety
    turnstile: Turnstile
    express: Express

    def __call__(self) -> RequestHandler:
        handler = _Handler(self, loop=self._loop, **self._kwargs)
        handler.base_url = self.base_url
        handler.patience = self.patience
        handler.safety = self.safety
        handler._parser = cast("Any", Sieve(handler, self.turnstile, self.express))
        return handler


class Runner(web.AppRunner):
    """aiohttp's runner with our server in place of its own, and the frame around every request."""

    async def drain(self, seconds: float) -> None:
        """Takes no new connection, and closes those that are open behind the next answer on each; waits so long at most.

        Whoever sends a request at the moment in which a connection is closed would have to send it again.
        """
        self.app[STATE].is_draining = True
        for site in list(self.sites):
            await site.stop()
        loop, server = asyncio.get_running_loop(), self.server
        assert server is not None
        ends = loop.time() + seconds
        while server.connections and loop.time() < ends:  # noqa: ASYNC110  # the library tells nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(
            partial(frame.surround, self.app, handler=made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            auto_decompress=False,  # what is compressed is refused, or unpacked where it can be seen to be whole
            **made._kwargs,
        )
        server.base_url = self.app[STATE].settings.base_url
        server.safety = self.app[SAFETY]
        server.turnstile = Turnstile(self.app[STATE], self.app[SAFETY])
        server.express = Express(self.app, self.app[SAFETY], self.app[frame.ROUTES])
        server.patience = self.app[STATE].settings.slow_client_seconds
        return server
