"""Schema revisions: Alembic with plain SQL, additive first.

A revision is a Python file that names itself and its predecessor, beside an SQL file of the same name that does the work.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tpgateway.database import Connection, connecting

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

_FOLDER = Path(__file__).parent
# Any constant will do, as long as all programs that migrate one database agree on it.
_MIGRATION_LOCK = 7_452_001


def known_revisions() -> list[str]:
    """All revisions of this program, oldest first: each is a file of its own name, numbered."""
    return sorted(file.stem for file in (_FOLDER / "versions").glob("[0-9]*.py"))


async def present_revision(connection: Connection) -> str | None:
    """The database's revision, or None where it has no schema."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def migrate(url: str, *, to: str = "head") -> list[str]:
    """Brings the database to this program's revision, or one on the way; answers those applied if it is the last.

    Others migrating are waited for.
    """
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415  # a third of a second, for this alone

    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connecting.connect(url))
    guard = await connecting.connect(url)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        before = await present_revision(guard)
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, to)
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
