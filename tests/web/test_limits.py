"""The limiter: what is let through, and what it tells."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.driver import Gateway
from tpgateway.app import create_app
from tpgateway.database.pool import open_pool
from tpgateway.settings import Settings
from tpgateway.web.limits import WINDOW_SECONDS, Limiter, Turns, forget_old, spend
from tpgateway.web.server import Runner
from tpgateway.web.state import STATE


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50), st.lists(st.integers(1, 10), max_size=100))
def test_never_more_than_the_quota_passes_in_a_window(quota: int, costs: list[int]) -> None:
    limiter = Limiter(quota, Clock())
    passed = sum(cost for cost in costs if not limiter.take("somebody", cost).is_exceeded)
    assert passed <= quota


def test_a_new_window_gives_everything_back() -> None:
    clock = Clock()
    limiter = Limiter(2, clock)
    assert [limiter.take("x").is_exceeded for _ in range(3)] == [False, False, True]
    assert not limiter.take("somebody else").is_exceeded
    clock.now = WINDOW_SECONDS
    assert limiter.take("x").remaining == 1


async def test_of_one_owner_one_works_at_a_time_and_takes_no_place_from_others() -> None:
    turns, one, other = Turns(2), uuid4(), uuid4()
    first = turns.turn(one)
    await first.__aenter__()
    waiting = asyncio.create_task(turns.turn(one).__aenter__())
    await asyncio.sleep(0)
    async with asyncio.timeout(1), turns.turn(other):
        assert not waiting.done()
    await first.__aexit__(None, None, None)
    await asyncio.wait_for(waiting, 1)


async def test_a_stranger_who_knocks_without_end_is_not_even_looked_up(gateway: Gateway) -> None:
    gateway.app[STATE].limiter = Limiter(20, lambda: 30.0)  # no minute ends meanwhile
    replies = [await gateway.call("GET", "/v1/me", headers={"Cookie": "session=x"}) for _ in range(6)]
    assert [reply.status for reply in replies] == [401, 401, 401, 401, 429, 429]
    assert replies[0].headers["RateLimit"].startswith('"default";r=15;')


async def test_who_goes_over_the_limit_is_told_when_to_come_back(gateway: Gateway, settings: Settings) -> None:
    gateway.app[STATE].limiter = Limiter(100)  # the service's own, with a quota that a test can use up
    replies = [await gateway.call("POST", "/v1/sessions", builders.a_login()) for _ in range(3)]
    assert [reply.status for reply in replies] == [401, 401, 429]
    assert replies[2].code == "rate_limited"
    assert 1 <= int(replies[2].headers["Retry-After"]) <= WINDOW_SECONDS


async def test_processes_share_what_is_costly_at_once_and_the_rest_within_a_second(database: str) -> None:
    pool = await open_pool(database, size=2, name="test")
    clock = Clock()
    one, other = Limiter(10, clock), Limiter(10, clock)
    async with pool.acquire() as connection:
        assert not (await one.take_shared(connection, "address 1", 6)).is_exceeded
        assert (await other.take_shared(connection, "address 1", 6)).is_exceeded
        assert not (await other.take_shared(connection, "address 2", 6)).is_exceeded
        for _ in range(4):
            assert not one.take("account 1").is_exceeded
            assert not other.take("account 1").is_exceeded
        for limiter in (one, other):
            await limiter.share(connection)
        assert other.look("account 1").remaining == 2
        # Who has nothing to tell is told nothing; with its next request it is.
        assert not one.take("account 1").is_exceeded
        await one.share(connection)
        assert one.look("account 1").remaining == 1
        assert not one.take("account 1").is_exceeded
        await connection.execute("ALTER TABLE rate_windows RENAME TO elsewhere")
        with pytest.raises(asyncpg.UndefinedTableError):
            await one.share(connection)
        await connection.execute("ALTER TABLE elsewhere RENAME TO rate_windows")
        await one.share(connection)
        await other.take_shared(connection, "account 1", 0)
        assert other.look("account 1").remaining == 0  # what could not be told was told later
        clock.now = WINDOW_SECONDS
        assert one.take("account 1").remaining == 9
    await pool.close()


async def test_two_processes_of_one_service_count_one_stranger_together(database: str, settings: Settings) -> None:
    tight = Settings.model_validate({**settings.model_dump(), "requests_per_minute": 200})
    apps = [await create_app(tight, database) for _ in range(2)]
    runners = []
    codes = []
    async with aiohttp.ClientSession() as http:
        for app in apps:
            runner = Runner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            runners.append(runner)
        for number in range(6):
            port = runners[number % 2].addresses[0][1]
            login = builders.a_login(value=builders.a_finess())
            async with http.post(f"http://127.0.0.1:{port}/v1/sessions", json=login) as answer:
                codes.append((await answer.json())["code"])
    for runner in runners:
        await runner.cleanup()
    # At most four of fifty each in one minute; the clock may turn once meanwhile.
    assert codes.count("rate_limited") >= 1 or codes.count("login_refused") == 6
    assert codes[:4] == ["login_refused"] * 4


async def test_what_is_spent_in_a_window_comes_back_in_the_next(database: str) -> None:
    pool = await open_pool(database, size=2, name="test")
    now = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    hour = timedelta(hours=1)
    async with pool.acquire() as connection:
        spent = [await spend(connection, "mail x", quota=2, window=hour, now=now) for _ in range(3)]
        assert spent == [True, True, False]
        assert await spend(connection, "mail x", quota=2, window=hour, now=now + hour)
        assert await forget_old(connection, now=now + 2 * timedelta(days=1)) == 2
    await pool.close()
