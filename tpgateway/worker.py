"""The worker: takes jobs off the queue, and sweeps what is past its time."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from pgqueuer import AsyncpgPoolDriver, Job, PgQueuer
from pgqueuer.models import Schedule

from tpgateway import links, mail, traces
from tpgateway.audit import chain
from tpgateway.cards import keeping as kept_cards
from tpgateway.cards import service as cards
from tpgateway.claims import jobs as claims_jobs
from tpgateway.claims import keeping as kept_claims
from tpgateway.database import Connection, Pool, faults
from tpgateway.database.migrations.distribute import is_distributed
from tpgateway.database.notices import Notices
from tpgateway.database.pool import open_pool
from tpgateway.dre import jobs as dre_jobs
from tpgateway.insurers import client, credentials
from tpgateway.insurers import jobs as insurer_jobs
from tpgateway.insurers import people as insurer_people
from tpgateway.insurers import service as insurers
from tpgateway.insurers.courier import Courier
from tpgateway.jobs import Handler, JobKind, RetryRequested, Tools, ids_of, queries
from tpgateway.members import door
from tpgateway.practitioners import jobs as practitioner_jobs
from tpgateway.practitioners import service as practitioners
from tpgateway.processes import was_asked_to_stop
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web import idempotency, limits, oauth, sessions
from tpgateway.web.logs import where

JOBS: Mapping[JobKind, Handler] = {
    **mail.JOBS,
    **practitioner_jobs.JOBS,
    **insurer_jobs.JOBS,
    **claims_jobs.JOBS,
    **dre_jobs.JOBS,
}
_MOST_TRIES = 12
_LONGEST_DELAY = timedelta(hours=1)
_RESTART_SECONDS = 1.0
_GONE = (*faults.LOST, ExceptionGroup)
_log = structlog.get_logger(__name__)


_FORGETS = (
    oauth.forget_used,
    sessions.forget_expired,
    links.forget_old,
    mail.forget_sent,
    limits.forget_old,
    door.forget_old,
    practitioners.forget_unconfirmed,
    insurers.forget_old,
    insurer_people.forget_old,
)


class JobFailed(Exception):
    """A job failed too often: it is held in the queue for a person to look at. The log tells where it failed."""


async def work(settings: Settings, database_url: str) -> None:
    """Works until SIGTERM or SIGINT; starts over when the database was away."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if was_asked_to_stop():
        return
    _log.info("working", pid=os.getpid())
    while not stop.is_set():
        try:
            await run(settings, database_url, stop)
        except _GONE as error:
            _log.error("worker_interrupted", failure=type(error).__name__, where=where(error))
            await asyncio.sleep(_RESTART_SECONDS)
    _log.info("stopped", pid=os.getpid())


_COURIERS_CONNECTIONS = 4
PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit"), "off"),
}


async def run(settings: Settings, database_url: str, stop: asyncio.Event) -> None:
    """Works until ``stop`` is set; raises when the database goes away."""
    size, role = settings.database_pool_size, settings.database_role
    async with (
        await open_pool(database_url, size=size, name="tpgateway work", role=role) as pool,
        await _open_couriers_pool(settings, database_url, pool) as couriers_pool,
        client.open_session(allows_private=settings.webhook_private_targets) as http,
    ):
        vault = Vault.from_json(settings.vault_keys.get_secret_value())
        tools = Tools(
            pool=pool, settings=settings, vault=vault, http=http, traces=traces.of(settings, "tpgateway work")
        )
        queue = build_queue(tools)
        await link_audit_once(tools)  # what came while no worker ran does not wait for the next minute
        notices = Notices(database_url, insurers.EVENTS_CHANNEL)
        await notices.open()
        courier = Courier(replace(tools, pool=couriers_pool), notices)
        beside = [asyncio.create_task(courier.run()), asyncio.create_task(_relay(stop, queue.shutdown))]
        try:
            await queue.run(dequeue_timeout=timedelta(seconds=5), batch_size=50)
        finally:
            await courier.stop()
            for task in beside:
                task.cancel()
            await notices.close()
            if tools.traces is not None:
                await asyncio.to_thread(tools.traces.close)


