"""Prometheus metrics of the process; one registry an application, or the shared folder where several workers run."""

import os
import time
from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tpgateway.database import Connection

SHARED = "PROMETHEUS_MULTIPROC_DIR"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


def share_between_processes(folder: str) -> None:
    """From now on metrics are kept in files of a folder, so that each worker can tell those of all.

    The library makes this choice when it is imported, by the environment; here it is made anew.
    """
    os.environ[SHARED] = folder
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


# What waits in the database, by the name of its gauge; each room tells its own.
Backlog = Callable[[Connection], Awaitable[Mapping[str, float]]]
BACKLOGS: web.AppKey[Sequence[Backlog]] = web.AppKey("backlogs")
_BACKLOG_SECONDS = 5.0
GAUGES = {
    "tpgateway_database_up": "Whether the database answered this scrape.",
    "tpgateway_outbox_events": "Events that wait to be posted to insurers, or for their number.",
    "tpgateway_outbox_oldest_seconds": "For how long the one that waits longest was due.",
    "tpgateway_endpoints_disabled": "Endpoints of insurers that are out of service.",
    "tpgateway_mails_waiting": "Mails that wait to be sent.",
    "tpgateway_mail_oldest_seconds": "For how long the one that waits longest has waited.",
    "tpgateway_jobs_waiting": "Jobs of the queue that are due.",
    "tpgateway_jobs_held": "Jobs that failed too often and wait for a person.",
    "tpgateway_approvals_overdue": "Approvals whose clock ran out over five minutes ago: no worker lets it take its effect.",
    "tpgateway_audit_unlinked_entries": "Entries of the audit trail that no worker has linked into its chain.",
}


class Backlogs(Collector):
    """What waits in the database: the same whichever process is asked, and looked for every five seconds at most."""

    def __init__(self) -> None:
        self._found: Mapping[str, float] = {}
        self._until = 0.0

    async def look(self, connection: Connection, backlogs: Sequence[Backlog]) -> None:
        """Asks each room; a name that no gauge has is a mistake, and raises ``KeyError``."""
        if time.monotonic() < self._until:
            return
        found = {"tpgateway_database_up": 1.0}
        for backlog in backlogs:
            found.update(await backlog(connection))
        self._found, self._until = {name: found[name] for name in GAUGES}, time.monotonic() + _BACKLOG_SECONDS

    def leave(self) -> None:
        """The database did not answer: what waits there is not known."""
        self._found, self._until = {"tpgateway_database_up": 0.0}, 0.0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value in self._found.items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)


class Metrics:
    """Counters that the frame feeds; ``exposition`` is what ``/metrics`` answers."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self.requests = Counter(
            "tpgateway_requests",
            "Requests answered, by operation and status.",
            ["operation", "status"],
            registry=self._own,
        )
        self.seconds = Histogram(
            "tpgateway_request_seconds",
            "Time from the request's head to its answer.",
            ["operation"],
            buckets=_BUCKETS,
            registry=self._own,
        )
        self.locks = Counter(
            "tpgateway_check_locks", "Accounts whose checks were locked, by quota.", ["measure"], registry=self._own
        )
        self.backlogs = Backlogs()
        self._operations: dict[str, Histogram] = {}
        self.problems = Counter("tpgateway_problems", "Problems answered, by code.", ["code"], registry=self._own)

    def spent(self, operation: str, seconds: Sequence[float]) -> None:
        """Counts the times of some answers at once: one by one, as the library would, takes several times as long."""
        if (series := self._operations.get(operation)) is None:
            series = self._operations[operation] = self.seconds.labels(operation)
        series._sum.inc(sum(seconds))
        for bucket, count in Counted(bisect_left(_BUCKETS, each) for each in seconds).items():
            series._buckets[bucket].inc(count)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format, those of the other workers included."""
        waiting = CollectorRegistry()
        waiting.register(self.backlogs)
        if SHARED in os.environ:
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together) + generate_latest(waiting)
        return generate_latest(self._own) + generate_latest(waiting)
