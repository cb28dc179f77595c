"""Requests as they are written on a connection."""

import asyncio
import json
from typing import Any

from tests.driver import Gateway

Answer = tuple[int, dict[str, str], Any]
OWN = {"X-Request-Id", "Server-Timing", "RateLimit", "Date"}
"""The headers of one answer alone."""


class Wire:
    """A connection on which requests are written as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, path: str) -> None:
        self.reader, self.writer, self.token, self.path = reader, writer, token, path

    def request(self, body: Any, headers: dict[str, str] | None = None, *, version: str = "1.1") -> bytes:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {
            "Host": "a",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        return f"POST {self.path} HTTP/{version}\r\n{lines}\r\n".encode() + raw

    async def ask(self, body: Any, headers: dict[str, str] | None = None, *, version: str = "1.1") -> Answer:
        self.writer.write(self.request(body, headers, version=version))
        return await self.answer()

    async def answer(self) -> Answer:
        async with asyncio.timeout(5):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            raw = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        return int(first.split()[1]), headers, json.loads(raw or b"null")


async def connect(gateway: Gateway, token: str, path: str = "/v1/card-checks") -> Wire:
    """A connection behind its first request: that one goes the usual way."""
    wire = Wire(*await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":")), token, path)
    wire.writer.write(b"GET /v1/problems HTTP/1.1\r\nHost: a\r\n\r\n")
    await wire.answer()
    return wire
