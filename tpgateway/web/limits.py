"""How many requests one caller may send in a minute, and how much long work goes on at once, in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

WINDOW_SECONDS = 60
_SWEEP_AT = 50_000


@dataclass(slots=True)
class _Window:
    started: float
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a request may know of its caller's limit; ``headers`` are those of the RateLimit draft."""

    is_exceeded: bool
    quota: int
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"default";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"default";r={self.remaining};t={self.reset_seconds}',
        }


class Turns:
    """Long work takes turns: so much at once in this process, and of one owner one at a time, whose next waits outside."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._owners: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, owner: UUID) -> AsyncIterator[None]:
        """Waits for the owner's turn, then for a place."""
        own = self._owners.setdefault(owner, asyncio.Lock())
        async with own, self._places:
            yield


class Limiter:
    """Fixed windows of a minute per key. Costly operations (those that hash a password) count for more than one."""

    def __init__(self, quota: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._quota = quota
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def take(self, key: str, cost: int = 1) -> Allowance:
        """Counts a request and tells where its caller stands."""
        window = self._window(key)
        is_exceeded = window.used + cost > self._quota
        if not is_exceeded:
            window.used += cost
        return self._tell(key, is_exceeded=is_exceeded)

    def look(self, key: str) -> Allowance:
        """Where a caller stands, without counting anything."""
        return self._tell(key, is_exceeded=self._window(key).used >= self._quota)

    def _window(self, key: str) -> _Window:
        now = self._clock()
        window = self._windows.get(key)
        if window is None or now - window.started >= WINDOW_SECONDS:
            if len(self._windows) >= _SWEEP_AT:
                self._sweep(now)
            window = self._windows[key] = _Window(started=now, used=0)
        return window

    def _tell(self, key: str, *, is_exceeded: bool) -> Allowance:
        window = self._windows[key]
        return Allowance(
            is_exceeded=is_exceeded,
            quota=self._quota,
            remaining=self._quota - window.used,
            reset_seconds=max(1, round(window.started + WINDOW_SECONDS - self._clock())),
        )

    def _sweep(self, now: float) -> None:
        self._windows = {key: kept for key, kept in self._windows.items() if now - kept.started < WINDOW_SECONDS}
