"""What is answered as soon as it is read gets the answer that the usual way gives, or goes that way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, until
from tests.wire import OWN, Answer, Wire, connect
from tpgateway.cards.checker import CHECKER
from tpgateway.web.callers import Access, Caller, Scope
from tpgateway.web.state import STATE

PERSON = builders.a_card()


@pytest.fixture
async def wire(gateway: Gateway, pharmacist: Practitioner, insurer: Insurer, taken: list[bool]) -> AsyncIterator[Wire]:
    made = await connect(gateway, pharmacist.token)
    await made.ask(a_check())  # whose caller is not known yet to the watch over accounts
    taken.clear()
    yield made
    made.writer.close()


def a_check(domain: str = "PHAR", **changes: Any) -> dict[str, Any]:
    return {**PERSON, "domain": domain, **changes}


async def test_the_answer_is_that_of_the_usual_way(gateway: Gateway, wire: Wire, taken: list[bool]) -> None:
    usual = await wire.ask(a_check(), {"Content-Type": "application/json; charset=utf-8", "X-Request-Id": "usual-one"})
    quick = await wire.ask(a_check(), {"X-Request-Id": "quick-one"})
    assert taken == [False, True]
    assert (usual[0], quick[0]) == (200, 200)
    assert (usual[1]["X-Request-Id"], quick[1]["X-Request-Id"]) == ("usual-one", "quick-one")
    assert usual[1].keys() == quick[1].keys()
    assert {name: value for name, value in usual[1].items() if name not in OWN} == {
        name: value for name, value in quick[1].items() if name not in OWN
    }
    left = [int(answer[1]["RateLimit"].split("r=")[1].split(";")[0]) for answer in (usual, quick)]
    assert left[0] - left[1] == 1
    own = ("id", "checked_at", "proof", "proof_expires_at")
    assert {**usual[2], **dict.fromkeys(own)} == {**quick[2], **dict.fromkeys(own)}
    assert quick[2]["outcome"] == "covered"
    recorded = await gateway.fetchval("SELECT count(*) FROM card_checks WHERE proof = $1", bare(quick))
    assert recorded == 1


def bare(answer: Answer) -> str:
    """The proof as it is kept."""
    return str(answer[2]["proof"]).replace("-", "")


async def test_each_outcome_comes_this_way_too(gateway: Gateway, wire: Wire, taken: list[bool]) -> None:
    gateway.app[CHECKER].verdicts._covers.clear()  # the benefits are looked up once the check is recorded
    asked = {
        "covered": a_check(),
        "not_contracted": a_check("OPTI"),
        "unknown_person": a_check(membership_number="7654321"),
    }
    for outcome, check in asked.items():
        assert (await wire.ask(check))[2]["outcome"] == outcome
    assert taken == [True] * len(asked)


UNUSUAL: dict[str, tuple[Any, dict[str, str], int]] = {
    "a key": (a_check(), {"Idempotency-Key": "one-of-these"}, 200),
    "a tag": (a_check(), {"If-None-Match": '"x"'}, 200),
    "a compressed body": (a_check(), {"Content-Encoding": "gzip"}, 415),
    "another type": (a_check(), {"Content-Type": "text/plain"}, 415),
    "no token": (a_check(), {"Authorization": "Basic eDp5"}, 401),
    "a token that is none": (a_check(), {"Authorization": "Bearer a.b.c"}, 401),
    "no JSON": (b"{", {}, 400),
    "nothing": (b"", {}, 400),
    "too much": (a_check(datamatrix="x" * 70_000), {}, 413),
    "more than is read at once": (a_check(datamatrix="x" * 20_000), {}, 422),
    "a field missing": ({**PERSON, "domain": None}, {}, 422),
    "a day too far": (a_check(care_date="1999-01-01"), {}, 422),
    "an insurer that nobody knows": (a_check(insurer_number="0099990508"), {}, 422),
}


async def test_what_is_unusual_goes_the_usual_way(gateway: Gateway, wire: Wire) -> None:
    for name, (body, headers, expected) in UNUSUAL.items():
        status, said, answer = await wire.ask(body, headers)
        assert status == expected, name
        if status != 200:
            assert said["Content-Type"].startswith("application/problem+json"), name
            assert answer["request_id"] == said["X-Request-Id"], name
        if status == 413:  # behind a body that was not read, the connection ends
            wire.writer.close()
            wire = await connect(gateway, wire.token)
        assert (await wire.ask(a_check()))[2]["outcome"] == "covered", name
    wire.writer.close()


async def test_who_may_not_check_is_refused_as_ever(gateway: Gateway, wire: Wire, insurer: Insurer) -> None:
    wire.token = insurer.token
    assert (await wire.ask(a_check()))[2]["code"] == "caller_not_allowed"
    known = gateway.app[STATE].tokens
    practitioner = await gateway.fetchval("SELECT id FROM practitioners LIMIT 1")
    caller = Caller(
        access=Access.PRACTITIONER_CLIENT,
        account_id=practitioner,
        client_id=practitioner,
        scopes=frozenset({Scope.TABLES}),
    )
    wire.token = known.issue(caller, datetime.now(UTC))
    assert (await wire.ask(a_check()))[2]["code"] == "scope_missing"


@asynccontextmanager
async def held_up(gateway: Gateway) -> AsyncIterator[None]:
    """Meanwhile no check is recorded, since its table is locked."""
    connection = await gateway.connect()
    async with connection.transaction():
        await connection.execute("LOCK TABLE card_checks IN EXCLUSIVE MODE")
        yield
    await connection.close()


async def test_requests_one_behind_the_other_are_answered_in_their_order(wire: Wire, taken: list[bool]) -> None:
    names = [f"request-{number}" for number in range(6)]
    first, second, *rest = [wire.request(a_check(), {"X-Request-Id": name}) for name in names]
    wire.writer.write(first)
    await asyncio.sleep(0)
    wire.writer.write(second[:40])
    await asyncio.sleep(0.02)
    wire.writer.write(second[40:] + b"".join(rest))
    answers = [await wire.answer() for _ in names]
    assert [answer[1]["X-Request-Id"] for answer in answers] == names
    assert {answer[0] for answer in answers} == {200}
    assert len({bare(answer) for answer in answers}) == len(names)
    assert (await wire.ask(a_check(), {"X-Request-Id": "the-last-one"}))[1]["X-Request-Id"] == "the-last-one"
    assert taken[0]


async def test_a_request_behind_one_under_way_waits_for_it(wire: Wire, gateway: Gateway, taken: list[bool]) -> None:
    async with held_up(gateway):
        wire.writer.write(wire.request(a_check(), {"X-Request-Id": "first-of-two"}))
        await asyncio.sleep(0.1)
        assert taken == [True]
        wire.writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\nX-Request-Id: second-of-two\r\n\r\n")
        await asyncio.sleep(0.1)
        assert gateway.app[STATE].pressure.in_hand == 1
    answers = [await wire.answer(), await wire.answer()]
    assert [answer[1]["X-Request-Id"] for answer in answers] == ["first-of-two", "second-of-two"]


async def test_many_behind_one_under_way_are_all_answered(wire: Wire, gateway: Gateway, taken: list[bool]) -> None:
    """More than the parser reads ahead of what is answered."""
    async with held_up(gateway):
        wire.writer.write(wire.request(a_check()))
        await asyncio.sleep(0.1)
        wire.writer.write(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n" * 80)
        await asyncio.sleep(0.1)
    assert taken == [True]
    assert [(await wire.answer())[0] for _ in range(81)] == [200] * 81


async def test_a_verdict_that_cannot_be_looked_up_is_no_second_check(wire: Wire, gateway: Gateway) -> None:
    checker, pool = gateway.app[CHECKER], gateway.app[STATE].pool
    before = await gateway.fetchval("SELECT count(*) FROM card_checks")
    checker.verdicts._covers.clear()
    checker.verdicts.benefits._kept.clear()
    async with AsyncExitStack() as others:
        for _ in range(pool.get_max_size()):
            await others.enter_async_context(pool.acquire())
        status, headers, problem = await wire.ask(a_check())
    assert (status, problem["code"], headers["Retry-After"]) == (503, "database_unavailable", "1")
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == before + 1
    assert (await wire.ask(a_check()))[2]["outcome"] == "covered"


async def test_who_leaves_before_the_answer_leaves_nothing_behind(wire: Wire, gateway: Gateway) -> None:
    pressure = gateway.app[STATE].pressure
    before = await gateway.fetchval("SELECT count(*) FROM card_checks")
    async with held_up(gateway):
        wire.writer.write(wire.request(a_check()))
        await asyncio.sleep(0.1)
        assert pressure.in_hand == 1
        wire.writer.transport.abort()
        await asyncio.sleep(0.1)

    async def is_over() -> bool:
        return pressure.in_hand == 0

    await until(is_over, 2)
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == before + 1


async def test_a_connection_is_closed_behind_its_answer_when_the_process_stops(wire: Wire, gateway: Gateway) -> None:
    async with held_up(gateway):
        wire.writer.write(wire.request(a_check()))
        await asyncio.sleep(0.1)
        gateway.app[STATE].is_draining = True
    status, headers, _ = await wire.answer()
    assert (status, headers["Connection"]) == (200, "close")
    assert await wire.reader.read() == b""


async def test_no_request_is_counted_twice(wire: Wire, taken: list[bool]) -> None:
    left = []
    for check in (
        a_check(),
        a_check(insurer_number="0099990508"),
        a_check(),
        a_check(care_date="1999-01-01"),
        a_check(),
    ):
        _, headers, _ = await wire.ask(check)
        left.append(int(headers["RateLimit"].split("r=")[1].split(";")[0]))
    assert [before - after for before, after in pairwise(left)] == [1, 1, 1, 1]
    assert taken == [True, True, True, False, True]


async def test_in_old_http_or_for_the_last_time_it_goes_the_usual_way(
    gateway: Gateway, pharmacist: Practitioner, insurer: Insurer, taken: list[bool]
) -> None:
    for headers, version in (({"Connection": "close"}, "1.1"), ({}, "1.0")):
        wire = await connect(gateway, pharmacist.token)
        assert (await wire.ask(a_check(), headers, version=version))[0] == 200
        assert await wire.reader.read() == b""
    assert taken == []
