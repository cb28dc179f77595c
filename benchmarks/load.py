"""A load from processes of their own: raw HTTP over kept-open connections, each sending its next when it has its answer."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

DRIVERS = max(1, min(4, (os.cpu_count() or 2) - 1))
# Drivers that start take processors from what is measured: what comes meanwhile is not counted, on either side.
WARM_UP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a run came to: latencies in milliseconds, ascending."""

    latencies: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

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

    ``each_once``: no request is sent by two connections. Raises ``RuntimeError`` where one fails, or they do not last.
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
    return Measure(latencies=sorted(latency for each in found for latency in each), seconds=seconds)


async def _drive(
    url: str, requests: Sequence[bytes], connections: int, seconds: float, pause: float, *, each_once: bool
) -> list[float]:
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
    latencies: list[float] = json.loads(printed)
    return latencies


async def _connection(
    host: str,
    port: int,
    requests: list[bytes],
    begin: float,
    until: float,
    latencies: list[float],
    pause: float,
    *,
    each_once: bool,
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    number, turn = 0, time.perf_counter() + random.random() * pause  # noqa: S311
    while (started := time.perf_counter()) < until:
        if each_once and number >= len(requests):
            raise RuntimeError("the requests did not last")
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 304"):
            if not head.startswith(b"HTTP/1.1 20"):
                raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
            at = head.lower().index(b"content-length: ") + 16
            await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        if started >= begin:
            latencies.append((time.perf_counter() - started) * 1000)
        if pause:
            turn += pause
            await asyncio.sleep(max(0.0, turn - time.perf_counter()))
    writer.close()


async def _main() -> None:
    task = json.load(sys.stdin)
    parts = urlsplit(task["url"])
    requests = [each.encode() for each in task["requests"]]
    once = task["each_once"]
    latencies: list[float] = []
    begin = time.perf_counter() + WARM_UP
    until = begin + task["seconds"]
    await asyncio.gather(
        *(
            # Each connection begins at another request, so that they do not all ask the same at once.
            _connection(
                parts.hostname or "",
                parts.port or 80,
                requests[start :: task["connections"]] if once else requests[start:] + requests[:start],
                begin,
                until,
                latencies,
                task["pause"],
                each_once=once,
            )
            for start in range(0, task["connections"])
        )
    )
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
