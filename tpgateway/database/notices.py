"""Notices: hears PostgreSQL's NOTIFY on one connection of its own and wakes whoever waits for a key."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from tpgateway.database import Connection, connecting, faults

ANY = ""
"""The key of who waits for a notice whatever its key."""

_RETRY_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class Notices:
    """Listens on one channel, whose payload is a key. After a lost connection everybody is woken: they look and see."""

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self.is_closed = False

    async def open(self) -> None:
        """Starts to listen."""
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._listen(ready))
        await ready.wait()

    def leave(self) -> None:
        """Drops the connection, which may be to a machine that is gone, for a new one."""
        if self._connection is not None:
            self._connection.terminate()

    async def close(self) -> None:
        """Stops, and wakes all who wait."""
        self.is_closed = True
        self._wake_all()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self.leave()

    @asynccontextmanager
    async def expecting(self, key: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set by the next notice for the key: enter before you look, so that none is missed."""
        event = asyncio.Event()
        self._waiting[key].add(event)
        if self.is_closed:
            event.set()
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    async def _listen(self, ready: asyncio.Event) -> None:
        while True:
            try:
                self._connection = connection = await connecting.connect(self._url)
                lost = asyncio.Event()
                connection.add_termination_listener(lambda _: lost.set())  # noqa: B023  # this round's event
                await connection.add_listener(self._channel, self._heard)
                ready.set()
                self._wake_all()  # of what was told while nobody listened
                await lost.wait()
            except faults.ANY as error:
                _log.warning("notices_lost", failure=type(error).__name__)
            self._wake_all()
            await asyncio.sleep(_RETRY_SECONDS)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for key in (str(payload), ANY):
            for event in self._waiting.get(key, ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()
