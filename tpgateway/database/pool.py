"""The connection pool, and the guard that keeps a service off a schema that it does not know."""

import json
from collections.abc import Mapping
from typing import Any

import asyncpg
from pydantic_core import to_json

from tpgateway.database import Connection, Pool, connecting
from tpgateway.database.migrations import known_revisions, present_revision
from tpgateway.database.scope import ScopedConnection

MINIMUM_SERVER = 18


class DatabaseNotUsable(Exception):
    """The database cannot serve this program; the message says why and what to do."""


async def prepare_connection(connection: Connection) -> None:
    """JSON columns as Python values, for this connection."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=_dump, decoder=json.loads, schema="pg_catalog")


def _dump(value: Any) -> str:
    # In a quarter of the standard library's time, if no member of an enumeration is in it: each takes as long as ten strings.
    return to_json(value).decode()


async def open_pool(
    url: str,
    *,
    size: int,
    name: str,
    role: str | None = None,
    is_stateless: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Pool:
    """A pool on a database whose server and schema were checked; raises ``DatabaseNotUsable``.

    Its connections act under ``role`` where one is given, whatever more the login itself may do. ``is_stateless``: whoever
    has one leaves nothing in its session (no lock, cursor, setting or listener outlives a transaction), so that it need not
    be cleaned, at a round trip's cost, each time that it is given back. ``settings`` are the server's, for its sessions.
    """
    pool: Pool = asyncpg.create_pool(  # type: ignore[call-overload]  # ours takes whatever the driver's own does
        url,
        connect=connecting.connect,
        connection_class=ScopedConnection,
        min_size=min(2, size),
        max_size=size,
        init=prepare_connection,
        reset=_leave if is_stateless else None,
        timeout=5,
        command_timeout=60,
        server_settings={"application_name": name, **({"role": role} if role else {}), **(settings or {})},
    )
    try:
        await pool
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise DatabaseNotUsable(
            f"the login cannot act as {role}: run `tpgateway migrate`, then as an administrator GRANT {role} TO the login"
        ) from error
    try:
        async with pool.acquire() as connection:
            await check(connection)
    except BaseException:
        await pool.close()
        raise
    return pool


async def _leave(connection: Connection) -> None:
    """A connection whose user left nothing behind."""


async def verify(url: str) -> None:
    """Raises ``DatabaseNotUsable``, or what connecting raises, unless a service could start on this database."""
    connection = await connecting.connect(url)
    try:
        await check(connection)
    finally:
        await connection.close()


async def check(connection: Connection) -> None:
    """Raises ``DatabaseNotUsable`` unless the server is new enough and the schema is this program's."""
    if connection.get_server_version().major < MINIMUM_SERVER:
        raise DatabaseNotUsable(f"PostgreSQL {MINIMUM_SERVER} or newer is needed")
    present = await present_revision(connection)
    known = known_revisions()
    if present is None:
        raise DatabaseNotUsable("the database has no schema yet: run `tpgateway migrate`")
    if present not in known:
        raise DatabaseNotUsable(f"the schema is at revision {present}, newer than this program: upgrade the program")
    if present != known[-1]:
        raise DatabaseNotUsable(f"the schema is at revision {present}, older than {known[-1]}: run `tpgateway migrate`")
