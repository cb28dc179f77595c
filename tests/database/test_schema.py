"""The schema: migrations, what the service refuses, and what the database itself refuses."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.conftest import _create
from tpgateway.database import migrations
from tpgateway.database.embedded import EmbeddedServer, database_url
from tpgateway.database.migrations import TablesInUse, known_revisions, migrate, present_revision
from tpgateway.database.notices import Notices
from tpgateway.database.pool import DatabaseNotUsable, open_pool
from tpgateway.settings import DatabaseSettings


@pytest.fixture
async def empty(server: EmbeddedServer) -> str:
    name = "empty"
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.close()
    await _create(server, name)
    return server.url(name)


async def test_migrating_twice_or_by_several_at_once_is_safe(empty: str) -> None:
    applied = await asyncio.gather(*(migrate(empty) for _ in range(3)))
    assert sorted(applied) == [[], [], known_revisions()]
    assert await migrate(empty) == []


async def test_a_revision_waits_for_a_moment_in_which_its_tables_are_free_and_holds_nobody_up(empty: str) -> None:
    changing = known_revisions().index("0010_retention")
    before, *rest = known_revisions()[changing - 1 :]
    await migrate(empty, to=before)
    reader, other = await asyncpg.connect(empty), await asyncpg.connect(empty)
    transaction = reader.transaction()
    await transaction.start()
    read = "SELECT count(*) FROM prior_approvals"  # which that revision changes
    await reader.fetchval(read)
    migrating = asyncio.create_task(migrate(empty, patience=1))
    slowest = 0.0
    while not migrating.done():
        began = time.monotonic()
        await other.fetchval(read)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.5
    with pytest.raises(TablesInUse, match="tpgateway migrate"):
        await migrating
    assert await present_revision(other) == before
    migrating = asyncio.create_task(migrate(empty))
    await transaction.rollback()
    assert await migrating == rest
    await reader.close()
    await other.close()


async def test_approvals_from_before_count_and_end_as_new_ones_do(empty: str) -> None:
    await migrate(empty, to="0004_rights")
    connection = await asyncpg.connect(empty)
    await connection.execute(
        """
        SET session_replication_role = replica;
        INSERT INTO insurers (number, name, convention_types) VALUES ('0099990011', 'Lac', '{SP}');
        INSERT INTO prior_approvals (insurer_id, practitioner_id, card_check_id, domain, state, version, care_date,
            prescription_date, prescriber_rpps, membership_number, birth_date, birth_rank, valid_until, submitted_at)
        SELECT i.id, uuidv7(), uuidv7(), 'OPTI', s.state, 2, '2026-07-01', '2026-06-20', '10999999906', '1', '19800229', 1,
               '2026-12-28', now() FROM insurers i, unnest('{approved,cancelled}'::text[]) AS s (state);
        INSERT INTO prior_approval_lines
        SELECT insurer_id, id, 1, 'right_lens', 'lens_very_complex_b', 24000, 5, 3, 20000, 3997, 'formula_applied'
        FROM prior_approvals;
        INSERT INTO prior_approval_events (insurer_id, approval_id, version, kind, state, actor_kind, reason_code,
                                           occurred_at)
        SELECT insurer_id, id, 2, state, state, 'system', 'all_granted', now() FROM prior_approvals;
        """
    )
    assert await migrate(empty) == [
        "0005_approvals",
        "0006_insurers",
        "0007_publications",
        "0008_people",
        "0009_own_rows",
        "0010_retention",
        "0011_shorter_locks",
        "0012_proof_look_up",
        "0013_claimed_benefits",
        "0014_numbered_after",
        "0015_sure_plans",
        "0016_whole_uses",
        "0017_told_limits",
    ]
    row = await connection.fetchrow("SELECT * FROM prior_approvals WHERE state = 'approved'")
    assert row
    assert (row["code"], row["billable_until"].isoformat()) == ("all_granted", "2027-01-27")
    assert row["due_at"].isoformat() == "2027-01-27T23:00:00+00:00"
    line = await connection.fetchrow("SELECT correction, price_class, parts FROM prior_approval_lines LIMIT 1")
    assert line
    assert (line["correction"], line["price_class"]) == ("very_complex", "b")
    assert line["parts"] == '[["2026-07-01", 1, 20000]]'
    uses = await connection.fetch("SELECT item, benefit, used_on, granted_cents FROM benefit_uses")
    assert [tuple(use.values())[3] for use in uses] == [20_000]
    await connection.close()


def test_the_revisions_are_those_that_alembic_finds_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert known_revisions() == walked[::-1]


async def test_a_database_without_a_schema_is_refused(empty: str) -> None:
    with pytest.raises(DatabaseNotUsable, match="tpgateway migrate"):
        await open_pool(empty, size=2, name="test")


@pytest.mark.parametrize(("revision", "says"), [("9999_future", "newer"), ("0001_foundation", "older")])
async def test_a_schema_of_another_version_is_refused(database: str, revision: str, says: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
    await connection.close()
    with pytest.raises(DatabaseNotUsable, match=says):
        await open_pool(database, size=2, name="test")


async def test_data_of_insured_people_has_its_insurer_first_in_every_key(database: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, i.indexrelid::regclass::text AS index,
               (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = i.indkey[0]) AS first
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE i.indisprimary AND c.relnamespace = 'public'::regnamespace
          AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'membership_number')
           OR c.relname IN ('prior_approval_lines', 'prior_approval_events', 'insurer_events') AND i.indisprimary
        """
    )
    await connection.close()
    names = {row["name"] for row in rows}
    assert {"insured_rights", "card_checks", "prior_approvals", "prior_approval_lines", "insurer_events"} <= names
    assert {row["first"] for row in rows} == {"insurer_id"}


