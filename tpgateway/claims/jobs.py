"""Clocks of approvals: what follows when nobody acts in time."""

from datetime import UTC, datetime

from tpgateway.claims import service
from tpgateway.jobs import Tools

_AT_ONCE = 200


async def run_clocks(tools: Tools, *, now: datetime | None = None) -> int:
    """Lets every clock that ran out take its effect, each in a transaction of its own; answers how many did."""
    now = now or datetime.now(UTC)
    done = 0
    async with tools.pool.acquire() as connection:
        while found := await service.due(connection, now=now, limit=_AT_ONCE):
            for insurer_id, approval_id in found:
                async with connection.transaction():
                    done += await service.run_clock(connection, insurer_id, approval_id, now=now) is not None
            if len(found) < _AT_ONCE:
                break
    return done
