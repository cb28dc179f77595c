"""What every request may need, under one key of the application."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from aiohttp import web

from tpgateway.database import Connection, Pool
from tpgateway.database.guard import Guard
from tpgateway.database.notices import Notices
from tpgateway.settings import Settings
from tpgateway.traces import Traces
from tpgateway.vault import Vault
from tpgateway.web.limits import Limiter, Turns
from tpgateway.web.metrics import Metrics
from tpgateway.web.pressure import Pressure
from tpgateway.web.request_log import RequestLog
from tpgateway.web.tokens import Tokens


@dataclass(slots=True, kw_only=True)
class State:
    """The process's shared things. ``is_draining`` turns true when the process is asked to stop."""

    settings: Settings
    pool: Pool
    guard: Guard
    vault: Vault
    tokens: Tokens
    limiter: Limiter
    notices: Notices
    metrics: Metrics = field(default_factory=Metrics)
    request_log: RequestLog = field(init=False)
    turns: Turns = field(default_factory=lambda: Turns(_LONG_WORK))
    """Waited for by what holds a connection for long, so that it never takes all of them."""
    spooling: Turns = field(default_factory=lambda: Turns(_LONG_WORK))
    """Waited for by what is written to disk before it is worked on, so that one owner does not fill that."""
    pressure: Pressure = field(default_factory=Pressure)
    traces: Traces | None = None
    is_draining: bool = False
    parsing: dict[str, Settings] = field(init=False)
    """What shapes may look at while they are parsed."""

    def __post_init__(self) -> None:
        self.parsing = {"settings": self.settings}
        self.request_log = RequestLog(self.metrics)

    def connection(self, *, is_long: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A connection of the pool, for ``async with``; raises ``OSError`` rather than wait for long."""
        return self.guard.connection(is_long=is_long)


_LONG_WORK = 2
STATE: web.AppKey[State] = web.AppKey("state", State)
