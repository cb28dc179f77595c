"""The Python client: what the README shows, what it tries again, and which webhooks it believes."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from standardwebhooks import Webhook

from tests import builders
from tests.claims.conftest import insurer, optician, proof, recipe  # noqa: F401  # fixtures
from tests.driver import Gateway, Insurer, Practitioner, serving
from tests.insurers.server import Server, register
from tpgateway.client import Client, GatewayAway, GatewayProblem, PrivateKey, Secret, WebhookRefused, verify_webhook
from tpgateway.insurers.client import Signer, new_secret, new_signing_key


def pem(insurer: Insurer) -> bytes:  # noqa: F811
    return insurer.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def readme() -> dict[str, Any]:
    """What the README's Python defines."""
    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


async def test_the_readmes_example_runs(
    gateway: Gateway,
    insurer: Insurer,  # noqa: F811
    optician: Practitioner,  # noqa: F811
    theirs: Server,
    readme: dict[str, Any],
) -> None:
    endpoint = (await register(insurer, theirs.url)).body
    glasses = {
        name: value for name, value in builders.a_request("x").items() if name not in {"insurer_number", "proof"}
    }
    login = (gateway.url, optician.client_id, optician.client_secret)
    told = await readme["ask_for_glasses"](*login, builders.a_card(), glasses)
    assert told == "La prise en charge est accordée. Reste à charge : 119.94 €"
    stranger = builders.a_card(membership_number="9999999")
    assert (await readme["ask_for_glasses"](*login, stranger, glasses)).startswith("Aucun assuré")
    seen: list[dict[str, Any]] = []

    async def keep(event: dict[str, Any]) -> None:
        seen.append(event)
        if event["type"] == "prior_approval.decided":
            raise EOFError

    with pytest.raises(EOFError):
        await readme["follow_events"](gateway.url, insurer.client_id, pem(insurer), 0, keep)
    assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    await theirs.wait_for(1)
    decided = next(number for number, (event, _) in enumerate(theirs.got) if event["type"] == "prior_approval.decided")
    headers = theirs.got[decided][1]
    assert readme["receive"](theirs.raw[decided], headers, endpoint["secret"]) == seen[-1]
    with pytest.raises(WebhookRefused):
        readme["receive"](theirs.raw[decided], headers, new_secret())


async def test_an_insurer_reviews_by_the_client(
    gateway: Gateway,
    insurer: Insurer,  # noqa: F811
    optician: Practitioner,  # noqa: F811
    proof: str,  # noqa: F811
) -> None:
    await insurer.call("PATCH", "/v1/insurer", {"approval_rules": {"reviews": [{"domain": "OPTI"}]}})
    async with (
        Client(gateway.url, Secret(optician.client_id, optician.client_secret)) as practice,
        Client(gateway.url, PrivateKey(insurer.client_id, pem(insurer))) as system,
    ):
        mine = await practice.request_approval(builders.a_request(proof), key="une-demande")
        again = await practice.request_approval(builders.a_request(proof), key="une-demande")
        assert mine["id"] == again["id"]
        (waiting,) = await system.waiting_approvals()
        assert waiting == mine
        asked = await system.ask(waiting, "Pourquoi ?")
        answered = await practice.act(asked, "information", answer="Parce que.")
        with pytest.raises(GatewayProblem) as stale:
            await system.decide(waiting, "approved")
        assert (stale.value.status, stale.value.code) == (409, "version_stale")
        grants = [{"line": 3, "granted_cents": 0, "code": "insurer_price_too_high"}]
        decided = await system.decide(answered, "partially_approved", lines=grants)  # type: ignore[arg-type]
        assert decided["lines"][2]["code"] == "insurer_price_too_high"
        assert system.pending_events is not None
        assert system.pending_events > 0
        assert (await practice.approval(mine["id"]))["state"] == "partially_approved"
        assert (await practice.act(decided, "cancellation"))["state"] == "cancelled"
        assert await system.waiting_approvals() == []


