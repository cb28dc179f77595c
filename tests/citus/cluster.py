"""Databases spread over the servers of a real Citus cluster, where ``TPG_TEST_CITUS_URL`` names its coordinator.

Whoever logs in there must be allowed to make databases, and comes to the other servers with the same login.
"""

import os
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tpgateway.database.migrations import migrate
from tpgateway.database.migrations.distribute import distribute

URL = os.environ.get("TPG_TEST_CITUS_URL", "")


def _on(host: str, port: int, database: str) -> str:
    parts = urlsplit(URL)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@{host}:{port}", path=f"/{database}"))


async def _servers() -> list[tuple[str, int]]:
    """Host and port of every server, the coordinator's first."""
    own = urlsplit(URL)
    connection = await asyncpg.connect(URL)
    rows = await connection.fetch("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY groupid")
    await connection.close()
    return [(own.hostname or "", own.port or 5432), *((row[0], row[1]) for row in rows)]


async def create_empty(shards: int) -> str:
    """A new database on all servers, which know each other; gives its URL."""
    name = f"tpgateway_{uuid4().hex[:12]}"
    servers = await _servers()
    for host, port in servers:
        connection = await asyncpg.connect(_on(host, port, "postgres"))
        await connection.execute("SET citus.enable_create_database_propagation = off")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        connection = await asyncpg.connect(_on(host, port, name))
        await connection.execute("CREATE EXTENSION IF NOT EXISTS citus")
        await connection.close()
    url = _on(*servers[0], name)
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT citus_set_coordinator_host($1, $2)", *servers[0])
    for host, port in servers[1:]:
        await connection.execute("SELECT citus_add_node($1, $2)", host, port)
    # Each table in each shard takes its time to make.
    await connection.execute(f"ALTER DATABASE {name} SET citus.shard_count = {shards}")
    await connection.close()
    return url


async def create(shards: int = 4, revision: str = "head") -> str:
    """A new database, migrated and distributed; gives its URL."""
    url = await create_empty(shards)
    await migrate(url, to=revision)
    await distribute(url)
    return url


async def drop(url: str) -> None:
    name = urlsplit(url).path.removeprefix("/")
    for host, port in reversed(await _servers()):
        connection = await asyncpg.connect(_on(host, port, "postgres"))
        await connection.execute("SET citus.enable_create_database_propagation = off")
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
