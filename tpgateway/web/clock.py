"""The sandbox's clock: what software asks is decided as if it were so many days later, to see deadlines pass."""

from datetime import timedelta

from tpgateway.database import Connection


async def ahead(connection: Connection) -> timedelta:
    """By how much the clock is moved."""
    days: int | None = await connection.fetchval("SELECT days FROM sandbox_clock")
    return timedelta(days=days or 0)


async def move(connection: Connection, days: int) -> None:
    """From now on it is so many days later; 0 is the true day."""
    await connection.execute(
        "INSERT INTO sandbox_clock (days) VALUES ($1) ON CONFLICT (is_the_one) DO UPDATE SET days = excluded.days", days
    )
