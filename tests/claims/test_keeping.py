"""How long things are kept: archived, forgotten, given out or erased, and what stays of them."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from tests import builders
from tests.claims.test_documents import ASKS, PDF, attach
from tests.claims.test_life import act, set_rules, submit
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, Insurer, Practitioner, run_command, until
from tpgateway import worker
from tpgateway.audit import chain
from tpgateway.cli import main
from tpgateway.vault import Vault
from tpgateway.web.state import STATE

NIR = "295109912611193"
ENVIRONMENT = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_ENVIRONMENT": "development"}
PERSON = ("--insurer", "0099990011", "--membership-number", "1234567", "--birth-date", "19800229", "--birth-rank", "1")


@asynccontextmanager
async def owner_of(gateway: Gateway) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """As an administrator who sets the clock of what happened back: no trigger runs, on any server."""
    connection = await gateway.connect()
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = 'replica'")
        yield connection
    await connection.close()


async def as_owner(gateway: Gateway, *statements: str) -> None:
    async with owner_of(gateway) as owner:
        for statement in statements:
            await owner.execute(statement)


async def grow_old(gateway: Gateway, what: str, months: int) -> None:
    """Everything of a kind happened so many months earlier. Ids begin with their moment."""
    belongs = ("prior_approval_lines", "prior_approval_events", "prior_approval_attachments", "benefit_uses")
    moment = "checked_at" if what == "card_checks" else "submitted_at"
    earlier = f"make_interval(months => {months})"
    await gateway.execute("SELECT number_events(id) FROM insurers")
    async with owner_of(gateway) as owner:
        rows = await owner.fetch(
            f"SELECT insurer_id, id, {moment} - {earlier},"
            f" uuidv7(uuid_extract_timestamp(id) - clock_timestamp() - {earlier}) FROM {what}"
        )
        for insurer, was, at, now in rows:
            await owner.execute(
                f"UPDATE {what} SET id = $3, {moment} = $4 WHERE insurer_id = $1 AND id = $2", insurer, was, now, at
            )
            if what == "card_checks":
                await owner.execute(
                    "UPDATE prior_approvals SET card_check_id = $3 WHERE insurer_id = $1 AND card_check_id = $2",
                    insurer,
                    was,
                    now,
                )
                continue
            for each in belongs:
                await owner.execute(
                    f"UPDATE {each} SET approval_id = $3 WHERE insurer_id = $1 AND approval_id = $2", insurer, was, now
                )
            await owner.execute(
                "UPDATE insurer_events SET subject_id = $3 WHERE insurer_id = $1 AND subject_id = $2", insurer, was, now
            )
        if what == "card_checks":
            return
        events = await owner.fetch(
            f"SELECT insurer_id, approval_id, version, occurred_at - {earlier} FROM prior_approval_events"
        )
        await owner.executemany(
            "UPDATE prior_approval_events SET occurred_at = $4"
            " WHERE insurer_id = $1 AND approval_id = $2 AND version = $3",
            events,
        )


async def retain(gateway: Gateway) -> dict[str, int]:
    """What the worker does at night, under its own role."""
    state = gateway.app[STATE]
    async with state.pool.acquire() as connection:
        return dict(await worker.forget_old(connection, state.settings, state.vault))


async def whole_trail(gateway: Gateway) -> list[chain.Finding]:
    connection = await gateway.connect()
    findings = [finding async for finding in chain.verify(connection)]
    await connection.close()
    assert [finding.fault for finding in findings if finding.fault] == []
    return findings


async def found_anywhere(gateway: Gateway, *texts: str) -> set[str]:
    """The tables in any of whose rows one of these texts stands."""
    connection = await gateway.connect()
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'queue')")
    found = set()
    for name in (f"{row['tablename']}" for row in tables):
        schema = "queue" if name.startswith("pgqueuer") else "public"
        rows = str([tuple(row) for row in await connection.fetch(f'SELECT * FROM {schema}."{name}"')])
        if any(text in rows for text in texts):
            found.add(name)
    await connection.close()
    return found


@pytest.fixture
async def ended(optician: Practitioner, insurer: Insurer, proof: str) -> dict[str, Any]:
    """An approval with a document, cancelled."""
    await set_rules(insurer, attachments=ASKS)
    asked = (await submit(optician, proof)).body
    assert (await attach(optician, asked, PDF)).status == 201
    answered = await act(optician, asked, "information", answer="Voici l'ordonnance.")
    cancelled = await act(optician, answered.body, "cancellation")
    assert cancelled.body["state"] == "cancelled"
    await set_rules(insurer, attachments=[])
    return dict(cancelled.body)


async def test_an_approval_that_ended_two_years_ago_is_archived_and_removed_after_five(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, ended: dict[str, Any]
) -> None:
    await grow_old(gateway, "prior_approvals", 23)
    assert (await retain(gateway))["approvals_archived"] == 0
    await grow_old(gateway, "prior_approvals", 25 - 23)
    assert (await retain(gateway))["approvals_archived"] == 1

    for party, start in ((optician, "/v1/prior-approvals"), (insurer, "/v1/insurer/prior-approvals")):
        assert (await party.call("GET", start)).body["prior_approvals"] == []
        assert (await party.call("GET", f"{start}/{ended['id']}")).status == 404
    for table in ("prior_approvals", "prior_approval_lines", "prior_approval_events", "prior_approval_attachments"):
        assert await gateway.fetchval(f"SELECT count(*) FROM {table}") == 0
    sealed = await gateway.fetchval("SELECT sealed FROM archived_approvals")
    assert b"1234567" not in sealed
    assert await gateway.fetchval("SELECT count(*) FROM prior_approval_attachment_pieces") > 0
    assert (await retain(gateway))["approvals_archived"] == 0

    await as_owner(gateway, "UPDATE archived_approvals SET ended_at = now() - interval '59 months'")
    assert (await retain(gateway))["approvals_forgotten"] == 0
    await as_owner(gateway, "UPDATE archived_approvals SET ended_at = now() - interval '61 months'")
    assert (await retain(gateway))["approvals_forgotten"] == 1
    assert await gateway.fetchval("SELECT count(*) FROM prior_approval_attachment_pieces") == 0


async def test_an_approval_whose_clock_runs_is_never_archived_nor_its_check_forgotten(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    granted = (await submit(optician, proof)).body
    assert granted["state"] == "approved"
    await grow_old(gateway, "prior_approvals", 70)
    await grow_old(gateway, "card_checks", 70)
    assert {name: count for name, count in (await retain(gateway)).items() if count} == {}
    listed = (await optician.call("GET", "/v1/prior-approvals")).body["prior_approvals"]
    change = {**builders.a_request(proof, frame=None)}
    change = {name: value for name, value in change.items() if name not in {"insurer_number", "proof"}}
    amended = await act(optician, listed[0], "amendments", **change)
    assert amended.status == 200, amended.body


async def test_what_was_used_counts_for_as_long_as_the_archive_holds_it(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    granted = (await submit(optician, proof)).body
    used = await act(optician, granted, "use", billed_on=builders.today().isoformat())
    assert used.body["state"] == "used"
    # Ends in the sense of the archive, while the glasses themselves are as new.
    await grow_old(gateway, "prior_approvals", 40)
    assert (await retain(gateway))["approvals_archived"] == 1
    again = (await submit(optician, (await optician.check(builders.a_card())).body["proof"])).body
    assert again["state"] == "refused"
    assert {line["code"] for line in again["lines"]} == {"renewal_too_early"}


async def test_of_a_check_of_a_year_ago_only_the_audit_trail_is_left(
    gateway: Gateway, optician: Practitioner, insurer: Insurer
) -> None:
    async def is_linked() -> bool:
        loose = "SELECT count(*) FROM audit_entries WHERE id NOT IN (SELECT entry_id FROM audit_links)"
        return await gateway.fetchval(loose) == 0

    await until(is_linked, 20)  # the worker is done with what came before
    await as_owner(gateway, "DELETE FROM audit_links", "DELETE FROM audit_entries")
    made = [(await optician.check(builders.a_card())).body for _ in range(3)]
    await grow_old(gateway, "card_checks", 13)
    connection = await gateway.connect()
    now = await connection.fetchval("SELECT now() - interval '13 months'")
    await chain.link(connection, now=now + timedelta(days=2))  # as the worker did then
    await connection.close()
    before = await whole_trail(gateway)
    assert sum(finding.card_checks or 0 for finding in before) == 3

    journal = "/v1/me/journal?action=card%3Acheck%3Ado"
    told = (await optician.in_person("GET", journal)).body["entries"]
    assert len(told) == 3
    assert (await retain(gateway))["checks_forgotten"] == 3
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == 0
    assert (await optician.in_person("GET", journal)).body["entries"] == told
    assert await whole_trail(gateway) == before
    for check in made:
        assert (await optician.call("GET", f"/v1/card-checks/{check['id']}")).status == 404

    await as_owner(gateway, "UPDATE card_check_traces SET agent_id = id, leaf = sha256('x') WHERE id IN"
                            " (SELECT id FROM card_check_traces LIMIT 1)")  # fmt: skip
    connection = await gateway.connect()
    faults = [finding.fault async for finding in chain.verify(connection) if finding.fault]
    await connection.close()
    assert "card checks are not as they were" in faults[0]


async def test_whoever_serves_can_neither_remove_nor_shorten(gateway: Gateway, ended: dict[str, Any]) -> None:
    pool = gateway.app[STATE].pool
    removed = ("card_checks", "card_check_traces", "prior_approval_events", "archived_approvals", "audit_entries",
               "audit_days_forgotten")  # fmt: skip
    for table in removed:
        for statement in (f"DELETE FROM {table}", f"SET tpgateway.forgets = 'yes'; DELETE FROM {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)
    for call in (
        "forget_card_checks(5, 10)",
        "forget_archived_approvals(23, 10)",
        "forget_audit_day(11)",
        "(SELECT archive_approval(insurer_id, id, 11, sha256('x'), 'x') FROM prior_approvals)",
    ):
        await grow_old(gateway, "prior_approvals", 1)
        with pytest.raises(asyncpg.RestrictViolationError, match="at least"):
            await pool.execute(f"SELECT {call}")
    for call in ("erase_person(uuidv7(), '', '', 1::smallint, '')", "remove_approval(uuidv7(), uuidv7())"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(f"SELECT {call}")


async def test_the_trail_of_three_years_ago_goes_and_what_is_left_still_verifies(gateway: Gateway) -> None:
    connection = await gateway.connect()
    old = await connection.fetchval(
        "SELECT date_trunc('day', now() - interval '36 months', 'UTC') - interval '12 hours'"
    )
    for days in range(-1, 3):
        await connection.execute(
            "INSERT INTO audit_entries (id, occurred_at, actor_kind, action)"
            " VALUES (uuidv7($1 - now()), $1, 'system', 'dre:version:publish')",
            old + timedelta(days=days),
        )
        await chain.link(connection, now=old + timedelta(days=days))
    await chain.link(connection, now=old + timedelta(days=3))
    before = await whole_trail(gateway)
    assert (await retain(gateway))["audit_days_forgotten"] == 2
    after = await whole_trail(gateway)
    assert [finding.hash for finding in after] == [finding.hash for finding in before]
    assert [finding.is_forgotten for finding in after] == [True, True, False, False]
    kept = await connection.fetch("SELECT occurred_at FROM audit_entries ORDER BY id")
    assert [row["occurred_at"] for row in kept] == [old + timedelta(days=1), old + timedelta(days=2)]
    assert (await retain(gateway))["audit_days_forgotten"] == 0
    await as_owner(gateway, "UPDATE audit_entries SET action = 'member:session:open'")
    assert [finding.fault is None for finding in [each async for each in chain.verify(connection)]] == [
        True,
        True,
        False,
        False,
    ]
    await connection.close()


async def test_a_day_that_was_let_go_before_its_time_is_told(gateway: Gateway) -> None:
    connection = await gateway.connect()
    await connection.execute("INSERT INTO audit_entries (actor_kind, action) VALUES ('system', 'dre:version:publish')")
    now = await connection.fetchval("SELECT now()")
    await chain.link(connection, now=now)
    await chain.link(connection, now=now + timedelta(days=2))
    await as_owner(gateway, "INSERT INTO audit_days_forgotten (day) SELECT min(day) FROM audit_days")
    faults = [finding.fault async for finding in chain.verify(connection) if finding.fault]
    await connection.close()
    assert "before its time" in faults[0]


async def test_rights_go_three_years_after_their_end_and_the_nir_with_the_last(
    gateway: Gateway, insurer: Insurer
) -> None:
    year = builders.today().year
    content = "\n".join(
        [
            f"{builders.RIGHTS_HEADER};nir",
            f"{builders.a_right('OLD', valid_from=f'{year - 6}-01-01', valid_to=f'{year - 5}-12-31')};{NIR}",
            f"{builders.a_right('BOTH', valid_from=f'{year - 6}-01-01', valid_to=f'{year - 5}-12-31')};{NIR}",
            f"{builders.a_right('BOTH')};{NIR}",
            f"{builders.a_right('ENDED', valid_from=f'{year - 2}-01-01', valid_to=f'{year - 2}-12-31')};{NIR}",
        ]
    )
    assert (await insurer.load_bytes(content.encode())).body["loaded"] == 4
    assert (await retain(gateway))["rights_forgotten"] == 2
    connection = await gateway.connect()
    rights = await connection.fetch("SELECT membership_number FROM insured_rights ORDER BY 1")
    nirs = await connection.fetch("SELECT membership_number FROM insured_nirs ORDER BY 1")
    await connection.close()
    assert [row[0] for row in rights] == ["1234567", "7654321", "BOTH", "ENDED"]
    assert [row[0] for row in nirs] == ["BOTH", "ENDED"]


async def test_the_command_lets_go_of_what_the_worker_would(gateway: Gateway, ended: dict[str, Any]) -> None:
    await grow_old(gateway, "prior_approvals", 30)
    status, printed, _ = await run_command("retention", "run", "--json", database=gateway.database, **ENVIRONMENT)
    assert status == 0
    assert json.loads(printed)["approvals_archived"] == 1


async def test_one_persons_data_is_given_out_whole(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, ended: dict[str, Any], tmp_path: Path
) -> None:
    content = f"{builders.RIGHTS_HEADER};nir\n{builders.a_right()};{NIR}\n"
    assert (await insurer.load_bytes(content.encode())).body["loaded"] == 1
    await grow_old(gateway, "prior_approvals", 30)
    await retain(gateway)
    granted = (await submit(optician, (await optician.check(builders.a_card())).body["proof"], frame=None)).body

    one, other = tmp_path / "card.zip", tmp_path / "nir.zip"
    status, printed, complaint = await run_command(
        "people", "export", *PERSON, "--output", str(one), database=gateway.database, **ENVIRONMENT
    )
    assert (status, one.stat().st_mode & 0o777) == (0, 0o600), complaint
    assert "1 rights, 2 card checks, 2 prior approvals" in printed
    by_nir = [
        "people",
        "export",
        "--insurer",
        "0099990011",
        "--by-nir",
        "--birth-date",
        "19800229",
        "--output",
        str(other),
    ]
    environment = {**ENVIRONMENT, "TPG_DATABASE_URL": gateway.database}
    done = await asyncio.to_thread(CliRunner().invoke, main, by_nir, input=f"{NIR}\n", env=environment)
    assert (done.exit_code, NIR in done.output) == (0, False), done.output
    for path in (one, other):
        with zipfile.ZipFile(path) as file:
            person = json.loads(file.read("person.json"))
            documents = [file.read(name) for name in file.namelist() if name.startswith("documents/")]
        assert (person["membership_number"], person["nir"], len(person["card_checks"])) == ("1234567", NIR, 2)
        assert {each["approval"]["state"] for each in person["prior_approvals"]} == {"cancelled", granted["state"]}
        assert documents == [PDF]
    exported = "SELECT count(*) FROM audit_entries WHERE action = 'person:data:export'"
    assert await gateway.fetchval(exported) == 2
    status, _, complaint = await run_command(
        "people", "export", *PERSON, "--output", str(one), database=gateway.database, **ENVIRONMENT
    )
    assert (status, "FileExistsError" in complaint) == (1, True)


async def test_an_erased_person_is_found_in_no_row_of_any_table(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, ended: dict[str, Any]
) -> None:
    content = f"{builders.RIGHTS_HEADER};nir\n{builders.a_right()};{NIR}\n"
    assert (await insurer.load_bytes(content.encode())).body["loaded"] == 1
    await grow_old(gateway, "prior_approvals", 30)
    await retain(gateway)
    granted = (await submit(optician, (await optician.check(builders.a_card())).body["proof"])).body
    other = (await optician.check(builders.a_card(membership_number="7654321"))).body["proof"]
    await submit(optician, other)

    async def erase() -> tuple[int, str]:
        status, printed, complaint = await run_command(
            "people", "erase", *PERSON, "--yes", database=gateway.database, **ENVIRONMENT
        )
        return status, printed + complaint

    assert await erase() == (1, f"Nothing erased: 1 prior approvals of this person have not ended yet.\n"
                                f"Have them cancelled or decided first: {granted['id']}\n")  # fmt: skip
    used = await act(optician, granted, "use", billed_on=builders.today().isoformat())
    assert used.status == 200
    assert "1234567" in str(await optician.call("GET", "/v1/prior-approvals"))
    nir_hash = Vault.from_json(VAULT_KEYS).match(NIR.encode(), purpose="nir").hex()
    marks = ("1234567", nir_hash)
    # Of an event that waits for its number too, whoever it was that did not come to give it one.
    await gateway.execute(
        "INSERT INTO insurer_event_drafts (insurer_id, kind, subject_id, data, occurred_at) SELECT insurer_id,"
        " 'prior_approval.used', id, json_build_object('membership_number', membership_number), now() FROM prior_approvals"
        " WHERE state = 'used'"
    )
    assert {"card_checks", "insured_rights", "insurer_events"} <= await found_anywhere(gateway, *marks)

    status, said = await erase()
    assert status == 0, said
    assert "1 rights, 1 nirs, 2 card checks, 1 prior approvals, 1 archived approvals" in said
    assert await found_anywhere(gateway, *marks) == set()
    assert await gateway.fetchval("SELECT count(*) FROM prior_approval_attachment_pieces") == 0
    assert await gateway.fetchval("SELECT count(*) FROM prior_approvals") == 1
    assert "7654321" in str(await optician.call("GET", "/v1/prior-approvals"))
    assert (await optician.check(builders.a_card())).body["outcome"] == "unknown_person"
    await whole_trail(gateway)
    assert await gateway.fetchval("SELECT count(*) FROM audit_entries WHERE action = 'person:data:erase'") == 1
    status, said = await erase()
    assert status == 0, said  # the check of a moment ago
    assert await erase() == (
        1,
        "Nothing is kept of such a person at this insurer. Compare with the card, letter by letter.\n",
    )
