"""The main story, over HTTP, by real SMTP, to a real server that verifies webhooks: as its users would do it."""

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests import builders
from tests.conftest import TABLE_KEYS
from tests.driver import Gateway, link_token
from tpgateway.audit import OPERATOR
from tpgateway.dre import service as dre
from tpgateway.dre.codec.signatures import Signer


class WebhookServer:
    """An insurer's little server: nothing unverified is kept."""

    def __init__(self) -> None:
        self.secret = ""
        self.received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        verified = Webhook(self.secret).verify(body, dict(request.headers))
        assert verified == json.loads(body)
        self.received.put_nowait((request.headers["webhook-id"], json.loads(body)))
        return web.Response(status=204)


@pytest.fixture
async def webhook_server() -> AsyncIterator[tuple[WebhookServer, str]]:
    server, app = WebhookServer(), web.Application()
    app.router.add_post("/events", server.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    await runner.cleanup()


async def test_from_registration_to_tables(
    gateway: Gateway, worker: None, tmp_path: Path, webhook_server: tuple[WebhookServer, str]
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))

    # Three practitioners register, each by a scheme of its own, and open the link of their mail.
    pharmacist = builders.a_registration(scheme="finess", value="2A0000014", email="pharmacie@story.example")
    optician = builders.a_registration(
        scheme="adeli", value="752800011", email="optique@story.example", **builders.an_optician()
    )
    hospital = builders.a_registration(
        scheme="treasury",
        value="033090 123",
        finess="330000639",
        legal_name="Centre hospitalier",
        specialty="hospital",
        bic="BDFEFRPPCCT",
        email="hopital@story.example",
    )
    for form in (pharmacist, optician, hospital):
        await gateway.enlist(form)
        registered = await gateway.call("POST", "/v1/practitioners", form)
        assert registered.status == 202
        letter = await gateway.letter_to(form["email"])
        assert letter.subject == "Activez votre compte du réseau tiers payant"
        activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": link_token(letter)})
        assert activated.body["state"] == ("in_review" if form is hospital else "active")
    await gateway.approve()
    assert activated.body["identifiers"] == [{"scheme": "treasury", "value": "033090-123"}]
    at_pharmacy = await gateway.enter(pharmacist)
    at_optician = await gateway.enter(optician)

    # An insurer's system loads a product, 10,000 people with two broken lines among them, and gives its endpoint.
    insurer = await gateway.admit()
    assert (await insurer.put_product("CONFORT")).status == 200
    only_hospital = [builders.a_benefit("single_room", domain="HOSP")]
    assert (await insurer.put_product("HOSPI", benefits=only_hospital)).status == 200
    year = builders.today().year
    lines = [builders.a_right(f"{5_000_000 + number}") for number in range(9_998)]
    lines.insert(4_000, builders.a_right("5999999", birth_date="1980022"))
    lines.append(builders.a_right("closed", valid_from=f"{year - 1}-01-01", valid_to=f"{year - 1}-12-31"))
    lines.append(builders.a_right("hospi", product_code="HOSPI"))
    lines.append("too;few;columns")
    loaded = await insurer.load(*lines, mode="full")
    assert loaded.status == 201
    assert (loaded.body["lines"], loaded.body["loaded"], loaded.body["rejected"]) == (10_002, 10_000, 2)
    rejects = await insurer.call("GET", f"{loaded.headers['Location']}/rejects")
    assert [(each["line"], each["column"], each["code"]) for each in rejects.body["rejects"]] == [
        (4_002, "birth_date", "wrong_form"),
        (10_003, "", "wrong_column_count"),
    ]
    server, url = webhook_server
    endpoint = await insurer.call("POST", "/v1/insurer/endpoints", {"url": url, "kinds": ["prior_approval.decided"]})
    server.secret = endpoint.body["secret"]

    # The pharmacist checks cards: five different answers.
    covered = builders.a_card(membership_number="5000000")
    unsigned = await at_pharmacy.check(covered, "PHAR")
    assert (unsigned.body["outcome"], unsigned.body["code"]) == ("not_contracted", "convention_not_signed")
    await at_pharmacy.sign()
    outcomes = {}
    for membership in ("5000000", "4040404", "CLOSED", "HOSPI"):
        answer = await at_pharmacy.check(builders.a_card(membership_number=membership), "PHAR")
        outcomes[membership] = answer.body["outcome"]
        assert answer.body["message_fr"]
        assert (answer.body["proof"] is not None) == (answer.body["outcome"] == "covered")
        assert (answer.body["next_step_fr"] is None) == (answer.body["outcome"] == "covered")
    assert outcomes == {
        "5000000": "covered",
        "4040404": "unknown_person",
        "CLOSED": "rights_closed",
        "HOSPI": "not_covered",
    }

    # The optician asks for an approval with the proof of its check; it is decided at once.
    await at_optician.sign()
    check = await at_optician.check(covered)
    request = builders.a_request(check.body["proof"])
    approval = await at_optician.call("POST", "/v1/prior-approvals", request)
    assert approval.status == 201
    assert approval.body["state"] == "approved"
    assert [line["granted_cents"] for line in approval.body["lines"]] == [20_000, 20_000, 9_997]
    history = await at_optician.call("GET", f"/v1/prior-approvals/{approval.body['id']}/events")
    assert [event["kind"] for event in history.body["events"]] == ["submitted", "approved"]

    # The insurer is told by a signed webhook, and reads the same from the feed.
    feed = await insurer.call("GET", "/v1/insurer/events?after=0&wait=10")
    kinds = [event["type"] for event in feed.body["events"]]
    assert kinds == ["rights_import.finished", *["convention.signed"] * 2, "prior_approval.decided"]
    decided = feed.body["events"][-1]
    assert decided["data"]["prior_approval_id"] == approval.body["id"]
    assert await asyncio.wait_for(server.received.get(), 10) == (decided["id"], decided)

    # The optician downloads its tables and reads its convention.
    connection = await gateway.connect()
    async with connection.transaction():
        await dre.publish(
            connection,
            Signer(TABLE_KEYS),
            effective_from=builders.today(),
            today=builders.today(),
            now=datetime.now(UTC),
            actor=OPERATOR,
        )
    await connection.close()
    tables = await at_optician.call("GET", "/v1/dre/tables/latest")
    assert tables.body["specialty"] == "optics"
    [grouping] = tables.body["grouping"]
    assert (grouping["amc_number"], grouping["convention_type"]) == ("0099990011", "SP")
    zipped = await at_optician.call("GET", "/v1/dre/tables/latest?format=csv")
    archive = zipfile.ZipFile(io.BytesIO(zipped.body))
    rows = list(csv.DictReader(io.StringIO(archive.read("guarantee.csv").decode()), delimiter=";"))
    assert [row["benefit"] for row in rows] == [line["benefit"] for line in tables.body["guarantee"]]
    convention = await at_optician.call("GET", "/v1/conventions/optics")
    assert convention.body["signature"]["text_sha256"] == convention.body["text_sha256"]
