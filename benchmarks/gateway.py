"""The gateway to be measured: the demo's house after its story, which leaves 10,000 people and a pharmacist behind."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tpgateway.database.embedded import EmbeddedServer
from tpgateway.database.migrations import migrate
from tpgateway.demo import people
from tpgateway.demo.house import House
from tpgateway.demo.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where it is, what to send it, and how large its answer is."""

    url: str
    requests: list[bytes]
    answer_bytes: int


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
        house = House(
            folder=folder, database_url=server.url(), port=None, more={"TPG_REQUESTS_PER_MINUTE": "100000000"}
        )
        try:
            await house.open()
            async with aiohttp.ClientSession() as http:
                await Story(house, http, _Silence()).play()
                yield await _prepared(house, http)
        finally:
            await house.close()
    finally:
        server.stop()


async def _prepared(house: House, http: aiohttp.ClientSession) -> Gateway:
    kept = house.memory.data["practitioners"][people.PHARMACIST.key]
    headers = {"Authorization": aiohttp.encode_basic_auth(kept["client_id"], kept["client_secret"])}
    form = aiohttp.FormData({"grant_type": "client_credentials"})
    async with http.post(f"{house.url}/oauth/token", data=form, headers=headers) as answer:
        token = (await answer.json())["access_token"]
    bodies = [json.dumps({**people.covered_card(number), "domain": "PHAR"}).encode() for number in range(1_000)]
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with http.post(f"{house.url}/v1/card-checks", data=bodies[0], headers=bearer) as answer:
        size = len(await answer.read())
    head = f"POST /v1/card-checks HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    return Gateway(url=house.url, requests=requests, answer_bytes=size)
