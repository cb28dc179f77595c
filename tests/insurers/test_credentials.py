"""Insurers' systems: keys given, published, exchanged, revoked; insurers suspended and restored."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from tests.driver import ASSERTION_TYPE, Gateway, Insurer, Reply, run_command, serving


def public(key: Ed25519PrivateKey) -> dict[str, Any]:
    jwk: dict[str, Any] = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    return jwk


@dataclass(slots=True)
class KeyServer:
    """Publishes a JWK Set; ``answer`` overrides what it says."""

    keys: list[dict[str, Any]] = field(default_factory=list)
    answer: web.Response | None = None
    asked: int = 0
    url: str = ""

    async def show(self, _: web.Request) -> web.Response:
        self.asked += 1
        return self.answer or web.json_response({"keys": self.keys})


@pytest.fixture
async def published() -> AsyncIterator[KeyServer]:
    server, app = KeyServer(), web.Application()
    app.router.add_get("/jwks.json", server.show)
    async with serving(app) as url:
        server.url = f"{url}/jwks.json"
        yield server


async def ask(gateway: Gateway, insurer: Insurer, client_id: str, key: Ed25519PrivateKey) -> Reply:
    """A token for one of the insurer's systems, by its key."""
    system = Insurer(gateway, insurer.id, insurer.number, client_id, key)
    return await gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=system.assertion())


READ_LONG_AGO = "UPDATE insurer_clients SET jwks_read_at = now() - interval '1 minute' WHERE jwks_url IS NOT NULL"


async def test_keys_may_be_published_and_exchanged_without_telling_us(gateway: Gateway, published: KeyServer) -> None:
    insurer, first, second = await gateway.admit(), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    encryption = {"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}
    published.keys = [encryption, public(first)]
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Gestion", "jwks_url": published.url})
    assert (made.status, made.body["jwks_url"]) == (201, published.url)
    client = made.body["client_id"]
    assert (await ask(gateway, insurer, client, first)).status == 200
    assert (await ask(gateway, insurer, client, first)).status == 200
    assert published.asked == 1
    published.keys = [public(second)]
    assert (await ask(gateway, insurer, client, second)).code == "invalid_client"  # read a moment ago
    assert published.asked == 1
    await gateway.execute(READ_LONG_AGO)
    assert (await ask(gateway, insurer, client, second)).status == 200
    assert (await ask(gateway, insurer, client, first)).code == "invalid_client"
    assert published.asked == 2


async def test_a_published_key_of_former_strength_is_taken_until_it_is_replaced(
    gateway: Gateway, published: KeyServer
) -> None:
    insurer, key = await gateway.admit(), generate_private_key(65537, 2048)
    published.keys = [RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)]
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Gestion", "jwks_url": published.url})
    client = made.body["client_id"]
    claims = jwt.decode(insurer.assertion(iss=client, sub=client), options={"verify_signature": False})
    signed = jwt.encode(claims, key, algorithm="RS256")
    assert (await gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=signed)).status == 200


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"text": "no JSON"},
        {"text": '{"keys": 7}'},
        {"text": "[]"},
        {"text": '{"keys": ["x"]}'},
        {"status": 302, "headers": {"Location": "/jwks.json"}},
        {"body": b"[" * 1_000_000},
    ],
)
async def test_an_address_that_answers_no_keys_lets_nobody_in(
    gateway: Gateway, published: KeyServer, answer: dict[str, Any]
) -> None:
    insurer, key = await gateway.admit(), Ed25519PrivateKey.generate()
    published.answer = web.Response(**answer)
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Gestion", "jwks_url": published.url})
    assert (await ask(gateway, insurer, made.body["client_id"], key)).code == "invalid_client"
    assert (await ask(gateway, insurer, made.body["client_id"], key)).code == "invalid_client"
    assert published.asked == 1