async def test_overlapping_versions_of_a_product_are_impossible(database: str) -> None:
    connection = await asyncpg.connect(database)
    insurer = await connection.fetchval(
        "INSERT INTO insurers (number, name, convention_types) VALUES ('0099990011', 'x', '{SP}') RETURNING id"
    )
    add = (
        "INSERT INTO product_versions (insurer_id, code, name, is_responsible, validity)"
        " VALUES ($1, $2, 'x', true, daterange($3::text::date, $4::text::date))"
    )
    await connection.execute(add, insurer, "A", "2026-01-01", "2027-01-01")
    await connection.execute(add, insurer, "A", "2027-01-01", None)
    await connection.execute(add, insurer, "B", "2026-06-01", None)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await connection.execute(add, insurer, "A", "2026-12-31", "2027-01-01")
    await connection.close()


async def test_one_who_waits_is_woken_by_the_commit_and_not_before(database: str) -> None:
    notices = Notices(database, "test")
    await notices.open()
    connection = await asyncpg.connect(database)
    async with notices.expecting("key") as arrived, notices.expecting("other") as other:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT pg_notify('test', 'key')")
        await asyncio.sleep(0.1)
        assert not arrived.is_set()
        await transaction.commit()
        await asyncio.wait_for(arrived.wait(), 5)
        assert not other.is_set()
    await connection.close()
    await notices.close()


async def test_one_who_waits_is_woken_when_the_connection_is_lost_and_hears_again_after(database: str) -> None:
    notices = Notices(database, "test")
    await notices.open()
    connection = await asyncpg.connect(database)
    async with notices.expecting("key") as arrived:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.wait_for(arrived.wait(), 5)
    async with asyncio.timeout(10), notices.expecting("key") as arrived:
        while not arrived.is_set():
            await connection.execute("SELECT pg_notify('test', 'key')")
            await asyncio.sleep(0.1)
    assert arrived.is_set()
    await connection.close()
    await notices.close()


def test_an_embedded_server_is_made_kept_and_stopped(tmp_path: Path) -> None:
    settings = DatabaseSettings(data_dir=tmp_path)
    with database_url(settings) as url:
        asyncio.run(_add_insurer(url))
    assert not (tmp_path / "postgresql" / "postmaster.pid").exists()
    with database_url(settings) as url:
        assert asyncio.run(_count_insurers(url)) == 1


async def _add_insurer(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO insurers (number, name, convention_types) VALUES ('0099990011', 'x', '{SP}')")
    await connection.close()


async def _count_insurers(url: str) -> int:
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval("SELECT count(*) FROM insurers")
    await connection.close()
    return found
