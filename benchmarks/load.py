"""A load from processes of their own: raw HTTP over kept-open connections, each sending its next when it has its answer."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import urlsplit

DRIVERS = max(1, min(4, (os.cpu_count() or 2) - 1))
# Drivers that start take processors from what is measured: what comes meanwhile is not counted, on either side.
WARM_UP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a run came to: latencies in milliseconds, ascending."""

    latencies: list[float]
    per_second: float

    def percentile(self, percent: int) -> float:
        return self.latencies[min(len(self.latencies) - 1, len(self.latencies) * percent // 100)]


async def measure(
    url: str,
    requests: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    rate: float | None = None,
    each_once: bool = False,
) -> Measure:
    """Sends the requests in turn, after warming up for so long, at most ``rate`` a second.

    ``each_once``: no request is sent twice, and who has none left ends earlier. Raises ``RuntimeError`` where one fails.
    """
    share = [connections // DRIVERS + (number < connections % DRIVERS) for number in range(DRIVERS)]
    pause = connections / rate if rate else 0.0
    parts = [requests[number::DRIVERS] for number in range(DRIVERS)] if each_once else [requests] * DRIVERS
    found = await asyncio.gather(
        *(
            _drive(url, part, count, seconds, pause, each_once=each_once)
            for part, count in zip(parts, share, strict=True)
            if count
        )
    )
    return Measure(
        latencies=sorted(latency for latencies, _ in found for latency in latencies),
        per_second=sum(len(latencies) / lasted for latencies, lasted in found),
    )


async def _drive(
    url: str, requests: Sequence[bytes], connections: int, seconds: float, pause: float, *, each_once: bool
) -> tuple[list[float], float]:
    """The latencies, and for how many seconds they were taken."""
    driver = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "benchmarks.load"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    task = {
        "url": url,
        "requests": [each.decode() for each in requests],
        "connections": connections,
        "seconds": seconds,
        "pause": pause,
        "each_once": each_once,
    }
    printed, _ = await driver.communicate(json.dumps(task).encode())
    if driver.returncode:
        raise RuntimeError("a driver failed")
    latencies, lasted = json.loads(printed)
    return latencies, lasted


@dataclass(slots=True, kw_only=True)
class _Run:
    """What a driver's connections have in common; the times are those of ``time.perf_counter``."""

    begin: float
    until: float
    pause: float
    latencies: list[float]


async def _connection(host: str, port: int, requests: Iterator[bytes], run: _Run) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    turn = time.perf_counter() + random.random() * run.pause  # noqa: S311
    while (started := time.perf_counter()) < run.until:
        if (request := next(requests, None)) is None:
            run.until = started
            break
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 304"):
            if not head.startswith(b"HTTP/1.1 20"):
                raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
            at = head.lower().index(b"content-length: ") + 16
            await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        if started >= run.begin:
            run.latencies.append((time.perf_counter() - started) * 1000)
        if run.pause:
            turn += run.pause
            await asyncio.sleep(max(0.0, turn - time.perf_counter()))
    writer.close()


async def _main() -> None:
    task = json.load(sys.stdin)
    parts = urlsplit(task["url"])
    requests = [each.encode() for each in task["requests"]]
    connections = range(task["connections"])
    begin = time.perf_counter() + WARM_UP
    run = _Run(begin=begin, until=begin + task["seconds"], pause=task["pause"], latencies=[])
    if task["each_once"]:
        theirs = [iter(requests)] * len(connections)
    else:
        # Each connection begins at another request, so that they do not all ask the same at once.
        theirs = [cycle(requests[start:] + requests[:start]) for start in connections]
    await asyncio.gather(*(_connection(parts.hostname or "", parts.port or 80, each, run) for each in theirs))
    json.dump((run.latencies, run.until - begin), sys.stdout)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
