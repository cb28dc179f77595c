"""A load from processes of their own: raw HTTP over kept-open connections, each sending its next when it has its answer."""

import asyncio
import json
import os
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


async def measure(url: str, requests: Sequence[bytes], *, connections: int, seconds: float) -> Measure:
    """Sends the requests in turn for so long; raises ``RuntimeError`` where an answer is not 200."""
    share = [connections // DRIVERS + (number < connections % DRIVERS) for number in range(DRIVERS)]
    found = await asyncio.gather(*(_drive(url, requests, count, seconds) for count in share if count))
    return Measure(latencies=sorted(latency for each in found for latency in each), seconds=seconds)


async def _drive(url: str, requests: Sequence[bytes], connections: int, seconds: float) -> list[float]:
    driver = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", "benchmarks.load"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    task = {
        "url": url,
        "requests": [each.decode() for each in requests],
        "connections": connections,
        "seconds": seconds,
    }
    printed, _ = await driver.communicate(json.dumps(task).encode())
    if driver.returncode:
        raise RuntimeError("a driver failed")
    latencies: list[float] = json.loads(printed)
    return latencies


async def _connection(host: str, port: int, requests: list[bytes], until: float, latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    number = 0
    while (started := time.perf_counter()) < until:
        writer.write(requests[number % len(requests)])
        number += 1
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
        at = head.index(b"Content-Length: ") + 16
        await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
        latencies.append((time.perf_counter() - started) * 1000)
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
            _connection(parts.hostname or "", parts.port or 80, requests[start:] + requests[:start], until, latencies)
            for start in range(0, task["connections"])
        )
    )
    json.dump(latencies, sys.stdout)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main())
