"""The network side of insurers: one signed POST to an endpoint, one GET of the keys that a system publishes."""

import asyncio
import base64
import json
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from tpgateway.insurers.model import BodyFormat, Delivery
from tpgateway.insurers.rules import is_public

_ANSWER_BYTES = 64 * 1024
_BODY_SECONDS = 1.0
_KEYS_SECONDS = 5
_SECRET_BYTES = 32
_MEDIA_TYPES = {BodyFormat.JSON: "application/json", BodyFormat.XML: "application/xml"}


def new_secret() -> str:
    """A secret for ``v1`` signatures, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_signing_key() -> tuple[bytes, str]:
    """A private key for ``v1a`` signatures, and its public part as Standard Webhooks writes it."""
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return key.private_bytes_raw(), f"whpk_{public}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """What an endpoint's events are signed with: while keys are exchanged, with the former ones too."""

    secrets: Sequence[str]
    signing_keys: Sequence[bytes]

    def sign(self, message_id: str, now: datetime, body: str) -> str:
        """The ``webhook-signature``: ``v1`` by each secret, ``v1a`` by each key."""
        signatures = [Webhook(secret).sign(message_id, now, body) for secret in self.secrets]
        message = f"{message_id}.{int(now.timestamp())}.{body}".encode()
        for each in self.signing_keys:
            signed = Ed25519PrivateKey.from_private_bytes(each).sign(message)
            signatures.append(f"v1a,{base64.b64encode(signed).decode()}")
        return " ".join(signatures)


class TargetNotPublic(OSError):
    """The endpoint's name leads to a private address, where events are never sent."""


class PublicResolver(AbstractResolver):
    """Resolves names as usual, then refuses those that lead inside: the check that a changed name cannot evade."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found: Sequence[ResolveResult] = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise TargetNotPublic(host)
        return list(found)

    async def close(self) -> None:
        await self._resolver.close()


def open_session(*, allows_private: bool) -> aiohttp.ClientSession:
    """A session to insurers' own servers; it keeps no cookies.

    It has any number of connections: who uses it gives each insurer places of its own.
    """
    connector = aiohttp.TCPConnector(resolver=None if allows_private else PublicResolver(), limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def post_event(
    session: aiohttp.ClientSession,
    *,
    url: str,
    signer: Signer,
    event_id: str,
    body: str,
    form: BodyFormat,
    now: datetime,
    timeout_seconds: int,
) -> Delivery:
    """Posts an event as Standard Webhooks has it; never raises for what the other side does."""
    headers = {
        "Content-Type": _MEDIA_TYPES[form],
        "User-Agent": "tpgateway",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(event_id, now, body),
    }
    started = time.perf_counter()
    status, failure = None, None
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer,
        ):
            status = answer.status  # which is the receipt, whatever becomes of the rest
            with suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(_BODY_SECONDS):
                    await answer.content.read(_ANSWER_BYTES)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = None if status is not None else _name(error)
    return Delivery(status=status, failure=failure, milliseconds=round((time.perf_counter() - started) * 1000))


class KeysUnreadable(Exception):
    """The address answers no key set, or none in time."""


async def read_keys(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """The keys of a JWK Set, as published; raises ``KeysUnreadable``."""
    try:
        async with asyncio.timeout(_KEYS_SECONDS), session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise KeysUnreadable(f"status {answer.status}")
            raw = await answer.content.read(_ANSWER_BYTES)
            while not answer.content.at_eof() and len(raw) < _ANSWER_BYTES:
                raw += await answer.content.read(_ANSWER_BYTES - len(raw))
            keys = json.loads(raw)["keys"]
            if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
                raise KeysUnreadable("no key set")
            return keys
    except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnreadable(_name(error)) from None


def _name(error: Any) -> str:
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__
