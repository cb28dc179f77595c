"""The queue: pgqueuer, on the caller's connection. A job carries ids only, never data."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import aiohttp
from pgqueuer import RetryRequested
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings
from pgqueuer.ports.driver import Driver

from tpgateway.database import Connection, Pool
from tpgateway.settings import Settings
from tpgateway.traces import Traces
from tpgateway.vault import Vault

SCHEMA = "queue"

_SETTINGS = DBSettings(db_schema=SCHEMA)
_ENVIRONMENT = QueryBuilderEnvironment(settings=_SETTINGS)
_QUEUE = QueryQueueBuilder(settings=_SETTINGS)
_SCHEDULER = QuerySchedulerBuilder(settings=_SETTINGS)

__all__ = ["Handler", "JobKind", "RetryRequested", "Tools", "enqueue", "queries"]


class JobKind(StrEnum):
    """Every kind of job that the worker knows."""

    SEND_MAIL = "send_mail"
    ANSWER_REGISTRATION = "answer_registration"
    ANSWER_REQUEST = "answer_request"
    ANSWER_INSURER_REQUEST = "answer_insurer_request"
    RUN_CLOCKS = "run_clocks"
    ANNOUNCE_TABLES = "announce_tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a job may use."""

    pool: Pool
    settings: Settings
    vault: Vault
    http: aiohttp.ClientSession
    traces: Traces | None = None


# A job's handler gets the tools, the ids that were enqueued and how many times it was tried before.
Handler = Callable[[Tools, Mapping[str, UUID], int], Awaitable[None]]


def queries(driver: Driver) -> Queries:
    """pgqueuer's statements, for the queue's own schema."""
    return Queries(driver, qbe=_ENVIRONMENT, qbq=_QUEUE, qbs=_SCHEDULER)


async def enqueue(connection: Connection, kind: JobKind, *, delay: timedelta | None = None, **ids: UUID) -> None:
    """Puts a job on the queue, in the caller's transaction: it exists if and only if that transaction commits."""
    payload = json.dumps({name: str(value) for name, value in ids.items()}).encode()
    driver = AsyncpgDriver(connection)  # type: ignore[arg-type]  # a pool's proxy serves as well as a connection
    await queries(driver).enqueue(kind.value, payload, execute_after=delay)


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What waits in the queue, as metrics."""
    row = await connection.fetchrow(
        f"SELECT count(*) FILTER (WHERE status = 'queued' AND execute_after <= now()),"  # noqa: S608
        f" count(*) FILTER (WHERE status = 'failed') FROM {SCHEMA}.pgqueuer"
    )
    assert row is not None
    return {"tpgateway_jobs_waiting": row[0], "tpgateway_jobs_held": row[1]}


def ids_of(payload: bytes | None) -> dict[str, UUID]:
    """The ids that ``enqueue`` wrote."""
    parts: dict[str, Any] = json.loads(payload or b"{}")
    return {name: UUID(value) for name, value in parts.items()}
