"""What a stranger can find out: nothing, neither by what is said nor by how long it takes."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway
from tpgateway.settings import Settings
from tpgateway.worker import run as run_worker

pytestmark = pytest.mark.slow_passwords

SAMPLES = 40
# Kolmogorov and Smirnov's limit for two samples of this size: equal distributions go past it once in a thousand times.
LIMIT = 1.95 * (2 / SAMPLES) ** 0.5
ROUNDS = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "requests_per_minute": 1_000_000})


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference of the two cumulative distributions, 0 to 1."""
    return max(
        abs(sum(each <= at for each in one) / len(one) - sum(each <= at for each in other) / len(other))
        for at in [*one, *other]
    )


Asks = Callable[[dict[str, Any], bool], tuple[str, str, dict[str, Any]]]


def login(form: dict[str, Any], is_known: bool) -> tuple[str, str, dict[str, Any]]:
    value = form["value"] if is_known else builders.a_finess()
    return "POST", "/v1/sessions", {"scheme": "finess", "value": value, "password": "Officine-2026-no"}


def registration(form: dict[str, Any], is_known: bool) -> tuple[str, str, dict[str, Any]]:
    changes = {"value": form["value"], "email": form["email"]} if is_known else {}
    return "POST", "/v1/practitioners", builders.a_registration(**changes)


def reset(form: dict[str, Any], is_known: bool) -> tuple[str, str, dict[str, Any]]:
    value = form["value"] if is_known else builders.a_finess()
    return "POST", "/v1/password-resets", {"scheme": "finess", "value": value}


def reminder(form: dict[str, Any], is_known: bool) -> tuple[str, str, dict[str, Any]]:
    email = form["email"] if is_known else builders.a_registration()["email"]
    return "POST", "/v1/identifier-reminders", {"email": email}


def activation_link(form: dict[str, Any], is_known: bool) -> tuple[str, str, dict[str, Any]]:
    asked = form if is_known else builders.a_registration()
    return "POST", "/v1/practitioners/activation-links", {name: asked[name] for name in ("scheme", "value", "email")}


def test_the_measure_tells_distributions_apart() -> None:
    order = random.Random(7)
    one = [order.gauss(50, 5) for _ in range(SAMPLES)]
    assert distance(one, [order.gauss(50, 5) for _ in range(SAMPLES)]) < LIMIT
    assert distance(one, [order.gauss(60, 5) for _ in range(SAMPLES)]) > LIMIT


@pytest.mark.parametrize("asks", [login, registration, reset, reminder, activation_link])
async def test_known_and_unknown_are_answered_alike_and_as_fast(
    gateway: Gateway, settings: Settings, database: str, asks: Asks
) -> None:
    # The worker, a process of its own elsewhere, shares the test's loop: what it does after must not be measured here.
    stop = asyncio.Event()
    working = asyncio.create_task(run_worker(settings, database, stop))
    form = (await gateway.join()).form
    stop.set()
    await asyncio.wait_for(working, 15)
    order = random.Random(11)
    said: dict[bool, set[str]] = {True: set(), False: set()}
    distances = []
    for _ in range(ROUNDS):
        times: dict[bool, list[float]] = {True: [], False: []}
        kinds = [True, False] * SAMPLES
        order.shuffle(kinds)
        for is_known in kinds:
            method, path, body = asks(form, is_known)
            await gateway.execute("DELETE FROM login_guards")
            started = time.perf_counter()
            reply = await gateway.call(method, path, body)
            times[is_known].append(time.perf_counter() - started)
            reply.body.pop("request_id", None)
            said[is_known].add(f"{reply.status} {reply.body} {sorted(set(reply.headers) - {'Date'})}")
        distances.append(distance(times[True], times[False]))
        if distances[-1] < LIMIT:
            break
    assert said[True] == said[False]
    assert len(said[True]) == 1
    # What really differs differs in every round.
    assert min(distances) < LIMIT, distances
