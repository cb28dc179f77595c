"""Clocks of approvals: what follows when nobody acts in time."""

from datetime import UTC, datetime

import structlog

from tpgateway.claims import service
from tpgateway.jobs import Tools
from tpgateway.web.logs import where

_AT_ONCE = 200
_log = structlog.get_logger(__name__)


async def run_clocks(tools: Tools, *, now: datetime | None = None) -> int:
    """Lets every clock that ran out take its effect, each in a transaction of its own; answers how many did.

    One that cannot is told in the log and tried again the next time; it holds up no other.
    """
    now = now or datetime.now(UTC)
    done, failed = 0, 0
    async with tools.pool.acquire() as connection:
        while found := await service.due(connection, now=now, limit=_AT_ONCE, skip=failed):
            for insurer_id, approval_id in found:
                try:
                    async with connection.transaction():
                        done += await service.run_clock(connection, insurer_id, approval_id, now=now) is not None
                except Exception as error:
                    if connection.is_closed():
                        raise
                    failed += 1
                    _log.error(
                        "clock_failed",
                        insurer_id=str(insurer_id),
                        failure=type(error).__name__,
                        where=where(error),
                    )
            if len(found) < _AT_ONCE:
                break
    return done
