"""Use cases of a practitioner's API clients."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.errors import Fault, FieldMissing, InvalidRequest
from tpgateway.mail import Post
from tpgateway.members import service as members
from tpgateway.practitioners.errors import RotationUnderWay
from tpgateway.practitioners.model import ApiClient, ClientId, PractitionerId
from tpgateway.practitioners.store import ClientStore
from tpgateway.web.callers import Access, Caller
from tpgateway.web.oauth import Client, hash_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client with a credential just made; the secret is shown this once."""

    client: ApiClient
    secret: str | None


async def create(
    connection: Connection,
    post: Post,
    practitioner_id: PractitionerId,
    *,
    name: str,
    scopes: list[str],
    public_jwk: dict[str, Any] | None,
    actor: Actor,
) -> NewClient:
    """A new client, by the key it brings or by a secret made here; the account's holder is told."""
    secret = None if public_jwk else secrets.token_urlsafe(32)
    client = await ClientStore(connection).add(
        practitioner_id,
        name=name,
        scopes=sorted(set(scopes)),
        secret_hash=hash_secret(secret) if secret else None,
        public_jwk=public_jwk,
    )
    await audit.record(connection, actor=actor, action=Action.CLIENT_CREATED, subject_id=client.id)
    holder = await members.holder(connection, practitioner_id)
    await members.tell(connection, post, holder, "practitioners/client_created", name=client.name)
    return NewClient(client=client, secret=secret)


async def list_all(connection: Connection, practitioner_id: PractitionerId) -> list[ApiClient]:
    """All clients of the account, those revoked included."""
    return await ClientStore(connection).list_all(practitioner_id)


async def rename(
    connection: Connection, practitioner_id: PractitionerId, client_id: ClientId, name: str, *, actor: Actor
) -> ApiClient | None:
    """The client under another name; None where there is none."""
    client = await ClientStore(connection).rename(practitioner_id, client_id, name)
    if client is not None:
        await audit.record(connection, actor=actor, action=Action.CLIENT_RENAMED, subject_id=client_id)
    return client


async def rotate(
    connection: Connection,
    practitioner_id: PractitionerId,
    client_id: ClientId,
    *,
    public_jwk: dict[str, Any] | None,
    overlap: timedelta,
    now: datetime,
    actor: Actor,
) -> NewClient | None:
    """Another credential for a client, the former one good for as long as they overlap; None where there is none.

    Raises ``RotationUnderWay``, or ``InvalidRequest`` where a client with a key would fall back to a secret.
    """
    present = await ClientStore(connection).lock(practitioner_id, client_id)
    if present is None:
        return None
    if present.has_key and public_jwk is None:
        raise InvalidRequest(faults=[Fault(pointer="/public_jwk", problem=FieldMissing)])
    if overlap and present.former_until is not None and present.former_until > now:
        raise RotationUnderWay
    secret = None if public_jwk else secrets.token_urlsafe(32)
    client = await ClientStore(connection).rotate(
        practitioner_id,
        client_id,
        secret_hash=hash_secret(secret) if secret else None,
        public_jwk=public_jwk,
        former_until=now + overlap if overlap else None,
    )
    assert client is not None  # it is locked
    await audit.record(connection, actor=actor, action=Action.CLIENT_ROTATED, subject_id=client_id)
    return NewClient(client=client, secret=secret)


async def revoke(
    connection: Connection, practitioner_id: PractitionerId, client_id: ClientId, *, now: datetime, actor: Actor
) -> bool:
    """Ends a client at once for new tokens; tokens already out last their few minutes. False where there is none."""
    is_done = await ClientStore(connection).revoke(practitioner_id, client_id, now)
    if is_done:
        await audit.record(connection, actor=actor, action=Action.CLIENT_REVOKED, subject_id=client_id)
    return is_done


async def find(connection: Connection, client_id: UUID) -> Client | None:
    """The token endpoint's look-up."""
    row = await ClientStore(connection).find(client_id)
    if row is None:
        return None
    return Client(
        caller=Caller(
            access=Access.PRACTITIONER_CLIENT,
            account_id=row["practitioner_id"],
            client_id=client_id,
            scopes=frozenset(row["scopes"]),
        ),
        secret_hashes=[each for each in (row["secret_hash"], row["former_secret_hash"]) if each is not None],
        public_jwks=[each for each in (row["public_jwk"], row["former_public_jwk"]) if each is not None],
        mark_used=mark_used,
    )


async def mark_used(connection: Connection, client_id: UUID) -> None:
    """Remembers when the client last got a token."""
    await ClientStore(connection).mark_used(client_id, datetime.now(UTC))
