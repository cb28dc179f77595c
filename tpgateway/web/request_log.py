"""What was answered: a log line and metrics for each request, written some at a time.

Done at each request, they would take as long as a third of a card check. What a killed process had not written yet is lost:
a fraction of a second, and of nothing that must last.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tpgateway.web import logs
from tpgateway.web.metrics import Metrics

_SECONDS = 0.05
_MOST = 2_000


class Entry(NamedTuple):
    """A request and what it came to; times in seconds, ``at`` since 1970."""

    at: float
    request_id: str
    operation: str
    method: str
    status: int
    seconds: float


class RequestLog:
    """Of one process. ``note`` is all that a request waits for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._noted: list[Entry] = []

    def note(self, entry: Entry) -> None:
        """Remembers a request until the next writing."""
        self._noted.append(entry)
        if len(self._noted) >= _MOST:
            self.write()

    def write(self) -> None:
        """Writes what was noted."""
        noted, self._noted = self._noted, []
        logs.write_many(noted, _as_json)
        spent: dict[tuple[str, int], list[float]] = defaultdict(list)
        for _, _, operation, _, status, seconds in noted:
            spent[operation, status].append(seconds)
        for (operation, status), times in spent.items():
            self._metrics.spent(operation, times)
            self._metrics.requests.labels(operation, str(status)).inc(len(times))

    async def keep_writing(self) -> None:
        """Writes again and again until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(_SECONDS)
                self.write()
        finally:
            self.write()


def _as_json(entries: Sequence[Entry]) -> bytes:
    """A line each. No value needs escaping: ids and names are ours or checked, and a method is a token of HTTP."""
    lines = []
    second, stamp = -1, ""
    for at, request_id, operation, method, status, seconds in entries:
        whole = int(at)
        if whole != second:
            second, stamp = whole, datetime.fromtimestamp(whole, UTC).isoformat()[:-6]
        lines.append(
            f'{{"event":"request","level":"info","timestamp":"{stamp}.{int((at - whole) * 1e6):06}+00:00",'
            f'"request_id":"{request_id}","operation":"{operation}","method":"{method}","status":{status},'
            f'"milliseconds":{seconds * 1000:.1f}}}\n'
        )
    return "".join(lines).encode()
