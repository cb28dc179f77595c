"""The token endpoint and the tokens it gives: what is refused, and how."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests.driver import ASSERTION_TYPE, Gateway
from tpgateway.web.callers import Access, Caller
from tpgateway.web.problems import TokenExpired, TokenInvalid
from tpgateway.web.tokens import Tokens, new_signing_keys_json

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


async def refused(gateway: Gateway, assertion: str) -> str:
    reply = await gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=assertion)
    assert reply.status == 401
    return reply.code


async def test_an_assertion_is_good_for_one_use(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    assertion = insurer.assertion()
    first = await gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=assertion)
    assert first.status == 200
    assert await refused(gateway, assertion) == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://another.example/oauth/token"},
        {"exp": datetime.now(UTC) - timedelta(minutes=5)},
        {"exp": datetime.now(UTC) + timedelta(hours=2)},
        {"iss": "somebody-else"},
        {"sub": str(uuid4())},
        {"jti": ""},
        {"jti": None},
    ],
    ids=["audience", "expired", "too long", "issuer", "subject", "no jti", "null jti"],
)
async def test_an_assertion_with_wrong_claims_is_refused(gateway: Gateway, changes: dict[str, Any]) -> None:
    insurer = await gateway.admit()
    assert await refused(gateway, insurer.assertion(**changes)) == "invalid_client"


async def test_an_unsigned_assertion_is_refused(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    claims = jwt.decode(insurer.assertion(), options={"verify_signature": False})
    assert await refused(gateway, jwt.encode(claims, None, algorithm="none")) == "invalid_client"


async def test_an_assertion_keyed_with_the_public_key_is_refused(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    claims = jwt.decode(insurer.assertion(), options={"verify_signature": False})
    public = json.loads(OKPAlgorithm.to_jwk(insurer.key.public_key()))["x"]
    confused = jwt.encode(claims, base64.urlsafe_b64decode(public + "=="), algorithm="HS256")
    assert await refused(gateway, confused) == "invalid_client"


async def test_an_assertion_by_another_key_is_refused(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    insurer.key = Ed25519PrivateKey.generate()
    assert await refused(gateway, insurer.assertion()) == "invalid_client"


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "invalid_grant_request"),
        ({"client_id": "nobody", "client_secret": "x"}, 401, "invalid_client"),
        ({"client_id": str(uuid4()), "client_secret": "x"}, 401, "invalid_client"),
        ({"client_assertion": "not.a.jwt", "client_assertion_type": ASSERTION_TYPE}, 401, "invalid_client"),
        ({"client_assertion": "x", "client_assertion_type": "other"}, 400, "invalid_grant_request"),
    ],
)
async def test_a_wrong_token_request_says_what_is_wrong(
    gateway: Gateway, form: dict[str, str], status: int, code: str
) -> None:
    reply = await gateway.ask_token(**form)
    assert (reply.status, reply.code) == (status, code)


async def test_a_practitioners_client_gets_no_more_than_its_scopes(gateway: Gateway, worker: None) -> None:
    practitioner = await gateway.join()
    wanted = {"name": "Tables seulement", "scopes": ["tables"]}
    client = (await practitioner.in_person("POST", "/v1/me/clients", wanted)).body
    basic = (client["client_id"], client["client_secret"])
    assert (await gateway.ask_token(basic=basic, scope="cards")).code == "invalid_scope"
    token = (await gateway.ask_token(basic=basic)).body["access_token"]
    reply = await gateway.call("GET", "/v1/prior-approvals", token=token)
    assert (reply.status, reply.code) == (403, "scope_missing")


async def test_a_revoked_client_gets_no_token(gateway: Gateway, worker: None) -> None:
    practitioner = await gateway.join()
    gone = await practitioner.in_person("DELETE", f"/v1/me/clients/{practitioner.client_id}")
    assert gone.status == 204
    reply = await gateway.ask_token(basic=(practitioner.client_id, practitioner.client_secret))
    assert reply.code == "invalid_client"
    again = await practitioner.in_person("DELETE", f"/v1/me/clients/{practitioner.client_id}")
    assert again.status == 404


async def test_an_insurer_cannot_call_what_is_for_practitioners(gateway: Gateway, worker: None) -> None:
    insurer, practitioner = await gateway.admit(), await gateway.join()
    assert (await insurer.call("GET", "/v1/me")).code == "caller_not_allowed"
    assert (await practitioner.call("GET", "/v1/insurer")).code == "caller_not_allowed"
    assert (await practitioner.call("GET", "/v1/me/clients")).code == "caller_not_allowed"


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "nonsense"])
async def test_a_header_that_is_no_bearer_token_is_not_authentication(gateway: Gateway, header: str) -> None:
    reply = await gateway.call("GET", "/v1/me", headers={"Authorization": header})
    assert (reply.status, reply.code) == (401, "authentication_required")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_of_another_gateway_is_invalid_and_an_old_one_expired() -> None:
    caller = Caller(access=Access.INSURER_CLIENT, account_id=uuid4(), client_id=uuid4(), scopes=frozenset())
    ours, theirs = (
        Tokens(keys_json=new_signing_keys_json(), base_url=url, lifetime=timedelta(minutes=10))
        for url in ("https://ours.example", "https://theirs.example")
    )
    now = datetime.now(UTC)
    assert ours.check(ours.issue(caller, now), now) == caller
    with pytest.raises(TokenInvalid):
        ours.check(theirs.issue(caller, now), now)
    token = ours.issue(caller, now)
    assert ours.check(token, now) == caller
    with pytest.raises(TokenExpired):
        ours.check(token, now + timedelta(minutes=10))
    with pytest.raises(TokenExpired):
        ours.check(ours.issue(caller, now - timedelta(minutes=11)), now)


def test_a_token_of_a_key_that_was_rotated_out_of_signing_still_opens() -> None:
    old, new = (json.loads(new_signing_keys_json())["keys"][0] for _ in range(2))
    caller = Caller(access=Access.INSURER_CLIENT, account_id=uuid4(), client_id=uuid4(), scopes=frozenset())

    def tokens(*keys: Any) -> Tokens:
        return Tokens(keys_json=json.dumps({"keys": keys}), base_url="https://x.example", lifetime=timedelta(minutes=9))

    now = datetime.now(UTC)
    token = tokens(old).issue(caller, now)
    rotated = tokens(new, old)
    assert rotated.check(token, now) == caller
    assert {key["kid"] for key in rotated.jwks["keys"]} == {old["kid"], new["kid"]}
    assert all("d" not in key for key in rotated.jwks["keys"])
    assert jwt.get_unverified_header(rotated.issue(caller, now))["kid"] == new["kid"]
