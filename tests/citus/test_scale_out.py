"""The main story on a database spread over several servers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests import builders, worlds
from tests.citus import cluster
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, Insurer, Practitioner, run_command
from tpgateway.database import scope
from tpgateway.database.migrations import migrate
from tpgateway.demo.mailbox import Mailbox
from tpgateway.settings import Settings
from tpgateway.web.state import STATE

NUMBERS = tuple(f"00999900{number}" for number in ("11", "29", "37", "45"))
SPREAD = ("insured_rights", "rights_imports", "card_checks", "prior_approvals", "prior_approval_lines",
          "prior_approval_events", "benefit_uses")  # fmt: skip

# What no insurer's server can answer alone, by words of the statement, and why. All else is one server's to answer.
ACROSS_INSURERS = {
    "account_people_per_hour": "how many people a practice asked about, of whatever insurer",
    "k.practitioner_id = $1 AND k.idempotency_key = $2": "a key is a practice's, whichever insurer it was used for",
    "k.practitioner_id = $1 AND k.agent_id = $2": "the checks at the counter this day, of whatever insurer",
    "WHERE a.practitioner_id = $1": "a practitioner's own list of approvals",
}


@pytest.fixture
def sent_to_several(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The statements that went to several servers at once; they still do what they do."""
    found: set[str] = set()
    connect = asyncpg.connect

    class Listening(scope.ScopedConnection):
        """The pool's own, which knows of a notice what it was about; listeners are lost in the pool."""

        def _process_log_message(self, fields: dict[str, str], last_query: str) -> None:
            if any("multi-task" in field for field in fields.values()):
                found.add(last_query)
            super()._process_log_message(fields, last_query)

    async def listening(*words: Any, **options: Any) -> Any:
        return await connect(*words, **{**options, "connection_class": Listening})

    monkeypatch.setattr("asyncpg.connect", listening)
    return found


@pytest.fixture
async def gateway(
    database: str, settings: Settings, listening: socket.socket, mailbox: Mailbox, sent_to_several: set[str]
) -> AsyncIterator[Gateway]:
    """A service that is told whenever a statement goes to several servers."""
    told = f"{database}?citus.multi_task_query_log_level=notice"
    async with worlds.served(settings, told, listening, mailbox) as gateway:
        gateway.database = database
        yield gateway
    unknown = [each for each in sent_to_several if not any(words in each for words in ACROSS_INSURERS)]
    assert unknown == []


@pytest.fixture
async def insurers(gateway: Gateway, worker: None, tmp_path: Path) -> list[Insurer]:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    found = []
    for number in NUMBERS:
        insurer = await gateway.admit(number)
        assert (await insurer.put_product()).status == 200
        loaded = await insurer.load(*(builders.a_right(str(member)) for member in range(1000, 1100)))
        assert loaded.body["loaded"] == 100, loaded.body
        found.append(insurer)
    return found


@pytest.fixture
async def optician(gateway: Gateway, insurers: list[Insurer]) -> Practitioner:
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def approved(optician: Practitioner, number: str, member: str) -> dict[str, Any]:
    check = await optician.check(builders.a_card(number, membership_number=member))
    assert (check.status, check.body["outcome"]) == (200, "covered"), check.body
    made = await optician.call("POST", "/v1/prior-approvals", builders.a_request(check.body["proof"], number))
    assert (made.status, made.body["state"]) == (201, "approved"), made.body
    return dict(made.body)


async def test_each_insurers_people_are_on_one_server_and_all_that_is_asked_of_them(
    gateway: Gateway, insurers: list[Insurer], optician: Practitioner
) -> None:
    for insurer in insurers:
        made = await approved(optician, insurer.number, "1001")
        path = f"/v1/prior-approvals/{made['id']}"
        assert (await optician.call("GET", path)).body["state"] == "approved"
        events = (await optician.call("GET", f"{path}/events")).body["events"]
        assert [each["kind"] for each in events] == ["submitted", "approved"]
        cancelled = await optician.call("POST", f"{path}/cancellation", {"version": made["version"]})
        assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled"), cancelled.body
        again = await approved(optician, insurer.number, "1001")  # what was used came back
        theirs = await insurer.call("GET", "/v1/insurer/prior-approvals")
        assert [each["id"] for each in theirs.body["prior_approvals"]] == [again["id"], made["id"]]
        told = (await insurer.call("GET", "/v1/insurer/events?after=0")).body["events"]
        assert [each["sequence"] for each in told] == list(range(1, len(told) + 1))
        assert len(told) >= 3
    # An update, and a full file, in each of which somebody's period is cut.
    insurer = insurers[0]
    changed = await insurer.load(builders.a_right("1001", csr="X1"))
    assert (changed.body["loaded"], changed.body["rejected"]) == (1, 0)
    full = await insurer.load(*(builders.a_right(str(member)) for member in range(1000, 1099)), "x;y", mode="full")
    assert (full.body["loaded"], full.body["rejected"], full.body["closed"]) == (99, 1, 1), full.body
    gone = await optician.check(builders.a_card(insurer.number, membership_number="1099"))
    assert gone.body["outcome"] == "rights_closed"
    connection = await gateway.connect()
    where = await connection.fetch(
        "SELECT DISTINCT nodeport FROM pg_dist_placement JOIN pg_dist_shard USING (shardid) JOIN pg_dist_node USING (groupid)"
        " WHERE logicalrelid = 'card_checks'::regclass"
    )
    assert len(where) > 1
    await connection.close()


