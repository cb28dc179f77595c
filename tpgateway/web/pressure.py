"""Refuses some of the requests when more come than can be answered, so that those taken are answered in time.

How late the event loop is tells how long whatever came has to wait for its turn, and whoever merely waits (for a database, an
insurer, news) does not count. Lateness that lasts while many are at it is overload; then a share of what comes is refused
at once, larger or smaller as the lateness goes on or ends. With few at it the machine is busy with something else, and
refusing them would make nothing quicker.
"""

import asyncio
import random

import structlog

_EVERY = 0.02
# An approval takes some ten turns of the loop: a turn that long makes a third of a second of it.
_LATE = 0.03
_LASTS = 0.5
_SMOOTHED = 0.1
_MANY = 16
_MORE, _LESS, _MOST = 0.03, 0.005, 0.95
_log = structlog.get_logger(__name__)


class Pressure:
    """Of one process; ``keep_watching`` runs beside everything else."""

    def __init__(self) -> None:
        self.refused_share = 0.0
        self.in_hand = 0
        """How many requests are being answered."""
        self._lateness = 0.0
        self._late_since: float | None = None

    def refuses(self) -> bool:
        """Whether the request that has just come is one of those to be refused."""
        return self.refused_share > 0 and random.random() < self.refused_share  # noqa: S311

    async def keep_watching(self) -> None:
        """Looks how late the loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.note(late=loop.time() - due, now=loop.time())

    def note(self, *, late: float, now: float) -> None:
        """The loop came so late; once this lasts, more is refused, and less as soon as it is over."""
        self._lateness += (late - self._lateness) * _SMOOTHED
        if self._lateness <= _LATE or self.in_hand < _MANY:
            self._late_since = None
            if self.refused_share and (share := max(0.0, self.refused_share - _LESS)) != self.refused_share:
                self.refused_share = share
                if not share:
                    _log.warning("overload_over")
            return
        self._late_since = self._late_since or now
        if self.refused_share or now - self._late_since >= _LASTS:
            if not self.refused_share:
                _log.warning("overloaded")
            self.refused_share = min(_MOST, self.refused_share + _MORE)
