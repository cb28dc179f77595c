"""Events: in order, without gaps, and delivered."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from tests import builders
from tests.driver import Gateway, Insurer, until
from tpgateway.database import Connection
from tpgateway.insurers import service
from tpgateway.insurers.model import EventKind, InsurerId
from tpgateway.insurers.numbering import NUMBERING
from tpgateway.sandbox.insurer import Receiver


async def publish(pool: "asyncpg.Pool[asyncpg.Record]", insurer: Insurer, *, pause: float = 0, said: int = 1) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await publish_on(connection, insurer, said)
        await asyncio.sleep(pause)


async def publish_on(connection: Connection, insurer: Insurer, said: int) -> None:
    await service.publish(
        connection,
        InsurerId(insurer.id),
        EventKind.RIGHTS_IMPORTED,
        subject_id=uuid4(),
        data={"x": said},
        now=datetime.now(UTC),
    )


async def tell(
    pool: "asyncpg.Pool[asyncpg.Record]",
    insurer: Insurer,
    *,
    said: int = 1,
    pause: float = 0,
    subject: UUID | None = None,
) -> None:
    """Tells what waits for its number, and asks nobody to number it."""
    text, values = service.told(
        [InsurerId(insurer.id)],
        EventKind.APPROVAL_DECIDED,
        subject_id=subject or uuid4(),
        data={"x": said},
        now=datetime.now(UTC),
        waits_for_number=True,
    )
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(text, *values)
        await asyncio.sleep(pause)


async def test_a_reader_never_misses_an_event_of_a_writer_who_commits_late(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """The trap: number 1 is taken first and committed last. A reader who has seen 2 would never come back for 1."""
    insurer = await gateway.admit()
    seen: list[int] = []

    async def read() -> None:
        after = 0
        while len(seen) < 60:
            feed = await insurer.call("GET", f"/v1/insurer/events?after={after}&limit=7&wait=5")
            seen.extend(event["sequence"] for event in feed.body["events"])
            after = feed.body["after"]

    numbering = gateway.app[NUMBERING]

    async def write(number: int) -> None:
        pause = (number * 7 % 5) / 500
        if number % 2:
            await publish(pool, insurer, pause=pause)
        else:
            await tell(pool, insurer, pause=pause)
            numbering.ask(InsurerId(insurer.id))

    await asyncio.wait_for(asyncio.gather(read(), *map(write, range(60))), 30)
    assert seen == list(range(1, 61))


async def test_what_waits_for_its_number_is_there_for_who_reads_in_the_order_of_writing(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer = await gateway.admit()
    await tell(pool, insurer, said=1)
    await tell(pool, insurer, said=2)
    shown = await insurer.call("GET", "/v1/insurer")
    assert shown.headers["X-Pending-Events"] == "2"
    assert await gateway.fetchval("SELECT count(*) FROM insurer_event_drafts") == 2  # to count is to change nothing
    await tell(pool, insurer, said=3)
    await publish(pool, insurer, said=4)  # gets its number as it commits, after those that wait
    await tell(pool, insurer, said=5)
    feed = await insurer.call("GET", "/v1/insurer/events")
    assert [(event["sequence"], event["data"]["x"]) for event in feed.body["events"]] == [(n, n) for n in range(1, 6)]
    assert await gateway.fetchval("SELECT count(*) FROM insurer_event_drafts") == 0


async def test_what_waits_for_its_number_is_counted_if_an_endpoint_takes_it(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer = await gateway.admit()
    place = {"url": "http://127.0.0.1:9/events", "kinds": ["rights_import.finished"]}
    made = (await insurer.call("POST", "/v1/insurer/endpoints", place)).body

    async def waiting() -> str:
        return str((await insurer.call("GET", "/v1/insurer")).headers["X-Pending-Events"])

    await tell(pool, insurer)  # an approval was decided
    assert await waiting() == "0"
    await insurer.call("PATCH", f"/v1/insurer/endpoints/{made['id']}", {"kinds": []})
    assert await waiting() == "1"


async def test_who_waits_hears_of_what_is_numbered_after_its_commit(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer = await gateway.admit()
    waiting = asyncio.create_task(insurer.call("GET", "/v1/insurer/events?wait=20"))
    await asyncio.sleep(0.2)
    await tell(pool, insurer)
    assert not waiting.done()
    gateway.app[NUMBERING].ask(InsurerId(insurer.id))
    feed = await asyncio.wait_for(waiting, 5)
    assert [event["sequence"] for event in feed.body["events"]] == [1]


async def test_the_worker_numbers_and_posts_what_nobody_else_came_to(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]", worker: None
) -> None:
    """Whoever told it may have been killed a moment later."""
    insurer = await gateway.admit()
    receiver = Receiver("Mutuelle")
    await receiver.open()
    await tell(pool, insurer, said=1)  # before there is an endpoint
    made = (await insurer.call("POST", "/v1/insurer/endpoints", {"url": receiver.url})).body
    receiver.secret = made["secret"]
    subject = uuid4()
    for said in (2, 3):
        await tell(pool, insurer, said=said, subject=subject)

    async def has_come() -> bool:
        return len(receiver.events) == 2

    await until(has_come)
    assert [(event["sequence"], event["data"]["x"]) for event in receiver.events] == [(2, 2), (3, 3)]
    path = f"/v1/insurer/endpoints/{made['id']}"
    await insurer.call("PATCH", path, {"enabled": False})
    await tell(pool, insurer, said=4)
    await insurer.call("PATCH", path, {"enabled": True})
    await tell(pool, insurer, said=5)

    async def has_come_again() -> bool:
        return len(receiver.events) == 3

    await until(has_come_again)
    assert receiver.events[-1]["data"]["x"] == 5
    await receiver.close()


async def test_who_has_told_an_insurer_something_holds_nobody_up_until_it_commits(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """And what was undone within its transaction was never told."""
    insurer = await gateway.admit()
    async with pool.acquire() as slow, slow.transaction():
        await publish_on(slow, insurer, 1)
        undone = slow.transaction()
        await undone.start()
        await publish_on(slow, insurer, 2)
        await undone.rollback()
        await asyncio.wait_for(publish(pool, insurer, said=3), 5)
    feed = await insurer.call("GET", "/v1/insurer/events")
    assert [(event["sequence"], event["data"]["x"]) for event in feed.body["events"]] == [(1, 3), (2, 1)]
    assert await gateway.fetchval("SELECT count(*) FROM insurer_event_drafts") == 0


async def test_an_event_exists_only_if_its_cause_was_committed(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer = await gateway.admit()
    connection = await pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await service.publish(
        connection,
        InsurerId(insurer.id),
        EventKind.RIGHTS_IMPORTED,
        subject_id=uuid4(),
        data={},
        now=datetime.now(UTC),
    )
    await transaction.rollback()
    await pool.release(connection)
    await publish(pool, insurer)
    feed = await insurer.call("GET", "/v1/insurer/events")
    assert [event["sequence"] for event in feed.body["events"]] == [1]


async def test_one_who_waits_is_answered_when_an_event_comes(
    gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    waiting = asyncio.create_task(insurer.call("GET", "/v1/insurer/events?wait=20"))
    await asyncio.sleep(0.2)
    await publish(pool, other)
    assert not waiting.done()
    await publish(pool, insurer)
    feed = await asyncio.wait_for(waiting, 5)
    assert len(feed.body["events"]) == 1


async def test_an_insurer_sees_its_own_events_alone(gateway: Gateway, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    await publish(pool, insurer)
    assert len((await insurer.call("GET", "/v1/insurer/events")).body["events"]) == 1
    assert (await other.call("GET", "/v1/insurer/events")).body["events"] == []


async def test_a_webhook_says_what_the_feed_says_and_its_attempts_are_kept(gateway: Gateway, worker: None) -> None:
    insurer = await gateway.admit()
    receiver = Receiver("Mutuelle")
    await receiver.open()
    endpoint = (await insurer.call("POST", "/v1/insurer/endpoints", {"url": receiver.url})).body
    await insurer.load(builders.a_right())

    # Nothing is taken before the receiver knows the secret: the first attempt is answered 401, the second 204.
    async def was_refused() -> bool:
        return receiver.refused > 0

    await until(was_refused)
    receiver.secret = endpoint["secret"]

    async def is_kept() -> bool:
        return bool(await gateway.fetchval("SELECT count(*) FROM insurer_deliveries"))

    await until(is_kept)
    await gateway.execute("UPDATE insurer_outbox SET due_at = now()")
    event = await receiver.wait_for("rights_import.finished", "update")
    feed = (await insurer.call("GET", "/v1/insurer/events")).body["events"]
    assert receiver.events == feed == [event]
    attempts = "SELECT array_agg(status ORDER BY attempt) FROM insurer_deliveries"

    async def are_both_kept() -> bool:
        return bool(await gateway.fetchval("SELECT count(*) = 2 FROM insurer_deliveries"))

    await until(are_both_kept)
    assert await gateway.fetchval(attempts) == [401, 204]
    await receiver.close()


async def test_a_removed_endpoint_gets_nothing_more(gateway: Gateway, worker: None) -> None:
    insurer = await gateway.admit()
    receiver = Receiver("Mutuelle")
    await receiver.open()
    endpoint = (await insurer.call("POST", "/v1/insurer/endpoints", {"url": receiver.url})).body
    receiver.secret = endpoint["secret"]
    path = f"/v1/insurer/endpoints/{endpoint['id']}"
    assert (await insurer.call("DELETE", path)).status == 204
    assert (await insurer.call("DELETE", path)).code == "not_found"
    await insurer.load(builders.a_right())
    assert (await insurer.call("GET", "/v1/insurer/endpoints")).body == {"endpoints": []}
    assert await gateway.fetchval("SELECT count(*) FROM queue.pgqueuer WHERE entrypoint = 'deliver_event'") == 0
    assert receiver.events == []
    await receiver.close()