async def test_what_goes_to_several_servers_is_known(
    insurers: list[Insurer], optician: Practitioner, sent_to_several: set[str]
) -> None:
    card = builders.a_card(NUMBERS[1], membership_number="1005")
    first = await optician.check(card, key="once-and-again")
    again = await optician.check(card, key="once-and-again")
    assert (again.body["id"], again.headers["Idempotency-Replayed"]) == (first.body["id"], "true")
    batch = [{**builders.a_card(number, membership_number="1006"), "domain": "OPTI"} for number in NUMBERS]
    batch.append({**builders.a_card("0099990052"), "domain": "OPTI"})
    answered = await optician.call(
        "POST",
        "/v1/card-checks/batch",
        data="\n".join(json.dumps(each) for each in batch).encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    lines = [json.loads(line) for line in answered.body.splitlines()]
    assert [line.get("outcome") for line in lines] == ["covered"] * 4 + [None], lines
    await approved(optician, NUMBERS[1], "1007")
    mine = await optician.call("GET", "/v1/prior-approvals")
    assert len(mine.body["prior_approvals"]) == 1
    for words in ACROSS_INSURERS:
        if "agent_id" not in words:  # that one is a page's
            assert any(words in each for each in sent_to_several), words


async def test_a_statement_without_where_sees_the_own_rows_alone_on_every_server(
    gateway: Gateway, insurers: list[Insurer], optician: Practitioner
) -> None:
    for number in NUMBERS[:2]:
        await approved(optician, number, "1002")
    async with gateway.app[STATE].pool.acquire() as connection:
        await connection.execute("SET citus.multi_task_query_log_level = 'off'")  # these name nobody on purpose
        for table in SPREAD:
            everybody = await connection.fetch(f"SELECT DISTINCT insurer_id FROM {table}")
            assert {row[0] for row in everybody} >= {each.id for each in insurers[:2]}, table
            async with scope.transaction(connection, insurer=insurers[0].id):
                seen = await connection.fetch(f"SELECT DISTINCT insurer_id FROM {table}")
                assert {row[0] for row in seen} == {insurers[0].id}, table
            # On the same connections to the servers, the next transaction is nobody's again.
            assert len(await connection.fetch(f"SELECT DISTINCT insurer_id FROM {table}")) == len(everybody)
        async with scope.transaction(connection, insurer=insurers[0].id):
            assert await connection.execute("UPDATE insured_rights SET csr = 'X1'") == "UPDATE 100"
        await connection.execute("RESET citus.multi_task_query_log_level")


async def test_the_operators_commands(gateway: Gateway, insurers: list[Insurer], optician: Practitioner) -> None:
    await approved(optician, NUMBERS[0], "1003")
    keys = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_ENVIRONMENT": "development"}
    status, printed, complaint = await run_command("migrate", "--distribute", database=gateway.database)
    assert status == 0, complaint
    for words in (("audit", "verify"), ("retention", "run"), ("secrets", "reseal")):
        status, printed, complaint = await run_command(*words, database=gateway.database, **keys)
        assert status == 0, (words, printed, complaint)


async def test_of_two_requests_at_once_for_one_person_exactly_one_is_granted(
    gateway: Gateway, optician: Practitioner
) -> None:
    proofs = [
        (await optician.check(builders.a_card(NUMBERS[0], membership_number="1007"))).body["proof"] for _ in range(4)
    ]
    asked = [builders.a_request(proof, NUMBERS[0]) for proof in proofs]
    replies = await asyncio.gather(*(optician.call("POST", "/v1/prior-approvals", each) for each in asked))
    assert {reply.status for reply in replies} == {201}, [reply.body for reply in replies]
    assert sorted(reply.body["state"] for reply in replies) == ["approved", "refused", "refused", "refused"]


async def test_what_is_spread_already_is_migrated() -> None:
    database = await cluster.create(revision="0014_numbered_after")
    assert (await migrate(database))[0] == "0015_sure_plans"
    connection = await asyncpg.connect(database)
    found = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'prior_approvals'::regclass"
    )
    assert {"prior_approvals_of_person", "prior_approvals_of_check"} <= {row[0] for row in found}
    await connection.close()
    await cluster.drop(database)
