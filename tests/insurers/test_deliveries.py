"""What is posted to insurers: signed, in order within one approval, tried again, and never at another insurer's expense."""

import asyncio
import base64
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from standardwebhooks import Webhook, WebhookVerificationError

from tests import builders
from tests.conftest import TABLE_KEYS
from tests.driver import Gateway, Insurer, run_command, until
from tests.insurers.server import Server, register
from tpgateway.insurers import rules, service
from tpgateway.insurers.model import Delivery, EndpointId, EventKind, InsurerId, Posted
from tpgateway.insurers.store.endpoints import EndpointStore
from tpgateway.settings import Settings
from tpgateway.worker import run as run_worker

Publish = Callable[..., Awaitable[None]]
DUE_NOW = "UPDATE insurer_outbox SET due_at = now(); SELECT pg_notify('insurer_events', '')"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A patience that a test can wait for."""
    return settings.model_copy(update={"webhook_timeout_seconds": 1})


@pytest.fixture
def publish(pool: "asyncpg.Pool[asyncpg.Record]") -> Publish:
    async def publish(
        insurer: Insurer, subject: UUID | None = None, kind: EventKind = EventKind.RIGHTS_IMPORTED
    ) -> None:
        async with pool.acquire() as connection, connection.transaction():
            await service.publish(
                connection,
                InsurerId(insurer.id),
                kind,
                subject_id=subject or uuid4(),
                data={"x": 1},
                now=datetime.now(UTC),
            )

    return publish


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    async with Server().opened() as server:
        yield server


async def attempts(insurer: Insurer, endpoint: str, more: str = "") -> list[dict[str, object]]:
    reply = await insurer.call("GET", f"/v1/insurer/endpoints/{endpoint}/deliveries{more}")
    assert reply.status == 200, reply.body
    found: list[dict[str, object]] = reply.body["attempts"]
    return found


async def test_events_of_one_approval_go_out_in_order_and_others_do_not_wait_for_them(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    endpoint = (await register(insurer, theirs.url)).body["id"]
    tries = itertools.count()
    theirs.answer = lambda event: 500 if event["sequence"] == 1 and next(tries) == 0 else 204
    subject = uuid4()
    await publish(insurer, subject)
    await publish(insurer, subject)
    await publish(insurer, subject)
    await publish(insurer)
    await theirs.wait_for(2)
    await asyncio.sleep(1.5)  # the worker has looked again meanwhile
    assert sorted(theirs.sequences) == [1, 4]
    await gateway.execute(DUE_NOW)
    await theirs.wait_for(5)
    assert [number for number in theirs.sequences if number != 4] == [1, 1, 2, 3]
    assert len({headers["webhook-id"] for event, headers in theirs.got if event["sequence"] == 1}) == 1

    async def are_logged() -> bool:
        return len(await attempts(insurer, endpoint)) == 5

    await until(are_logged)
    first = next(headers["webhook-id"] for event, headers in theirs.got if event["sequence"] == 1)
    log = await attempts(insurer, endpoint, f"?event={first}")
    assert [(each["attempt"], each["status"]) for each in log] == [(2, 204), (1, 500)]


async def test_a_dead_endpoint_holds_up_nobody_else(
    gateway: Gateway, worker: None, theirs: Server, other: Server, publish: Publish
) -> None:
    dead, living = await gateway.admit(), await gateway.admit("0099990029")
    theirs.delay = 30
    await register(dead, theirs.url)
    await register(living, other.url)
    for _ in range(40):
        await publish(dead)
    started = asyncio.get_running_loop().time()
    for _ in range(20):
        await publish(living)
    await other.wait_for(20)
    assert asyncio.get_running_loop().time() - started < 5
    assert sorted(other.sequences) == list(range(1, 21))


async def test_an_endpoint_that_fails_is_tried_with_one_event_at_a_time(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    theirs.answer = lambda _: 503
    await register(insurer, theirs.url)
    for _ in range(100):
        await publish(insurer)
    await asyncio.sleep(3)
    # Three rounds of as many as it may have, then one after 1 s, 2 s and 4 s.
    assert 3 <= len(theirs.got) <= 3 * rules.AT_ONCE + 3
    taken: set[int] = set()

    def take(event: dict[str, Any]) -> int:
        taken.add(event["sequence"])
        return 204

    theirs.answer = take
    await gateway.execute(DUE_NOW)

    async def are_all_taken() -> bool:
        return len(taken) == 100

    await until(are_all_taken, 30)


@pytest.mark.parametrize("form", ["json", "xml"])
async def test_both_signatures_verify_and_both_secrets_sign_while_they_are_exchanged(
    gateway: Gateway, worker: None, theirs: Server, form: str
) -> None:
    insurer = await gateway.admit()
    made = (await register(insurer, theirs.url, format=form)).body
    path = f"/v1/insurer/endpoints/{made['id']}/secret"
    await insurer.load(builders.a_right())
    await theirs.wait_for(1)
    fresh = (await insurer.call("POST", path, {})).body
    assert fresh["secret"] != made["secret"]
    assert fresh["public_key"] != made["public_key"]
    assert (await insurer.call("POST", path, {})).code == "endpoint_rotates"
    await insurer.load(builders.a_right())
    await theirs.wait_for(2)
    last = (await insurer.call("POST", path, {"overlap_hours": 0})).body
    await insurer.load(builders.a_right())
    await theirs.wait_for(3)
    for (_, headers), body, good in zip(theirs.got, theirs.raw, [[made], [made, fresh], [last]], strict=True):
        assert headers["content-type"] == f"application/{form}"
        for each in (made, fresh, last):
            if each in good:
                Webhook(each["secret"]).verify(body, headers, json_parse=False)
            else:
                with pytest.raises(WebhookVerificationError):
                    Webhook(each["secret"]).verify(body, headers, json_parse=False)
        message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signatures = [part[4:] for part in headers["webhook-signature"].split() if part.startswith("v1a,")]
        keys = [Ed25519PublicKey.from_public_bytes(base64.b64decode(each["public_key"][5:])) for each in good]
        for key, signature in zip(reversed(keys), signatures, strict=True):
            key.verify(base64.b64decode(signature), message)


async def test_an_endpoint_gets_the_kinds_that_it_wants(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    endpoint = (await register(insurer, theirs.url, kinds=["dre_tables.published"])).body
    path = f"/v1/insurer/endpoints/{endpoint['id']}"
    await publish(insurer)
    await publish(insurer, kind=EventKind.TABLES_PUBLISHED)
    await theirs.wait_for(1)
    changed = await insurer.call("PATCH", path, {"kinds": []})
    assert (changed.status, changed.body["kinds"]) == (200, [])
    await publish(insurer)
    await theirs.wait_for(2)
    assert theirs.sequences == [2, 3]
    wrong = await insurer.call("POST", "/v1/insurer/endpoints", {"url": theirs.url, "kinds": ["nothing.happened"]})
    assert wrong.faults == {"/kinds/0": "field_invalid"}


async def test_a_paused_endpoint_gets_nothing_until_it_is_started_and_asks_for_what_it_missed(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    path = f"/v1/insurer/endpoints/{(await register(insurer, theirs.url)).body['id']}"
    paused = (await insurer.call("PATCH", path, {"enabled": False})).body
    assert (paused["disabled_for"], paused["disabled_at"] is None) == ("asked", False)
    await publish(insurer)
    await publish(insurer)
    event = (await insurer.call("GET", "/v1/insurer/events")).body["events"][1]
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(hours=1)).isoformat(), "to": (now + timedelta(hours=1)).isoformat()}
    assert (await insurer.call("POST", f"{path}/redelivery", period)).code == "endpoint_off"
    assert (await insurer.call("POST", f"/v1/insurer/events/{event['id']}/redelivery", {})).code == "endpoint_off"
    assert (await insurer.call("PATCH", path, {"enabled": True})).body["disabled_at"] is None
    one = await insurer.call("POST", f"/v1/insurer/events/{event['id']}/redelivery", {})
    assert (one.status, one.body["events"]) == (202, 1)
    await theirs.wait_for(1)
    assert theirs.sequences == [2]
    every = await insurer.call("POST", f"{path}/redelivery", period)
    assert (every.status, every.body["events"]) == (202, 2)
    await theirs.wait_for(3)
    assert theirs.sequences[1:] in ([1, 2], [2, 1])  # two subjects, so in any order
    reversed_period = {"from": period["to"], "to": period["from"]}
    assert (await insurer.call("POST", f"{path}/redelivery", reversed_period)).status == 422
    strange = uuid4()
    assert (await insurer.call("POST", f"/v1/insurer/events/{strange}/redelivery", {})).code == "not_found"


async def test_what_is_asked_for_again_while_it_is_under_way_comes_after_it_and_before_what_follows(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url)
    theirs.delay = 0.5
    subject = uuid4()
    await publish(insurer, subject)
    await publish(insurer, subject)
    event = (await insurer.call("GET", "/v1/insurer/events")).body["events"][0]

    async def is_under_way() -> bool:
        return bool(await gateway.fetchval("SELECT count(*) FROM insurer_outbox WHERE leased_until IS NOT NULL"))

    await until(is_under_way)
    assert (await insurer.call("POST", f"/v1/insurer/events/{event['id']}/redelivery", {})).status == 202
    await theirs.wait_for(3)
    assert theirs.sequences == [1, 1, 2]


async def test_an_older_event_asked_for_again_waits_for_the_one_under_way(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url)
    subject = uuid4()
    await publish(insurer, subject)
    await theirs.wait_for(1)
    theirs.delay = 0.5
    await publish(insurer, subject)

    async def is_second_under_way() -> bool:
        leased = "SELECT count(*) FROM insurer_outbox WHERE sequence = 2 AND leased_until IS NOT NULL"
        return bool(await gateway.fetchval(leased))

    await until(is_second_under_way)
    event = (await insurer.call("GET", "/v1/insurer/events")).body["events"][0]
    assert (await insurer.call("POST", f"/v1/insurer/events/{event['id']}/redelivery", {})).status == 202
    assert theirs.sequences == [1]
    await theirs.wait_for(3)
    assert theirs.sequences == [1, 2, 1]
    begun = [float(headers["webhook-timestamp"]) for _, headers in theirs.got]
    assert begun == sorted(begun)
    log = await attempts(insurer, (await insurer.call("GET", "/v1/insurer/endpoints")).body["endpoints"][0]["id"])
    first, second = log[0], log[1]
    assert (first["sequence"], second["sequence"]) == (1, 2)
    gap = datetime.fromisoformat(str(first["attempted_at"])) - datetime.fromisoformat(str(second["attempted_at"]))
    assert gap >= timedelta(milliseconds=450)


async def test_a_worker_whose_lease_has_gone_to_another_changes_nothing(
    gateway: Gateway, theirs: Server, publish: Publish, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    insurer = await gateway.admit()
    endpoint = EndpointId(UUID((await register(insurer, theirs.url)).body["id"]))
    await publish(insurer)
    owner = InsurerId(insurer.id)
    async with pool.acquire() as connection:
        store = EndpointStore(connection)
        (first,) = await store.claim(owner, endpoint, seconds=0, limit=5)
        (second,) = await store.claim(owner, endpoint, seconds=60, limit=5)
        assert await store.claim(owner, endpoint, seconds=60, limit=5) == []
        taken = Delivery(status=204, failure=None, milliseconds=1)
        for row, left in ((first, 1), (second, 0)):
            posted = Posted(
                event_id=row["id"],
                sequence=row["sequence"],
                attempted_at=datetime.now(UTC),
                delivery=taken,
                leased_until=row["leased_until"],
                was_due_at=row["due_at"],
                delay=None,
            )
            await store.record(owner, endpoint, [posted])
            assert await gateway.fetchval("SELECT count(*) FROM insurer_outbox") == left
    assert await gateway.fetchval("SELECT array_agg(attempt ORDER BY attempt) FROM insurer_deliveries") == [1, 2]


async def test_nobody_looks_in_vain_at_what_waits_behind_an_event_that_is_tried_later(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url)
    theirs.answer = lambda _: 400
    subject = uuid4()
    for _ in range(3):
        await publish(insurer, subject)

    async def all_wait() -> bool:
        return bool(await gateway.fetchval("SELECT min(due_at) > now() + interval '1 second' FROM insurer_outbox"))

    await until(all_wait)
    assert theirs.sequences == [1]
    assert await gateway.fetchval("SELECT count(*) FROM insurer_outbox") == 3


async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_the_contacts_are_told(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    contacts = {"contacts": [{"name": "Astreinte", "email": "nuit@mutuelle.example"}]}
    assert (await insurer.call("PATCH", "/v1/insurer", contacts)).body["contacts"] == contacts["contacts"]
    await register(insurer, theirs.url)
    theirs.answer = lambda _: 410
    await publish(insurer)
    letter = await gateway.letter_to("nuit@mutuelle.example")
    assert theirs.url in letter.text
    assert "410" in letter.text
    (endpoint,) = (await insurer.call("GET", "/v1/insurer/endpoints")).body["endpoints"]
    assert endpoint["disabled_for"] == "gone"
    await publish(insurer)
    await asyncio.sleep(1.2)
    assert len(theirs.got) == 1


async def test_an_endpoint_that_took_nothing_for_a_week_is_disabled_and_one_success_clears_it(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    await insurer.call("PATCH", "/v1/insurer", {"contacts": [{"name": "Jour", "email": "jour@mutuelle.example"}]})
    await register(insurer, theirs.url)

    async def endpoint() -> dict[str, str]:
        (found,) = (await insurer.call("GET", "/v1/insurer/endpoints")).body["endpoints"]
        return dict(found)

    async def is_failing() -> bool:
        return (await endpoint())["failing_since"] is not None

    async def is_well() -> bool:
        return (await endpoint())["failing_since"] is None

    theirs.answer = lambda _: 500
    await publish(insurer)
    await until(is_failing)
    theirs.answer = lambda _: 200
    await gateway.execute(DUE_NOW)
    await until(is_well)
    theirs.answer = lambda _: 500
    await gateway.execute(
        """
        UPDATE insurer_endpoints SET failing_since = now() - interval '7 days 1 minute';
        UPDATE insurer_deliveries SET attempted_at = attempted_at - interval '8 days'
        """
    )
    await publish(insurer)
    letter = await gateway.letter_to("jour@mutuelle.example")
    assert "semaine" in letter.text
    assert (await endpoint())["disabled_for"] == "failing"
    assert await gateway.fetchval("SELECT count(*) FROM insurer_outbox") == 0


async def test_after_ten_tries_an_event_is_given_up_and_the_next_goes_out(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    endpoint = (await register(insurer, theirs.url)).body["id"]
    theirs.answer = lambda event: 400 if event["sequence"] == 1 else 204
    subject = uuid4()
    await publish(insurer, subject)
    await publish(insurer, subject)
    await theirs.wait_for(1)

    def of_the_subject() -> list[int]:
        return [number for number in theirs.sequences if number <= 2]

    async def has_come(count: int) -> bool:
        return len(of_the_subject()) >= count

    for count in range(2, 11):

        async def is_logged(count: int = count) -> bool:
            return sum(each["sequence"] == 1 for each in await attempts(insurer, endpoint)) >= count - 1

        await until(is_logged)
        assert of_the_subject() == [1] * (count - 1)
        await publish(insurer)  # another is taken, so that the endpoint is no failing one
        await gateway.execute(DUE_NOW)
        await until(lambda count=count: has_come(count))
    await until(lambda: has_come(11))
    assert of_the_subject() == [1] * 10 + [2]
    assert await gateway.fetchval("SELECT count(*) FROM insurer_outbox WHERE sequence = 1") == 0


async def serve_raw(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> tuple[asyncio.Server, str]:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"


sent: list[int] = []


async def endless(writer: asyncio.StreamWriter) -> None:
    """Five gigabytes, or as much as the other side takes."""
    writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 5000000000\r\n\r\n")
    sent.clear()
    while sum(sent) < 5_000_000_000:
        writer.write(b"x" * 65_536)
        await writer.drain()
        sent.append(65_536)


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(300):
        writer.write(f"X-{number}: y\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.1)


async def close(writer: asyncio.StreamWriter) -> None: ...


async def speak_no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.mutuelle.example ESMTP\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("behaviour", "status", "failure"),
    [
        (endless, 500, None),
        (hang, None, "timeout"),
        (trickle, None, "timeout"),
        (close, None, "ServerDisconnectedError"),
        (speak_no_http, None, "ClientResponseError"),
    ],
)
async def test_whatever_an_endpoint_does_is_a_failed_try_and_no_more(
    gateway: Gateway,
    worker: None,
    publish: Publish,
    behaviour: Callable[[asyncio.StreamWriter], Awaitable[None]],
    status: int | None,
    failure: str | None,
) -> None:
    insurer = await gateway.admit()
    raw, url = await serve_raw(behaviour)
    endpoint = (await register(insurer, url)).body["id"]
    await publish(insurer)

    async def is_logged() -> bool:
        return bool(await attempts(insurer, endpoint))

    await until(is_logged)
    (attempt,) = await attempts(insurer, endpoint)
    assert (attempt["status"], attempt["failure"]) == (status, failure)
    if behaviour is endless:
        assert sum(sent) < 20_000_000
    raw.close()


async def stop_within(writer: asyncio.StreamWriter) -> None:
    """The status, and then a body that does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    await asyncio.sleep(30)


