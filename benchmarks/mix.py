"""``make load``: what practitioners do all day, at a rising rate, until one worker process is full, and beyond.

Of a hundred requests 90 are card checks, 5 optical requests, 4 tables and 1 a page. They come when they come, whether those
before are answered or not: each is timed from the moment at which it was due, so that whoever waits for a busy service is
counted for it. What is refused (503 with ``Retry-After``) is counted apart. Prints a table, and draws it.

``LOAD_SECONDS`` (6) is how long each rate lasts, ``LOAD_FIRST`` (500) the first rate a second.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from rich.console import Console
from rich.table import Table

from benchmarks import pages
from benchmarks.gateway import Gateway, demo_bodies, open_gateway
from tpgateway.demo import people as seeds

SECONDS = float(os.environ.get("LOAD_SECONDS", "6"))
FIRST = float(os.environ.get("LOAD_FIRST", "500"))
MIX: Mapping[str, int] = {"checks": 90, "approvals": 5, "tables": 4, "pages": 1}
RESULTS = Path(__file__).parent / "results"
_STEP = 1.5
_BEYOND = 2.0
_FULL = 0.9
_SETTLES = 2.0
_DRIVERS = max(1, min(3, (os.cpu_count() or 2) - 1))
# Practices' software keeps its connections: all are open before anything is timed.
_CONNECTIONS = 3_000 // _DRIVERS
_PATIENCE = 20.0
_console = Console()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rate: what was asked a second, and by kind the latencies in milliseconds of what was answered, ascending."""

    rate: float
    seconds: float
    latencies: Mapping[str, list[float]]
    completed: int
    refused: Mapping[str, int]
    failed: Mapping[str, int]
    slowest_refusal: float

    @property
    def answered(self) -> float:
        """Answers a second that came while it lasted, refusals not counted."""
        return self.completed / self.seconds

    @property
    def refused_share(self) -> float:
        refused = sum(self.refused.values())
        return refused / max(1, refused + sum(map(len, self.latencies.values())))

    def percentile(self, kind: str, percent: float) -> float:
        found = self.latencies[kind]
        return found[min(len(found) - 1, int(len(found) * percent / 100))] if found else float("nan")


async def main() -> None:
    steps = []
    with tempfile.TemporaryDirectory(prefix="tpgateway-load-") as folder:
        with _console.status("Starting the gateway"):
            house = open_gateway(Path(folder) / "house")
            gateway = await house.__aenter__()
        try:
            with _console.status("Getting ready"):
                asked = await requests(gateway)
            rate = FIRST
            while True:
                with _console.status(f"{rate:,.0f} a second"):
                    steps.append(await drive(gateway.url, asked, rate=rate, seconds=SECONDS))
                if steps[-1].answered < rate * _FULL:
                    break
                rate *= _STEP
            with _console.status("Far beyond"):
                full = max(step.answered for step in steps)
                steps.append(await drive(gateway.url, asked, rate=full * _BEYOND, seconds=SECONDS))
        finally:
            await house.__aexit__(None, None, None)
    tell(steps)


async def requests(gateway: Gateway) -> dict[str, list[str]]:
    """Raw requests by kind."""
    optical = await gateway.optical_requests([seeds.covered_card(number) for number in range(400)])
    await gateway.log_in()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        await pages.enter(gateway, browser)
        cookie = "; ".join(f"{each.key}={each.value}" for each in browser.cookie_jar)
    caller = f"Authorization: Bearer {gateway.token}\r\n"
    tables = "/v1/dre/tables/latest"
    async with gateway.http.get(gateway.url + tables, headers={"Authorization": f"Bearer {gateway.token}"}) as answer:
        known = f"If-None-Match: {answer.headers['ETag']}\r\n"
    looked_at = ("/", "/connexion", "/aide", "/comptoir", "/demandes", "/convention")
    return {
        "checks": [each.decode() for each in gateway.requests(demo_bodies())],
        "approvals": [each.decode() for each in optical],
        # Software asks each day whether there are new tables; now and then there are.
        "tables": [_get(tables, caller + known)] * 3 + [_get(tables, caller)],
        "pages": [_get(path, f"Accept: text/html\r\nCookie: {cookie}\r\n") for path in looked_at],
    }


