"""Schema revisions: Alembic with plain SQL, additive first.

A revision is a Python file that names itself and its predecessor, beside an SQL file of the same name that does the work.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from tpgateway.database import Connection, connecting

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

_FOLDER = Path(__file__).parent
# Any constant will do, as long as all programs that migrate one database agree on it.
MIGRATION_LOCK = 7_452_001
# How long a revision waits for a table: all who come after wait behind it, and a request may lose so much and be answered all
# the same. One that holds a table on one connection and waits for another table on a second would wait for ever: PostgreSQL
# does not see such a ring, and the revision must be the one that gives way.
_LOCK_MILLISECONDS = 100
_PAUSE_SECONDS = 0.5
_PATIENCE_SECONDS = 900.0


class TablesInUse(TimeoutError):
    """Tables that a revision changes were in use all the time."""


def known_revisions() -> list[str]:
    """All revisions of this program, oldest first: each is a file of its own name, numbered."""
    return sorted(file.stem for file in (_FOLDER / "versions").glob("[0-9]*.py"))


async def present_revision(connection: Connection) -> str | None:
    """The database's revision, or None where it has no schema."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def migrate(
    url: str, *, to: str = "head", patience: float = _PATIENCE_SECONDS, tell: Callable[[], None] = lambda: None
) -> list[str]:
    """Brings the database to this program's revision, or one on the way; answers those applied if it is the last.

    Others migrating are waited for. Requests are not held up: where a table is in use, all is taken back and tried again
    soon, for so many seconds; ``tell`` is called each time. Raises ``TablesInUse``.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  # a third of a second, for this alone

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connecting.connect(url))
    guard = await connecting.connect(url)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        before = await present_revision(guard)
        ends = asyncio.get_running_loop().time() + patience
        while True:
            try:
                async with engine.begin() as connection:
                    await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
                    await connection.run_sync(_upgrade, to)
                break
            except asyncpg.LockNotAvailableError:
                if asyncio.get_running_loop().time() > ends:
                    raise TablesInUse(
                        "something reads or writes the tables all the time (a rights file, a dump?): nothing was changed;"
                        " run `tpgateway migrate` again when it is over"
                    ) from None
            tell()
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        await guard.close()
        await engine.dispose()
    known = known_revisions()
    return known[known.index(before) + 1 :] if before in known else known


def _upgrade(connection: "SqlConnection", to: str) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
