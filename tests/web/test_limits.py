"""The limiter: what is let through, and what it tells."""

import asyncio
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.driver import Gateway
from tpgateway.settings import Settings
from tpgateway.web.limits import WINDOW_SECONDS, Limiter, Turns
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
    gateway.app[STATE].limiter = Limiter(20)
    replies = [await gateway.call("GET", "/v1/me", headers={"Cookie": "session=x"}) for _ in range(6)]
    assert [reply.status for reply in replies] == [401, 401, 401, 401, 429, 429]
    assert replies[0].headers["RateLimit"].startswith('"default";r=15;')


async def test_who_goes_over_the_limit_is_told_when_to_come_back(gateway: Gateway, settings: Settings) -> None:
    gateway.app[STATE].limiter = Limiter(100)  # the service's own, with a quota that a test can use up
    replies = [await gateway.call("POST", "/v1/sessions", builders.a_login()) for _ in range(3)]
    assert [reply.status for reply in replies] == [401, 401, 429]
    assert replies[2].code == "rate_limited"
    assert 1 <= int(replies[2].headers["Retry-After"]) <= WINDOW_SECONDS
