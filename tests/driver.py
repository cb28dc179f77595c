"""Speaks to the gateway over HTTP as practitioners, their software and insurers do."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from multidict import CIMultiDictProxy
from yarl import URL

from tests import builders, starter
from tpgateway.audit import OPERATOR
from tpgateway.conventions import service as conventions
from tpgateway.conventions.codec import files as convention_files
from tpgateway.database.pool import prepare_connection
from tpgateway.demo.mailbox import Letter, Mailbox
from tpgateway.identifiers import amc_number
from tpgateway.insurers import people
from tpgateway.insurers import service as insurers
from tpgateway.mail import Post
from tpgateway.practitioners import oversight
from tpgateway.web.callers import Role
from tpgateway.web.state import STATE

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: its body is parsed where it is JSON."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]

    @property
    def code(self) -> str:
        """The problem's code, with the document's shape checked on the way."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.body
        assert self.body["status"] == self.status
        assert self.body["message_fr"]
        assert self.body["type"].endswith("#" + self.body["code"])
        return str(self.body["code"])

    @property
    def faults(self) -> dict[str, str]:
        """Codes by pointer."""
        return {each["pointer"]: each["code"] for each in self.body["errors"]}


@dataclass(slots=True)
class Practitioner:
    """A registered practitioner, in person (``browser``) and through software (``token``)."""

    gateway: "Gateway"
    form: dict[str, Any]
    browser: aiohttp.ClientSession
    client_id: str = ""
    client_secret: str = ""
    token: str = ""

    async def at(self, gateway: "Gateway") -> "Practitioner":
        """The same, where the database is a clone: the browser is known, the software has a token."""
        there = replace(self, gateway=gateway, form=dict(self.form), browser=gateway.browser())
        there.browser.cookie_jar.update_cookies(
            [(each.key, each) for each in self.browser.cookie_jar], URL(gateway.url)
        )
        await there.fetch_token()
        return there

    async def fetch_token(self) -> None:
        """The software's."""
        reply = await self.gateway.ask_token(basic=(self.client_id, self.client_secret))
        self.token = reply.body["access_token"]

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """As the software."""
        return await self.gateway.call(method, path, body, token=self.token, **options)

    async def in_person(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """With the session cookie."""
        return await self.gateway.call(method, path, body, http=self.browser, **options)

    @property
    def login(self) -> dict[str, Any]:
        """What he types at the door."""
        return {name: self.form[name] for name in ("scheme", "value", "password")}

    async def give_code(self, *, to: str | None = None) -> None:
        """Has a code mailed and gives it: sensitive changes are open for some minutes."""
        before = self.gateway.mailbox.received
        asked = await self.in_person("POST", "/v1/sessions/current/code")
        assert asked.status == 202, asked.body
        await self.type_code(await self.gateway.letter_about(to or self.form["email"], "Votre code", after=before))

    async def type_code(self, letter: Letter) -> None:
        """Gives the code of a letter."""
        given = await self.in_person("POST", "/v1/sessions/current/second-factor", {"code": mailed_code(letter)})
        assert given.status == 200, given.body

    async def sign(self) -> None:
        path = f"/v1/conventions/{self.form['specialty']}"
        version = (await self.in_person("GET", path)).body["version"]
        signed = await self.in_person("POST", f"{path}/signature", {"version": version})
        assert signed.status == 201, signed.body

    async def check(self, card: dict[str, Any], domain: str = "OPTI", **options: Any) -> Reply:
        return await self.call("POST", "/v1/card-checks", {**card, "domain": domain}, **options)


@dataclass(slots=True)
class Insurer:
    """An insurer's system."""

    gateway: "Gateway"
    id: UUID
    number: str
    client_id: str
    key: Ed25519PrivateKey
    token: str = ""

    def assertion(self, **changes: Any) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{self.gateway.url}/oauth/token",
            "exp": now + timedelta(minutes=1),
            "jti": uuid4().hex,
        }
        return jwt.encode({**claims, **changes}, self.key, algorithm="EdDSA")

    async def at(self, gateway: "Gateway") -> "Insurer":
        """The same, where the database is a clone."""
        there = replace(self, gateway=gateway)
        await there.log_in()
        return there

    async def log_in(self) -> None:
        reply = await self.gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=self.assertion())
        assert reply.status == 200, reply.body
        self.token = reply.body["access_token"]

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        return await self.gateway.call(method, path, body, token=self.token, **options)

    async def put_product(self, code: str = "CONFORT", **changes: Any) -> Reply:
        return await self.call("PUT", f"/v1/insurer/products/{code}", builders.a_product(**changes))

    async def load(self, *lines: str, mode: str = "update", **options: Any) -> Reply:
        """Streams a rights file made of these lines, the header put in front."""
        return await self.load_bytes("\n".join([builders.RIGHTS_HEADER, *lines, ""]).encode(), mode=mode, **options)

    async def load_bytes(self, content: bytes, *, mode: str = "update", **options: Any) -> Reply:
        return await self.call(
            "POST",
            f"/v1/insurer/rights-imports?mode={mode}",
            data=_in_pieces(content),
            headers={"Content-Type": "text/csv", **options.pop("headers", {})},
            **options,
        )


