"""How many requests one caller may send in a minute, and how much long work goes on at once.

Counts stand in PostgreSQL, where all processes share them. What is costly is counted there before it is done; all else is
counted in the process, which every second adds its part to the table and takes over the whole.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from tpgateway.database import Connection, Pool, faults

WINDOW_SECONDS = 60
_SWEEP_AT = 50_000
_SHARE_SECONDS = 1.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Window:
    started: float
    used: int
    untold: int = 0
    """What the other processes do not know of yet."""


class Allowance(NamedTuple):
    """What a request may know of its caller's limit, as the headers of the RateLimit draft say it."""

    is_exceeded: bool
    policy: str
    remaining: int
    reset_seconds: int

    @property
    def said(self) -> str:
        """The ``RateLimit`` header; ``policy`` is the other."""
        return f'"default";r={self.remaining};t={self.reset_seconds}'


class Turns:
    """Long work takes turns: so much at once in this process, and of one owner one at a time, whose next waits outside."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._owners: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, owner: UUID) -> AsyncIterator[None]:
        """Waits for the owner's turn, then for a place."""
        async with self.own(owner), self._places:
            yield

    @asynccontextmanager
    async def own(self, owner: UUID) -> AsyncIterator[None]:
        """Waits for the owner's turn alone, for what comes before the work and takes no place from others."""
        async with self._owners.setdefault(owner, asyncio.Lock()):
            yield


class Limiter:
    """Fixed windows, the minutes of the clock, per key. Costly operations (those that hash a password) count for more."""

    def __init__(self, quota: int, clock: Callable[[], float] = time.time) -> None:
        self._quota = quota
        self._policy = f'"default";q={quota};w={WINDOW_SECONDS}'
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._swept = -1.0

    def take(self, key: str, cost: int = 1) -> Allowance:
        """Counts a request and tells where its caller stands."""
        now = self._clock()
        window = self._windows.get(key)
        if window is None or not window.started <= now < window.started + WINDOW_SECONDS:
            window = self._window(key, now)
        is_exceeded = window.used + cost > self._quota
        if not is_exceeded:
            window.used += cost
            window.untold += cost
        return self._tell(window, now, is_exceeded=is_exceeded)

    def give_back(self, key: str) -> None:
        """A request that was counted is counted again later."""
        if (window := self._windows.get(key)) is not None and window.untold:
            window.used -= 1
            window.untold -= 1

    async def take_shared(self, connection: Connection, key: str, cost: int) -> Allowance:
        """Counts a request with those of all processes before it goes on."""
        if (allowance := self.take(key, cost)).is_exceeded:
            return allowance
        window = self._windows[key]
        untold, window.untold = window.untold, 0
        try:
            (total,) = await _add(connection, [key], [untold], _moment(window.started))
        except BaseException:
            window.untold += untold
            raise
        window.used = max(window.used, total + window.untold)
        return self._tell(window, self._clock(), is_exceeded=window.used > self._quota)

    async def share(self, connection: Connection) -> None:
        """Adds what this process counted to the table, and takes over what all have counted."""
        started = self._start(self._clock())
        told = {key: window for key, window in self._windows.items() if window.untold and window.started == started}
        if not told:
            return
        parts = [window.untold for window in told.values()]
        for window in told.values():
            window.untold = 0
        try:
            totals = await _add(connection, list(told), parts, _moment(started))
        except BaseException:
            for window, part in zip(told.values(), parts, strict=True):
                window.untold += part  # it is told the next time
            raise
        for window, total in zip(told.values(), totals, strict=True):
            window.used = max(window.used, total + window.untold)

    async def keep_sharing(self, pool: Pool) -> None:
        """Shares every second, until cancelled; while the database is away, the process counts alone."""
        while True:
            await asyncio.sleep(_SHARE_SECONDS)
            try:
                async with pool.acquire(timeout=5) as connection:
                    await self.share(connection)
            except faults.ANY as error:
                _log.warning("limits_not_shared", failure=type(error).__name__)

    def look(self, key: str) -> Allowance:
        """Where a caller stands, without counting anything."""
        now = self._clock()
        window = self._window(key, now)
        return self._tell(window, now, is_exceeded=window.used >= self._quota)

    def _window(self, key: str, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None or not window.started <= now < window.started + WINDOW_SECONDS:
            if len(self._windows) >= _SWEEP_AT and self._swept != self._start(now):
                self._sweep(now)
            window = self._windows[key] = _Window(started=self._start(now), used=0)
        return window

    @staticmethod
    def _start(now: float) -> float:
        return now // WINDOW_SECONDS * WINDOW_SECONDS

    def _tell(self, window: _Window, now: float, *, is_exceeded: bool) -> Allowance:
        remaining, left = self._quota - window.used, ceil(window.started + WINDOW_SECONDS - now)
        return Allowance(is_exceeded, self._policy, remaining if remaining > 0 else 0, left if left > 0 else 1)

    def _sweep(self, now: float) -> None:
        self._swept = self._start(now)  # once a minute: when all are of this one, looking again finds nothing
        self._windows = {key: kept for key, kept in self._windows.items() if now - kept.started < WINDOW_SECONDS}


async def spend(connection: Connection, key: str, *, quota: int, window: timedelta, now: datetime) -> bool:
    """Counts one use of something that a key has so much of in a window; False where there is none left."""
    seconds = int(window.total_seconds())
    started = _moment(now.timestamp() // seconds * seconds)
    (used,) = await _add(connection, [f"{seconds} {key}"], [1], started)
    return used <= quota


async def forget_old(connection: Connection, *, now: datetime) -> int:
    """Removes counts of windows long past; answers how many."""
    done = await connection.execute("DELETE FROM rate_windows WHERE minute < $1", now - timedelta(days=1))
    return int(done.split()[-1])


async def _add(connection: Connection, keys: list[str], parts: list[int], started: datetime) -> list[int]:
    """Adds to the counts of a window; answers the new totals in the order of the keys."""
    # In one order everywhere, so that two processes that add to the same keys never wait for each other in a ring.
    rows = await connection.fetch(
        "INSERT INTO rate_windows AS w (key, minute, used)"
        " SELECT key, $3, used FROM unnest($1::text[], $2::bigint[]) AS t (key, used) ORDER BY key"
        " ON CONFLICT (key, minute) DO UPDATE SET used = w.used + excluded.used RETURNING key, used",
        keys,
        parts,
        started,
    )
    totals = {row["key"]: row["used"] for row in rows}
    return [totals[key] for key in keys]


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
