"""Keeps requests from waiting for a database that does not answer.

A connection of its own asks ten times a second whether the server is there. Where no answer comes twice, or the connection
breaks, who asks for a connection is refused at once, and who waits for an answer of the database waits no longer. As soon as
it answers, all goes on. (One answer may be late because this process or the machine was busy.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from tpgateway.database import Connection, Pool, connecting

_EVERY = 0.1
_PATIENCE = 0.4
_ACQUIRE = 0.9
_log = structlog.get_logger(__name__)


class DatabaseAway(ConnectionError):
    """The database does not answer at this moment."""


class Guard:
    """Of one pool; ``keep_watching`` runs beside everything else. ``leave`` drops the connections that are not the pool's."""

    def __init__(self, pool: Pool, url: str, *, leave: Callable[[], None]) -> None:
        self._pool, self._url = pool, url
        self._leave_others = leave
        self._in_use: set[Connection] = set()
        self._returning: set[asyncio.Task[None]] = set()
        self.is_away = False

    @asynccontextmanager
    async def connection(self, *, is_long: bool = False) -> AsyncIterator[Connection]:
        """A connection of the pool; raises ``DatabaseAway`` and ``TimeoutError`` rather than wait for long.

        What is ``is_long`` (an import) is left to wait for a database that does not answer.
        """
        if self.is_away:
            raise DatabaseAway
        connection = await self._pool.acquire(timeout=_ACQUIRE)
        if not is_long:
            self._in_use.add(connection)
        try:
            yield connection
        finally:
            self._in_use.discard(connection)
            # Whoever had it has his answer to write, and waits for nothing more of the database.
            self._returning.add(task := asyncio.create_task(self._pool.release(connection)))
            task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._returning.discard(task)
        if not task.cancelled():
            task.exception()  # the driver has dropped what could not be cleaned: that is nobody's failure

    async def keep_watching(self) -> None:
        """Asks the server again and again, until cancelled."""
        own: Connection | None = None
        missed = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(_PATIENCE):
                        own = own or await connecting.connect(
                            self._url, server_settings={"application_name": "tpgateway guard"}
                        )
                        await own.execute("SELECT")
                except Exception as error:  # whatever it is, it must be seen whether the next goes well
                    if own is not None:
                        own.terminate()
                        own = None
                    missed += 1
                    if missed > 1 or not isinstance(error, TimeoutError):
                        await self._leave(type(error).__name__)
                else:
                    missed = 0
                    if self.is_away:
                        _log.warning("database_back")
                    self.is_away = False
                await asyncio.sleep(_EVERY)
        finally:
            if own is not None:
                own.terminate()

    async def _leave(self, failure: str) -> None:
        """New requests are refused; who waits already is sent away, and no connection of before is used again.

        It may be to a machine that is gone without a word, and then it would be waited on in vain.
        """
        if not self.is_away:
            _log.error("database_away", failure=failure)
            await self._pool.expire_connections()
            self._leave_others()
        self.is_away = True
        for connection in list(self._in_use):
            connection.terminate()