async def _open_couriers_pool(settings: Settings, database_url: str, pool: Pool) -> Pool:
    """Connections for the same few statements over and over; planned anew for each event, that took as long as all the rest.

    A plan made while the tables are small must serve when they no longer are: it looks things up, reads no table whole, and
    sorts nothing that an index has in order.
    """
    async with pool.acquire() as connection:
        is_spread = await is_distributed(connection)  # then which server it goes to is known with the insurer alone
    return await open_pool(
        database_url,
        size=_COURIERS_CONNECTIONS,
        name="tpgateway courier",
        role=settings.database_role,
        is_stateless=True,
        settings=None if is_spread else PLANNED_ONCE,
    )


async def _relay(stop: asyncio.Event, shutdown: asyncio.Event) -> None:
    await stop.wait()
    shutdown.set()


def build_queue(tools: Tools) -> PgQueuer:
    """pgqueuer with every job that this program knows."""
    driver = AsyncpgPoolDriver(tools.pool)
    queue = PgQueuer(connection=driver, queries=queries(driver))
    for kind, handler in JOBS.items():
        queue.entrypoint(kind.value, on_failure="hold")(_entry(tools, kind, handler))

    @queue.schedule("sweep", "*/10 * * * *")
    async def sweep(_: Schedule) -> None:
        await sweep_once(tools)

    @queue.schedule("retain", "15 2 * * *")
    async def retain(_: Schedule) -> None:
        async with tools.pool.acquire() as connection:
            await forget_old(connection, tools.settings, tools.vault)

    @queue.schedule("refresh_keys", "*/10 * * * *")
    async def refresh_keys(_: Schedule) -> None:
        await credentials.PublishedKeys(tools.pool.acquire, tools.http).refresh_old()

    @queue.schedule("run_clocks", "* * * * *")
    async def run_clocks(_: Schedule) -> None:
        if rows := await claims_jobs.run_clocks(tools):
            _log.info("clocks_ran", rows=rows)

    @queue.schedule("link_audit", "* * * * *")
    async def link_audit(_: Schedule) -> None:
        await link_audit_once(tools)

    return queue


def _entry(tools: Tools, kind: JobKind, handler: Handler):  # type: ignore[no-untyped-def]  # pgqueuer inspects it
    async def run_job(job: Job) -> None:
        try:
            with tools.traces.job(kind.value) if tools.traces else nullcontext():
                await handler(tools, ids_of(job.payload), job.attempts)
        except RetryRequested:
            raise
        except Exception as error:
            # Neither the queue nor its log may hold the exception's text: it can name people.
            _log.error(
                "job_failed", job=kind.value, tries=job.attempts + 1, failure=type(error).__name__, where=where(error)
            )
            if job.attempts + 1 >= _MOST_TRIES:
                raise JobFailed(kind.value) from None
            raise RetryRequested(delay=min(timedelta(seconds=2**job.attempts), _LONGEST_DELAY)) from None

    return run_job


async def sweep_once(tools: Tools) -> None:
    """Removes what is past its time: keys, assertions, sessions, links, mails, counts, registrations never confirmed.

    Counts the checks of days that are over, too.
    """
    now = datetime.now(UTC)
    async with tools.pool.acquire() as connection:
        rows = await idempotency.forget_old(connection, now=now, hours=tools.settings.idempotency_hours)
        for forget in _FORGETS:
            rows += await forget(connection, now=now)
        await cards.count_days(connection, now=now)
    _log.info("swept", rows=rows)


async def forget_old(connection: Connection, settings: Settings, vault: Vault) -> Mapping[str, int]:
    """Lets go of all that was kept long enough; answers how much of what. Interrupted, it goes on the next time."""
    now = datetime.now(UTC)
    counts = {
        "approvals_archived": await kept_claims.archive_old(
            connection, vault, months=settings.approvals_kept_months, now=now
        ),
        "approvals_forgotten": await kept_claims.forget_archived(connection, months=settings.approvals_archived_months),
        "checks_forgotten": await kept_cards.forget_checks(connection, months=settings.checks_kept_months),
        "rights_forgotten": await kept_cards.forget_rights(
            connection, months=settings.rights_kept_months, today=now.date()
        ),
        "audit_days_forgotten": await chain.forget(connection, months=settings.audit_kept_months),
    }
    for event, rows in counts.items():
        if rows:
            _log.info(event, rows=rows)
    return counts


async def link_audit_once(tools: Tools) -> None:
    """Links the audit trail's new entries into its chain."""
    async with tools.pool.acquire() as connection:
        rows = await chain.link(connection, now=datetime.now(UTC))
    if rows:
        _log.info("audit_linked", rows=rows)
