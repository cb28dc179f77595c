"""Conformance lists: who does well passes, who does not is told which line and why."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, run_command, serving
from tests.sandbox.test_scenarios import follow, insurer, optician, program, settings, simulated  # noqa: F401
from tpgateway.client import Client, Secret, WebhookRefused, verify_webhook
from tpgateway.insurers.client import new_secret
from tpgateway.sandbox.scenarios import SCENARIOS


class Endpoint:
    """An insurer's endpoint; ``fault`` is what it does badly."""

    def __init__(self, fault: str) -> None:
        self.fault, self.secret, self.url = fault, new_secret(), ""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = dict(request.headers)
        if self.fault == "first signature only" and "webhook-signature" in request.headers:
            headers["webhook-signature"] = request.headers["webhook-signature"].split()[0]
        try:
            event: Any = verify_webhook(body, headers, secrets=[self.secret])
        except WebhookRefused:
            if self.fault != "believes all":
                return web.Response(status=500 if self.fault == "fails on forgery" else 401)
            event = json.loads(body)
        if self.fault == "known kinds only" and not event["type"].startswith("prior_approval."):
            return web.Response(status=400)
        if self.fault == "redirects":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(status=204)


@pytest.fixture
async def endpoint(request: pytest.FixtureRequest) -> AsyncIterator[Endpoint]:
    endpoint, app = Endpoint(request.param), web.Application()
    app.router.add_post("/events", endpoint.receive)
    async with serving(app) as url:
        endpoint.url = f"{url}/events"
        yield endpoint


def failures(folder: Path) -> list[str]:
    """What JUnit's reader sees."""
    root = ElementTree.parse(folder / "report.xml").getroot()  # our own
    return [str(case.get("name")) for case in root.iter("testcase") if case.find("failure") is not None]


@pytest.mark.parametrize(
    ("endpoint", "wrong"),
    [
        ("", []),
        ("first signature only", ["takes either signature while secrets are exchanged"]),
        ("known kinds only", ["takes a kind that it does not know"]),
        (
            "believes all",
            [
                "refuses a wrong signature",
                "refuses a missing signature",
                "refuses a body that was changed",
                "refuses an old timestamp",
                "refuses a timestamp to come",
            ],
        ),
        (
            "fails on forgery",
            [
                "refuses a wrong signature",
                "refuses a missing signature",
                "refuses a body that was changed",
                "refuses an old timestamp",
                "refuses a timestamp to come",
            ],
        ),
    ],
    indirect=["endpoint"],
)
async def test_an_endpoint_is_told_what_it_does_badly(endpoint: Endpoint, wrong: list[str], tmp_path: Path) -> None:
    words = ("certify", "endpoint", "--url", endpoint.url, "--secret", endpoint.secret, "--reports", str(tmp_path))
    status, printed, _ = await run_command(*words)
    assert failures(tmp_path) == wrong
    assert status == (1 if wrong else 0)
    assert f"{len(wrong)} failed" in printed
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("<strong>Passed.</strong>\n15 of 15" in page) == (not wrong)
    assert "whsec_" not in page + printed


@pytest.mark.parametrize("endpoint", ["redirects"], indirect=True)
async def test_an_endpoint_that_redirects_takes_nothing(endpoint: Endpoint, tmp_path: Path) -> None:
    words = ("certify", "endpoint", "--url", endpoint.url, "--secret", endpoint.secret, "--reports", str(tmp_path))
    assert (await run_command(*words))[0] == 1
    assert "does not redirect" in failures(tmp_path)


async def test_an_endpoint_that_is_not_there_fails_every_line_but_one(tmp_path: Path) -> None:
    words = (
        "certify",
        "endpoint",
        "--url",
        "http://127.0.0.1:9/",
        "--secret",
        new_secret(),
        "--reports",
        str(tmp_path),
    )
    assert (await run_command(*words))[0] == 1
    assert len(failures(tmp_path)) == 14


async def test_software_that_uses_our_client_passes(
    gateway: Gateway,
    insurer: Insurer,  # noqa: F811
    optician: Practitioner,  # noqa: F811
    tmp_path: Path,
) -> None:
    words = ("certify", "software", "--gateway", gateway.url, "--reports", str(tmp_path / "reports"))
    async with simulated(gateway, insurer, tmp_path), program(*words) as (process, url):
        async with Client(url, Secret(optician.client_id, optician.client_secret)) as client:
            for scenario in SCENARIOS:
                _, approval = await follow(client, scenario, insurer, builders.today())
                if scenario.expect == "refused":
                    await client.act(approval, "appeal", arguments="Le contrat le prévoit.")  # type: ignore[arg-type]
        process.send_signal(signal.SIGINT)
        assert process.stdout
        printed = (await process.stdout.read()).decode()
        assert await asyncio.wait_for(process.wait(), 10) == 0, printed
    assert failures(tmp_path / "reports") == []
    assert "not seen" in printed.splitlines()[-1]
    assert re.search(r"\b0 failed, 0 not seen", printed)


async def test_software_that_does_badly_is_told_what(
    gateway: Gateway,
    insurer: Insurer,  # noqa: F811
    optician: Practitioner,  # noqa: F811
    tmp_path: Path,
) -> None:
    words = ("certify", "software", "--gateway", gateway.url, "--reports", str(tmp_path / "reports"))
    async with simulated(gateway, insurer, tmp_path), program(*words) as (process, url):
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {optician.token}"}) as http:
            scenario = next(each for each in SCENARIOS if each.expect == "approved")
            body = scenario.request(insurer.number, "AAAA-AAAA-AAAA", builders.today())
            for _ in range(2):  # without a check before, without a key, the same again after a refusal
                async with http.post(f"{url}/v1/prior-approvals", json=body) as answer:
                    await answer.read()
            async with http.post(f"{url}/v1/prior-approvals", json=body) as answer:
                await answer.read()
            async with http.get(f"{url}/v1/prior-approvals?membership_number=295109912611193") as answer:
                await answer.read()
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 10) == 1
    found = failures(tmp_path / "reports")
    assert {
        "checks a card before it asks",
        "sends an Idempotency-Key with each write",
        "waits as long as it is told",
        "does not send again what was refused for good",
        "keeps people out of addresses",
    } <= set(found)
