"""A new program in place of the old one, and stops, while requests come in: none of them fails."""

import asyncio
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import run_command, until
from tests.web.test_serving import service

CALLERS = 8
MANY = {"TPG_REQUESTS_PER_MINUTE": "10000000"}


@dataclass
class Load:
    """Callers who each ask again as soon as they were answered, on connections that they keep. Nothing is tried twice."""

    url: str
    answers: Counter[int | str] = field(default_factory=Counter)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        yield self
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    # Not to be repeated by the client of itself, as a GET would be.
                    async with http.post(f"{self.url}/v1/sessions", json={}) as answer:
                        await answer.read()
                        self.answers[answer.status] += 1
                except aiohttp.ClientError as error:
                    self.answers[type(error).__name__] += 1

    async def goes_on(self) -> None:
        """Two hundred more answers."""
        count = self.answers.total() + 200

        async def has() -> bool:
            return self.answers.total() >= count

        await until(has, 20)


def children(process: asyncio.subprocess.Process) -> set[int]:
    return {child.pid for child in psutil.Process(process.pid).children()}


async def test_new_processes_take_the_place_of_old_ones_and_no_request_fails(database: str, tmp_path: Path) -> None:
    keys = tmp_path / "tpg_vault_keys"
    keys.write_text(VAULT_KEYS)
    settings = {**MANY, "TPG_VAULT_KEYS": None, "TPG_SECRETS_DIR": str(tmp_path)}
    async with service(database, "--workers", "2", **settings) as (process, url), Load(url).running() as load:
        before: set[int] = set()

        async def is_renewed() -> bool:
            now = children(process)
            return len(now) == 2 and not now & before

        for _ in range(2):
            await until(is_renewed)
            before = children(process)
            await load.goes_on()
            process.send_signal(signal.SIGHUP)
            await until(is_renewed, 30)
        await load.goes_on()
        before = children(process)
        keys.write_text("{}")  # a program that could not start
        process.send_signal(signal.SIGHUP)

        async def is_refused() -> bool:
            return len(children(process)) == 3  # the one that only checks

        await until(is_refused)
        await load.goes_on()
        assert load.answers.keys() == {422}, load.answers
        async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
            assert "tpgateway_requests_total" in await answer.text()

        async def is_as_before() -> bool:
            return children(process) == before

        await until(is_as_before)


async def test_one_of_two_services_stops_and_no_request_fails(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as door:
        async with (
            service(database, door=door, **MANY) as (one, url),
            service(database, door=door, **MANY) as (other, _),
            Load(url).running() as load,
        ):
            await load.goes_on()
            one.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(one.wait(), 15) == 0
            await load.goes_on()
            assert load.answers.keys() == {422}, load.answers
            assert other.returncode is None


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, 0), ({"TPG_VAULT_KEYS": "{}"}, 1), ({"TPG_ENVIRONMENT": "production"}, 2), ({"TPG_DATABASE_URL": "x"}, 1)],
)
async def test_a_check_says_whether_the_service_could_start(
    database: str, settings: dict[str, str], status: int
) -> None:
    keys = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_ENVIRONMENT": "development"}
    words = {"TPG_DATABASE_URL": database, **keys, **settings}
    assert (await run_command("serve", "--check", **words))[0] == status
