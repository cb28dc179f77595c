"""Real PostgreSQL for every test that asks for it: one template migrated once, a clone a test."""

import asyncio
import gc
import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import argon2
import asyncpg
import psutil
import pytest

from tests import worlds
from tests.citus import cluster
from tests.driver import Gateway, Practitioner
from tests.insurers.server import Server
from tests.worlds import Recipe, World
from tpgateway.database.embedded import EmbeddedServer
from tpgateway.database.migrations import migrate
from tpgateway.database.pool import open_pool
from tpgateway.demo.mailbox import Mailbox
from tpgateway.members import service as members
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web.express import Express
from tpgateway.web.tokens import new_signing_keys_json

TEMPLATE = "migrated"
MEMORY, ROOM = Path("/dev/shm"), 1 << 30
_numbers = itertools.count()
_worlds: dict[tuple[EmbeddedServer, Recipe], World] = {}
# Made once a run: tokens of one test are then no better in another than a stranger's would be, its base_url differing.
TOKEN_KEYS = new_signing_keys_json()
VAULT_KEYS = Vault.new_json()
TABLE_KEYS = new_signing_keys_json()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--on-citus",
        action="store_true",
        help="have every test's database spread over the cluster of TPG_TEST_CITUS_URL; by one process (-n 0)",
    )


@pytest.fixture(autouse=True)
def _quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with less work: hundreds of people register and log in. Tests marked ``slow_passwords`` get what is in use."""
    members._nobodys_hash.cache_clear()
    if request.node.get_closest_marker("slow_passwords") is None:
        quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        monkeypatch.setattr("tpgateway.members.service._hasher", quick)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each request that may be answered as soon as it is read was."""
    seen: list[bool] = []
    takes = Express.takes

    def watched(self: Express, *asked: Any) -> bool:
        seen.append(takes(self, *asked))
        return seen[-1]

    monkeypatch.setattr(Express, "takes", watched)
    return seen


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with _quick_folder() as quick:
        server = EmbeddedServer(quick or tmp_path_factory.mktemp("postgresql"))
        asyncio.run(_hurry(server))
        asyncio.run(_create(server, TEMPLATE))
        asyncio.run(migrate(server.url(TEMPLATE)))
        yield server
        server.stop()


@contextmanager
def _quick_folder() -> Iterator[Path | None]:
    """A folder in memory, where the machine has room for one: a clone is hundreds of files, soon removed again."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield None
        return
    for left in MEMORY.glob("tpgateway-tests-*"):  # by a run that was killed
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"tpgateway-tests-{os.getpid()}-", dir=MEMORY)
    yield Path(folder)
    shutil.rmtree(folder)


async def _hurry(server: EmbeddedServer) -> None:
    """What a test writes need not outlive the machine: hundreds of databases are made and dropped."""
    connection = await asyncpg.connect(server.url("postgres"))
    for setting in ("fsync", "full_page_writes"):
        await connection.execute(f"ALTER SYSTEM SET {setting} = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


async def _create(server: EmbeddedServer, name: str, template: str = "template1") -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    await connection.close()


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe | None:
    """Who is in the test's database from the start: nobody, unless the test asks for one of the two below."""
    if "joined" not in request.fixturenames:
        return None
    return worlds.an_optician if "optician" in request.fixturenames else worlds.a_pharmacist


@pytest.fixture
def clones(request: pytest.FixtureRequest) -> EmbeddedServer | None:
    """The server whose databases tests clone; None where each gets one on a cluster, where there are no clones."""
    return None if request.config.getoption("--on-citus") else request.getfixturevalue("server")


@pytest.fixture
async def world(
    clones: EmbeddedServer | None, recipe: Recipe | None, tmp_path_factory: pytest.TempPathFactory
) -> World | None:
    """What the test's database is a clone of, where somebody is in it."""
    if recipe is None:
        return None
    if clones is None:
        async with worlds.posted() as mailbox:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                settings = _settings(mailbox, listening, tmp_path_factory.mktemp("world"))
                url = await cluster.create()
                return await worlds.make(recipe, url, settings, url, listening, mailbox)
    made = _worlds.get((clones, recipe))
    if made is None or made.is_old:
        name = f"world_{next(_numbers)}"
        await _create(clones, name, TEMPLATE)
        async with worlds.posted() as mailbox:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                settings = _settings(mailbox, listening, tmp_path_factory.mktemp("world"))
                made = await worlds.make(recipe, name, settings, clones.url(name), listening, mailbox)
        _worlds[clones, recipe] = made
    return made


@pytest.fixture
async def database(clones: EmbeddedServer | None, world: World | None) -> AsyncIterator[str]:
    """The URL of a database of this test's own, migrated, and empty where the test has no world."""
    if clones is None:
        url = world.template if world else await cluster.create()
        yield url
        await cluster.drop(url)
        return
    name = f"test_{next(_numbers)}"
    await _create(clones, name, world.template if world else TEMPLATE)
    yield clones.url(name)
    connection = await asyncpg.connect(clones.url("postgres"))
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()


@pytest.fixture
async def pool(database: str) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    pool = await open_pool(database, size=10, name="test")
    yield pool
    await pool.close()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """A real SMTP server, and what it received."""
    async with worlds.posted() as mailbox:
        yield mailbox


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    listening = socket.create_server(("127.0.0.1", 0))
    yield listening
    listening.close()


@pytest.fixture
def settings(mailbox: Mailbox, listening: socket.socket, tmp_path: Path) -> Settings:
    return _settings(mailbox, listening, tmp_path)


def _settings(mailbox: Mailbox, listening: socket.socket, folder: Path) -> Settings:
    return Settings(
        base_url=f"http://127.0.0.1:{listening.getsockname()[1]}",
        token_keys=TOKEN_KEYS,
        vault_keys=VAULT_KEYS,
        smtp_port=mailbox.smtp_port,
        smtp_encryption="none",
        webhook_private_targets=True,
        graceful_stop_seconds=5,
        data_dir=folder,
    )


@pytest.fixture
async def gateway(
    database: str, settings: Settings, listening: socket.socket, mailbox: Mailbox
) -> AsyncIterator[Gateway]:
    """The service on a port of its own, and a client that speaks to it as its users do."""
    async with worlds.served(settings, database, listening, mailbox) as gateway:
        yield gateway


@pytest.fixture
async def worker(database: str, settings: Settings) -> AsyncIterator[None]:
    """The worker, beside the service."""
    async with worlds.worked(settings, database):
        yield


@pytest.fixture
async def joined(world: World, gateway: Gateway, worker: None) -> Practitioner:
    return await world.practitioner(gateway)


@pytest.fixture
def pharmacist(joined: Practitioner) -> Practitioner:
    """A pharmacist who has registered, opened the mailed link, logged in, and connected software."""
    return joined


@pytest.fixture
def optician(joined: Practitioner) -> Practitioner:
    """An optician who has done so."""
    return joined


@pytest.fixture
async def theirs() -> AsyncIterator[Server]:
    """The insurer's server."""
    async with Server().opened() as theirs:
        yield theirs


def pytest_collection_finish() -> None:
    """As the service itself does: what was loaded by now stays, and is not looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
