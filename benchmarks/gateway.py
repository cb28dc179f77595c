"""The gateway to be measured: the demo's house after its story, with 10,000 people, a pharmacist and an insurer."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks import people
from tpgateway.cards.payloads import BATCH_LINES
from tpgateway.client import Client, PrivateKey
from tpgateway.database.embedded import EmbeddedServer
from tpgateway.database.migrations import migrate
from tpgateway.demo import people as seeds
from tpgateway.demo.house import House
from tpgateway.demo.story import Story

PRODUCT = "CONFORT"
_MANY = 1_000_000_000
_LIMITS = {
    "TPG_REQUESTS_PER_MINUTE": str(_MANY),
    "TPG_SANDBOX": "false",
    "TPG_CHECK_QUOTAS": json.dumps(
        {"default": dict.fromkeys(("people_per_hour", "people_per_day", "misses_per_hour", "misses_per_day"), _MANY)}
    ),
}
"""Limits are counted as ever, and out of the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An import: its answer, how long it took from the first byte sent, and the most memory of the Python processes."""

    answer: dict[str, Any]
    seconds: float
    megabytes: float


@dataclass(slots=True, kw_only=True)
class Gateway:
    """The running house and who calls it."""

    house: House
    http: aiohttp.ClientSession
    database_url: str
    token: str
    insurer: Client

    @property
    def url(self) -> str:
        return self.house.url

    def requests(
        self, bodies: Sequence[dict[str, Any]], *, path: str = "/v1/card-checks", token: str | None = None
    ) -> list[bytes]:
        """Raw requests, of card checks unless another path is named, by the pharmacist unless another has the token."""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token or self.token}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: "
        written = [json.dumps(body).encode() for body in bodies]
        return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in written]

    async def log_in(self) -> None:
        """A fresh token for the pharmacist's software: it lasts ten minutes."""
        self.token = await self.token_of(seeds.PHARMACIST)

    async def token_of(self, seed: seeds.PractitionerSeed) -> str:
        """A fresh token of one of the demo's practitioners."""
        kept = self.house.memory.data["practitioners"][seed.key]
        headers = {"Authorization": aiohttp.encode_basic_auth(kept["client_id"], kept["client_secret"])}
        form = aiohttp.FormData({"grant_type": "client_credentials"})
        async with self.http.post(f"{self.url}/oauth/token", data=form, headers=headers) as answer:
            token: str = (await answer.json())["access_token"]
            return token

    async def optical_requests(self, cards: Sequence[dict[str, Any]]) -> list[bytes]:
        """Raw requests for glasses, one a card, on proofs of checks made now."""
        token = await self.token_of(seeds.OPTICIAN)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        proofs: list[str] = []
        for start in range(0, len(cards), BATCH_LINES):
            some = cards[start : start + BATCH_LINES]
            lines = "".join(json.dumps({**card, "domain": "OPTI"}) + "\n" for card in some).encode()
            async with self.http.post(f"{self.url}/v1/card-checks/batch", data=lines, headers=headers) as answer:
                proofs += [json.loads(line)["proof"] for line in (await answer.read()).splitlines()]
        today = datetime.now(UTC).date()
        bodies = [seeds.optical_request(card, proof, today) for card, proof in zip(cards, proofs, strict=True)]
        return self.requests(bodies, path="/v1/prior-approvals", token=token)

    async def answer_bytes(self, body: dict[str, Any]) -> int:
        """How large the answer to a check is."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.post(f"{self.url}/v1/card-checks", json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["outcome"] == "covered"
            return len(await answer.read())

    async def load(self, file: Path) -> Imported:
        """Sends a rights file as an insurer does."""
        await self.log_in()
        watch = asyncio.create_task(_most_memory())
        started = time.perf_counter()
        with file.open("rb") as body:
            told = await self.insurer.load_rights(body, mode="update")
        seconds = time.perf_counter() - started
        watch.cancel()
        return Imported(answer=told, seconds=seconds, megabytes=_seen[-1])


_seen = [0.0]


async def _most_memory() -> None:
    """The most that any one Python process of ours held at a moment, in megabytes."""
    _seen.append(0.0)
    while True:
        for process in psutil.Process().children(recursive=True):
            try:
                if "python" in process.name():
                    _seen[-1] = max(_seen[-1], process.memory_info().rss / 1e6)
            except psutil.Error:
                continue
        await asyncio.sleep(0.2)


def demo_bodies() -> list[dict[str, Any]]:
    """Checks of a thousand among the demo's ten thousand people."""
    return [{**seeds.covered_card(number), "domain": "PHAR"} for number in range(1_000)]


def bodies(count: int, *, among: int) -> list[dict[str, Any]]:
    """Checks of so many people of a file of ``people.write``."""
    return [{**card, "domain": "PHAR"} for card in cards(count, among=among)]


def cards(count: int, *, among: int) -> list[dict[str, Any]]:
    """The cards of so many people of a file of ``people.write``."""
    found = []
    for number in people.some(count, among=among):
        member, born = people.person(number)
        found.append({**seeds.covered_card(0), "membership_number": member, "birth_date": born, "birth_rank": 1})
    return found


class _Silence:
    def chapter(self, title: str) -> None: ...

    def step(self, who: str, sent: str, came: str, milliseconds: float) -> None: ...


@asynccontextmanager
async def open_gateway(folder: Path) -> AsyncIterator[Gateway]:
    """The whole house with one worker process of the service, its limits raised out of the way."""
    server = EmbeddedServer(folder)
    try:
        await server.create_database()
        await migrate(server.url())
        house = House(folder=folder, database_url=server.url(), port=None, more=_LIMITS)
        try:
            await house.open()
            async with aiohttp.ClientSession() as http:
                await Story(house, http, _Silence()).play()
                kept = house.memory.data["insurers"][seeds.LAC.key]
                key = house.key_files(seeds.LAC)[0].read_bytes()
                insurer = Client(house.url, PrivateKey(kept["client_id"], key), http=http)
                gateway = Gateway(house=house, http=http, database_url=server.url(), token="", insurer=insurer)
                await gateway.log_in()
                yield gateway
        finally:
            await house.close()
    finally:
        server.stop()
