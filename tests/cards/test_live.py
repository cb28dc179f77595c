"""Insurers who answer checks themselves: well, slowly, wrongly, or not at all."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, until
from tpgateway.cards.client import LiveInsurers
from tpgateway.cards.model import Ask, Card, LiveRights
from tpgateway.cards.rules.breaker import Breaker
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import InsurerId, LiveSource
from tpgateway.practitioners.model import PractitionerId
from tpgateway.settings import Settings

Answering = Callable[["LiveServer", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


class LiveServer:
    """An insurer's own server, as well-behaved as ``answering`` makes it."""

    def __init__(self) -> None:
        self.secret = self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.answering: Answering = answer_well

    async def receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        Webhook(self.secret).verify(raw, dict(request.headers))
        self.asked.append(json.loads(raw))
        return await self.answering(self, request, self.asked[-1])

    def signed(self, body: dict[str, Any], *, message: str, at: datetime | None = None) -> web.Response:
        text, now = json.dumps(body), at or datetime.now(UTC)
        headers = {
            "webhook-id": message,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(message, now, text),
        }
        return web.Response(text=text, content_type="application/json", headers=headers)


def rights(question: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "check_id": question["check_id"],
        "found": True,
        "membership_number": question.get("membership_number", "NIR77"),
        "birth_rank": question["birth_rank"] or 1,
        "valid_from": "2020-01-01",
        "valid_to": "2099-12-31",
        "convention_types": ["SP"],
        "csr": "",
        "product_code": "CONFORT",
        **changes,
    }


