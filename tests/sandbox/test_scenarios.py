"""The simulated insurer and the published scenarios, against a running gateway; the clock that can be moved."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, run_command, until
from tests.insurers.server import Server, register
from tpgateway.client import Client, Secret
from tpgateway.sandbox.insurer import make_key
from tpgateway.sandbox.scenarios import SCENARIOS, TACIT_DAYS, Scenario
from tpgateway.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"sandbox": True})


@asynccontextmanager
async def program(*words: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """One of the sandbox's programs, once it has said at which address it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tpgateway.cli", *words),
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        url = None
        async with asyncio.timeout(20):
            while url is None:
                line = (await process.stdout.readline()).decode()
                assert line, (await process.stderr.read()).decode() if process.stderr else ""
                url = re.search(r"http://[\d.]+:\d+(/\w+)?", line)
        yield process, url[0]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), 10)


@asynccontextmanager
async def simulated(gateway: Gateway, insurer: Insurer, folder: Path, *more: str) -> AsyncIterator[str]:
    """``tpgateway simulate insurer`` for an insurer; gives the address of its page."""
    key = folder / "insurer.pem"
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key.write_bytes(insurer.key.private_bytes(*pem))
    words = ("simulate", "insurer", "--gateway", gateway.url, "--client-id", insurer.client_id, "--key", str(key))
    async with program(*words, *more) as (_, url):
        yield url


@pytest.fixture
async def insurer(gateway: Gateway, tmp_path: Path) -> Insurer:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    return await gateway.admit()