async def end_within(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()


@pytest.mark.parametrize("behaviour", [stop_within, end_within])
async def test_a_status_is_a_receipt_whatever_becomes_of_the_body(
    gateway: Gateway, worker: None, publish: Publish, behaviour: Callable[[asyncio.StreamWriter], Awaitable[None]]
) -> None:
    insurer = await gateway.admit()
    raw, url = await serve_raw(behaviour)
    endpoint = (await register(insurer, url)).body["id"]
    await publish(insurer)

    async def is_logged() -> bool:
        return bool(await attempts(insurer, endpoint))

    await until(is_logged)
    assert [(each["status"], each["failure"]) for each in await attempts(insurer, endpoint)] == [(200, None)]
    assert await gateway.fetchval("SELECT count(*) FROM insurer_outbox") == 0
    raw.close()


async def test_what_an_endpoint_does_not_want_is_not_posted_there_again_either(
    gateway: Gateway, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    endpoint = (await register(insurer, theirs.url)).body["id"]
    await publish(insurer)
    await publish(insurer, kind=EventKind.TABLES_PUBLISHED)
    wanted = {"kinds": ["dre_tables.published", "dre_tables.published"]}
    changed = await insurer.call("PATCH", f"/v1/insurer/endpoints/{endpoint}", wanted)
    assert changed.body["kinds"] == ["dre_tables.published"]
    assert await gateway.fetchval("SELECT array_agg(sequence) FROM insurer_outbox") == [2]
    event = (await insurer.call("GET", "/v1/insurer/events")).body["events"][0]["id"]
    path = f"/v1/insurer/events/{event}/redelivery"
    assert (await insurer.call("POST", path, {})).code == "endpoint_off"
    assert (await insurer.call("POST", path, {"endpoint_id": str(uuid4())})).code == "not_found"


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "soon", "2026-11-22"])
async def test_a_moment_that_cannot_be_is_refused(gateway: Gateway, moment: str) -> None:
    insurer = await gateway.admit()
    path = f"/v1/insurer/endpoints/{(await register(insurer, 'http://127.0.0.1:9/events')).body['id']}"
    assert (await insurer.call("GET", f"{path}/deliveries?before={moment}")).status == 422
    period = {"from": moment.replace("%2B", "+"), "to": "2026-11-22T00:00:00Z"}
    assert (await insurer.call("POST", f"{path}/redelivery", period)).status == 422


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """What a server without a certificate of anybody's has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, private)
    return context


async def test_a_certificate_of_nobodys_is_not_believed(
    gateway: Gateway, worker: None, publish: Publish, self_signed: ssl.SSLContext
) -> None:
    insurer = await gateway.admit()
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=self_signed)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    endpoint = (await register(insurer, url)).body["id"]
    await publish(insurer)

    async def is_logged() -> bool:
        return bool(await attempts(insurer, endpoint))

    await until(is_logged)
    failures = [each["failure"] for each in await attempts(insurer, endpoint)]
    assert failures == ["ClientConnectorCertificateError"]
    server.close()


async def test_a_name_that_leads_inside_is_not_followed_when_events_are_posted(
    gateway: Gateway, database: str, settings: Settings, theirs: Server, publish: Publish
) -> None:
    """The address was public when it was given; what its name leads to has changed since."""
    insurer = await gateway.admit()
    endpoint = (await register(insurer, theirs.url.replace("127.0.0.1", "localhost"))).body["id"]
    stop = asyncio.Event()
    strict = settings.model_copy(update={"webhook_private_targets": False})
    working = asyncio.create_task(run_worker(strict, database, stop))
    await publish(insurer)

    async def is_logged() -> bool:
        return bool(await attempts(insurer, endpoint))

    await until(is_logged)
    (attempt,) = await attempts(insurer, endpoint)
    assert (attempt["status"], attempt["failure"]) == (None, "ClientConnectorDNSError")
    assert theirs.got == []
    stop.set()
    await asyncio.wait_for(working, 15)


async def test_a_redirect_is_not_followed(gateway: Gateway, worker: None, theirs: Server, publish: Publish) -> None:
    insurer = await gateway.admit()
    theirs.answer = lambda _: 307
    endpoint = (await register(insurer, theirs.url)).body["id"]
    await publish(insurer)

    async def is_logged() -> bool:
        return bool(await attempts(insurer, endpoint))

    await until(is_logged)
    assert [each["status"] for each in await attempts(insurer, endpoint)] == [307]
    assert len(theirs.got) == 1


async def test_every_answer_says_how_many_events_wait(gateway: Gateway, publish: Publish) -> None:
    insurer = await gateway.admit()

    async def waiting(path: str = "/v1/insurer") -> str | None:
        return (await insurer.call("GET", path)).headers.get("X-Pending-Events")

    assert await waiting() == "0"
    for _ in range(3):
        await publish(insurer)
    assert await waiting() == "3"
    assert await waiting("/v1/insurer/events?after=2") == "1"
    assert await waiting("/v1/insurer/events?after=1") == "1"
    assert (await insurer.call("GET", "/v1/insurer/events?after=99")).code == "cursor_ahead"
    assert await waiting("/v1/insurer/events?after=3") == "0"
    assert await waiting("/v1/insurer/prior-approvals/0099990011-x") == "0"  # a problem says it too
    await publish(insurer)
    assert await waiting() == "1"
    nobody = await gateway.call("GET", "/v1/insurer")
    assert "X-Pending-Events" not in nobody.headers


async def test_what_waits_is_counted_from_where_it_was_had(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()

    async def waiting() -> int:
        return int((await insurer.call("GET", "/v1/insurer")).headers["X-Pending-Events"])

    for _ in range(3):
        await publish(insurer)
    path = f"/v1/insurer/endpoints/{(await register(insurer, theirs.url)).body['id']}"
    assert await waiting() == 3  # from before there was an endpoint
    assert (await insurer.call("GET", "/v1/insurer/events?after=3")).status == 200
    assert await waiting() == 0
    await publish(insurer)
    await theirs.wait_for(1)

    async def is_had() -> bool:
        return await waiting() == 0

    await until(is_had)
    await insurer.call("PATCH", path, {"enabled": False})
    assert await waiting() == 0  # what was taken stays had
    await publish(insurer)
    assert await waiting() == 1
    await insurer.call("PATCH", path, {"enabled": True})
    assert await waiting() == 1  # it was never posted


async def test_what_endpoints_took_waits_no_longer(
    gateway: Gateway, worker: None, theirs: Server, publish: Publish
) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url)
    theirs.answer = lambda event: 500 if event["sequence"] == 2 else 204
    await publish(insurer)
    await publish(insurer)
    await theirs.wait_for(2)

    async def one_waits() -> bool:
        return (await insurer.call("GET", "/v1/insurer")).headers["X-Pending-Events"] == "1"

    await until(one_waits)
    assert await gateway.fetchval("SELECT array_agg(sequence) FROM insurer_outbox") == [2]


async def test_an_event_as_xml_is_as_our_schema_says(gateway: Gateway, worker: None, theirs: Server) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url, format="xml")
    await insurer.load(builders.a_right())
    await theirs.wait_for(1)
    schema = etree.XMLSchema(etree.parse("schemas/event.xsd"))
    schema.assertValid(etree.fromstring(theirs.raw[0]))
    assert b"<loaded>1</loaded>" in theirs.raw[0]


async def test_insurers_are_told_of_signatures_and_of_tables(
    gateway: Gateway, worker: None, theirs: Server, tmp_path: Path
) -> None:
    insurer = await gateway.admit()
    await register(insurer, theirs.url, format="xml")
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    practitioner = await gateway.join(**builders.an_optician())
    await practitioner.sign()
    await practitioner.sign()  # twice is told once
    assert (await run_command("dre", "publish", database=gateway.database, TPG_TABLE_KEYS=TABLE_KEYS))[0] == 0
    events = (await insurer.call("GET", "/v1/insurer/events")).body["events"]
    assert [event["type"] for event in events] == ["convention.signed", "dre_tables.published"]
    assert events[0]["data"]["identifiers"][0]["value"] == practitioner.form["value"]
    assert events[1]["data"]["tables_version"] == 1
    left = await practitioner.in_person("DELETE", "/v1/conventions/optics/signature")
    assert left.body["left_on"] == (builders.today() + timedelta(days=30)).isoformat()
    last = (await insurer.call("GET", "/v1/insurer/events?after=2")).body["events"]
    assert [(each["type"], each["data"]["on"]) for each in last] == [("convention.left", left.body["left_on"])]
    await theirs.wait_for(3)
    schema = etree.XMLSchema(etree.parse("schemas/event.xsd"))
    for body in theirs.raw:
        schema.assertValid(etree.fromstring(body))


async def test_an_insurer_cannot_touch_anothers_endpoint(gateway: Gateway, publish: Publish) -> None:
    insurer, other = await gateway.admit(), await gateway.admit("0099990029")
    path = f"/v1/insurer/endpoints/{(await register(insurer, 'http://127.0.0.1:9/events')).body['id']}"
    await publish(insurer)
    event = (await insurer.call("GET", "/v1/insurer/events")).body["events"][0]["id"]
    now = datetime.now(UTC).isoformat()
    for method, where, body in (
        ("PATCH", path, {"enabled": False}),
        ("DELETE", path, None),
        ("POST", f"{path}/secret", {}),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"{path}/redelivery", {"from": "2026-01-01T00:00:00Z", "to": now}),
        ("POST", f"/v1/insurer/events/{event}/redelivery", {}),
    ):
        assert (await other.call(method, where, body)).code == "not_found", where


async def test_events_are_kept_for_thirteen_months(gateway: Gateway, publish: Publish) -> None:
    insurer = await gateway.admit()
    await publish(insurer)
    await publish(insurer)
    with pytest.raises(asyncpg.RestrictViolationError):
        await gateway.execute("DELETE FROM insurer_events")
    await gateway.execute(
        """
        ALTER TABLE insurer_events DISABLE TRIGGER insurer_events_append_only;
        UPDATE insurer_events SET occurred_at = now() - interval '13 months 1 day' WHERE sequence = 1;
        ALTER TABLE insurer_events ENABLE TRIGGER insurer_events_append_only;
        SET ROLE tpgateway_service;
        SELECT forget_insurer_events(100);
        """
    )
    kept = (await insurer.call("GET", "/v1/insurer/events")).body["events"]
    assert [event["sequence"] for event in kept] == [2]
