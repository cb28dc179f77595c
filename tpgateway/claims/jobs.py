"""Clocks of approvals: what follows when nobody acts in time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from tpgateway.claims import clocks
from tpgateway.jobs import Handler, JobKind, Tools
from tpgateway.web import clock
from tpgateway.web.logs import where

_AT_ONCE = 200
_log = structlog.get_logger(__name__)


async def run_clocks(tools: Tools, *, now: datetime | None = None) -> int:
    """Lets every clock that ran out take its effect, each in a transaction of its own; answers how many did.

    One that cannot is told in the log and tried again the next time; it holds up no other.
    """
    done, failed = 0, 0
    async with tools.pool.acquire() as connection:
        if now is None:
            now = datetime.now(UTC) + (await clock.ahead(connection) if tools.settings.sandbox else timedelta(0))
        while found := await clocks.due(connection, now=now, limit=_AT_ONCE, skip=failed):
            for insurer_id, approval_id in found:
                try:
                    async with connection.transaction():
                        done += await clocks.run_clock(connection, insurer_id, approval_id, now=now) is not None
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


async def run_clocks_now(tools: Tools, ids: Mapping[str, UUID], tries: int) -> None:
    """What each minute does, because a clock was moved."""
    await run_clocks(tools)


JOBS: Mapping[JobKind, Handler] = {JobKind.RUN_CLOCKS: run_clocks_now}
