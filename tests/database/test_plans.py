"""What is looked up by its key is found at once, also where the statement was planned while its table was empty."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tpgateway.database.migrations.distribute import is_distributed
from tpgateway.database.pool import open_pool
from tpgateway.insurers.model import Delivery, EndpointId, InsurerId, Posted
from tpgateway.insurers.store.endpoints import EndpointStore
from tpgateway.worker import PLANNED_ONCE

BACKLOG = 2_000
PLACES = 20
ADD_BACKLOG = """
WITH event AS (
    INSERT INTO insurer_events (insurer_id, sequence, kind, subject_id, data, occurred_at)
    SELECT $1, number, 'rights.imported', gen_random_uuid(), '{}', now() FROM generate_series(1, $3::int) AS number
    RETURNING sequence, id, subject_id
)
INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
SELECT $1, $2, sequence, id, subject_id, now() FROM event
"""
# Of this transaction alone.
READ = """
SELECT sum(idx_tup_fetch + seq_tup_read)::int FROM pg_stat_xact_user_tables
WHERE relname IN ('insurer_outbox', 'insurer_events', 'insurer_deliveries')
"""


@pytest.fixture
async def couriers(database: str) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    """One connection, as a worker posts with."""
    pool = await open_pool(database, size=1, name="courier", settings=PLANNED_ONCE)
    yield pool
    await pool.close()


@pytest.mark.parametrize(
    ("table", "key", "index"),
    [
        ("prior_approvals", ("insurer_id", "id"), "prior_approvals_pkey"),
        ("prior_approvals", ("insurer_id", "card_check_id"), "prior_approvals_of_check"),
        ("prior_approvals", ("insurer_id", "membership_number"), "prior_approvals_of_person"),
        ("insurer_outbox", ("insurer_id", "endpoint_id", "sequence"), "insurer_outbox_pkey"),
        ("insurer_outbox", ("insurer_id", "endpoint_id", "subject_id"), "insurer_outbox_of_subject"),
    ],
)
async def test_a_table_that_is_new_is_asked_by_the_index_that_finds_one_row(
    pool: "asyncpg.Pool[asyncpg.Record]", table: str, key: tuple[str, ...], index: str
) -> None:
    kinds = dict(
        await pool.fetch(
            "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = $1::text::regclass", table
        )
    )
    named = " AND ".join(f"{column} = ${number}" for number, column in enumerate(key, start=1))
    async with pool.acquire() as connection:
        if await is_distributed(connection):
            pytest.skip("Citus plans a look-up for the server that has the row, and tells of no index")
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        types = ", ".join(kinds[column] for column in key)
        await connection.execute(f"PREPARE look ({types}) AS SELECT 1 FROM {table} WHERE {named} FOR KEY SHARE")
        nulls = ", ".join("NULL" for _ in key)
        (plan,) = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE look ({nulls})")
    (scan,) = plan["Plan"]["Plans"]
    assert scan["Index Name"] == index


async def test_a_backlog_is_posted_without_being_read_again_for_each_event(
    pool: "asyncpg.Pool[asyncpg.Record]", couriers: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer, endpoint = await _an_endpoint(pool)
    await pool.execute("VACUUM ANALYZE insurer_outbox")  # a queue is empty whenever somebody looks
    async with couriers.acquire() as connection:
        await _post_some(connection, insurer, endpoint)  # from now on its statements are planned
        assert await pool.execute(ADD_BACKLOG, insurer, endpoint, BACKLOG) == f"INSERT 0 {BACKLOG}"
        async with connection.transaction():
            assert await EndpointStore(connection).with_work() == [(insurer, endpoint)]
            assert await _post_some(connection, insurer, endpoint) == PLACES
            read = await connection.fetchval(READ)
    assert PLACES < read < 20 * PLACES


async def _an_endpoint(pool: "asyncpg.Pool[asyncpg.Record]") -> tuple[InsurerId, EndpointId]:
    insurer: UUID = await pool.fetchval(
        "INSERT INTO insurers (number, name, convention_types) VALUES ('0099990011', 'Mutuelle fictive', '{SP}') RETURNING id"
    )
    endpoint: UUID = await pool.fetchval(
        "INSERT INTO insurer_endpoints (insurer_id, url, secret) VALUES ($1, 'https://mutuelle.example', 'x') RETURNING id",
        insurer,
    )
    return InsurerId(insurer), EndpointId(endpoint)


async def _post_some(connection: Any, insurer: InsurerId, endpoint: EndpointId) -> int:
    store = EndpointStore(connection)
    rows = await store.claim(insurer, endpoint, seconds=60, limit=PLACES)
    taken = Delivery(status=204, failure=None, milliseconds=1)
    posted = [
        Posted(
            event_id=row["id"],
            sequence=row["sequence"],
            attempted_at=datetime.now(UTC),
            delivery=taken,
            leased_until=row["leased_until"],
            was_due_at=row["due_at"],
            delay=None,
        )
        for row in rows
    ]
    await store.record(insurer, endpoint, posted)
    return len(rows)
