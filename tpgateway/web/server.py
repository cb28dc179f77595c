"""What stands between aiohttp and the routes.

The frame surrounds every request here rather than as a middleware, which aiohttp would wrap in layers of its own. And the
last corner where aiohttp would answer in its own words: requests that are no HTTP, before any route is known.
"""

import asyncio
from functools import partial
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from tpgateway.web import frame, problems
from tpgateway.web.state import STATE

_log = structlog.get_logger(__name__)


class _Handler(RequestHandler):
    """One connection; what its parser refuses is answered as a problem, without a word of the request."""

    __slots__ = ("base_url",)
    base_url: str

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
        response.force_close()
        return response


class _Server(web.Server):
    base_url = ""

    def __call__(self) -> RequestHandler:
        handler = _Handler(self, loop=self._loop, **self._kwargs)
        handler.base_url = self.base_url
        return handler


class Runner(web.AppRunner):
    """aiohttp's runner with our server in place of its own, and the frame around every request."""

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
        return server
