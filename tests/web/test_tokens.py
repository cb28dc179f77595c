"""The token endpoint and the tokens it gives: what is refused, and how."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from tests.driver import ASSERTION_TYPE, Gateway, Practitioner
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
        {"jti": "\0x"},
        {"jti": "\ud800"},
        {"exp": 253402300800},
        {"exp": 1e18},
        {"exp": 10**400},
    ],
    ids=[
        "audience",
        "expired",
        "long",
        "issuer",
        "subject",
        "jti",
        "null",
        "NUL",
        "surrogate",
        "year",
        "float",
        "huge",
    ],
)
async def test_an_assertion_with_wrong_claims_is_refused(gateway: Gateway, changes: dict[str, Any]) -> None:
    insurer = await gateway.admit()
    assert await refused(gateway, insurer.assertion(**changes)) == "invalid_client"


async def test_what_is_nested_beyond_reading_is_refused_as_any_other(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    deep = base64.urlsafe_b64encode(b"[" * 4_000).rstrip(b"=").decode()
    head, claims, signature = insurer.assertion().split(".")
    for assertion in (f"{deep}.{claims}.{signature}", f"{head}.{deep}.{signature}", f"{head}.W10.{signature}"):
        reply = await gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=assertion)
        assert (reply.status, reply.code) == (401, "invalid_client")
        assert (await gateway.call("GET", "/v1/insurer", token=assertion)).status == 401


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
        ({"client_id": "x", "client_secret": "y", "client_assertion": "z"}, 400, "invalid_grant_request"),
    ],
)
async def test_a_wrong_token_request_says_what_is_wrong(
    gateway: Gateway, form: dict[str, str], status: int, code: str
) -> None:
    reply = await gateway.ask_token(**form)
    assert (reply.status, reply.code) == (status, code)


async def test_a_wrong_token_request_says_so_in_the_words_of_oauth_too(gateway: Gateway) -> None:
    reply = await gateway.ask_token(client_id=str(uuid4()), client_secret="x")
    assert (reply.body["error"], bool(reply.body["error_description"])) == ("invalid_client", True)


async def test_a_client_id_beside_an_assertion_must_be_its_subject(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    reply = await gateway.ask_token(
        client_id=str(uuid4()), client_assertion_type=ASSERTION_TYPE, client_assertion=insurer.assertion()
    )
    assert (reply.status, reply.code) == (401, "invalid_client")


@pytest.mark.parametrize("header", ["Basic é", "Basic \udcff", "Basic !!!", "Basic eA==", "Digest x"])
async def test_credentials_that_cannot_be_read_are_a_wrong_request(gateway: Gateway, header: str) -> None:
    form = b"grant_type=client_credentials"
    head = f"POST /oauth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {header}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode("utf-8", "surrogateescape") + form)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"invalid_grant_request"' in answer


def ed25519(**changes: Any) -> dict[str, Any]:
    public = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    return {**public, **changes}


def rsa(bits: int, *, private: bool = False) -> dict[str, Any]:
    key = generate_private_key(65537, bits)
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(key if private else key.public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name != "d"}


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        ed25519(x="A" * 43),
        ed25519(x=5),
        ed25519(crv="X25519"),
        ed25519(d="x"),
        rsa(1024),
        rsa(2048),
        rsa(3072, private=True),
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": ["OKP"]},
    ],
    ids=[
        "empty",
        "secret",
        "small order",
        "number",
        "other curve",
        "private",
        "very short RSA",
        "short RSA",
        "factors",
        "tiny RSA",
        "list",
    ],
)
async def test_a_key_that_is_weak_private_or_none_is_refused(practitioner: Practitioner, jwk: dict[str, Any]) -> None:
    body = {"name": "Clé", "scopes": ["cards"], "public_jwk": jwk}
    reply = await practitioner.in_person("POST", "/v1/me/clients", body)
    assert (reply.status, reply.code) == (422, "public_key_invalid")


@pytest.mark.parametrize("jwk", [ed25519(alg="none", use="enc", a="x" * 5_000), rsa(3072)], ids=["ed25519", "rsa"])
async def test_of_a_key_the_public_members_alone_are_kept(
    gateway: Gateway, practitioner: Practitioner, jwk: dict[str, Any]
) -> None:
    body = {"name": "Clé", "scopes": ["cards"], "public_jwk": jwk}
    made = await practitioner.in_person("POST", "/v1/me/clients", body)
    assert (made.status, made.body["client_secret"]) == (201, None)
    kept = await gateway.fetchval("SELECT public_jwk FROM practitioner_clients WHERE public_jwk IS NOT NULL")
    assert set(kept) <= {"kty", "crv", "x", "n", "e"}


async def test_a_token_has_one_spelling(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    assert (await insurer.call("GET", "/v1/insurer")).status == 200
    insurer.token += "=="
    assert (await insurer.call("GET", "/v1/insurer")).code == "token_invalid"


async def test_a_practitioners_client_gets_no_more_than_its_scopes(
    gateway: Gateway, practitioner: Practitioner
) -> None:
    wanted = {"name": "Tables seulement", "scopes": ["tables"]}
    client = (await practitioner.in_person("POST", "/v1/me/clients", wanted)).body
    basic = (client["client_id"], client["client_secret"])
    assert (await gateway.ask_token(basic=basic, scope="cards")).code == "invalid_scope"
    token = (await gateway.ask_token(basic=basic)).body["access_token"]
    reply = await gateway.call("GET", "/v1/prior-approvals", token=token)
    assert (reply.status, reply.code) == (403, "scope_missing")


async def test_a_revoked_client_gets_no_token(gateway: Gateway, practitioner: Practitioner) -> None:
    gone = await practitioner.in_person("DELETE", f"/v1/me/clients/{practitioner.client_id}")
    assert gone.status == 204
    with structlog.testing.capture_logs() as told:
        reply = await gateway.ask_token(basic=(practitioner.client_id, practitioner.client_secret))
    assert reply.code == "invalid_client"
    noted = {"event": "client_refused", "client_id": UUID(practitioner.client_id), "code": "invalid_client"}
    assert noted.items() <= told[0].items()
    assert told[0]["request_id"] == reply.headers["X-Request-Id"]
    again = await practitioner.in_person("DELETE", f"/v1/me/clients/{practitioner.client_id}")
    assert again.status == 404


async def test_a_refusal_is_noted_with_its_reason_and_nothing_that_the_caller_made_up(gateway: Gateway) -> None:
    with structlog.testing.capture_logs() as told:
        await gateway.ask_token(basic=("camille@verrier.example", "a secret"))
        await gateway.ask_token(client_id="1234567", client_secret="another")
        await refused(gateway, (await gateway.admit()).assertion(exp=datetime(2020, 1, 1, tzinfo=UTC)))
    noted = [each for each in told if each["event"] == "client_refused"]
    assert [each["client_id"] is None for each in noted] == [True, True, False]
    assert noted[2]["reason"] == "the assertion was refused: ExpiredSignatureError"


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


@pytest.mark.parametrize(
    "changes",
    [{"scope": 5}, {"scope": None}, {"exp": 10**400}, {"client_id": []}],
    ids=["number", "null", "no float", "list"],
)
def test_a_token_whose_claims_are_of_other_kinds_is_invalid_whoever_signed_it(changes: dict[str, Any]) -> None:
    keys = json.loads(new_signing_keys_json())
    tokens = Tokens(keys_json=json.dumps(keys), base_url="https://x.example", lifetime=timedelta(minutes=9))
    caller = Caller(access=Access.INSURER_CLIENT, account_id=uuid4(), client_id=uuid4(), scopes=frozenset())
    good = tokens.issue(caller, datetime.now(UTC))
    claims = {**jwt.decode(good, options={"verify_signature": False}), **changes}
    key = jwt.PyJWK(keys["keys"][0], algorithm="EdDSA").key
    odd = jwt.encode(claims, key, algorithm="EdDSA", headers=jwt.get_unverified_header(good))
    with pytest.raises(TokenInvalid):
        tokens.check(odd, datetime.now(UTC))


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