@pytest.fixture
async def optician(gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def follow(client: Client, scenario: Scenario, insurer: Insurer, today: date) -> tuple[str, dict[str, Any]]:
    """Does what a scenario says; gives what it came to, and the approval where one was asked for."""
    check = await client.check_card(**scenario.card(insurer.number), domain="OPTI")
    if not scenario.is_request:
        return check["outcome"], {}
    assert check["proof"], check
    approval = await client.request_approval(scenario.request(insurer.number, check["proof"], today))
    return approval["state"], dict(approval)


async def test_each_scenario_comes_to_what_is_published_every_time(
    gateway: Gateway, insurer: Insurer, optician: Practitioner, tmp_path: Path
) -> None:
    async with (
        simulated(gateway, insurer, tmp_path),
        Client(gateway.url, Secret(optician.client_id, optician.client_secret)) as client,
    ):
        for _ in range(2):
            pending: dict[str, dict[str, Any]] = {}
            for scenario in SCENARIOS:
                came, approval = await follow(client, scenario, insurer, builders.today())
                assert came == scenario.expect, scenario
                pending[scenario.membership_number] = approval
            for scenario in SCENARIOS:
                if scenario.then is None:
                    continue
                approval_id, then = pending[scenario.membership_number]["id"], scenario.then

                async def has_come(approval_id: str = approval_id, then: str = then) -> bool:
                    return (await client.approval(approval_id))["state"] == then

                await until(has_come)
            asked = await client.approval(pending["SCN114"]["id"])
            await client.act(asked, "information", answer="La vue a changé.")

            async def is_approved(approval_id: str = asked["id"]) -> bool:
                return (await client.approval(approval_id))["state"] == "approved"

            await until(is_approved)
            refused = await client.approval(pending["SCN113"]["id"])
            assert refused["code"] == "insurer_not_justified"

        silent = pending["SCN115"]
        clock = await client.request("PUT", "/v1/sandbox/clock", {"days": TACIT_DAYS + 1})
        assert clock["days"] == TACIT_DAYS + 1

        async def is_refused() -> bool:
            return (await client.approval(silent["id"]))["state"] == "refused"

        await until(is_refused)
        assert (await client.approval(silent["id"]))["code"] == "tacit_refusal"
        later = await client.check_card(**SCENARIOS[0].card(insurer.number), domain="OPTI")
        assert later["checked_at"][:10] > builders.today().isoformat()
        assert (await client.request("PUT", "/v1/sandbox/clock", {"days": 0}))["days"] == 0


def test_the_published_list_is_that_of_the_code() -> None:
    text = Path("docs/sandbox.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^\| `(SCN\d+)` \| `(\d{8})` \| (\d) \| (.*?) \| `(\w+)` \| (?:`(\w+)`)? ?\|$", text, re.MULTILINE
    )
    assert [(each[0], each[1], int(each[2]), each[4], each[5] or None) for each in listed] == [
        (each.membership_number, each.birth_date, each.birth_rank, each.expect, each.then) for each in SCENARIOS
    ]
    for each, scenario in zip(listed, SCENARIOS, strict=True):
        assert each[3].endswith(scenario.about)


async def test_an_approval_that_is_not_billed_expires_when_the_clock_is_moved(
    gateway: Gateway, insurer: Insurer, optician: Practitioner, theirs: Server, tmp_path: Path
) -> None:
    await register(insurer, theirs.url, kinds=["prior_approval.expired"])
    async with (
        simulated(gateway, insurer, tmp_path),
        Client(gateway.url, Secret(optician.client_id, optician.client_secret)) as client,
    ):
        scenario = next(each for each in SCENARIOS if each.expect == "approved")
        _, approval = await follow(client, scenario, insurer, builders.today())
        assert (await insurer.call("PUT", "/v1/sandbox/clock", {"days": 300})).status == 200

        async def is_expired() -> bool:
            return (await client.approval(approval["id"]))["state"] == "expired"

        await until(is_expired)
    await theirs.wait_for(1)


async def test_the_simulators_page_shows_what_came_and_changes_how_it_behaves(
    gateway: Gateway, insurer: Insurer, worker: None, tmp_path: Path
) -> None:
    async with simulated(gateway, insurer, tmp_path) as url, aiohttp.ClientSession() as http:

        async def page(accept: str = "text/html") -> str:
            async with http.get(url, headers={"Accept": accept}) as answer:
                assert answer.status == 200
                return await answer.text()

        await insurer.load(builders.a_right())

        async def has_come() -> bool:
            return "rights_import.finished" in await page()

        await until(has_come)
        async with http.post(url, data=b"{}", headers={"webhook-id": "x"}) as answer:
            assert answer.status == 401
        assert "Envoi refusé" in await page()
        form = url.replace("/events", "/behaviour")
        async with http.post(form, data={"behaviour": "gone"}, headers={"Accept": "text/html"}) as answer:
            assert 'value="gone" selected' in await answer.text()
        async with http.post(form, data={"behaviour": "well"}, headers={"Sec-Fetch-Site": "cross-site"}) as answer:
            assert answer.status == 403
        await insurer.load(builders.a_right())

        async def is_disabled() -> bool:
            listed = await insurer.call("GET", "/v1/insurer/endpoints")
            return [each["disabled_for"] for each in listed.body["endpoints"]] == ["gone"]

        await until(is_disabled)


async def test_outside_a_sandbox_the_clock_stands(gateway: Gateway, insurer: Insurer) -> None:
    from tpgateway.web.state import STATE

    gateway.app[STATE].settings = gateway.app[STATE].settings.model_copy(update={"sandbox": False})
    for method, body in (("GET", None), ("PUT", {"days": 3})):
        assert (await insurer.call(method, "/v1/sandbox/clock", body)).code == "no_sandbox"


async def test_the_simulator_leaves_nothing_behind(gateway: Gateway, insurer: Insurer, tmp_path: Path) -> None:
    for _ in range(2):
        async with simulated(gateway, insurer, tmp_path, "--no-load") as _:
            assert len((await insurer.call("GET", "/v1/insurer/endpoints")).body["endpoints"]) == 1
        assert (await insurer.call("GET", "/v1/insurer/endpoints")).body["endpoints"] == []


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "insurer", "--client-id", "x", "--key", "README.md"),
        ("simulate", "insurer", "--client-id", "x", "--key", "KEY", "--gateway", "foo"),
        ("simulate", "insurer", "--client-id", "x", "--key", "KEY", "--port", "99999"),
        ("simulate", "insurer", "--client-id", "x", "--key", "KEY", "--host", "203.0.113.1"),
        ("certify", "endpoint", "--url", "http://127.0.0.1:9", "--secret", "whsec_x"),
        ("certify", "endpoint", "--url", "http://127.0.0.1:9", "--secret", "", "--reports", "/proc/nope"),
        ("certify", "software", "--port", "99999"),
    ],
)
async def test_what_is_typed_wrong_is_told_in_a_sentence(words: tuple[str, ...], tmp_path: Path) -> None:
    make_key(tmp_path / "key.pem", tmp_path / "key.jwk")
    status, _, complaint = await run_command(*(str(tmp_path / "key.pem") if each == "KEY" else each for each in words))
    assert status in {1, 2}
    assert complaint.strip()


async def test_a_gateway_that_refuses_says_why(gateway: Gateway, insurer: Insurer, tmp_path: Path) -> None:
    stranger = Insurer(gateway, insurer.id, insurer.number, str(insurer.id), insurer.key)
    with pytest.raises(AssertionError, match="invalid_client"):
        async with simulated(gateway, stranger, tmp_path):
            pass
