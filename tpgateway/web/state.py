"""What every request may need, under one key of the application."""

from dataclasses import dataclass, field

from aiohttp import web

from tpgateway.database import Pool
from tpgateway.database.notices import Notices
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web.limits import Limiter
from tpgateway.web.metrics import Metrics
from tpgateway.web.tokens import Tokens


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
    is_draining: bool = False


STATE: web.AppKey[State] = web.AppKey("state", State)
