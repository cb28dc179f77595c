"""Row-level security: what a statement forgets, the database does not."""

from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway
from tpgateway.database import scope
from tpgateway.web.state import STATE

# Tables without rows in this world hold none to be seen; they have the same policy.
INSURERS = ("insured_rights", "rights_imports", "product_versions", "benefit_lines", "insurer_clients", "insurer_events",
            "card_checks", "prior_approvals", "prior_approval_lines", "prior_approval_events", "benefit_uses")  # fmt: skip
PRACTITIONERS = ("practitioner_clients", "bank_details", "convention_signatures", "card_checks", "prior_approvals")


@pytest.fixture
async def both(gateway: Gateway, worker: None, tmp_path: Path) -> Gateway:
    """Two insurers and two opticians, each of whom asked each."""
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    numbers = ("0099990011", "0099990029")
    for number in numbers:
        insurer = await gateway.admit(number)
        await insurer.put_product()
        await insurer.load(builders.a_right(), builders.a_right("7654321"))
    for membership in ("1234567", "7654321"):
        optician = await gateway.join(**builders.an_optician())
        await optician.sign()
        for number in numbers:
            proof = (await optician.check(builders.a_card(number, membership_number=membership))).body["proof"]
            made = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, number))
            assert made.status == 201
    return gateway


async def test_a_statement_without_where_sees_the_own_rows_alone(both: Gateway) -> None:
    pool = both.app[STATE].pool
    for tables, column, account in (
        (INSURERS, "insurer_id", "insurers"),
        (PRACTITIONERS, "practitioner_id", "practitioners"),
    ):
        one, other = [row["id"] for row in await pool.fetch(f"SELECT id FROM {account} ORDER BY id")]
        for table in tables:
            everybody = await pool.fetch(f"SELECT DISTINCT {column} FROM {table}")
            assert {row[0] for row in everybody} == {one, other}, table
            of = {column.removesuffix("_id"): one}
            async with pool.acquire() as connection, scope.transaction(connection, **of):
                seen = await connection.fetch(f"SELECT DISTINCT {column} FROM {table}")
                assert {row[0] for row in seen} == {one}, table
            # On the same connection, the next transaction is nobody's again.
            assert len(await pool.fetch(f"SELECT DISTINCT {column} FROM {table}")) == 2


async def test_nothing_of_anothers_is_written_either(both: Gateway) -> None:
    pool = both.app[STATE].pool
    one, other = [row["id"] for row in await pool.fetch("SELECT id FROM insurers ORDER BY id")]
    async with pool.acquire() as connection, scope.transaction(connection, insurer=one):
        count = await connection.fetchval("SELECT count(*) FROM insured_rights")
        changed = await connection.execute("UPDATE insured_rights SET csr = 'X1'")
        assert changed == f"UPDATE {count}"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO insurer_live_sources (insurer_id, url, secret, set_at) VALUES ($1, 'https://x', '', now())",
                    other,
                )


async def test_a_statement_that_says_itself_for_whom_it_is_sees_no_more_either(both: Gateway) -> None:
    pool = both.app[STATE].pool
    number, proof, owner = await pool.fetchrow(
        "SELECT i.number, k.proof, k.practitioner_id FROM card_checks k JOIN insurers i ON i.id = k.insurer_id LIMIT 1"
    )
    other = await pool.fetchval("SELECT id FROM practitioners WHERE id <> $1 LIMIT 1", owner)
    look_up = (
        "SELECT (checked).practitioner_id, (SELECT array_agg(DISTINCT practitioner_id) FROM prior_approvals)"
        " FROM look_up_own_proof($1, $2, $3)"
    )
    claim = (
        "INSERT INTO bank_details (practitioner_id) SELECT $2 FROM claim_benefits($1, $1, '', '', 1::smallint, NULL)"
    )
    async with pool.acquire() as connection:
        found = await connection.fetchrow(look_up, owner, number, proof)
        assert tuple(found) == (owner, [owner])
        hidden = await connection.fetchrow(look_up, other, number, proof)
        assert hidden[0] is None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(claim, other, owner)
        with pytest.raises(asyncpg.NotNullViolationError):  # behind the wall
            await connection.execute(claim, owner, owner)
        # The next statement on the same connection is nobody's again.
        assert len(await connection.fetch("SELECT DISTINCT practitioner_id FROM prior_approvals")) == 2


async def test_a_transaction_within_another_cannot_be_for_somebody_else(gateway: Gateway) -> None:
    async with gateway.app[STATE].pool.acquire() as connection, connection.transaction():
        with pytest.raises(AssertionError):
            async with scope.transaction(connection, insurer=uuid4()):
                pass


# Looked up across accounts: the trail by its own search, people and what they log in with before it is known whose they are.
ACROSS = {
    "insurer_id": {"audit_entries", "practitioner_members", "links", "convention_participants"},
    "practitioner_id": {"practitioner_identifiers", "practitioner_members", "links", "sessions"},
}


async def test_every_table_of_an_account_is_behind_the_wall(gateway: Gateway) -> None:
    """A new table with an account's rows, and no policy, is told here."""
    for column, known in ACROSS.items():
        bare = await gateway.app[STATE].pool.fetch(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace = 'public'::regnamespace AND a.attname = $1 AND NOT c.relrowsecurity",
            column,
        )
        assert {row["relname"] for row in bare} - known == set()


async def test_card_checks_may_look_up_and_record_and_nothing_else(both: Gateway) -> None:
    pool = both.app[STATE].pool
    async with pool.acquire() as connection:
        for statement in (
            "SELECT legal_name FROM practitioners",
            "SELECT secret FROM insurer_live_sources",
            "SELECT 1 FROM prior_approvals",
            "UPDATE insured_rights SET csr = 'X1'",
            "DELETE FROM card_checks",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"BEGIN; SET LOCAL ROLE tpgateway_checks; {statement}")
            await connection.execute("ROLLBACK")
    optician = await both.join(**builders.an_optician())
    assert (await optician.check(builders.a_card())).status == 200
    await both.execute("REVOKE INSERT ON card_checks FROM tpgateway_checks")
    assert (await optician.check(builders.a_card())).status == 500  # and is told of in the log
