"""A request for approval that is answered as soon as it is read gets the answer that the usual way gives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, until
from tests.wire import OWN, Wire, connect
from tpgateway.web.state import STATE

SLOWLY = {"Content-Type": "application/json; charset=utf-8"}
"""Goes the usual way, and says the same."""


@pytest.fixture
async def wire(gateway: Gateway, optician: Practitioner, taken: list[bool]) -> AsyncIterator[Wire]:
    made = await connect(gateway, optician.token, "/v1/prior-approvals")
    yield made
    made.writer.close()


async def other_proof(optician: Practitioner) -> str:
    return str((await optician.check(builders.a_card(membership_number="7654321"))).body["proof"])


def without_own(answer: dict[str, Any]) -> dict[str, Any]:
    own = ("id", "card_check_id", "submitted_at", "membership_number", "beneficiary")
    return {name: value for name, value in answer.items() if name not in own}


async def test_the_answer_is_that_of_the_usual_way(
    gateway: Gateway, wire: Wire, optician: Practitioner, proof: str, taken: list[bool]
) -> None:
    other = await other_proof(optician)
    taken.clear()
    usual = await wire.ask(builders.a_request(proof), SLOWLY)
    quick = await wire.ask(builders.a_request(other))
    assert taken == [False, True]
    assert (usual[0], quick[0]) == (201, 201)
    assert usual[1].keys() == quick[1].keys()
    theirs = OWN | {"Location"}
    assert {name: value for name, value in usual[1].items() if name not in theirs} == {
        name: value for name, value in quick[1].items() if name not in theirs
    }
    assert quick[1]["Location"] == f"/v1/prior-approvals/{quick[2]['id']}"
    assert usual[2].keys() == quick[2].keys()
    assert without_own(usual[2]) == without_own(quick[2])
    assert quick[2]["state"] == "approved"
    logged = await gateway.fetchval(
        "SELECT request_id FROM audit_entries WHERE action = 'approval:request:submit' ORDER BY occurred_at DESC LIMIT 1"
    )
    assert logged == quick[1]["X-Request-Id"]


async def test_a_problem_is_that_of_the_usual_way(wire: Wire, proof: str, taken: list[bool]) -> None:
    wrong = proof[:-1] + ("0" if proof[-1] != "0" else "1")
    requests = {
        "a proof of nobody": builders.a_request("0000-0000-0000"),
        "a proof that is mistyped": builders.a_request(wrong),
        "a prescription to come": builders.a_request(proof, prescription_date="2999-01-01"),
        "an insurer that nobody knows": builders.a_request(proof, "0099990508"),
    }
    for name, request in requests.items():
        usual, quick = await wire.ask(request, SLOWLY), await wire.ask(request)
        assert usual[0] == quick[0] == 422, name
        assert usual[1].keys() == quick[1].keys(), name
        assert {**usual[2], "request_id": None} == {**quick[2], "request_id": None}, name
        assert quick[2]["request_id"] == quick[1]["X-Request-Id"], name
    assert True in taken


@pytest.mark.parametrize(
    "headers",
    [{"Idempotency-Key": "one-of-these"}, {"Accept": "application/xml"}, {"Accept": "text/XML, */*;q=0.1"}],
    ids=["a key", "XML", "XML before all else"],
)
async def test_what_is_unusual_goes_the_usual_way(
    wire: Wire, proof: str, taken: list[bool], headers: dict[str, str]
) -> None:
    taken.clear()
    raw = wire.request(builders.a_request(proof), headers)
    wire.writer.write(raw)
    head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
    wanted = "application/xml" if "Accept" in headers else "application/json"
    assert head.startswith("HTTP/1.1 201 ")
    assert f"Content-Type: {wanted}" in head
    assert taken == [False]


async def test_where_the_database_gives_no_connection_it_is_said_so(
    gateway: Gateway, wire: Wire, proof: str, taken: list[bool]
) -> None:
    pool = gateway.app[STATE].pool
    taken.clear()
    async with AsyncExitStack() as others:
        for _ in range(pool.get_max_size()):
            await others.enter_async_context(pool.acquire())
        status, headers, problem = await wire.ask(builders.a_request(proof))
    assert (status, problem["code"], headers["Retry-After"]) == (503, "database_unavailable", "1")
    assert (await wire.ask(builders.a_request(proof)))[0] == 201
    assert taken == [True, True]


async def test_who_leaves_before_the_answer_has_asked_all_the_same(gateway: Gateway, wire: Wire, proof: str) -> None:
    pressure = gateway.app[STATE].pressure
    connection = await gateway.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE prior_approvals IN EXCLUSIVE MODE")
        wire.writer.write(wire.request(builders.a_request(proof)))
        await asyncio.sleep(0.2)
        assert pressure.in_hand == 1
        wire.writer.transport.abort()
        await asyncio.sleep(0.1)
    await connection.close()

    async def is_over() -> bool:
        return pressure.in_hand == 0

    await until(is_over, 2)
    assert await gateway.fetchval("SELECT count(*) FROM prior_approvals") == 1
