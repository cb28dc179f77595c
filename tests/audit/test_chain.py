"""The audit trail: chained, so that nobody alters it unseen, and out of the service's own reach."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway, run_command, until
from tpgateway import audit
from tpgateway.audit import SYSTEM, Action, chain
from tpgateway.audit.sentences import SENTENCES_FR
from tpgateway.settings import Settings
from tpgateway.web.state import STATE
from tpgateway.worker import run as run_worker

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Connection = asyncpg.Connection  # type: ignore[type-arg]


@pytest.fixture
async def connection(database: str) -> "asyncpg.Connection[asyncpg.Record]":
    """As the database's owner, who may do what the service may not."""
    return await asyncpg.connect(database)


async def write(connection: Connection, times: int) -> None:
    for _ in range(times):
        await audit.record(connection, actor=SYSTEM, action=Action.TABLES_PUBLISHED, subject_id=uuid4())


async def faults(connection: Connection) -> list[str]:
    return [finding.fault async for finding in chain.verify(connection) if finding.fault is not None]


async def tamper(connection: Connection, statement: str) -> None:
    """As an administrator who knows his way: the triggers are off for this session."""
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(statement)
    await connection.execute("SET session_replication_role = origin")


async def two_days(connection: Connection) -> None:
    """Two days of entries, the first of them closed."""
    await write(connection, 5)
    await chain.link(connection, now=NOW)
    await write(connection, 3)
    await chain.link(connection, now=NOW + DAY)


async def test_what_nobody_touched_is_whole(connection: Connection) -> None:
    await two_days(connection)
    findings = [finding async for finding in chain.verify(connection)]
    assert [(finding.entries, finding.fault) for finding in findings] == [(5, None), (3, None)]
    assert await connection.fetchval("SELECT count(*) FROM audit_days") == 1
    assert await chain.link(connection, now=NOW + DAY) == 0


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit_entries SET action = 'member:session:open'", "not as it was"),
        ("UPDATE audit_entries SET agent_id = uuidv7() WHERE id IN (SELECT max(id::text)::uuid FROM audit_entries)", "not"),
        ("UPDATE audit_entries SET occurred_at = occurred_at - interval '1 second'", "not as it was"),
        ("DELETE FROM audit_entries WHERE id = (SELECT id FROM audit_entries ORDER BY id LIMIT 1)", "was removed"),
        ("DELETE FROM audit_links WHERE number = 2", "is missing"),
        ("DELETE FROM audit_links WHERE number = (SELECT max(number) FROM audit_links)", "closed with 5"),
        ("UPDATE audit_days SET entries = 4", "closed with 4"),
        ("UPDATE audit_days SET hash = sha256('x')", "closing hash"),
        (
            "WITH gone AS (DELETE FROM audit_links l USING audit_entries e WHERE e.id = l.entry_id AND l.number = 5)"
            " UPDATE audit_days SET entries = 4",
            "closing hash",
        ),
    ],
)  # fmt: skip
async def test_what_somebody_touched_is_found(connection: Connection, statement: str, says: str) -> None:
    await two_days(connection)
    await tamper(connection, statement)
    assert any(says in fault for fault in await faults(connection)), await faults(connection)


async def test_an_entry_put_in_between_is_found(connection: Connection) -> None:
    await two_days(connection)
    await tamper(
        connection,
        "INSERT INTO audit_entries (occurred_at, actor_kind, action)"
        " VALUES (now() - interval '3 hours', 'system', 'dre:version:publish')",
    )
    assert any("outside the chain" in fault for fault in await faults(connection))


async def test_an_entry_whose_transaction_ends_late_is_linked_after_all(database: str, connection: Connection) -> None:
    late = await asyncpg.connect(database)
    transaction = late.transaction()
    await transaction.start()
    await write(late, 1)
    await write(connection, 2)
    assert await chain.link(connection, now=NOW) == 2
    await transaction.commit()
    assert await chain.link(connection, now=NOW) == 1
    assert await faults(connection) == []
    await late.close()


async def test_a_worker_whose_clock_is_behind_does_not_reopen_a_closed_day(connection: Connection) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    await write(connection, 2)
    await chain.link(connection, now=midnight - timedelta(hours=1))
    await write(connection, 1)
    await chain.link(connection, now=midnight + timedelta(minutes=11))
    await write(connection, 1)
    await chain.link(connection, now=midnight + timedelta(minutes=9))
    assert await faults(connection) == []


