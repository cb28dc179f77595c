"""Pro Santé Connect: against a real provider in a process of its own, and what must not be believed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from tests import builders
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, run_command, until
from tpgateway.practitioners.client import ProSanteConnect, Ticket
from tpgateway.practitioners.errors import PscRefused, PscUnavailable
from tpgateway.settings import Settings

HTML = {"Accept": "text/html"}
CLIENT = {
    "psc_client_id": "tpgateway",
    "psc_client_secret": "a:secret/with signs",
    "psc_acr": None,
    "psc_scope": "openid profile",
}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """oidc-provider-mock, as its command line starts it: one for all tests, which tell it first whom it knows."""
    port = _free_port()
    words = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=quiet, stderr=quiet, start_new_session=True)
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{url}/.well-known/openid-configuration") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    asyncio.run(until(answers, 30))
    yield url
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def settings(settings: Settings, provider: str) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "psc_issuer": provider, **CLIENT})


async def go_to_provider(gateway: Gateway, browser: aiohttp.ClientSession) -> str:
    begun = await gateway.call("GET", "/connexion/pro-sante-connect", http=browser, headers=HTML)
    assert begun.status == 303
    return begun.headers["Location"]


async def log_in_there(browser: aiohttp.ClientSession, address: str, person: str) -> str:
    """The person types his name at the provider, which sends the browser back."""
    async with browser.post(address, data={"sub": person}, allow_redirects=False) as answer:
        assert answer.status in {302, 303}, await answer.text()
        return answer.headers["Location"]


async def know(provider: str, person: str, **claims: str) -> None:
    async with aiohttp.ClientSession() as http, http.put(f"{provider}/users/{person}", json=claims) as answer:
        assert answer.status in {200, 201, 204}, await answer.text()


def path_of(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def test_who_has_a_number_of_the_network_comes_in_by_pro_sante_connect(
    gateway: Gateway, worker: None, provider: str
) -> None:
    optician = await gateway.join(scheme="rpps", value="10999999906", **builders.an_optician())
    await know(provider, "camille", SubjectNameID="810999999906")
    browser = gateway.browser()
    page = (await gateway.call("GET", "/connexion", headers=HTML)).body.decode()
    assert "/connexion/pro-sante-connect" in page
    address = await go_to_provider(gateway, browser)
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{gateway.url}/connexion/pro-sante-connect/retour"]
    back = path_of(await log_in_there(browser, address, "camille"))
    landed = await gateway.call("GET", back, http=browser, headers=HTML)
    assert (landed.status, landed.headers["Location"]) == (303, "/comptoir")
    me = await gateway.call("GET", "/v1/me", http=browser)
    assert me.body["identifiers"] == [{"scheme": "rpps", "value": "10999999906"}]
    # A strong log-in: sensitive changes are open, as after a code.
    wanted = {"name": "Poste 2", "scopes": ["cards"]}
    assert (await gateway.call("POST", "/v1/me/clients", wanted, http=browser)).status == 201
    await gateway.letter_about(optician.form["email"], "Pro Santé Connect est relié")
    # What came back is good for one use.
    replayed = await gateway.call("GET", back, http=browser, headers=HTML)
    assert replayed.status == 401

    again = gateway.browser()
    back = path_of(await log_in_there(again, await go_to_provider(gateway, again), "camille"))
    assert (await gateway.call("GET", back, http=again, headers=HTML)).status == 303
    linked = [each for each in gateway.mailbox.letters if "relié" in each.subject]
    assert len(linked) == 1


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"SubjectNameID": "810999999914"}, 403),
        ({"SubjectNameID": "5123456789"}, 403),
        ({"SubjectNameID": "8nonsense"}, 403),
        ({}, 401),
    ],
    ids=["no account", "another kind", "no number", "no claim"],
)
async def test_who_has_no_account_is_told_so(
    gateway: Gateway, worker: None, provider: str, claims: dict[str, str], status: int
) -> None:
    await know(provider, "stranger", **claims)
    browser = gateway.browser()
    back = await log_in_there(browser, await go_to_provider(gateway, browser), "stranger")
    with structlog.testing.capture_logs() as told:
        landed = await gateway.call("GET", path_of(back), http=browser, headers=HTML)
    assert landed.status == status
    assert [each["event"] for each in told] == ["psc_account_unknown" if status == 403 else "psc_refused"]
    assert (await gateway.call("GET", "/v1/me", http=browser)).code == "authentication_required"


async def test_an_answer_that_another_browser_began_is_refused(gateway: Gateway, worker: None, provider: str) -> None:
    await gateway.join(scheme="rpps", value="10999999906", **builders.an_optician())
    await know(provider, "camille", SubjectNameID="810999999906")
    victim, thief = gateway.browser(), gateway.browser()
    back = path_of(await log_in_there(thief, await go_to_provider(gateway, thief), "camille"))
    assert (await gateway.call("GET", back, http=victim, headers=HTML)).status == 401
    await go_to_provider(gateway, victim)
    landed = await gateway.call("GET", back, http=victim, headers=HTML)
    assert (landed.status, "a pas abouti" in landed.body.decode()) == (401, True)


async def test_a_suspended_account_does_not_come_in_by_this_way_either(
    gateway: Gateway, worker: None, provider: str
) -> None:
    await gateway.join(scheme="rpps", value="10999999906", **builders.an_optician())
    await gateway.execute("UPDATE practitioners SET state = 'suspended'")
    await know(provider, "camille", SubjectNameID="810999999906")
    browser = gateway.browser()
    back = path_of(await log_in_there(browser, await go_to_provider(gateway, browser), "camille"))
    with structlog.testing.capture_logs() as told:
        landed = await gateway.call("GET", back, http=browser, headers=HTML)
    assert (landed.status, "suspendu" in landed.body.decode()) == (403, True)
    assert [each["event"] for each in told] == ["account_suspended"]
    refused = "SELECT count(*) FROM audit_entries WHERE action = 'member:session:forbid' AND subject_id IS NOT NULL"
    assert await gateway.fetchval(refused) == 1


async def test_another_person_with_a_linked_number_is_refused_until_the_operator_unlinks_it(
    gateway: Gateway, worker: None, provider: str, database: str
) -> None:
    optician = await gateway.join(scheme="rpps", value="10999999906", **builders.an_optician())

    async def come_in_as(person: str) -> tuple[int, str]:
        await know(provider, person, SubjectNameID="810999999906")
        browser = gateway.browser()
        back = path_of(await log_in_there(browser, await go_to_provider(gateway, browser), person))
        landed = await gateway.call("GET", back, http=browser, headers=HTML)
        me = await gateway.call("GET", "/v1/me", http=browser)
        assert (landed.status == 303) == (me.status == 200)
        return landed.status, landed.body.decode()

    assert (await come_in_as("camille"))[0] == 303
    status, page = await come_in_as("dominique")
    assert (status, "autre identité Pro Santé Connect" in page, "contactez le réseau" in page) == (403, True, True)
    assert (await come_in_as("camille"))[0] == 303
    journal = (await optician.in_person("GET", "/v1/me/journal")).body["entries"]
    assert [each["action"] for each in journal].count("member:psc:refuse") == 1

    words = ("practitioners", "unlink-psc", "--scheme", "rpps", "--value", "10999999906")
    keys = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS}
    assert (await run_command(*words, database=database, **keys))[0] == 0
    assert (await run_command(*words, database=database, **keys))[0] == 1
    assert (await come_in_as("dominique"))[0] == 303
    assert (await come_in_as("camille"))[0] == 403


# What must not be believed: a provider of our own that lies in one respect at a time -----------------------------------


class Liar:
    """A provider whose ID token is right but for what a test changes."""

    def __init__(self) -> None:
        self.key = generate_private_key(65537, 2048)
        self.url = ""
        self.claims: dict[str, Any] = {}
        self.headers: dict[str, Any] = {}
        self.signing: RSAPrivateKey | str = self.key
        self.algorithm = "RS256"
        self.userinfo: dict[str, Any] = {"sub": "x", "SubjectNameID": "810999999906"}
        self.nonce = ""
        self.form: dict[str, str] = {}
        self.discovery: dict[str, Any] = {}

    async def describe(self, _: web.Request) -> web.Response:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        told = web.json_response(
            {"issuer": self.url, **{name: f"{self.url}/{name}" for name in names}, **self.discovery}
        )
        told.enable_chunked_encoding()  # nothing says beforehand how long it is
        return told

    async def keys(self, _: web.Request) -> web.Response:
        jwk = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**jwk, "kid": "k", "use": "sig", "alg": "RS256"}]})

    async def token(self, request: web.Request) -> web.Response:
        self.form = {**dict(await request.post()), "authorization": request.headers["Authorization"]}  # type: ignore[dict-item]
        now = datetime.now(UTC)
        claims = {
            "iss": self.url,
            "sub": "x",
            "aud": "tpgateway",
            "iat": now,
            "exp": now + timedelta(minutes=5),
            "nonce": self.nonce,
            "acr": "eidas1",
            **self.claims,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        signed = jwt.encode(present, self.signing, algorithm=self.algorithm, headers={"kid": "k", **self.headers})  # type: ignore[arg-type]
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": signed})

    async def info(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    liar, app = Liar(), web.Application()
    app.router.add_get("/.well-known/openid-configuration", liar.describe)
    app.router.add_get("/jwks_uri", liar.keys)
    app.router.add_post("/token_endpoint", liar.token)
    app.router.add_get("/userinfo_endpoint", liar.info)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    liar.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield liar
    await runner.cleanup()


def client_of(liar: Liar, **changes: Any) -> ProSanteConnect:
    base = {"token_keys": TOKEN_KEYS, "vault_keys": VAULT_KEYS, "psc_issuer": liar.url, **CLIENT, "psc_acr": "eidas1"}
    return ProSanteConnect(Settings.model_validate({**base, **changes}))


async def come_back(liar: Liar, client: ProSanteConnect | None = None, **answered: str) -> str:
    ticket = Ticket.new()
    liar.nonce = liar.nonce or ticket.nonce
    vouched = await (client or client_of(liar)).vouch(ticket, {"state": ticket.state, "code": "c", **answered})
    assert liar.form["code_verifier"] == ticket.verifier
    return vouched.national_id


async def test_what_is_right_is_believed(liar: Liar) -> None:
    assert await come_back(liar) == "810999999906"
    assert liar.form["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    "change",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"aud": "somebody-else"}},
        {"claims": {"aud": ["tpgateway", "somebody-else"]}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"exp": datetime.now(UTC) - timedelta(minutes=5)}},
        {"claims": {"acr": "eidas0"}},
        {"claims": {"at_hash": "x"}},
        {"claims": {"auth_time": time.time() - 13 * 3600}},
        {"claims": {"auth_time": "now"}},
        {"headers": {"kid": "another"}},
        {"signing": generate_private_key(65537, 2048)},
        {"signing": "", "algorithm": "none"},
        {"signing": "k" * 64, "algorithm": "HS256"},
        {"userinfo": {"sub": "another", "SubjectNameID": "810999999906"}},
        {"userinfo": {"sub": "x"}},
        {"userinfo": {"sub": "x", "SubjectNameID": 5}},
    ],
    ids=[
        "nonce", "no nonce", "audience", "azp", "issuer", "expired", "level", "at_hash", "long ago", "no moment",
        "key", "signature", "none",
        "confusion", "other person", "no claim", "number",
    ],
)  # fmt: skip
async def test_what_is_not_is_refused(liar: Liar, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(liar, name, value)
    with pytest.raises(PscRefused):
        await come_back(liar)


@pytest.mark.parametrize(
    "answered", [{"state": "another"}, {"state": ""}, {"iss": "https://evil.example"}], ids=["state", "empty", "iss"]
)
async def test_an_answer_that_was_not_asked_for_is_refused(liar: Liar, answered: dict[str, str]) -> None:
    with pytest.raises(PscRefused):
        await come_back(liar, **answered)


async def test_a_refusal_of_the_provider_is_told_and_not_redeemed(liar: Liar) -> None:
    ticket = Ticket.new()
    with pytest.raises(PscRefused):
        await client_of(liar).vouch(ticket, {"state": ticket.state, "error": "access_denied"})
    assert liar.form == {}


@pytest.mark.parametrize(
    "discovery", [{"issuer": "https://evil.example"}, {"token_endpoint": "file:///etc/passwd"}, {"jwks_uri": None}]
)
async def test_a_discovery_document_that_cannot_be_is_not_followed(liar: Liar, discovery: dict[str, Any]) -> None:
    liar.discovery = discovery
    with pytest.raises(PscUnavailable):
        await come_back(liar)


async def test_a_key_of_the_provider_that_can_be_broken_is_not_believed(liar: Liar) -> None:
    liar.key = liar.signing = generate_private_key(65537, 1024)
    with pytest.raises(PscRefused) as raised:
        await come_back(liar)
    assert raised.value.detail == "the ID token's key is too short"


async def test_an_endless_answer_of_the_provider_is_not_read_to_its_end(liar: Liar) -> None:
    liar.discovery = {"endless": "x" * 300_000}
    with pytest.raises(PscUnavailable) as raised:
        await come_back(liar)
    assert raised.value.detail == "the provider's answer is too long"


async def test_a_provider_that_is_away_is_said_to_be(liar: Liar) -> None:
    away = client_of(liar, psc_issuer=f"http://127.0.0.1:{_free_port()}")
    with pytest.raises(PscUnavailable):
        await away.address(Ticket.new())


async def test_new_keys_of_the_provider_are_learned(liar: Liar) -> None:
    client = client_of(liar)
    assert await come_back(liar, client) == "810999999906"
    liar.key = liar.signing = generate_private_key(65537, 2048)
    liar.nonce = ""
    client._known_at -= 601  # ten minutes later
    assert await come_back(liar, client) == "810999999906"
