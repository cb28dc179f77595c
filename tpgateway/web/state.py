"""What every request may need, under one key of the application."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tpgateway.database import Pool
from tpgateway.database.notices import Notices
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web.answered import Answered
from tpgateway.web.limits import Limiter, Turns
from tpgateway.web.metrics import Metrics
from tpgateway.web.tokens import Tokens

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolAcquireContext


@dataclass(slots=True, kw_only=True)
class State:
    """The process's shared things. ``is_draining`` turns true when the process is asked to stop."""

    settings: Settings
    pool: Pool
    vault: Vault
    tokens: Tokens
    limiter: Limiter
    notices: Notices
    metrics: Metrics = field(default_factory=Metrics)
    answered: Answered = field(init=False)
    turns: Turns = field(default_factory=lambda: Turns(_LONG_WORK))
    """Waited for by what holds a connection for long, so that it never takes all of them."""
    is_draining: bool = False
    parsing: dict[str, Settings] = field(init=False)
    """What shapes may look at while they are parsed."""

    def __post_init__(self) -> None:
        self.parsing = {"settings": self.settings}
        self.answered = Answered(self.metrics)

    def connection(self) -> "PoolAcquireContext[asyncpg.Record]":
        """A connection of the pool, for ``async with``; raises ``TimeoutError`` rather than wait for long."""
        return self.pool.acquire(timeout=_ACQUIRE_SECONDS)


_ACQUIRE_SECONDS = 5.0
_LONG_WORK = 2
STATE: web.AppKey[State] = web.AppKey("state", State)
