"""More comes than can be answered: what is too much is refused at once, and no more than that."""

import asyncio
import json

import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, until
from tpgateway.web.pressure import Pressure
from tpgateway.web.state import STATE

SAYS_ALL = {"Content-Type", "Retry-After", "X-Request-Id", "Cache-Control", "Content-Security-Policy", "Server"}


def late(pressure: Pressure, by: float, *, turns: int, since: float) -> float:
    """So many turns of the loop come so late; the moment of the last."""
    now = since
    for _ in range(turns):
        now += 0.02 + by
        pressure.note(late=by, now=now)
    return now


def test_lateness_that_does_not_last_refuses_nobody() -> None:
    pressure = Pressure()
    pressure.in_hand = 100
    for turn in range(20):
        pressure.note(late=0.3 if turn == 10 else 0.001, now=turn * 0.02)
    assert pressure.limit is None
    assert not pressure.refuses()


def test_lateness_that_lasts_lets_fewer_and_fewer_be_at_it_but_never_nobody() -> None:
    pressure = Pressure()
    pressure.in_hand = 1000
    now = late(pressure, 0.2, turns=2, since=0)
    assert pressure.limit is None
    now = late(pressure, 0.2, turns=4, since=now)
    assert pressure.limit is not None
    first = pressure.limit
    assert 16 < first < 1000
    assert pressure.refuses()
    now = late(pressure, 0.2, turns=100, since=now)
    assert pressure.limit == 16
    pressure.in_hand = 16
    assert not pressure.refuses()
    pressure.coming = 1  # read, and not begun yet
    assert pressure.refuses()


def test_in_time_again_more_may_be_at_it_until_nobody_need_be_refused() -> None:
    pressure = Pressure()
    pressure.in_hand = 1000
    now = late(pressure, 0.2, turns=40, since=0)
    limits = []
    for _ in range(180):
        pressure.refuses()  # as many come as ever
        now = late(pressure, 0.001, turns=1, since=now)
        limits.append(pressure.limit or 0)
    assert limits[-1] > 5 * min(limits)
    pressure.in_hand = 10
    assert not pressure.refuses()
    late(pressure, 0.001, turns=60, since=now)
    assert pressure.limit is None


def test_few_are_refused_nothing_however_late_the_machine_makes_them() -> None:
    pressure = Pressure()
    pressure.in_hand = 3
    late(pressure, 0.5, turns=60, since=0)
    assert pressure.limit is None


AT_IT = 100_000


def overload(gateway: Gateway) -> None:
    """More are at it than there may be, for longer than a test lasts."""
    pressure = gateway.app[STATE].pressure
    pressure.in_hand = AT_IT
    pressure.limit_to(16, now=asyncio.get_running_loop().time())


async def test_who_is_refused_is_told_when_to_come_again_and_health_is_always_told(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    overload(gateway)
    for _ in range(2):  # the first on its connection, and one behind it
        refused = await pharmacist.check(builders.a_card(), "PHAR")
        assert (refused.status, refused.code) == (503, "overloaded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 4
        assert int(refused.headers["Content-Length"]) > 100
        assert refused.headers["X-Content-Type-Options"] == "nosniff"
    bare = await pharmacist.call("HEAD", "/v1/me")
    assert bare.status == 503
    page = await gateway.call("GET", "/connexion", headers={"Accept": "text/html"})
    assert (page.status, "Retry-After" in page.headers) == (503, True)
    assert "très sollicité" in page.body.decode()
    assert (await gateway.call("GET", "/health/live")).status == 200
    assert (await gateway.call("GET", "/metrics")).status == 200
    gateway.app[STATE].pressure.limit = None
    assert (await gateway.call("GET", "/connexion", headers={"Accept": "text/html"})).status == 200


BODY = b'{"a": 1}'
GET = b"GET /v1/problems HTTP/1.1\r\nHost: a\r\nX-Request-Id: of-the-caller\r\n\r\n"
POST = b"POST /v1/card-checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
ASKED = {
    "one": ([GET], [503]),
    "with a body": ([POST + BODY], [503]),
    "with a body behind": ([POST, BODY], [503]),
    "with a body in pieces": ([POST + BODY[:3], BODY[3:]], [503]),
    "a head in pieces": ([GET[:30], GET[30:]], [503]),
    "several at once": ([GET + POST + BODY + GET], [503, 503, 503]),
    "one and a piece": ([GET + GET[:30], GET[30:]], [503, 503]),
    "a piece that looks like one": ([POST.replace(b": 8", b": %d" % len(GET)), GET], [503]),
    "for the last time": ([GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")], [503]),
    "no HTTP": ([b"NONSENSE\r\n\r\n"], [400]),
    "health": ([b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"], [200]),
    "in old HTTP": ([b"GET /v1/problems HTTP/1.0\r\n\r\n"], [503]),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_refused_as_it_is_read_each_request_still_gets_its_own_answer(gateway: Gateway, asked: str) -> None:
    pieces, statuses = ASKED[asked]
    reader, writer = await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":"))
    writer.write(GET)
    assert (await answer_of(reader))[0] == 200
    overload(gateway)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.05)
    answers = [await answer_of(reader) for _ in statuses]
    assert [status for status, _, _ in answers] == statuses
    for status, headers, body in answers:
        if status == 503:
            assert headers.keys() >= SAYS_ALL
            problem = json.loads(body)
            assert (problem["code"], problem["request_id"]) == ("overloaded", headers["X-Request-Id"])
    gateway.app[STATE].pressure.limit = None
    if not reader.at_eof() and statuses[-1] != 400 and not {"last", "old"} & set(asked.split()):
        writer.write(GET)
        assert (await answer_of(reader))[0] == 200
    writer.close()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """The next answer on a connection."""
    async with asyncio.timeout(5):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, await reader.readexactly(int(headers["Content-Length"]))


async def test_what_is_refused_as_it_is_read_is_counted(gateway: Gateway, pharmacist: Practitioner) -> None:
    state = gateway.app[STATE]
    await pharmacist.check(builders.a_card(), "PHAR")
    overload(gateway)
    before = await counted(gateway)
    for _ in range(3):
        assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 503
    assert await counted(gateway) == before + 3
    assert (state.pressure.in_hand, state.pressure.coming) == (AT_IT, 0)


async def test_who_waits_for_news_leaves_room_for_work(gateway: Gateway) -> None:
    insurer, pressure = await gateway.admit(), gateway.app[STATE].pressure
    waiting = asyncio.create_task(insurer.call("GET", "/v1/insurer/events?after=0&wait=2"))

    async def only_waits() -> bool:
        return bool(gateway.app[STATE].notices._waiting) and pressure.in_hand == 0

    await until(only_waits, 2)
    assert not waiting.done()
    assert (await waiting).status == 200
    assert pressure.in_hand == 0


async def counted(gateway: Gateway) -> float:
    """How many the metrics say were refused."""
    lines = (await gateway.call("GET", "/metrics")).body.decode().splitlines()
    found = [line for line in lines if line.startswith("tpgateway_requests_total") and '"refused"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)
