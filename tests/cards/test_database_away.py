"""The database goes away: refused within a second, and back by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import psutil
import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, until
from tpgateway.database.embedded import EmbeddedServer
from tpgateway.settings import Settings
from tpgateway.worker import _GONE
from tpgateway.worker import run as run_worker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]  # one of its own, to be hurt
    """In place of the server that all other tests share."""
    from tests.conftest import TEMPLATE, _create, _hurry
    from tpgateway.database.migrations import migrate

    server = EmbeddedServer(tmp_path_factory.mktemp("hurt"))
    asyncio.run(_hurry(server))
    asyncio.run(_create(server, TEMPLATE))
    asyncio.run(migrate(server.url(TEMPLATE)))
    yield server
    server.stop()


@pytest.fixture
async def worker(database: str, settings: Settings) -> AsyncIterator[None]:
    """The worker, which may fall with the database here: ``tpgateway work`` starts it over."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(settings, database, stop))
    yield
    stop.set()
    with suppress(*_GONE, asyncpg.PostgresError):
        await asyncio.wait_for(task, 15)


def everybody(server: EmbeddedServer) -> list[psutil.Process]:
    postmaster = psutil.Process(server._server.get_pid())
    return [postmaster, *postmaster.children(recursive=True)]


async def refused_quickly(pharmacist: Practitioner) -> float:
    started = time.monotonic()
    reply = await pharmacist.check(builders.a_card(), "PHAR")
    spent = time.monotonic() - started
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "database_unavailable", "1")
    return spent


async def answers(pharmacist: Practitioner) -> bool:
    return (await pharmacist.check(builders.a_card(), "PHAR")).status == 200


async def test_a_frozen_database_is_told_within_a_second_and_back_within_two(
    server: EmbeddedServer, gateway: Gateway, pharmacist: Practitioner
) -> None:
    assert await answers(pharmacist)
    frozen = everybody(server)
    for process in frozen:
        process.suspend()
    try:
        together = await asyncio.gather(*(refused_quickly(pharmacist) for _ in range(20)))
        assert max(together) < 1.5  # the service promises 1; the rest is this machine's
        assert await refused_quickly(pharmacist) < 0.5
        ready = await asyncio.wait_for(gateway.call("GET", "/health/ready"), 3)
        assert ready.status == 503
    finally:
        for process in frozen:
            process.resume()
    await until(lambda: answers(pharmacist), 4)


async def test_a_lane_that_was_ended_while_idle_is_made_again_before_anybody_asks(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    lane = "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'tpgateway checks' AND pid <> $1"
    first = await gateway.fetchval(lane, 0)
    await gateway.fetchval("SELECT pg_terminate_backend($1)", first)

    async def is_there_again() -> bool:
        return await gateway.fetchval(lane, first) is not None

    await until(is_there_again, 5)
    await asyncio.sleep(0.2)  # to get ready
    assert await answers(pharmacist)


async def test_a_killed_database_is_told_at_once_and_back_within_two_seconds_of_its_return(
    server: EmbeddedServer, gateway: Gateway, pharmacist: Practitioner
) -> None:
    assert await answers(pharmacist)
    guard = "SELECT max(pid) FROM pg_stat_activity WHERE application_name = 'tpgateway guard'"
    victim = await gateway.fetchval(guard)
    os.kill(victim, signal.SIGKILL)  # PostgreSQL ends every connection, recovers and goes on

    async def has_a_new_guard() -> bool:
        try:
            return await gateway.fetchval(guard) not in {None, victim}
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    seen = set()
    async with asyncio.timeout(20):
        while not await answers(pharmacist):
            seen.add((await pharmacist.check(builders.a_card(), "PHAR")).status)
            await asyncio.sleep(0.05)
    await until(has_a_new_guard, 20)
    await until(lambda: answers(pharmacist), 2)
    assert seen <= {200, 503}
