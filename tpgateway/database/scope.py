"""For whom a transaction is: row-level security then shows it that insurer's or that practitioner's rows alone."""

from uuid import UUID

from tpgateway.database import Connection


async def limit(connection: Connection, *, insurer: UUID | None = None, practitioner: UUID | None = None) -> None:
    """Until the transaction ends, rows of other insurers, or of other practitioners, are as if they did not exist."""
    await connection.execute(
        "SELECT set_config('tpgateway.insurer', $1, true), set_config('tpgateway.practitioner', $2, true)",
        str(insurer or ""),
        str(practitioner or ""),
    )