async def test_keys_read_too_long_ago_are_good_no_more(gateway: Gateway, published: KeyServer) -> None:
    insurer, key = await gateway.admit(), Ed25519PrivateKey.generate()
    published.keys = [public(key)]
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Gestion", "jwks_url": published.url})
    assert (await ask(gateway, insurer, made.body["client_id"], key)).status == 200
    published.answer = web.Response(status=503)
    await gateway.execute(READ_LONG_AGO)
    assert (await ask(gateway, insurer, made.body["client_id"], key)).status == 200  # still known
    await gateway.execute(
        "UPDATE insurer_clients SET jwks = jsonb_set(jwks, '{read_at}', '\"2026-01-01T00:00:00+00:00\"')"
        " WHERE jwks_url IS NOT NULL"
    )
    assert (await ask(gateway, insurer, made.body["client_id"], key)).code == "invalid_client"


async def test_a_key_is_exchanged_while_both_work(gateway: Gateway) -> None:
    insurer, second = await gateway.admit(), Ed25519PrivateKey.generate()
    path = f"/v1/insurer/clients/{insurer.client_id}/key"
    rotated = await insurer.call("POST", path, {"public_jwk": public(second)})
    assert (rotated.status, rotated.body["former_until"] is None) == (200, False)
    assert (await ask(gateway, insurer, insurer.client_id, insurer.key)).status == 200
    assert (await ask(gateway, insurer, insurer.client_id, second)).status == 200
    third = Ed25519PrivateKey.generate()
    assert (await insurer.call("POST", path, {"public_jwk": public(third)})).code == "key_rotates"
    last = await insurer.call("POST", path, {"public_jwk": public(third), "overlap_hours": 0})
    assert last.body["former_until"] is None
    for key, status in ((insurer.key, 401), (second, 401), (third, 200)):
        assert (await ask(gateway, insurer, insurer.client_id, key)).status == status
    both = {"public_jwk": public(third), "jwks_url": "https://mutuelle.example/jwks.json"}
    assert (await insurer.call("POST", path, both)).status == 422
    assert (await insurer.call("POST", path, {})).status == 422


async def test_a_system_is_revoked_by_another_and_never_by_itself(gateway: Gateway) -> None:
    insurer, stranger = await gateway.admit(), await gateway.admit("0099990029")
    key = Ed25519PrivateKey.generate()
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Second", "public_jwk": public(key)})
    path = f"/v1/insurer/clients/{made.body['client_id']}"
    assert (await insurer.call("DELETE", f"/v1/insurer/clients/{insurer.client_id}")).code == "own_client"
    assert (await stranger.call("DELETE", path)).code == "not_found"
    assert (await stranger.call("POST", f"{path}/key", {"public_jwk": public(key)})).code == "not_found"
    assert (await insurer.call("DELETE", path)).status == 204
    assert (await ask(gateway, insurer, made.body["client_id"], key)).code == "invalid_client"
    listed = (await insurer.call("GET", "/v1/insurer/clients")).body["clients"]
    assert [(each["name"], each["revoked_at"] is None) for each in listed] == [("first key", True), ("Second", False)]
    assert listed[0]["last_used_at"]


async def test_a_revoked_system_changes_nothing_by_the_token_that_it_has_still(gateway: Gateway) -> None:
    insurer, key = await gateway.admit(), Ed25519PrivateKey.generate()
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Second", "public_jwk": public(key)})
    second = Insurer(gateway, insurer.id, insurer.number, made.body["client_id"], key)
    await second.log_in()
    assert (await insurer.call("DELETE", f"/v1/insurer/clients/{second.client_id}")).status == 204
    assert (await second.call("GET", "/v1/insurer")).status == 200  # for its ten minutes
    for method, path, body in (
        ("POST", "/v1/insurer/clients", {"name": "Third", "public_jwk": public(key)}),
        ("DELETE", f"/v1/insurer/clients/{insurer.client_id}", None),
        ("POST", f"/v1/insurer/clients/{insurer.client_id}/key", {"public_jwk": public(key)}),
        ("POST", "/v1/insurer/endpoints", {"url": "https://mutuelle.example/events"}),
        ("PATCH", "/v1/insurer", {"contacts": []}),
    ):
        assert (await second.call(method, path, body)).code == "token_invalid", path
    await gateway.execute("UPDATE insurers SET state = 'suspended'")
    assert (await insurer.call("PATCH", "/v1/insurer", {"contacts": []})).code == "token_invalid"


