"""A day's work while operators do theirs: cards are checked, glasses asked for, pages opened, rights loaded, events read.

Nothing is tried twice: what fails is counted, with what was asked. What was accepted is kept, with the moment of the answer.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests import builders
from tests.chaos.house import House
from tests.driver import ASSERTION_TYPE, Gateway, Insurer, Practitioner, Reply, until

PEOPLE = 6_000
_CHECKERS, _ASKERS = 3, 2
_PAUSE = 0.01  # people and software think; so many without a pause would show the machine's speed and nothing else
_PAGES = (
    "/comptoir",
    "/demandes",
    "/convention",
    "/tables",
    "/compte",
    "/compte/banque",
    "/compte/equipe",
    "/compte/acces",
)
_OWN = ("/v1/me", "/v1/me/clients", "/v1/me/members", "/v1/me/bank-details", "/v1/me/second-factor", "/v1/sessions")
_BY_SOFTWARE = ("/v1/prior-approvals", "/v1/conventions", "/v1/conventions/optics", "/v1/dre/tables", "/v1/tariffs")
_BY_INSURERS = ("", "/clients", "/endpoints", "/events?after=0", "/prior-approvals")


@dataclass
class Day:
    """Who works, and what came of it. ``proofs`` and ``approvals`` tell when each was answered; of these, in which state."""

    gateway: Gateway
    optician: Practitioner
    insurer: Insurer
    proofs: dict[str, datetime] = field(default_factory=dict)
    approvals: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    good_at: list[float] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @classmethod
    async def begin(cls, house: House, gateway: Gateway, folder: Path) -> "Day":
        """An optician under its convention, and an insurer with people."""
        insurer = await _admit(house, gateway, folder)
        await insurer.log_in()
        assert (await insurer.put_product()).status == 200
        await insurer.load(*(builders.a_right(str(number)) for number in range(1, PEOPLE)))
        optician = await gateway.join(**builders.an_optician())
        await optician.sign()
        return cls(gateway, optician, insurer)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Day"]:
        """Everybody is at work meanwhile; afterwards all answers that were waited for have come."""
        is_over = asyncio.Event()
        work = [*[self._check] * _CHECKERS, *[self._ask_for_glasses] * _ASKERS, self._read, self._insure]
        tasks = [asyncio.create_task(self._repeat(each, is_over)) for each in work]
        try:
            yield self
        finally:
            is_over.set()
            await asyncio.gather(*tasks)

    async def goes_on(self, times: int = 150) -> None:
        """So many more good answers."""
        more = len(self.good_at) + times

        async def has() -> bool:
            return len(self.good_at) >= more

        await until(has, 30)

    def pause(self) -> float:
        """The longest time without a good answer, in seconds."""
        return max(after - before for before, after in zip(self.good_at, self.good_at[1:], strict=False))

    async def missing(self, database: str, by: datetime | None = None) -> set[str]:
        """What was answered by a moment, or ever, and is not on record."""
        gateway = Gateway(app=self.gateway.app, url="", database=database, mailbox=self.gateway.mailbox)
        connection = await gateway.connect()
        kept = {row["proof"] for row in await connection.fetch("SELECT proof FROM card_checks")}
        states = {
            str(row["id"]): row["state"] for row in await connection.fetch("SELECT id, state FROM prior_approvals")
        }
        await connection.close()
        lost = {
            proof for proof, at in self.proofs.items() if (not by or at <= by) and proof.replace("-", "") not in kept
        }
        for reference, (state, at) in self.approvals.items():
            if (not by or at <= by) and states.get(reference.partition("-")[2]) not in {state, "cancelled"}:
                lost.add(reference)
        return lost

    async def _repeat(
        self, work: "Callable[[aiohttp.ClientSession], Coroutine[Any, Any, None]]", is_over: asyncio.Event
    ) -> None:
        # Of software that checks cards, some opens a connection each time; so every process gets its share.
        connector = aiohttp.TCPConnector(force_close=work == self._check)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
            while not is_over.is_set():
                await work(http)
                await asyncio.sleep(_PAUSE)

    async def _say(self, what: str, asking: Coroutine[Any, Any, Reply], expected: int = 200) -> Any:
        """The body of an answer as it should be; None of one that is counted as failed."""
        try:
            reply = await asking
        except aiohttp.ClientError as error:
            self.failed[f"{what}: {type(error).__name__}"] += 1
            return None
        self.answers[reply.status] += 1
        if reply.status != expected:
            code = reply.body.get("code") if isinstance(reply.body, dict) else ""
            self.failed[f"{what}: {reply.status} {code}"] += 1
            return None
        self.good_at.append(time.monotonic())
        return reply.body

    async def _check(self, http: aiohttp.ClientSession) -> None:
        card = {**builders.a_card(membership_number=str(next(self._numbers))), "domain": "OPTI"}
        body = await self._say("check", self.optician.call("POST", "/v1/card-checks", card, http=http))
        if body is not None:
            self.proofs[body["proof"]] = datetime.now(UTC)
            await self._say("a check", self.optician.call("GET", f"/v1/card-checks/{body['id']}", http=http))

    async def _ask_for_glasses(self, http: aiohttp.ClientSession) -> None:
        card = {**builders.a_card(membership_number=str(next(self._numbers))), "domain": "OPTI"}
        check = await self._say("check", self.optician.call("POST", "/v1/card-checks", card, http=http))
        if check is None:
            return
        self.proofs[check["proof"]] = datetime.now(UTC)
        asked = builders.a_request(check["proof"])
        approval = await self._say(
            "approval", self.optician.call("POST", "/v1/prior-approvals", asked, http=http), expected=201
        )
        if approval is None:
            return
        assert approval["state"] == "approved", approval
        self.approvals[approval["id"]] = ("approved", datetime.now(UTC))
        place = f"/v1/prior-approvals/{approval['id']}"
        await self._say("an approval", self.optician.call("GET", place, http=http))
        if len(self.approvals) % 3 == 0:
            done = await self._say("cancellation", self.optician.call("POST", f"{place}/cancellation", http=http))
            if done is not None:
                self.approvals[approval["id"]] = ("cancelled", datetime.now(UTC))

    async def _read(self, http: aiohttp.ClientSession) -> None:
        for path in (*_PAGES, *_OWN):
            await self._say(path, self.optician.in_person("GET", path))
        for path in _BY_SOFTWARE:
            await self._say(path, self.optician.call("GET", path, http=http))
        credentials = (self.optician.client_id, self.optician.client_secret)
        await self._say("token", self.gateway.ask_token(basic=credentials))

    async def _insure(self, http: aiohttp.ClientSession) -> None:
        for path in _BY_INSURERS:
            await self._say(f"insurer {path}", self.insurer.call("GET", f"/v1/insurer{path}", http=http))
        assertion = self.insurer.assertion()
        await self._say(
            "token of an insurer",
            self.gateway.ask_token(client_assertion_type=ASSERTION_TYPE, client_assertion=assertion),
        )
        await self._say("product", self.insurer.put_product())
        await self._say("rights", self.insurer.load(builders.a_right(str(PEOPLE + len(self.good_at)))), expected=201)


async def _admit(house: House, gateway: Gateway, folder: Path) -> Insurer:
    """An insurer and the conventions, by the commands of the house's version: this one's need its own schema."""
    terms, key = folder / "conventions", Ed25519PrivateKey.generate()
    terms.mkdir()
    (folder / "insurer.jwk").write_text(OKPAlgorithm.to_jwk(key.public_key()))
    words = (
        "--number",
        "0099990011",
        "--name",
        "Mutuelle",
        "--convention-type",
        "SP",
        "--key",
        str(folder / "insurer.jwk"),
    )
    made, _ = await asyncio.gather(
        house.command("insurers", "add", *words, "--json"),
        house.command("conventions", "publish", str(builders.convention_files(terms))),
    )
    id_ = await gateway.fetchval("SELECT id FROM insurers")
    return Insurer(gateway, id_, "0099990011", json.loads(made.splitlines()[-1])["client_id"], key)


def say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Tells a figure, where figures are asked for."""
    if "CHAOS_SECONDS" in os.environ:
        with capsys.disabled():
            sys.stdout.write(f"\nrehearsal: {line}\n")
