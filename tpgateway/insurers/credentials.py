"""Use cases of insurers' systems: their keys, in the client itself or at an address of the insurer's, and their exchange."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import structlog
from pydantic import TypeAdapter, ValidationError

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.insurers import rules
from tpgateway.insurers.client import KeysUnreadable, read_keys
from tpgateway.insurers.errors import EndpointRefused, KeyRotates, OwnClient
from tpgateway.insurers.model import InsurerClient, InsurerId
from tpgateway.insurers.store.accounts import ClientStore
from tpgateway.web.callers import Access, Caller
from tpgateway.web.fields import PublishedJwkField
from tpgateway.web.oauth import Client
from tpgateway.web.problems import TokenInvalid

_MOST_KEYS, _MOST_LOOKED_AT = 10, 100
_READ_AT_MOST_EVERY = timedelta(seconds=10)
_READ_AGAIN_AFTER = timedelta(hours=1)
_GOOD_FOR = timedelta(hours=24)
Connect = Callable[[], AbstractAsyncContextManager[Connection]]
_KEY: TypeAdapter[dict[str, Any]] = TypeAdapter(PublishedJwkField)
_log = structlog.get_logger(__name__)


async def refuse_revoked(connection: Connection, insurer_id: InsurerId, client_id: UUID | None) -> None:
    """Raises ``TokenInvalid`` for a client that was revoked, or whose insurer was suspended, while its token was out.

    What changes who may come in, and where things are sent, does not wait for tokens to end.
    """
    if client_id is None or not await ClientStore(connection).is_live(insurer_id, client_id):
        raise TokenInvalid


async def add(
    connection: Connection,
    insurer_id: InsurerId,
    *,
    name: str,
    public_jwk: Mapping[str, Any] | None,
    jwks_url: str | None,
    allows_private: bool,
    actor: Actor,
) -> InsurerClient:
    """Another system, by its key or by the address of its keys; raises ``EndpointRefused``."""
    _refuse(jwks_url, allows_private=allows_private)
    client = await ClientStore(connection).add(insurer_id, name=name, public_jwk=public_jwk, jwks_url=jwks_url)
    await _audit(connection, actor, Action.INSURER_KEY_ADDED, insurer_id, client.id)
    return client


async def list_all(connection: Connection, insurer_id: InsurerId) -> Sequence[InsurerClient]:
    """All systems, those revoked included."""
    return await ClientStore(connection).list(insurer_id)


async def rotate(
    connection: Connection,
    insurer_id: InsurerId,
    client_id: UUID,
    *,
    public_jwk: Mapping[str, Any] | None,
    jwks_url: str | None,
    allows_private: bool,
    overlap: timedelta,
    now: datetime,
    actor: Actor,
) -> InsurerClient | None:
    """Another key; the one before works for as long as they overlap. None where there is no such client.

    Raises ``KeyRotates`` while the exchange before is under way, and ``EndpointRefused``.
    """
    _refuse(jwks_url, allows_private=allows_private)
    store = ClientStore(connection)
    present = await store.lock(insurer_id, client_id)
    if present is None:
        return None
    if overlap and present.former_until is not None and present.former_until > now:
        raise KeyRotates
    client = await store.rotate(
        insurer_id,
        client_id,
        public_jwk=public_jwk,
        jwks_url=jwks_url,
        former_until=now + overlap if overlap else None,
    )
    await _audit(connection, actor, Action.INSURER_KEY_ROTATED, insurer_id, client_id)
    return client


async def revoke(
    connection: Connection,
    insurer_id: InsurerId,
    client_id: UUID,
    *,
    calling: UUID | None = None,
    now: datetime,
    actor: Actor,
) -> bool:
    """Ends a system at once for new tokens; False where there is none. Raises ``OwnClient`` for the one that is calling."""
    if client_id == calling:
        raise OwnClient
    is_done = await ClientStore(connection).revoke(insurer_id, client_id, now)
    if is_done:
        await _audit(connection, actor, Action.INSURER_KEY_REVOKED, insurer_id, client_id)
    return is_done


async def find(connection: Connection, client_id: UUID) -> Client | None:
    """The token endpoint's look-up."""
    row = await ClientStore(connection).find(client_id)
    if row is None:
        return None
    published, former = _good(row["jwks"], datetime.now(UTC)), (row["former_jwks"] or {}).get("keys", ())
    return Client(
        caller=Caller(
            access=Access.INSURER_CLIENT, account_id=row["insurer_id"], client_id=client_id, scopes=frozenset()
        ),
        public_jwks=[
            each for each in (row["public_jwk"], *published, row["former_public_jwk"], *former) if each is not None
        ],
        mark_used=mark_used,
    )