def _get(path: str, headers: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: load\r\n{headers}\r\n"


async def drive(url: str, asked: Mapping[str, list[str]], *, rate: float, seconds: float) -> Step:
    """One rate, from processes of their own."""
    parts = await asyncio.gather(
        *(_drive(url, asked, rate=rate / _DRIVERS, seconds=seconds, number=number) for number in range(_DRIVERS))
    )
    return Step(
        rate=rate,
        seconds=seconds,
        latencies={kind: sorted(chain.from_iterable(part["latencies"][kind] for part in parts)) for kind in MIX},
        completed=sum(part["completed"] for part in parts),
        refused={kind: sum(part["refused"][kind] for part in parts) for kind in MIX},
        failed=sum((Counter(part["failed"]) for part in parts), Counter()),
        slowest_refusal=max(part["slowest_refusal"] for part in parts),
    )


async def _drive(
    url: str, asked: Mapping[str, list[str]], *, rate: float, seconds: float, number: int
) -> dict[str, Any]:
    driver = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.mix", "drive"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    task = {"url": url, "asked": asked, "rate": rate, "seconds": seconds, "number": number}
    printed, _ = await driver.communicate(json.dumps(task).encode())
    if driver.returncode:
        raise RuntimeError("the driver failed")
    found: dict[str, Any] = json.loads(printed)
    return found


def tell(steps: Sequence[Step]) -> None:
    """Prints the table, writes the figures and the drawing."""
    table = Table(title="One worker process; milliseconds from the moment a request was due", title_justify="left")
    for name in ("asked/s", "answered/s", "refused"):
        table.add_column(name, justify="right")
    for kind in MIX:
        table.add_column(f"{kind}\n50 / 95 / 99 %", justify="right")
    table.add_column("slowest\nrefusal", justify="right")
    table.add_column("failed", justify="right")
    for step in steps:
        shown = [" / ".join(f"{step.percentile(kind, each):,.0f}" for each in (50, 95, 99)) for kind in MIX]
        table.add_row(f"{step.rate:,.0f}", f"{step.answered:,.0f}", f"{step.refused_share:.0%}", *shown,
                      f"{step.slowest_refusal:,.0f}", _failures(step))  # fmt: skip
    _console.print(table)
    RESULTS.mkdir(exist_ok=True)
    figures = [
        {
            "asked": step.rate,
            "answered": step.answered,
            "refused_share": step.refused_share,
            **{kind: {f"p{each}": step.percentile(kind, each) for each in (50, 95, 99)} for kind in MIX},
        }
        for step in steps
    ]
    (RESULTS / "load.json").write_text(json.dumps({"processors": os.cpu_count(), "steps": figures}, indent=1) + "\n")
    draw(steps, RESULTS / "load.svg")
    _console.print(f"Written to {RESULTS / 'load.json'} and {RESULTS / 'load.svg'}", soft_wrap=True)


def _failures(step: Step) -> str:
    return ", ".join(f"{count} {what}" for what, count in step.failed.items()) or "0"


def draw(steps: Sequence[Step], path: Path) -> None:
    """Answers and refusals against what was asked, and below the 99th percentile of each kind."""
    import matplotlib  # noqa: PLC0415  # a second, for this alone

    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    asked = [step.rate for step in steps]
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 8), sharex=True, layout="constrained")
    above.plot(asked, [step.answered for step in steps], marker="o", label="answered")
    above.plot(asked, [step.rate * step.refused_share for step in steps], marker="x",
               label="refused (503)")  # fmt: skip
    above.plot(asked, asked, linestyle=":", color="grey", label="asked")
    above.set_ylabel("a second")
    for kind in MIX:
        below.plot(asked, [step.percentile(kind, 99) for step in steps], marker="o", label=kind)
    below.set_yscale("log")
    below.set_ylabel("99th percentile of what was answered, ms")
    below.set_xlabel("requests asked a second")
    for each in (above, below):
        each.grid(alpha=0.3)
        each.legend()
    figure.savefig(path)
    pyplot.close(figure)


class _Driver:
    """Sends requests at the moments at which they are due, each over a connection that is free or a new one."""

    def __init__(self, *, url: str, asked: Mapping[str, list[str]], rate: float, seconds: float, number: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._asked = {kind: [each.encode() for each in texts] for kind, texts in asked.items()}
        self._rate, self._seconds, self._number = rate, seconds, number
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._is_free = asyncio.Semaphore(_CONNECTIONS)
        self._latencies: dict[str, list[float]] = {kind: [] for kind in MIX}
        self._refused = dict.fromkeys(MIX, 0)
        self._failed: Counter[str] = Counter()
        self._completed = 0
        self._slowest_refusal = 0.0

    async def run(self) -> dict[str, Any]:
        """What came of it: latencies and refusals by kind, failures by what they were."""
        while len(self._free) < _CONNECTIONS:
            self._free.append(await asyncio.open_connection(self._host, self._port))
        kinds = random.Random(self._number).choices(list(MIX), list(MIX.values()), k=100_000)  # noqa: S311
        chance = random.Random(-1 - self._number)  # noqa: S311
        begin = due = time.perf_counter()
        self._counted = counted = begin + _SETTLES
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        while due < counted + self._seconds:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            kind = kinds[number % len(kinds)]
            texts = self._asked[kind]
            task = asyncio.create_task(self._ask(kind, texts[number % len(texts)], due, is_counted=due >= counted))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            due += chance.expovariate(self._rate)
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.wait(tasks, timeout=_PATIENCE)
        if tasks:
            self._failed["never answered"] += len(tasks)
        return {
            "latencies": {kind: sorted(found) for kind, found in self._latencies.items()},
            "completed": self._completed,
            "refused": self._refused,
            "failed": self._failed,
            "slowest_refusal": self._slowest_refusal,
        }

    async def _ask(self, kind: str, text: bytes, due: float, *, is_counted: bool) -> None:
        async with self._is_free:
            reader, writer = self._free.popleft()
            try:
                writer.write(text)
                head = await reader.readuntil(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 304"):
                    at = head.lower().index(b"content-length: ") + 16
                    await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
            except (OSError, asyncio.IncompleteReadError) as error:
                if is_counted:
                    self._failed[type(error).__name__] += 1
                self._free.append(await asyncio.open_connection(self._host, self._port))
                return
            self._free.append((reader, writer))
        is_good = head[9:10] in b"23"
        if is_good and self._counted <= time.perf_counter() < self._counted + self._seconds:
            self._completed += 1
        if not is_counted:
            return
        spent = (time.perf_counter() - due) * 1000
        if head.startswith(b"HTTP/1.1 503") and b"\r\nretry-after: " in head.lower():
            self._refused[kind] += 1
            self._slowest_refusal = max(self._slowest_refusal, spent)
        elif is_good:
            self._latencies[kind].append(spent)
        else:
            self._failed[f"{head[9:12].decode()} {kind}"] += 1


if __name__ == "__main__":
    import uvloop

    if sys.argv[1:] == ["drive"]:
        json.dump(uvloop.run(_Driver(**json.load(sys.stdin)).run()), sys.stdout)
    else:
        asyncio.run(main())
