"""A standby from which checks look people up. What it found is recorded on the primary, which alone says what is so.

How far it is behind is measured against the primary: where its log stood a moment ago, the standby must stand now. One whose
connection to the primary is silent, or that is away, is behind, and is not asked until it has caught up.
"""

import asyncio
import time
from collections import deque

import asyncpg
import structlog

from tpgateway.database import Connection, connecting, faults

_EVERY = 0.25
_RETRY_SECONDS = 2.0
_log = structlog.get_logger(__name__)


class Replica:
    """Of one lane, whose settings its connection has. ``lag`` is how many seconds it may be behind."""

    def __init__(self, url: str, settings: dict[str, str], statement: str, *, lag: float) -> None:
        self._url, self._settings, self._text, self._lag = url, settings, statement, lag
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()  # the connection does one thing at a time
        self._statement: asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record] | None = None
        self._known: deque[tuple[float, int]] = deque()  # when, and where the primary's log stood then
        self._current_at = -1e9  # the last moment whose log the standby is known to have
        self._task: asyncio.Task[None] | None = None

    def open(self, primary: Connection) -> None:
        """Begins to watch how far it is behind; asks ``primary``, a connection of the watch's own."""
        self._task = asyncio.create_task(self._watch(primary))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._leave()

    @property
    def is_current(self) -> bool:
        """Whether it may be asked."""
        return self._statement is not None and time.monotonic() - self._current_at <= self._lag

    async def look_up(self, lines: str) -> "list[asyncpg.Record] | None":
        """What the statement finds for these lines; None where it cannot be asked."""
        if not self.is_current:
            return None
        try:
            async with asyncio.timeout(_PATIENCE), self._turn:
                return await self._statement.fetch(lines) if self._statement is not None else None
        except faults.ANY as error:
            _log.warning("replica_lost", failure=type(error).__name__)
            self._leave()
            return None

    async def _watch(self, primary: Connection) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(_WATCH_PATIENCE):
                        await self._compare(primary)
                except Exception as error:  # whatever it is, the next try may do
                    if self._connection is not None:
                        _log.warning("replica_lost", failure=type(error).__name__)
                    self._leave()
                    if primary.is_closed():
                        return  # the lane is made again, and so is this
                    await asyncio.sleep(_RETRY_SECONDS)
                await asyncio.sleep(_EVERY)
        finally:
            primary.terminate()

    async def _compare(self, primary: Connection) -> None:
        if self._connection is None:
            self._connection = await connecting.connect(self._url, server_settings=self._settings)
            self._statement = await self._connection.prepare(self._text)
        connection = self._connection  # a look-up may leave it meanwhile
        now = time.monotonic()
        self._known.append((now, await primary.fetchval("SELECT (pg_current_wal_lsn() - '0/0')::bigint")))
        async with self._turn:
            here = await connection.fetchval("SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint")
        was_current = self.is_current
        while self._known and self._known[0][1] <= here:
            self._current_at = self._known.popleft()[0]
        while len(self._known) > self._lag / _EVERY + 10:
            self._known.popleft()
        if self.is_current and not was_current:
            _log.warning("replica_current")
        elif was_current and not self.is_current:
            _log.warning("replica_behind")

    def _leave(self) -> None:
        self._statement = None
        self._current_at = -1e9  # what is connected to next may be behind what was left
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


_PATIENCE = 0.5
_WATCH_PATIENCE = 2.0  # nobody waits for it