async def answer_well(server: LiveServer, _: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    known = question.get("membership_number") != "404"
    body = rights(question) if known else {"check_id": question["check_id"], "found": False}
    return server.signed(body, message=question["check_id"])


def answer_with(**changes: Any) -> Answering:
    async def answer(server: LiveServer, _: web.Request, question: dict[str, Any]) -> web.StreamResponse:
        return server.signed(rights(question, **changes), message=question["check_id"])

    return answer


async def never(_server: LiveServer, _request: web.Request, _question: dict[str, Any]) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def unsigned(_server: LiveServer, _request: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    return web.json_response(rights(question))


async def signed_by_another(_server: LiveServer, _request: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    other = LiveServer()
    other.secret = "whsec_" + "A" * 44
    return other.signed(rights(question), message=question["check_id"])


async def replayed(server: LiveServer, _: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    old = datetime.now(UTC) - timedelta(minutes=30)
    return server.signed(rights(question), message=question["check_id"], at=old)


async def to_another_question(server: LiveServer, _: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    return server.signed(rights(question), message="check_other")


async def endless(_server: LiveServer, request: web.Request, _question: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65_536)


async def deep(server: LiveServer, _: web.Request, question: dict[str, Any]) -> web.StreamResponse:
    text, now, message = "[" * 60_000, datetime.now(UTC), question["check_id"]
    headers = {
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(server.secret).sign(message, now, text),
    }
    return web.Response(text=text, headers=headers)


async def hangs_up(_server: LiveServer, request: web.Request, _question: dict[str, Any]) -> web.StreamResponse:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def redirects(_server: LiveServer, _request: web.Request, _question: dict[str, Any]) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/elsewhere")


async def fails(_server: LiveServer, _request: web.Request, _question: dict[str, Any]) -> web.StreamResponse:
    return web.Response(status=500)


WRONG: dict[str, Answering] = {
    "never": never,
    "unsigned": unsigned,
    "signed by another": signed_by_another,
    "replayed": replayed,
    "to another question": to_another_question,
    "endless": endless,
    "hangs up": hangs_up,
    "deep": deep,
    "redirects": redirects,
    "fails": fails,
    "another check": answer_with(check_id="check_other"),
    "another person": answer_with(membership_number="OTHER"),
    "reversed": answer_with(valid_to="2019-12-31"),
    "no date": answer_with(valid_to="soon"),
    "no type": answer_with(convention_types=[]),
}
# What the operator reads of some, who can tell the insurer then.
LOGGED = {
    "endless": "the answer is too long",
    "redirects": "the status is 307",
    "fails": "the status is 500",
    "another check": "the answer is to another question",
    "another person": "the answer is of another person",
    "reversed": "the period ends before it begins",
    "no date": "the answer is not as agreed: valid_to",
    "no type": "the answer is not as agreed: convention_types",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"live_patience_milliseconds": 400})


@pytest.fixture
async def live(insurer: Insurer) -> AsyncIterator[LiveServer]:
    server, app = LiveServer(), web.Application()
    app.router.add_post("/checks", server.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/checks"
    made = await insurer.call("PUT", "/v1/insurer/live-source", {"url": url})
    assert made.status == 200, made.body
    server.secret, server.url = made.body["secret"], url
    yield server
    await runner.cleanup()


async def test_an_insurer_that_answers_itself_is_asked_instead_of_looked_up(
    pharmacist: Practitioner, insurer: Insurer, live: LiveServer
) -> None:
    answer = (await pharmacist.check(builders.a_card(membership_number="88"), "PHAR")).body
    assert (answer["outcome"], answer["rights"]) == ("covered", {"from": "2020-01-01", "to": "2099-12-31"})
    assert answer["benefits"]
    [question] = live.asked
    assert (question["membership_number"], question["birth_date"], question["domain"]) == ("88", "19800229", "PHAR")
    unknown = (await pharmacist.check(builders.a_card(membership_number="404"), "PHAR")).body
    assert unknown["code"] == "unknown_person"
    live.answering = answer_with(valid_to="2020-12-31")
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["code"] == "rights_closed"
    assert (await pharmacist.call("GET", f"/v1/card-checks/{answer['id']}")).body == answer


async def test_a_nir_reaches_the_insurer_and_no_record(
    gateway: Gateway, pharmacist: Practitioner, live: LiveServer
) -> None:
    body = {"insurer_number": "99990011", "convention_type": "SP", "nir": "295109912611193", "birth_date": "19800229"}
    answer = (await pharmacist.check(body, "PHAR")).body
    assert answer["outcome"] == "covered"
    assert live.asked[0]["nir"] == "295109912611193"
    assert await gateway.fetchval("SELECT membership_number FROM card_checks") == "NIR77"


@pytest.mark.parametrize("how", WRONG)
async def test_an_answer_that_cannot_be_trusted_is_silence(
    gateway: Gateway, pharmacist: Practitioner, live: LiveServer, how: str
) -> None:
    live.answering = WRONG[how]
    started = time.monotonic()
    with capture_logs() as logs:
        answer = (await pharmacist.check(builders.a_card(), "PHAR")).body
    assert (answer["outcome"], answer["code"], answer["proof"]) == ("insurer_silent", "insurer_silent", None)
    assert time.monotonic() - started < 3
    assert await gateway.fetchval("SELECT is_silent FROM card_checks")
    [logged] = [each for each in logs if each["event"] == "insurer_silent"]
    assert LOGGED.get(how, "") in logged["failure"]
    assert "1234567" not in str(logged)


async def test_an_insurer_that_is_down_is_left_alone_and_others_are_as_quick_as_ever(
    gateway: Gateway, pharmacist: Practitioner, live: LiveServer
) -> None:
    other = await gateway.admit("0099990029")
    await other.put_product()
    await other.load(builders.a_right())
    live.answering = never
    slow = [asyncio.create_task(pharmacist.check(builders.a_card(), "PHAR")) for _ in range(60)]
    await asyncio.sleep(0.1)
    for _ in range(20):
        assert (await pharmacist.check(builders.a_card("0099990029"), "PHAR")).body["outcome"] == "covered"
    assert not slow[0].done()
    outcomes = [(await task).body["outcome"] for task in slow]
    assert outcomes == ["insurer_silent"] * 60
    asked = len(live.asked)
    assert asked <= 50  # so many at once, and no more
    started = time.monotonic()
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "insurer_silent"
    assert time.monotonic() - started < 0.3
    assert len(live.asked) == asked  # it was not even asked


async def test_a_batch_waits_for_a_live_insurer_and_a_new_address_is_asked_at_once(
    gateway: Gateway, pharmacist: Practitioner, insurer: Insurer, live: LiveServer
) -> None:
    async def slowly(server: LiveServer, request: web.Request, question: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.02)
        return await answer_well(server, request, question)

    live.answering = slowly
    line = json.dumps({**builders.a_card(), "domain": "PHAR"}).encode() + b"\n"
    batch = await pharmacist.call(
        "POST", "/v1/card-checks/batch", data=line * 120, headers={"Content-Type": "application/x-ndjson"}
    )
    assert batch.body.count(b'"outcome":"covered"') == 120
    asked = len(live.asked)
    await insurer.call("PUT", "/v1/insurer/live-source", {"url": "http://127.0.0.1:9/checks"})
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "insurer_silent"
    assert len(live.asked) <= asked + 1  # what it answered to the old secret did not count
    shown = await gateway.fetchval("SELECT is_silent FROM card_checks ORDER BY id DESC LIMIT 1")
    assert shown


async def test_a_batch_at_a_slow_insurer_is_answered_whole_and_leaves_room_for_the_counter(
    pharmacist: Practitioner, live: LiveServer
) -> None:
    async def slowly(server: LiveServer, request: web.Request, question: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.15)
        return await answer_well(server, request, question)

    live.answering = slowly
    line = json.dumps({**builders.a_card(), "domain": "PHAR"}).encode() + b"\n"
    batch = asyncio.create_task(
        pharmacist.call(
            "POST", "/v1/card-checks/batch", data=line * 40, headers={"Content-Type": "application/x-ndjson"}
        )
    )
    await until(lambda: has_asked(live, 5))
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "covered"
    assert not batch.done()
    assert (await batch).body.count(b'"outcome":"covered"') == 40


async def test_what_a_batch_knows_is_sent_before_a_slow_insurer_has_answered(
    pharmacist: Practitioner, live: LiveServer
) -> None:
    had_answer = asyncio.Event()

    async def when_told(server: LiveServer, request: web.Request, question: dict[str, Any]) -> web.StreamResponse:
        await asyncio.wait_for(had_answer.wait(), 4)
        return await answer_well(server, request, question)

    live.answering = when_told
    lines = b"{not json\n" + json.dumps({**builders.a_card(), "domain": "PHAR"}).encode() + b"\n{not json either\n"
    url = f"{pharmacist.gateway.url}/v1/card-checks/batch"
    headers = {"Authorization": f"Bearer {pharmacist.token}", "Content-Type": "application/x-ndjson"}
    async with pharmacist.gateway.http.post(url, data=lines, headers=headers) as answer:
        first = await asyncio.wait_for(answer.content.readline(), 3)
        had_answer.set()
        second, third = (await answer.content.read()).splitlines()
    assert [json.loads(each)["code"] for each in (first, second, third)] == ["not_json", "covered", "not_json"]


async def has_asked(live: LiveServer, count: int) -> bool:
    return len(live.asked) >= count


async def test_callers_who_hang_up_say_nothing_of_the_insurer(live: LiveServer) -> None:
    live.answering = never
    now = datetime.now(UTC)
    card = Card("0099990011", "SP", "", "88", "19800229", 1, None)
    question = Ask(PractitionerId(uuid4()), uuid4(), card, Domain.PHAR, now.date(), now, None)
    source = LiveSource(insurer_id=InsurerId(uuid4()), url=live.url, secret=live.secret, set_at=now)
    insurers = LiveInsurers(patience=10)
    async with aiohttp.ClientSession() as http:
        insurers.open(http)
        for count in range(1, 8):
            asking = asyncio.create_task(insurers.ask(source, question, nir=None))
            await until(lambda: has_asked(live, count))  # noqa: B023  # awaited before the next turn
            asking.cancel()
            await asyncio.wait([asking])
        live.answering = answer_well
        assert isinstance((await insurers.ask(source, question, nir=None)).rights, LiveRights)


async def test_an_insurer_goes_from_hosted_to_live_and_back(
    pharmacist: Practitioner, insurer: Insurer, live: LiveServer
) -> None:
    shown = (await insurer.call("GET", "/v1/insurer/live-source")).body
    assert set(shown) == {"url", "set_at"}
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["rights"]["from"] == "2020-01-01"
    assert (await insurer.call("DELETE", "/v1/insurer/live-source")).status == 204
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["rights"]["from"] != "2020-01-01"
    assert (await insurer.call("DELETE", "/v1/insurer/live-source")).code == "not_found"
    assert (await insurer.call("GET", "/v1/insurer/live-source")).code == "not_found"
    refused = await insurer.call("PUT", "/v1/insurer/live-source", {"url": "ftp://insurer.example/checks"})
    assert refused.code == "endpoint_refused"


def test_a_breaker_opens_after_five_failures_rests_and_lets_one_try() -> None:
    breaker = Breaker()
    for _ in range(5):
        assert breaker.may_try(0)
        breaker.failed(0)
    assert not breaker.may_try(9.9)
    assert breaker.may_try(10)
    assert not breaker.may_try(10)
    breaker.failed(10)  # of one that was asked before
    assert not breaker.may_try(10)
    breaker.failed(10, is_trial=True)
    assert not breaker.may_try(29)
    assert breaker.may_try(30)
    breaker.forget(is_trial=True)
    assert breaker.may_try(30)
    breaker.succeeded()
    assert all(breaker.may_try(30) for _ in range(9))


def test_a_breaker_rests_two_minutes_at_most() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(30):
        breaker.failed(now, is_trial=True)
        now = max(now, breaker.resting_until)
    assert breaker.rest == 120
