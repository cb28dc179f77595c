"""Takes out, of what a connection's parser reads, what is answered without going through the library."""

from collections.abc import Sequence
from typing import Any

from aiohttp import HttpVersion11, StreamReader
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from tpgateway.web.express import Express
from tpgateway.web.turnstile import Turnstile

# A larger body may have stopped the reading of what comes behind it.
_MOST_BODY = 16 * 1024
_MOST_UNREAD = 64 * 1024


class Sieve:
    """A connection's parser that keeps to itself what is turned away or answered at once."""

    __slots__ = ("_connection", "_express", "_parser", "_turnstile", "message_consumed")

    def __init__(self, connection: RequestHandler, turnstile: Turnstile, express: Express) -> None:
        self._connection = connection
        parser: Any = connection._parser
        self._parser = parser
        self.message_consumed = parser.message_consumed  # asked for at each request
        self._turnstile, self._express = turnstile, express

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> tuple[Sequence[Any], bool, bytes]:
        """As the parser's own."""
        messages, is_upgraded, tail = self._parser.feed_data(data)
        if len(messages) != 1:
            return messages, is_upgraded, tail
        message, body = messages[0]
        is_full = self._turnstile.pressure.limit is not None
        is_express = message.path in self._express.routes
        if not (is_full or is_express) or not self._is_plain(message, body):
            return messages, is_upgraded, tail
        connection = self._connection
        assert connection.transport is not None
        if is_full and self._turnstile.turns_away(message, connection.transport):
            self._parser.message_consumed()
        elif not (is_express and self._express.takes(message, body, connection)):
            return messages, is_upgraded, tail
        connection._request_count += 1
        connection._next_keepalive_close_time = connection._loop.time() + connection._keepalive_timeout
        return (), is_upgraded, tail

    def _is_plain(self, message: RawRequestMessage, body: StreamReader) -> bool:
        """Whether all of the request is there, of a connection that waits for nothing else and stays open behind it."""
        connection = self._connection
        transport, waiter = connection.transport, connection._waiter
        return (
            transport is not None
            and waiter is not None
            and not waiter.done()
            # The first one on a connection goes the usual way, which begins to count how long nothing comes.
            and connection._request_count > 0
            and message.version == HttpVersion11
            and not message.should_close
            and not message.upgrade
            and (body is EMPTY_PAYLOAD or (body.is_eof() and body.total_bytes <= _MOST_BODY))
            and not self._turnstile.state.is_draining
            and transport.get_write_buffer_size() <= _MOST_UNREAD
        )
