"""Handlers of a sandbox's clock, by which things are decided there."""

from datetime import UTC, datetime

from tpgateway.claims import errors
from tpgateway.claims.payloads import ClockRequest, ClockView
from tpgateway.jobs import JobKind, enqueue
from tpgateway.web import clock
from tpgateway.web.routing import Answer, Call


async def show_clock(call: Call) -> Answer:
    """How far the clock stands ahead."""
    _refuse_outside(call)
    ahead = await clock.ahead(call.connection)
    return Answer(body=ClockView(days=ahead.days, now=datetime.now(UTC) + ahead))


async def move_clock(call: Call, *, body: ClockRequest) -> Answer:
    """Decides as if it were so many days later, for everybody in this sandbox; deadlines that pass take their effect."""
    _refuse_outside(call)
    await clock.move(call.connection, body.days)
    await enqueue(call.connection, JobKind.RUN_CLOCKS)
    return await show_clock(call)


def _refuse_outside(call: Call) -> None:
    if not call.state.settings.sandbox:
        raise errors.NoSandbox