async def mark_used(connection: Connection, client_id: UUID) -> None:
    """Remembers when the client last got a token."""
    await ClientStore(connection).mark_used(client_id, datetime.now(UTC))


@dataclass(slots=True)
class PublishedKeys:
    """Reads the keys that systems publish at an address of theirs, outside any transaction."""

    connect: Connect
    http: aiohttp.ClientSession | None = None
    _under_way: dict[UUID, asyncio.Task[bool]] = field(default_factory=dict)

    async def refresh(self, client_id: UUID, *, every: timedelta = _READ_AT_MOST_EVERY) -> bool:
        """Whether the client's keys were read just now: not where they stand here, or cannot be read.

        Who asks while they are being read gets what comes of that.
        """
        if client_id not in self._under_way:
            self._under_way[client_id] = task = asyncio.create_task(self._refresh(client_id, every))
            task.add_done_callback(lambda _: self._under_way.pop(client_id, None))
        return await asyncio.shield(self._under_way[client_id])

    async def _refresh(self, client_id: UUID, every: timedelta) -> bool:
        assert self.http is not None
        now = datetime.now(UTC)
        async with self.connect() as connection:
            store = ClientStore(connection)
            if (url := await store.claim_jwks(client_id, now, now - every)) is None:
                return await store.has_keys_since(client_id, now - every)  # read while this one looked
        try:
            found = await read_keys(self.http, url)
        except KeysUnreadable as error:
            _log.warning("keys_unreadable", client_id=client_id, reason=str(error))
            return False
        async with self.connect() as connection:
            await ClientStore(connection).set_jwks(client_id, url, {"keys": _usable(found), "read_at": now.isoformat()})
        return True

    async def refresh_old(self) -> None:
        """Reads anew what was read over an hour ago, so that a key that is published no more is soon good no more."""
        async with self.connect() as connection:
            clients = await ClientStore(connection).with_published_keys(datetime.now(UTC) - _READ_AGAIN_AFTER)
        for client_id in clients:
            await self.refresh(client_id, every=_READ_AGAIN_AFTER)


def _usable(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    usable = []
    for each in found[:_MOST_LOOKED_AT]:
        try:
            usable.append(_KEY.validate_python(each))
        except ValidationError:
            continue  # a set may hold keys for other things
    return usable[:_MOST_KEYS]


def _good(jwks: Mapping[str, Any] | None, now: datetime) -> Sequence[Mapping[str, Any]]:
    """The keys that were read; none where that was too long ago to be trusted still."""
    if jwks is None or now - datetime.fromisoformat(jwks["read_at"]) > _GOOD_FOR:
        return ()
    keys: Sequence[Mapping[str, Any]] = jwks["keys"]
    return keys


def _refuse(jwks_url: str | None, *, allows_private: bool) -> None:
    if jwks_url is not None and (fault := rules.endpoint_fault(jwks_url, allows_private=allows_private)):
        raise EndpointRefused(fault)


async def _audit(connection: Connection, actor: Actor, action: Action, insurer_id: InsurerId, client_id: UUID) -> None:
    await audit.record(connection, actor=actor, action=action, subject_id=client_id, insurer_id=insurer_id)
