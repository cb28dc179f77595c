"""How a revision does its work: whole SQL files, and pgqueuer's own installer, on Alembic's connection."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from alembic import op

_VERSIONS = Path(__file__).parent / "versions"


def run(work: Callable[[Any], Awaitable[Any]]) -> None:
    """Runs work on the bare asyncpg connection, inside the migration's transaction."""
    bind = op.get_bind()
    bind.exec_driver_sql("SELECT 1")  # the dialect opens its transaction with the first statement
    connection = bind.connection.dbapi_connection
    assert connection is not None
    connection.run_async(work)


def sql(name: str, *, is_each_alone: bool = False) -> None:
    """Runs ``versions/NAME.sql``, as many statements as it holds.

    ``is_each_alone``: one by one, each ended by a semicolon at a line's end: some Citus takes only so, of what is spread.
    """
    script = (_VERSIONS / f"{name}.sql").read_text(encoding="utf-8")

    async def work(connection: Any) -> None:
        for text in script.split(";\n") if is_each_alone else (script,):
            if text.strip():
                await connection.execute(text)

    run(work)
