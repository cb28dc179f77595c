"""Events on their way to insurers: how soon one is there, how many go out a second, what dead endpoints cost the others."""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
from aiohttp import web

from benchmarks.gateway import Gateway
from tpgateway.audit import OPERATOR
from tpgateway.database.pool import prepare_connection
from tpgateway.insurers import endpoints
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import BodyFormat, EventKind, InsurerId
from tpgateway.sandbox.insurer import make_key
from tpgateway.vault import Vault

_DATA = {"prior_approval_id": "0075004407-…", "state": "approved", "lines": [{"line": 1, "granted_cents": 20_000}] * 3}


@dataclass(slots=True)
class Receiver:
    """All insurers' servers in one: takes what comes, and notes when. Those named dead never answer."""

    url: str = ""
    latencies: list[float] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    arrived: int = 0
    last: float = 0.0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.match_info["name"] in self.dead:
            await asyncio.sleep(60)
        self.last = time.perf_counter()
        self.arrived += 1
        sent = datetime.fromisoformat(json.loads(body)["timestamp"])
        self.latencies.append((datetime.now(UTC) - sent).total_seconds() * 1000)
        async with self._news:
            self._news.notify_all()
        return web.Response(status=204)

    def start(self) -> None:
        """Counts from here."""
        self.arrived = 0
        self.latencies.clear()

    async def wait_for(self, count: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: self.arrived >= count)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/{name}", made.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def admit(gateway: Gateway, to: Receiver, folder: Path, count: int) -> list[InsurerId]:
    """So many insurers, each with an endpoint of its own at the receiver."""
    vault = Vault.from_json((gateway.house.folder / "secrets" / "tpg_vault_keys").read_text())
    make_key(folder / "bench.pem", folder / "bench.jwk")
    connection = await connect(gateway)
    made = []
    async with connection.transaction():
        for number in range(count):
            insurer, _ = await insurers.add(
                connection,
                number=f"00880{number:05}",
                name=f"Mutuelle {number}",
                convention_types=["SP"],
                public_jwk=json.loads((folder / "bench.jwk").read_text()),
                actor=OPERATOR,
            )
            await endpoints.add(
                connection,
                vault,
                insurer.id,
                url=f"{to.url}/{insurer.number}",
                kinds=None,
                form=BodyFormat.JSON,
                allows_private=True,
                now=datetime.now(UTC),
                actor=OPERATOR,
            )
            to.dead.discard(insurer.number)
            made.append(insurer.id)
    await connection.close()
    return made


async def connect(gateway: Gateway) -> "asyncpg.Connection[asyncpg.Record]":
    connection = await asyncpg.connect(gateway.database_url)
    await prepare_connection(connection)
    return connection


async def publish(connection: "asyncpg.Connection[asyncpg.Record]", to: InsurerId) -> None:
    async with connection.transaction():
        await insurers.publish(
            connection,
            to,
            EventKind.APPROVAL_DECIDED,
            subject_id=uuid4(),
            data=_DATA,
            now=datetime.now(UTC),
        )


async def one_by_one(gateway: Gateway, receiving: Receiver, to: InsurerId, count: int) -> float:
    """The median from an event to its receipt, in ms, while nothing else happens."""
    connection = await connect(gateway)
    receiving.start()
    for number in range(count):
        await publish(connection, to)
        await receiving.wait_for(number + 1)
        await asyncio.sleep(0.02)
    await connection.close()
    return statistics.median(receiving.latencies)


async def at_once(gateway: Gateway, receiving: Receiver, to: Sequence[InsurerId], count: int) -> float:
    """Deliveries a second, of so many events that come faster than that."""
    connections = [await connect(gateway) for _ in range(4)]
    receiving.start()
    started = time.perf_counter()

    async def write(which: int) -> None:
        for number in range(which, count, len(connections)):
            await publish(connections[which], to[number % len(to)])

    await asyncio.gather(*(write(which) for which in range(len(connections))))
    await receiving.wait_for(count)
    for connection in connections:
        await connection.close()
    return count / (receiving.last - started)


async def at_a_rate(gateway: Gateway, receiving: Receiver, to: Sequence[InsurerId], seconds: float) -> float:
    """The median to receipt, in ms, of those who are alive, at 100 events a second over all."""
    connection = await connect(gateway)
    receiving.start()
    until = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < until:
        await publish(connection, to[number % len(to)])
        number += 1
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    await connection.close()
    return statistics.median(receiving.latencies)


@asynccontextmanager
async def on_two_cores(gateway: Gateway) -> AsyncIterator[None]:
    """Worker, service and database share two processors meanwhile."""
    folder = str(gateway.house.folder)
    mine = [
        each
        for each in psutil.process_iter(["cmdline", "ppid"])
        if any(folder in word for word in each.info["cmdline"] or ())
    ]
    mine += [child for each in mine for child in each.children(recursive=True)]
    mine += psutil.Process().children(recursive=True)
    before = {}
    for each in mine:
        try:
            before[each] = each.cpu_affinity()
            each.cpu_affinity(before[each][:2])
        except psutil.Error:
            continue
    try:
        yield
    finally:
        for each, processors in before.items():
            try:
                each.cpu_affinity(processors)
            except psutil.Error:
                continue
