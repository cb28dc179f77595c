"""Spreads a migrated schema over the servers of a Citus cluster, by insurer."""

from pathlib import Path

from tpgateway.database import Connection, connecting
from tpgateway.database.migrations import MIGRATION_LOCK

_SQL = Path(__file__).parent / "distribution.sql"
_FUNCTIONS = Path(__file__).parent / "distributed_functions.sql"
_ROLES = ("tpgateway_service", "tpgateway_checks")
# What later revisions and every transaction need there: our triggers are copied to all servers, and so are our settings.
_SETTINGS = {"citus.enable_unsafe_triggers": "on", "citus.propagate_set_commands": "local"}


class NoCitus(Exception):
    """The database is not one of a Citus cluster: make the extension there, and add its workers, then run this again."""


async def is_distributed(connection: Connection) -> bool:
    """Whether the schema was spread over several servers."""
    if await connection.fetchval("SELECT to_regclass('pg_dist_partition')") is None:
        return False
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('card_checks') AND partmethod = 'h')"
    )
    return found


async def distribute(url: str) -> bool:
    """Makes insured people's data tables distributed by ``insurer_id``, what is joined with them reference tables.

    Answers False where it was done before. One transaction: it is all of it or nothing. Raises ``NoCitus``.
    """
    connection = await connecting.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"):
            raise NoCitus
        if await is_distributed(connection):
            return False
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        for setting, value in _SETTINGS.items():
            await connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
        async with connection.transaction():
            for setting, value in _SETTINGS.items():
                await connection.execute(f"SET LOCAL {setting} = '{value}'")
            await connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
            await connection.execute("SET LOCAL client_min_messages = warning")
            for statement in _SQL.read_text().split(";\n"):
                if statement.strip():
                    await connection.execute(statement, timeout=24 * 3600)
            await connection.execute(_FUNCTIONS.read_text())
        for role in _ROLES:
            # Servers come to each other as the role that a statement acts under. It may log in on the coordinator too:
            # a server that is added later gets the roles as they are there.
            await connection.execute(f"ALTER ROLE {role} LOGIN")
    finally:
        await connection.close()
    return True
