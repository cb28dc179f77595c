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
    url: str, requests: Sequence[bytes], *, connections: int, seconds: float, rate: float | None = None
) -> Measure:
    """Sends the requests in turn for so long, at most ``rate`` a second; raises ``RuntimeError`` where one is not 200."""
    share = [connections // DRIVERS + (number < connections % DRIVERS) for number in range(DRIVERS)]
    pause = connections / rate if rate else 0.0
    found = await asyncio.gather(*(_drive(url, requests, count, seconds, pause) for count in share if count))
    return Measure(latencies=sorted(latency for each in found for latency in each), seconds=seconds)


async def _drive(url: str, requests: Sequence[bytes], connections: int, seconds: float, pause: float) -> list[float]:
    driver = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "benchmarks.load"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    task = {
        "url": url,
        "requests": [each.decode() for each in requests],
        "connections": connections,
        "seconds": seconds,
        "pause": pause,
    }
    printed, _ = await driver.communicate(json.dumps(task).encode())
    if driver.returncode:
        raise RuntimeError("a driver failed")
    latencies: list[float] = json.loads(printed)
    return latencies


async def _connection(
    host: str, port: int, requests: list[bytes], until: float, latencies: list[float], pause: float
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    number, turn = 0, time.perf_counter() + random.random() * pause  # noqa: S311
    while (started := time.perf_counter()) < until:
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
        at = head.lower().index(b"content-length: ") + 16
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        latencies.append((time.perf_counter() - started) * 1000)
        if pause:
            turn += pause
            await asyncio.sleep(max(0.0, turn - time.perf_counter()))
    writer.close()


async def _main() -> None:
    task = json.load(sys.stdin)
    parts = urlsplit(task["url"])
    requests = [each.encode() for each in task["requests"]]
    latencies: list[float] = []
    until = time.perf_counter() + task["seconds"]
    await asyncio.gather(
        *(
            # Each connection begins at another request, so that they do not all ask the same at once.
            _connection(
                parts.hostname or "",
                parts.port or 80,
                requests[start:] + requests[:start],
                until,
                latencies,
                task["pause"],
            )
            for start in range(0, task["connections"])
        )
    )
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
