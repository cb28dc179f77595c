"""A database spread over the servers of a real Citus cluster, where ``TPG_TEST_CITUS_URL`` names a coordinator.

It is a new one on all servers of the cluster; whoever logs in there must be allowed to make databases.
"""

import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.driver import run_command

URL = os.environ.get("TPG_TEST_CITUS_URL")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/citus/" in str(item.path):
            item.add_marker(pytest.mark.citus)
            if URL is None:
                item.add_marker(pytest.mark.skip(reason="TPG_TEST_CITUS_URL names no coordinator of a Citus cluster"))


def on(host: str, port: int, database: str) -> str:
    parts = urlsplit(URL or "")
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}", path=f"/{database}"))


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """In place of a clone of the migrated template: migrated and distributed here."""
    assert URL is not None
    name = f"tpgateway_{uuid4().hex[:12]}"
    own = urlsplit(URL)
    first = await asyncpg.connect(URL)
    nodes = [
        (row[0], row[1]) for row in await first.fetch("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0")
    ]
    await first.close()
    everywhere = [(own.hostname or "", own.port or 5432), *nodes]
    for host, port in everywhere:
        connection = await asyncpg.connect(on(host, port, "postgres"))
        await connection.execute("SET citus.enable_create_database_propagation = off")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        connection = await asyncpg.connect(on(host, port, name))
        await connection.execute("CREATE EXTENSION IF NOT EXISTS citus")
        await connection.close()
    url = on(*everywhere[0], name)
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT citus_set_coordinator_host($1, $2)", *everywhere[0])
    for host, port in nodes:
        await connection.execute("SELECT citus_add_node($1, $2)", host, port)
    await connection.close()
    status, _, complaint = await run_command("migrate", "--distribute", database=url)
    assert status == 0, complaint
    yield url
    for host, port in reversed(everywhere):
        connection = await asyncpg.connect(on(host, port, "postgres"))
        await connection.execute("SET citus.enable_create_database_propagation = off")
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