async def test_published_keys_work_on_while_another_key_takes_their_place(
    gateway: Gateway, published: KeyServer
) -> None:
    insurer, first, second = await gateway.admit(), Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    published.keys = [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}] * 12 + [public(first)]
    made = await insurer.call("POST", "/v1/insurer/clients", {"name": "Gestion", "jwks_url": published.url})
    client = made.body["client_id"]
    together = await asyncio.gather(*(ask(gateway, insurer, client, first) for _ in range(5)))
    assert {reply.status for reply in together} == {200}
    assert published.asked == 1
    rotated = await insurer.call("POST", f"/v1/insurer/clients/{client}/key", {"public_jwk": public(second)})
    assert rotated.body["former_until"]
    for key in (first, second):
        assert (await ask(gateway, insurer, client, key)).status == 200


async def test_what_an_operator_types_wrong_is_refused_and_a_strange_name_breaks_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    file = tmp_path / "new.jwk"
    file.write_text(json.dumps(public(Ed25519PrivateKey.generate())))
    words = ("insurers", "add", "--number", "99990045", "--convention-type", "SP")
    for more in (
        ("--name", "x", "--key", str(file), "--contact", "Astreinte <a@b>"),
        ("--name", "", "--key", str(file)),
        ("--name", "x", "--jwks-url", "https://127.0.0.1/x y"),
        ("--name", "x"),
    ):
        status, _, complaint = await run_command(*words, *more, database=gateway.database)
        assert status in {1, 2}, complaint
    strange = ("--name", "Mut [/x] B", "--key", str(file), "--contact", "Nuit <nuit@mutuelle.example>")
    status, printed, _ = await run_command(*words, *strange, database=gateway.database)
    assert (status, "Mut [/x] B" in printed) == (0, True)
    for command in (("list",), ("suspend", "99990045", "--why", "essai"), ("restore", "99990045")):
        assert (await run_command("insurers", *command, database=gateway.database))[0] == 0


async def test_operators_suspend_restore_and_help_who_lost_a_key(gateway: Gateway, tmp_path: Path) -> None:
    insurer, key = await gateway.admit(), Ed25519PrivateKey.generate()
    words = ("insurers", "suspend", insurer.number, "--why", "fin de contrat")
    status, printed, _ = await run_command(*words, database=gateway.database)
    assert (status, printed.startswith("Suspended")) == (0, True)
    assert (await ask(gateway, insurer, insurer.client_id, insurer.key)).code == "invalid_client"
    status, _, complaint = await run_command(*words, database=gateway.database)
    assert (status, "in this state already" in complaint) == (1, True)
    _, listed, _ = await run_command("insurers", "list", database=gateway.database)
    assert "suspended" in listed
    assert (await run_command("insurers", "restore", insurer.number, database=gateway.database))[0] == 0
    assert (await ask(gateway, insurer, insurer.client_id, insurer.key)).status == 200
    file = tmp_path / "new.jwk"
    file.write_text(json.dumps(public(key)))
    added = await run_command("insurers", "add-key", insurer.number, "--key", str(file), database=gateway.database)
    client_id = added[1].split()[-1]
    assert (await ask(gateway, insurer, client_id, key)).status == 200
    status, _, complaint = await run_command("insurers", "add-key", insurer.number, database=gateway.database)
    assert (status, "one of both" in complaint) == (2, True)
