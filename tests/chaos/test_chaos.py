"""Machines break while practitioners submit and insurers receive: nothing accepted is lost, told twice, or out of order.

``make chaos`` runs it for five minutes (``CHAOS_SECONDS``) and prints what was killed, how often, and what was lost.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from tests import builders
from tests.chaos.house import VICTIMS, House
from tests.driver import Gateway, Insurer, Practitioner, serving
from tests.insurers.server import register
from tpgateway.client import Client, GatewayAway, GatewayProblem, PrivateKey, Secret, verify_webhook
from tpgateway.insurers.model import EventKind

SECONDS = float(os.environ.get("CHAOS_SECONDS", "4"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or time.time_ns() % 1_000_000
PRACTICES = 2
APPROVALS = [kind for kind in EventKind if kind.startswith("prior_approval.")]
PEOPLE = 10_000 + int(SECONDS * 400)


class Receiver:
    """The insurer's server, which no one kills: what came, in the order of coming, each signature verified."""

    def __init__(self) -> None:
        self.secret = ""
        self.got: list[dict[str, Any]] = []
        self.forged = 0
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = verify_webhook(body, dict(request.headers), secrets=[self.secret])
        except Exception:
            self.forged += 1
            return web.Response(status=401)
        assert request.headers["webhook-id"] == event["id"]
        self.got.append(dict(event))
        return web.Response(status=204)


@pytest.fixture
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    house = House(tmp_path_factory.mktemp("chaos"))
    yield house
    await house.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/events", receiver.receive)
    async with serving(app) as url:
        receiver.url = f"{url}/events"
        yield receiver


async def submit(
    gateway: Gateway, optician: Practitioner, numbers: AsyncIterator[int], accepted: dict[str, str], away: Counter[str]
) -> None:
    """Checks cards and asks for glasses, one person after the other; every fifth approval is cancelled."""
    async with Client(gateway.url, Secret(optician.client_id, optician.client_secret)) as client:
        async for number in numbers:
            with suppress(GatewayAway):
                away["asked"] += 1
                check = await client.check_card(**builders.a_card(membership_number=str(number)), domain="OPTI")  # type: ignore[arg-type]
                assert check["proof"], check
                approval = await client.request_approval(builders.a_request(check["proof"]))
                accepted[approval["id"]] = "approved"
                assert approval["state"] == "approved", approval
                if number % 5 == 0:
                    try:
                        await client.act(approval, "cancellation")
                    except GatewayProblem as problem:
                        assert problem.code == "state_forbids", problem.document
                    accepted[approval["id"]] = "cancelled"
                continue
            away["not answered"] += 1


async def follow(gateway: Gateway, insurer: Insurer, fed: list[dict[str, Any]]) -> None:
    """Reads the feed as an insurer's system does, its cursor kept here."""
    pem = insurer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    async with Client(gateway.url, PrivateKey(insurer.client_id, pem)) as client:
        async for event in client.events(after=0, wait=2):
            fed.append(dict(event))


async def test_whatever_is_killed_each_decision_is_told_once_in_effect_and_in_order(
    house: House, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = await house.open()
    async with driver as gateway:
        await gateway.publish_conventions(builders.convention_files(tmp_path))
        insurer = await gateway.admit()
        await insurer.put_product()
        await insurer.load(*(builders.a_right(str(number)) for number in range(1, PEOPLE)))
        receiver.secret = (await register(insurer, receiver.url, kinds=APPROVALS)).body["secret"]
        optician = await gateway.join(**builders.an_optician())
        await optician.sign()

        accepted: dict[str, str] = {}
        fed: list[dict[str, Any]] = []
        counts: Counter[str] = Counter()
        is_over = asyncio.Event()

        async def numbers() -> AsyncIterator[int]:
            while not is_over.is_set():
                counts["people"] += 1
                yield counts["people"]

        reading = asyncio.create_task(follow(gateway, insurer, fed))
        practices = [
            asyncio.create_task(submit(gateway, optician, numbers(), accepted, counts)) for _ in range(PRACTICES)
        ]
        await house.torment(SECONDS, random.Random(SEED))
        is_over.set()
        async with asyncio.timeout(120):
            await asyncio.gather(*practices)
            while await gateway.fetchval("SELECT count(*) FROM insurer_outbox"):
                # What was answered too late comes again after minutes: not here.
                await gateway.execute("UPDATE insurer_outbox SET due_at = now() WHERE tries > 0 AND due_at > now()")
                await asyncio.sleep(0.2)
            last = await gateway.fetchval("SELECT last FROM insurer_event_counters")
            while len(fed) < last:
                assert not reading.done(), reading.exception()
                await asyncio.sleep(0.1)
        reading.cancel()
        with capsys.disabled():
            report(house, accepted, fed, receiver, counts)

    told = [event for event in fed if event["type"].startswith("prior_approval.")]
    assert [event["sequence"] for event in fed] == list(range(1, last + 1)), "the cursor skipped"
    decided = Counter(e["data"]["prior_approval_id"] for e in told if e["type"] == "prior_approval.decided")
    assert not set(accepted) - set(decided), "an accepted approval was lost"
    assert set(decided.values()) == {1}, "a decision was told twice in the feed"
    cancelled = Counter(e["data"]["prior_approval_id"] for e in told if e["type"] == "prior_approval.cancelled")
    assert set(cancelled) >= {each for each, state in accepted.items() if state == "cancelled"}
    assert set(cancelled.values()) <= {1}
    came = {event["id"] for event in receiver.got}
    assert came == {event["id"] for event in told}, "an event was never posted, or one that is not in the feed"
    assert receiver.forged == 0
    first_come: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for event in receiver.got:
        if event["id"] not in seen:
            seen.add(event["id"])
            first_come[event["data"].get("prior_approval_id", event["id"])].append(event["sequence"])
    assert all(each == sorted(each) for each in first_come.values()), "events of one approval came out of order"
    assert set(house.killed) == set(VICTIMS)
    assert len(accepted) > SECONDS


def report(
    house: House,
    accepted: dict[str, str],
    fed: list[dict[str, Any]],
    receiver: Receiver,
    counts: Counter[str],
) -> None:
    decided = {e["data"]["prior_approval_id"] for e in fed if e["type"] == "prior_approval.decided"}
    killed = ", ".join(f"{name} {house.killed[name]}" for name in VICTIMS)
    twice = len(receiver.got) - len({event["id"] for event in receiver.got})
    lines = (
        f"chaos: {SECONDS:.0f} s, seed {SEED}; killed by SIGKILL: {killed}",
        f"requests accepted {len(accepted):,}; given up by the client {counts['not answered']:,} of {counts['asked']:,}",
        f"events in the feed {len(fed):,}; posted {len(receiver.got):,} times, so {twice:,} more than once",
        f"lost: {len(set(accepted) - decided)}",
    )
    sys.stdout.write("\n" + "\n  ".join(lines) + "\n")
