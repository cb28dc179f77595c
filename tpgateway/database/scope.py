"""For whom a transaction is: row-level security then shows it that insurer's or that practitioner's rows alone."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import asyncpg

from tpgateway.database import Connection

if TYPE_CHECKING:
    from asyncpg.transaction import Transaction

    _Driver = asyncpg.Connection[asyncpg.Record]
else:  # asyncpg's classes take no parameters when the program runs
    _Driver = asyncpg.Connection


class ScopedConnection(_Driver):
    """A pool's connection, which can say for whom a transaction is in the round trip that begins it."""

    __slots__ = ("_with_begin",)

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._with_begin = ""

    def say_with_begin(self, text: str) -> None:
        """The next statement, which must begin a transaction, goes with these."""
        self._with_begin = text

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """As the driver's own."""
        more, self._with_begin = self._with_begin, ""
        if more:
            assert query == "BEGIN;"
            query = f"{query} {more}"
        return await super().execute(query, *args, timeout=timeout)


def transaction(
    connection: Connection, *, insurer: UUID | None = None, practitioner: UUID | None = None
) -> "Transaction":
    """A transaction to which rows of other insurers, or of other practitioners, are as if they did not exist.

    By SET, not by ``set_config``: where the data is spread over several servers, only SET is told to each of them.
    """
    cast(ScopedConnection, connection).say_with_begin(
        f"SET LOCAL tpgateway.insurer = '{insurer or ''}'; SET LOCAL tpgateway.practitioner = '{practitioner or ''}'"
    )
    return connection.transaction()


async def let_go(connection: Connection) -> None:
    """Until the transaction ends, the database's own functions may remove what is append-only, on every server.

    They say so themselves as well, but where the data is spread over several servers only this server hears it.
    """
    await connection.execute("SET LOCAL tpgateway.forgets = 'yes'")