async def test_an_entry_of_a_clock_that_was_ahead_does_not_hide_the_others(connection: Connection) -> None:
    ahead = int((NOW + 3 * DAY).timestamp() * 1000) << 80 | 7 << 76 | 2 << 62
    await connection.execute(
        "INSERT INTO audit_entries (id, actor_kind, action) VALUES ($1, 'system', 'dre:version:publish')",
        UUID(int=ahead),
    )
    assert await chain.link(connection, now=NOW) == 1
    await write(connection, 2)
    assert await chain.link(connection, now=NOW) == 2
    assert await faults(connection) == []


async def test_of_several_workers_one_links_and_none_twice(database: str, connection: Connection) -> None:
    await write(connection, 50)
    others = [await asyncpg.connect(database) for _ in range(4)]
    done = await asyncio.gather(*(chain.link(each, now=NOW) for each in others))
    assert sum(done) == 50
    assert await faults(connection) == []
    for each in others:
        await each.close()


async def test_a_closed_days_card_checks_are_part_of_it(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    await gateway.admit()
    pharmacist = await gateway.join()
    for _ in range(3):
        assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 200
    connection = await gateway.connect()
    await chain.link(connection, now=datetime.now(UTC) + 2 * DAY)
    assert await connection.fetchval("SELECT sum(card_checks) FROM audit_days") == 3
    assert await faults(connection) == []
    await tamper(connection, "UPDATE card_checks SET domain = 'OPTI' WHERE id = (SELECT id FROM card_checks LIMIT 1)")
    assert any("card checks" in fault for fault in await faults(connection))
    await tamper(connection, "DELETE FROM card_checks")
    assert any("3 then, 0 now" in fault for fault in await faults(connection))
    await connection.close()


async def test_the_operators_command_says_whether_the_trail_is_whole(database: str, connection: Connection) -> None:
    await two_days(connection)
    status, said, _ = await run_command("audit", "verify", database=database)
    assert (status, said.splitlines()[0]) == (0, "Whole: 2 days, 8 entries, 0 card checks of closed days")
    status, said, _ = await run_command("audit", "verify", "--json", database=database)
    last = await connection.fetchval(
        "SELECT encode(hash, 'hex') FROM audit_links ORDER BY day DESC, number DESC LIMIT 1"
    )
    assert (status, [day["entries"] for day in json.loads(said)], json.loads(said)[-1]["hash"]) == (0, [5, 3], last)
    await tamper(connection, "DELETE FROM audit_entries WHERE id = (SELECT id FROM audit_entries ORDER BY id LIMIT 1)")
    status, said, complaint = await run_command("audit", "verify", database=database)
    assert (status, "was removed" in said, "not as it was written" in complaint) == (1, True, True)


async def test_a_worker_links_what_came_before_it_started(gateway: Gateway, database: str, settings: Settings) -> None:
    await gateway.call("POST", "/v1/practitioners", builders.a_registration())

    async def is_linked() -> bool:
        return bool(await gateway.fetchval("SELECT count(*) = 1 FROM audit_links"))

    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(settings, database, stop))
    await until(is_linked)
    stop.set()
    await asyncio.wait_for(working, 15)
    connection = await gateway.connect()
    assert await faults(connection) == []
    await connection.close()


async def test_what_is_append_only_is_out_of_the_services_reach(gateway: Gateway, database: str) -> None:
    connection = await asyncpg.connect(database)
    tables = await connection.fetch(
        "SELECT tgrelid::regclass::text AS name FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid"
        " WHERE f.proname = 'refuse_change'"
    )
    names = {row["name"] for row in tables}
    assert {
        "card_checks",
        "audit_entries",
        "audit_links",
        "audit_days",
        "prior_approval_events",
        "insurer_events",
    } <= names
    for name in names:
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            assert not await connection.fetchval(
                "SELECT has_table_privilege('tpgateway_service', $1, $2)", name, right
            ), name
    roles = await connection.fetch(
        "SELECT DISTINCT rolname FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid"
        " WHERE datname = current_database() AND application_name = 'tpgateway serve'"
    )
    assert roles
    await connection.close()
    pool = gateway.app[STATE].pool
    assert await pool.fetchval("SELECT current_user") == "tpgateway_service"
    for statement in (
        "UPDATE audit_entries SET action = 'a:b:c'",
        "DELETE FROM audit_entries",
        "DROP TABLE audit_entries",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


def test_every_action_has_a_french_sentence() -> None:
    assert set(SENTENCES_FR) == set(Action)
    assert all(sentence[0].isupper() for sentence in SENTENCES_FR.values())
