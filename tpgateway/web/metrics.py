"""Prometheus metrics of the process; one registry an application, or the shared folder where several workers run."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, values

SHARED = "PROMETHEUS_MULTIPROC_DIR"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


def share_between_processes(folder: str) -> None:
    """From now on metrics are kept in files of a folder, so that each worker can tell those of all.

    The library makes this choice when it is imported, by the environment; here it is made anew.
    """
    os.environ[SHARED] = folder
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


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
        self._operations: dict[str, Histogram] = {}
        self.problems = Counter("tpgateway_problems", "Problems answered, by code.", ["code"], registry=self._own)

    def spent(self, operation: str, seconds: float) -> None:
        """Counts the time of an answer; what the library looks up by labels is looked up once."""
        if (series := self._operations.get(operation)) is None:
            series = self._operations[operation] = self.seconds.labels(operation)
        series.observe(seconds)

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format, those of the other workers included."""
        if SHARED in os.environ:
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together)
        return generate_latest(self._own)
