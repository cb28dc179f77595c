"""More comes than can be answered: a share is refused at once, and no more than that."""

from tests import builders
from tests.driver import Gateway, Practitioner
from tpgateway.web.pressure import Pressure
from tpgateway.web.state import STATE


def test_lateness_that_does_not_last_refuses_nobody() -> None:
    pressure = Pressure()
    pressure.in_hand = 100
    for turn in range(20):
        pressure.note(late=0.3 if turn == 10 else 0.001, now=turn * 0.02)
    assert pressure.refused_share == 0
    assert not any(pressure.refuses() for _ in range(1000))


def test_lateness_that_lasts_refuses_more_and_more_and_less_once_it_is_over() -> None:
    pressure = Pressure()
    pressure.in_hand = 100
    shares = []
    for turn in range(60):
        pressure.note(late=0.2, now=turn * 0.22)
        shares.append(pressure.refused_share)
    assert shares[1] == 0
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] < 1  # somebody is always let through, to see how it goes
    assert 700 < sum(pressure.refuses() for _ in range(1000)) < 1000
    for turn in range(600):
        pressure.note(late=0.0, now=20 + turn * 0.02)
    assert pressure.refused_share == 0


def test_few_are_refused_nothing_however_late_the_machine_makes_them() -> None:
    pressure = Pressure()
    pressure.in_hand = 3
    for turn in range(60):
        pressure.note(late=0.5, now=turn * 0.52)
    assert pressure.refused_share == 0


async def test_who_is_refused_is_told_when_to_come_again_and_health_is_always_told(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    gateway.app[STATE].pressure.refused_share = 1.0
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
    gateway.app[STATE].pressure.refused_share = 0.0
    assert (await gateway.call("GET", "/connexion", headers={"Accept": "text/html"})).status == 200
