"""The service: all route tables in one application, and the processes that serve it."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import cache
from importlib.metadata import version

import structlog
import uvloop
from aiohttp import web

from tpgateway import jobs, mail, portal, supervisor, traces
from tpgateway.audit import chain
from tpgateway.cards.checker import CHECKER, Checker
from tpgateway.cards.client import LIVE, LiveInsurers
from tpgateway.cards.routes import ROUTES as CARDS
from tpgateway.cards.service import CHECKING, Checking
from tpgateway.cards.verdicts import Verdicts
from tpgateway.cards.watch import Watch
from tpgateway.claims import clocks
from tpgateway.claims.deciding import TOOLS as CLAIMS_TOOLS
from tpgateway.claims.deciding import Tools as ClaimsTools
from tpgateway.claims.routes import ROUTES as CLAIMS
from tpgateway.conventions.routes import ROUTES as CONVENTIONS
from tpgateway.conventions.service import ApprovalDomains
from tpgateway.database.guard import Guard
from tpgateway.database.notices import Notices
from tpgateway.database.pool import open_pool, verify
from tpgateway.dre.routes import ROUTES as DRE
from tpgateway.dre.shelf import SHELF, Shelf
from tpgateway.guarantees.routes import ROUTES as GUARANTEES
from tpgateway.guarantees.service import BenefitCache, TariffCache
from tpgateway.insurers import client, credentials
from tpgateway.insurers import service as insurers
from tpgateway.insurers.numbering import NUMBERING, Numbering
from tpgateway.insurers.routes import REMARKS as INSURER_REMARKS
from tpgateway.insurers.routes import ROUTES as INSURERS
from tpgateway.mail import Post
from tpgateway.members.routes import ROUTES as MEMBERS
from tpgateway.practitioners import api_clients
from tpgateway.practitioners.routes import ROUTES as PRACTITIONERS
from tpgateway.processes import was_asked_to_stop
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web import docs, frame, logs, openapi, sessions, tls
from tpgateway.web.limits import Limiter
from tpgateway.web.metrics import BACKLOGS
from tpgateway.web.oauth import CLIENT_FINDERS, KEY_REFRESHER
from tpgateway.web.routes import ROUTES as WEB
from tpgateway.web.routing import Route
from tpgateway.web.safety import SAFETY, Safety
from tpgateway.web.server import Runner
from tpgateway.web.state import STATE, State
from tpgateway.web.steady import Steady
from tpgateway.web.tokens import Tokens

ROUTES: Sequence[Route] = [*WEB, *PRACTITIONERS, *MEMBERS, *INSURERS, *GUARANTEES, *CONVENTIONS, *CARDS, *CLAIMS, *DRE]
_BACKLOG = 1024
_IDLE_SECONDS = 75.0  # longer than proxies keep a connection to us, so that it is they who close it
_DRAIN_SECONDS = 2.0
_log = structlog.get_logger(__name__)


@cache
def openapi_text() -> str:
    """The OpenAPI document of this version."""
    return openapi.as_text(openapi.document(ROUTES, version=version("tpgateway")))


async def create_app(settings: Settings, database_url: str) -> web.Application:
    """The application, its pool open; raises ``DatabaseNotUsable``."""
    pool = await open_pool(
        database_url,
        size=settings.database_pool_size,
        name="tpgateway serve",
        role=settings.database_role,
        is_stateless=True,
    )
    storage = sessions.PostgresStorage(
        is_https=settings.is_https,
        lives=sessions.Lives(
            whole=timedelta(hours=settings.session_hours),
            idle=timedelta(minutes=settings.session_idle_minutes),
            kept=timedelta(days=settings.session_kept_days),
            kept_idle=timedelta(days=settings.session_kept_idle_days),
        ),
    )
    app = web.Application()
    notices = Notices(database_url, insurers.EVENTS_CHANNEL)
    app[CHECKER] = checker = Checker(
        database_url,
        is_limited=settings.database_role is not None,
        verdicts=Verdicts(BenefitCache(), ApprovalDomains()),
        proof_life=timedelta(days=settings.proof_days),
        patience=settings.check_patience_milliseconds / 1000,
        replica_url=None if settings.replica_url is None else settings.replica_url.get_secret_value(),
        replica_lag=settings.replica_lag_seconds,
    )

    def leave() -> None:
        notices.leave()
        checker.leave()

    app[STATE] = state = State(
        settings=settings,
        pool=pool,
        guard=Guard(pool, database_url, leave=leave),
        vault=Vault.from_json(settings.vault_keys.get_secret_value()),
        tokens=Tokens(
            keys_json=settings.token_keys.get_secret_value(),
            base_url=settings.base_url,
            lifetime=timedelta(minutes=settings.token_minutes),
        ),
        limiter=Limiter(settings.requests_per_minute),
        notices=notices,
        traces=traces.of(settings, "tpgateway serve"),
    )
    app[CLAIMS_TOOLS] = ClaimsTools(checker.verdicts, TariffCache())
    app[SHELF] = Shelf(state.connection, state.notices)
    app[NUMBERING] = Numbering(state.connection)
    app[LIVE] = LiveInsurers(patience=settings.live_patience_milliseconds / 1000)
    app[CHECKING] = Checking(
        connect=state.connection,
        vault=state.vault,
        checker=checker,
        watch=Watch(state.connection, settings, Post.of(settings, state.vault), state.metrics),
        live=app[LIVE],
    )
    app[SAFETY] = safety = Safety(is_https=settings.is_https)
    app.on_response_prepare.append(safety.before_sending)
    app[BACKLOGS] = (mail.backlog, jobs.backlog, chain.backlog, insurers.backlog, clocks.backlog)
    app[frame.STEADY] = Steady()
    app[frame.REMARKS] = INSURER_REMARKS
    app[frame.SESSIONS] = sessions.middleware(storage)
    app[CLIENT_FINDERS] = (api_clients.find, credentials.find)
    keys = credentials.PublishedKeys(state.connection)
    app[KEY_REFRESHER] = keys.refresh
    frame.mount(app, ROUTES)
    docs.mount(app, openapi_text)
    portal.mount(app)

    async def resources(_: web.Application) -> AsyncIterator[None]:
        await state.notices.open()
        await checker.open()
        http = client.open_session(allows_private=settings.webhook_private_targets)
        app[LIVE].open(http)
        keys.http = http
        works = (
            state.limiter.keep_sharing(pool),
            state.request_log.keep_writing(),
            state.guard.keep_watching(),
            state.pressure.keep_watching(),
            app[SHELF].keep_current(),
            app[NUMBERING].keep_numbering(),
        )
        beside = [asyncio.create_task(work) for work in works]
        yield
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await checker.close()
        await http.close()
        await state.pool.close()
        if state.traces is not None:
            await asyncio.to_thread(state.traces.close)

    async def drain(_: web.Application) -> None:
        state.is_draining = True
        await state.notices.close()  # those who wait for events are answered at once

    app.cleanup_ctx.append(resources)
    app.on_shutdown.append(drain)
    return app


async def _serve_until_stopped(
    settings: Settings, database_url: str, listening: socket.socket, serves: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    asked: list[int] = []

    def hear(number: int) -> None:
        asked.append(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, hear, number)
    if was_asked_to_stop():
        return
    app = await create_app(settings, database_url)
    runner = Runner(
        app, access_log=None, shutdown_timeout=settings.graceful_stop_seconds, keepalive_timeout=_IDLE_SECONDS
    )
    await runner.setup()
    await web.SockSite(runner, listening, backlog=_BACKLOG, ssl_context=tls.server_context(settings)).start()
    _log.info("serving", host=settings.host, port=listening.getsockname()[1], pid=os.getpid())
    serves()
    await stop.wait()
    _log.info("stopping", pid=os.getpid())
    if signal.SIGTERM in asked:
        await runner.drain(min(_DRAIN_SECONDS, settings.graceful_stop_seconds))
    await runner.cleanup()  # answers what is in flight first


def serve(settings: Settings, database_url: str, *, workers: int) -> None:
    """Serves until SIGTERM or SIGINT. Several workers share one listening socket; one that dies is replaced."""
    if settings.socket_fd is not None:
        listening = socket.socket(fileno=settings.socket_fd)
    else:
        listening = socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
    if workers == 1:
        _run(settings, database_url, listening, lambda: None)
        return
    asyncio.run(verify(database_url))  # what no worker could start on is told once, and not by each of them again
    supervisor.supervise(
        lambda serves: _run(settings, database_url, listening, serves),
        listening,
        count=workers,
        is_renewable=settings.database_url is not None,  # an embedded server is this process's own
    )


def _run(settings: Settings, database_url: str, listening: socket.socket, serves: Callable[[], None]) -> None:
    logs.configure(level=settings.log_level, form=settings.log_format)
    gc.collect()
    gc.freeze()  # what was loaded by now stays: no use to look through it again and again
    gc.set_threshold(20_000, 20, 50)
    uvloop.run(_serve_until_stopped(settings, database_url, listening, serves))