@dataclass(slots=True)
class Gateway:
    """The running service."""

    app: web.Application
    url: str
    database: str
    mailbox: Mailbox
    http: aiohttp.ClientSession = field(init=False)
    _browsers: list[aiohttp.ClientSession] = field(default_factory=list)
    _connection: "asyncpg.Connection[asyncpg.Record] | None" = None
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> "Gateway":
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in [self.http, *self._browsers]:
            await session.close()
        if self._connection is not None:
            self._connection.terminate()

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        http: aiohttp.ClientSession | None = None,
        headers: dict[str, str] | None = None,
        data: Any = None,
        key: str | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if key is not None:
            sent["Idempotency-Key"] = key
        async with (http or self.http).request(
            method, self.url + path, json=body, data=data, headers=sent, allow_redirects=False
        ) as answer:
            raw = await answer.read()
            parsed = json.loads(raw) if answer.content_type.endswith(("/json", "+json")) and raw else raw
            return Reply(status=answer.status, body=parsed, headers=answer.headers)

    async def ask_token(self, *, basic: tuple[str, str] | None = None, **form: str) -> Reply:
        headers = {"Authorization": aiohttp.encode_basic_auth(*basic)} if basic else {}
        data = aiohttp.FormData({"grant_type": "client_credentials", **form})
        async with self.http.post(f"{self.url}/oauth/token", data=data, headers=headers) as answer:
            return Reply(status=answer.status, body=await answer.json(content_type=None), headers=answer.headers)

    def browser(self) -> aiohttp.ClientSession:
        """A browser of its own, that keeps cookies."""
        session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._browsers.append(session)
        return session

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of the test's own, to see what was written."""
        connection = await asyncpg.connect(self.database)
        await prepare_connection(connection)
        return connection

    async def fetchval(self, query: str, *values: Any) -> Any:
        async with self._looking:
            return await (await self._kept()).fetchval(query, *values)

    async def execute(self, query: str, *values: Any) -> None:
        async with self._looking:
            await (await self._kept()).execute(query, *values)

    async def _kept(self) -> "asyncpg.Connection[asyncpg.Record]":
        """One connection for all looks of a test: a new one is a process of the server each time."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self.connect()
        return self._connection

    async def letter_to(self, address: str, *, after: int = 0) -> Letter:
        """The first mail to an address past the first so many of all; the worker must be running."""
        return await self.mailbox.wait_for(address, after=after)

    async def letter_about(self, address: str, words: str, *, after: int = 0) -> Letter:
        """The first mail to an address past the first so many of all whose subject holds these words."""
        return await self.mailbox.wait_for(address, after=after, words=words)

    async def join(self, **changes: Any) -> Practitioner:
        """A practitioner who has registered, opened the mailed link, logged in, and connected software."""
        form = builders.a_registration(**changes)
        await self.enlist(form)
        token = await self.mailed_token(form)
        browser = self.browser()
        activated = await self.call("POST", "/v1/practitioners/activation", {"token": token}, http=browser)
        assert activated.status == 200, activated.body
        if activated.body["state"] == "in_review":
            await self.approve()
        return await self.enter(form, browser)

    async def invite_to_desk(self, number: str, email: str, name: str, role: Role = Role.OWNER) -> None:
        """The operator invites somebody of an insurer's."""
        state = self.app[STATE]
        async with state.pool.acquire() as connection, connection.transaction():
            await people.invite(
                connection,
                Post.of(state.settings, state.vault),
                await insurers.find(connection, number),
                email=email,
                name=name,
                role=role,
                days=7,
                session_id=None,
                now=datetime.now(UTC),
                actor=OPERATOR,
            )

    async def approve(self) -> None:
        """The operator lets in whoever waits."""
        state, before = self.app[STATE], self.mailbox.received
        async with state.pool.acquire() as connection, connection.transaction():
            for review in await oversight.reviews(connection):
                post = Post.of(state.settings, state.vault)
                await oversight.approve(connection, post, review.id, now=datetime.now(UTC), actor=OPERATOR)
                told = review.email
        await self.letter_about(told, "Votre compte est ouvert", after=before)

    async def enlist(self, form: dict[str, Any]) -> None:
        """The public directory agrees with a registration."""
        scheme, value = form["scheme"], form["value"]
        if scheme == "treasury":
            scheme, value = "finess", form.get("finess", "330000639")
        await self.execute(
            "INSERT INTO directory_entries (scheme, number, place, source, legal_name, last_name, first_name,"
            " postal_code, is_cedex, siret) VALUES ($1, $2, '', 'finess', $3, $4, $5, $6, false, $7) ON CONFLICT DO NOTHING",
            scheme,
            re.sub("[ /]", "", value).upper(),
            form.get("legal_name"),
            form.get("last_name"),
            form.get("first_name"),
            form["postal_code"],
            form.get("siret"),
        )

    async def mailed_token(self, form: dict[str, Any]) -> str:
        """Registers, and gives the token of the mailed link."""
        before = self.mailbox.received
        registered = await self.call("POST", "/v1/practitioners", form)
        assert registered.status == 202, registered.body
        return link_token(await self.letter_to(form["email"], after=before))

    async def log_in(self, form: dict[str, Any], browser: aiohttp.ClientSession | None = None) -> Practitioner:
        """Logs in, with the mailed code where the browser is not known."""
        practitioner = Practitioner(self, form, browser or self.browser())
        before = self.mailbox.received
        session = await practitioner.in_person("POST", "/v1/sessions", practitioner.login)
        assert session.status == 201, session.body
        if session.body["status"] == "second_factor_needed":
            await practitioner.type_code(await self.letter_about(form["email"], "Votre code", after=before))
        return practitioner

    async def enter(self, form: dict[str, Any], browser: aiohttp.ClientSession | None = None) -> Practitioner:
        practitioner = await self.log_in(form, browser)
        me = await practitioner.in_person("GET", "/v1/me/second-factor")
        if me.body["given_at"] is None:
            await practitioner.give_code()
        wanted = {"name": "Logiciel", "scopes": ["cards", "approvals", "tables"]}
        before = self.mailbox.received
        client = await practitioner.in_person("POST", "/v1/me/clients", wanted)
        assert client.status == 201, client.body
        await self.letter_about(form["email"], "accès logiciel", after=before)  # the holder is told
        practitioner.client_id, practitioner.client_secret = client.body["client_id"], client.body["client_secret"]
        await practitioner.fetch_token()
        return practitioner

    async def admit(self, number: str = "0099990011", convention_type: str = "SP") -> Insurer:
        """An insurer of the network, its system holding a token."""
        key = Ed25519PrivateKey.generate()
        connection = await self.connect()
        async with connection.transaction():
            insurer, client_id = await insurers.add(
                connection,
                number=amc_number.validate(number),
                name=f"Mutuelle {next(_numbers)}",
                convention_types=[convention_type],
                public_jwk=json.loads(OKPAlgorithm.to_jwk(key.public_key())),
                actor=OPERATOR,
            )
        await connection.close()
        admitted = Insurer(self, insurer.id, insurer.number, str(client_id), key)
        await admitted.log_in()
        return admitted

    async def publish_conventions(self, folder: Path) -> None:
        connection = await self.connect()
        async with connection.transaction():
            for terms in convention_files.read_folder(folder):
                await conventions.publish(connection, terms, now=datetime.now(UTC), actor=OPERATOR)
        await connection.close()


def link_token(letter: Letter) -> str:
    """The token of the link in a letter."""
    found = re.search(r"/[a-z-]+/([A-Za-z0-9_-]{43})\b", letter.text)
    assert found, letter.text
    return found[1]


def mailed_code(letter: Letter) -> str:
    """The six digits of a letter."""
    found = re.search(r"\b(\d{6})\b", letter.subject)
    assert found, letter.subject
    return found[1]


async def run_command(*words: str, database: str | None = None, **environment: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TPG_")}
    given = {"TPG_DATABASE_URL": database} if database else {}
    status, printed, complaint = await starter.run_command(words, {**kept, "COLUMNS": "200", **given, **environment})
    assert b"Traceback" not in complaint, complaint.decode()
    return status, printed.decode(), complaint.decode()


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Somebody else's server, on a port of its own; gives its address."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Waits for something that another process brings about; raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while not await holds():  # what is waited for happens in another process
            await asyncio.sleep(0.02)


async def _in_pieces(content: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