@pytest.fixture
async def shaky() -> AsyncIterator[tuple[str, list[Any], list[dict[str, str]]]]:
    """A gateway that answers as told, one item an answer: a status, or None for no answer at all."""
    plan: list[Any] = []
    keys: list[dict[str, str]] = []

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "x", "expires_in": 600})

    async def answer(request: web.Request) -> web.Response:
        keys.append(dict(request.headers))
        wanted = plan.pop(0)
        if wanted is None:
            assert request.transport
            request.transport.close()
            return web.Response()
        status, after = (int(wanted[0]), wanted[1]) if isinstance(wanted, tuple) else (wanted, 0)
        headers = {"Retry-After": str(after)} if status in {409, 429, 503} else {}
        return web.json_response({"status": status, "code": "x"}, status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/oauth/token", token)
    app.router.add_route("*", "/{any:.*}", answer)
    async with serving(app) as url:
        yield url, plan, keys


async def test_what_may_be_tried_again_is_under_the_same_key(
    shaky: tuple[str, list[Any], list[dict[str, str]]],
) -> None:
    url, plan, seen = shaky
    async with Client(url, Secret("a", "b"), tries=5) as client:
        plan += [None, 503, 409, 429, 201]
        assert (await client.request("POST", "/v1/x", {}))["status"] == 201
        assert len({headers["Idempotency-Key"] for headers in seen}) == 1
        assert len(seen) == 5
        plan += [422]
        with pytest.raises(GatewayProblem):
            await client.request("POST", "/v1/x", {})
        plan += [401, 200]
        assert (await client.request("GET", "/v1/x"))["status"] == 200
        plan += [401, 401]
        with pytest.raises(GatewayProblem):
            await client.request("GET", "/v1/x")
        plan += [("429", 3600)]
        with pytest.raises(GatewayProblem):
            await client.request("GET", "/v1/x")
        plan += [503] * 5
        with pytest.raises(GatewayAway):
            await client.request("GET", "/v1/x")
        assert plan == []


async def test_who_is_not_let_in_hears_why(gateway: Gateway, insurer: Insurer) -> None:  # noqa: F811
    async with Client(gateway.url, Secret(insurer.client_id, "wrong")) as client:
        with pytest.raises(GatewayProblem) as refused:
            await client.request("GET", "/v1/insurer")
        assert refused.value.code == "invalid_client"
    async with Client("http://127.0.0.1:9", Secret("a", "b"), tries=2) as client:
        with pytest.raises(GatewayAway):
            await client.request("GET", "/v1/insurer")


async def test_many_tasks_give_up_together() -> None:
    async with Client("http://127.0.0.1:9", Secret("a", "b"), tries=3) as client:
        started = asyncio.get_running_loop().time()
        found = await asyncio.gather(*(client.request("GET", "/x") for _ in range(30)), return_exceptions=True)
        assert {type(each) for each in found} == {GatewayAway}
        assert asyncio.get_running_loop().time() - started < 5


async def test_many_tasks_get_one_token(gateway: Gateway, insurer: Insurer) -> None:  # noqa: F811
    async with Client(gateway.url, PrivateKey(insurer.client_id, pem(insurer))) as client:
        before = await gateway.fetchval("SELECT count(*) FROM used_assertions")
        await asyncio.gather(*(client.request("GET", "/v1/insurer") for _ in range(20)))
        assert await gateway.fetchval("SELECT count(*) FROM used_assertions") == before + 1


def signed(body: str = '{"id": "1"}', **changes: str) -> tuple[bytes, dict[str, str], str, str]:
    secret, (key, public) = new_secret(), new_signing_key()
    now = datetime.now(UTC)
    headers = {
        "Webhook-Id": "evt",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Signer(secrets=[secret], signing_keys=[key]).sign("evt", now, body),
    }
    return body.encode(), {**headers, **changes}, secret, public


def test_a_webhook_is_believed_by_either_signature() -> None:
    body, headers, secret, public = signed()
    assert verify_webhook(body, headers, secrets=[secret])["id"] == "1"
    assert verify_webhook(body, headers, public_keys=[public])["id"] == "1"
    assert verify_webhook(body, headers, secrets=[new_secret(), secret])["id"] == "1"
    Webhook(secret).verify(body, headers)  # another library agrees


@pytest.mark.parametrize(
    "changes",
    [
        {"Webhook-Id": "other"},
        {"Webhook-Timestamp": str(int((datetime.now(UTC) - timedelta(minutes=6)).timestamp()))},
        {"Webhook-Timestamp": "9" * 30},
        {"Webhook-Timestamp": "soon"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,é v1a,\udcff"},
        {"Webhook-Id": "\udcff"},
        {"Webhook-Signature": "v1,!!! v1a v1a,AAAA v2," + base64.b64encode(b"x" * 32).decode()},
    ],
)
def test_a_webhook_that_is_not_genuine_is_refused(changes: dict[str, str]) -> None:
    body, headers, secret, public = signed(**changes)
    with pytest.raises(WebhookRefused):
        verify_webhook(body, headers, secrets=[secret], public_keys=[public])


def test_a_webhook_with_another_body_or_no_key_is_refused() -> None:
    body, headers, secret, public = signed()
    for other, keys in ((body + b" ", {"secrets": [secret], "public_keys": [public]}), (body, {})):
        with pytest.raises(WebhookRefused):
            verify_webhook(other, headers, **keys)
