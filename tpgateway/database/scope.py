"""For whom a transaction is: row-level security then shows it that insurer's or that practitioner's rows alone."""

from uuid import UUID

from tpgateway.database import Connection


async def limit(connection: Connection, *, insurer: UUID | None = None, practitioner: UUID | None = None) -> None:
    """Until the transaction ends, rows of other insurers, or of other practitioners, are as if they did not exist.

    By SET, not by ``set_config``: where the data is spread over several servers, only SET is told to each of them.
    """
    await connection.execute(
        f"SET LOCAL tpgateway.insurer = '{insurer or ''}'; SET LOCAL tpgateway.practitioner = '{practitioner or ''}'"
    )


async def let_go(connection: Connection) -> None:
    """Until the transaction ends, the database's own functions may remove what is append-only, on every server.

    They say so themselves as well, but where the data is spread over several servers only this server hears it.
    """
    await connection.execute("SET LOCAL tpgateway.forgets = 'yes'")
