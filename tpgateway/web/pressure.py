"""Refuses some of the requests when more come than can be answered, so that those taken are answered in time.

How late the event loop is tells how long whatever came has to wait for its turn, and whoever merely waits (for a database, an
insurer, news) does not count. Lateness that lasts while many are at it is overload; then only so many may be in hand at a
time, fewer or more as the lateness goes on or ends, and what comes on top is refused at once. With few at it the machine is
busy with something else, and refusing them would make nothing quicker.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

_EVERY = 0.02
# An approval takes some ten turns of the loop: a turn that long makes a third of a second of it.
_LATE = 0.03
_LASTS = 0.5
_SMOOTHED = 0.1
_MANY = 16
# How much the limit changes at a look: at most by so much, and less the nearer the lateness is.
_FEWER, _MORE = 0.9, 1.02
_OVER = 1.0
_log = structlog.get_logger(__name__)


class Pressure:
    """Of one process; ``keep_watching`` runs beside everything else."""

    def __init__(self) -> None:
        self.limit: float | None = None
        """How many may be in hand; None while there is no overload."""
        self.in_hand = 0
        """How many requests are being answered, but for those that wait for news."""
        self.coming = 0
        """How many were read and are about to be."""
        self._lateness = 0.0
        self._late_since: float | None = None
        self._has_refused = False
        self._refused_at = 0.0

    def refuses(self) -> bool:
        """Whether the request that has just come, and is counted, is one too many."""
        if self.limit is None or self.in_hand + self.coming <= self.limit:
            return False
        self._has_refused = True
        return True

    def begin(self) -> None:
        """A request is being answered from now on."""
        self.in_hand += 1
        if self.coming:
            self.coming -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Meanwhile the request only waits for news: thousands may, and would leave no room for those that want work."""
        self.in_hand -= 1
        try:
            yield
        finally:
            self.in_hand += 1

    async def keep_watching(self) -> None:
        """Looks how late the loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.note(late=loop.time() - due, now=loop.time())

    def note(self, *, late: float, now: float) -> None:
        """The loop came so late; once this lasts, so many may be in hand as let it be in time again."""
        self.coming = 0  # some of them may never have become requests
        self._lateness += (late - self._lateness) * _SMOOTHED
        if self.limit is not None:
            self._follow(self.limit, now)
        elif self._lateness <= _LATE or self.in_hand < _MANY:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        elif now - self._late_since >= _LASTS:
            _log.warning("overloaded")
            self.limit_to(self.in_hand * _LATE / self._lateness, now=now)

    def limit_to(self, count: float, *, now: float) -> None:
        """From now on so many may be in hand, until it is seen how that goes."""
        self.limit, self._refused_at = max(_MANY, count), now

    def _follow(self, limit: float, now: float) -> None:
        refused, self._has_refused = self._has_refused, False
        if refused:
            self._refused_at = now
        elif now - self._refused_at >= _OVER and self._lateness <= _LATE:
            _log.warning("overload_over")
            self.limit = self._late_since = None
            return
        if refused or self._lateness > _LATE:
            change = (_LATE / max(self._lateness, 0.001)) ** 0.25
            self.limit = max(_MANY, limit * min(_MORE, max(_FEWER, change)))
