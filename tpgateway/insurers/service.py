"""Use cases of insurers: accounts, endpoints, events."""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.insurers import codec as rules_codec
from tpgateway.insurers import rules
from tpgateway.insurers.errors import EndpointRefused, InsurerExists, InsurerUnknown
from tpgateway.insurers.model import (
    ApprovalRules,
    Endpoint,
    EndpointId,
    Event,
    EventKind,
    Insurer,
    InsurerId,
    LiveSource,
)
from tpgateway.insurers.store import InsurerStore
from tpgateway.jobs import JobKind, enqueue
from tpgateway.vault import Vault
from tpgateway.web.callers import Access, Caller
from tpgateway.web.oauth import Client

EVENTS_CHANNEL = "insurer_events"
SECRET_PURPOSE = "webhook secret"  # noqa: S105  # what it is for, not one
LIVE_SECRET_PURPOSE = "live source secret"  # noqa: S105
_SECRET_BYTES = 32


async def add(
    connection: Connection,
    *,
    number: str,
    name: str,
    convention_types: Sequence[str],
    public_jwk: Mapping[str, Any],
    actor: Actor,
) -> tuple[Insurer, UUID]:
    """A new insurer and the client_id of its key; raises ``InsurerExists``."""
    store = InsurerStore(connection)
    insurer_id = await store.add(number, name, convention_types)
    if insurer_id is None:
        raise InsurerExists
    client_id = await store.add_client(insurer_id, public_jwk)
    await audit.record(connection, actor=actor, action=Action.INSURER_ADDED, subject_id=insurer_id)
    await audit.record(connection, actor=actor, action=Action.INSURER_KEY_ADDED, subject_id=client_id)
    return await get(connection, insurer_id), client_id


async def get(connection: Connection, insurer_id: InsurerId) -> Insurer:
    """An insurer who is known to exist."""
    insurer = await InsurerStore(connection).get(insurer_id)
    assert insurer is not None
    return insurer


async def find(connection: Connection, number: str) -> Insurer:
    """The insurer of a padded AMC number; raises ``InsurerUnknown``."""
    insurer = await InsurerStore(connection).find(number)
    if insurer is None:
        raise InsurerUnknown
    return insurer


async def set_approval_rules(
    connection: Connection, insurer_id: InsurerId, change: Callable[[ApprovalRules], ApprovalRules], *, actor: Actor
) -> Insurer:
    """From now on requests are looked at by the rules as ``change`` makes them; deadlines that were told stay."""
    store = InsurerStore(connection)
    rules = change(await store.lock_approval_rules(insurer_id))
    await store.set_approval_rules(insurer_id, rules_codec.as_json(rules))
    await audit.record(
        connection, actor=actor, action=Action.APPROVAL_RULES_SET, subject_id=insurer_id, insurer_id=insurer_id
    )
    return await get(connection, insurer_id)


async def list_all(connection: Connection) -> Sequence[Insurer]:
    """All insurers of the network, by number."""
    return await InsurerStore(connection).list()


async def find_client(connection: Connection, client_id: UUID) -> Client | None:
    """The token endpoint's look-up."""
    row = await InsurerStore(connection).find_client(client_id)
    return (
        None
        if row is None
        else Client(
            caller=Caller(
                access=Access.INSURER_CLIENT, account_id=row["insurer_id"], client_id=client_id, scopes=frozenset()
            ),
            public_jwks=[row["public_jwk"]],
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """An endpoint just made, with the signing secret that is shown this once."""

    endpoint: Endpoint
    secret: str


async def add_endpoint(
    connection: Connection,
    vault: Vault,
    insurer_id: InsurerId,
    *,
    url: str,
    allows_private: bool,
    now: datetime,
    actor: Actor,
) -> NewEndpoint:
    """Events are posted to the URL from now on; raises ``EndpointRefused``."""
    if fault := rules.endpoint_fault(url, allows_private=allows_private):
        raise EndpointRefused(fault)
    secret = _new_secret()
    endpoint = await InsurerStore(connection).add_endpoint(
        insurer_id, url=url, secret=vault.seal(secret.encode(), purpose=SECRET_PURPOSE), now=now
    )
    await audit.record(
        connection, actor=actor, action=Action.ENDPOINT_ADDED, subject_id=endpoint.id, insurer_id=insurer_id
    )
    return NewEndpoint(endpoint=endpoint, secret=secret)


async def list_endpoints(connection: Connection, insurer_id: InsurerId) -> Sequence[Endpoint]:
    """The insurer's endpoints in use."""
    return await InsurerStore(connection).list_endpoints(insurer_id)


async def remove_endpoint(
    connection: Connection, insurer_id: InsurerId, endpoint_id: EndpointId, *, now: datetime, actor: Actor
) -> bool:
    """Nothing more is posted there; False where the insurer has no such endpoint."""
    is_done = await InsurerStore(connection).remove_endpoint(insurer_id, endpoint_id, now)
    if is_done:
        await audit.record(
            connection, actor=actor, action=Action.ENDPOINT_REMOVED, subject_id=endpoint_id, insurer_id=insurer_id
        )
    return is_done


async def set_live_source(
    connection: Connection,
    vault: Vault,
    insurer_id: InsurerId,
    *,
    url: str,
    allows_private: bool,
    now: datetime,
    actor: Actor,
) -> LiveSource:
    """From now on the insurer answers checks itself, at the URL, with a fresh secret; raises ``EndpointRefused``."""
    if fault := rules.endpoint_fault(url, allows_private=allows_private):
        raise EndpointRefused(fault)
    secret = _new_secret()
    sealed = vault.seal(secret.encode(), purpose=LIVE_SECRET_PURPOSE)
    await InsurerStore(connection).set_live_source(insurer_id, url=url, secret=sealed, now=now)
    await audit.record(
        connection, actor=actor, action=Action.LIVE_SOURCE_SET, subject_id=insurer_id, insurer_id=insurer_id
    )
    return LiveSource(insurer_id=insurer_id, url=url, secret=secret, set_at=now)


async def live_source(connection: Connection, vault: Vault, insurer_id: InsurerId) -> LiveSource | None:
    """Where the insurer answers checks itself; None where its rights are hosted here."""
    found = await InsurerStore(connection).live_source(insurer_id)
    if found is None:
        return None
    secret = vault.open(found[1], purpose=LIVE_SECRET_PURPOSE).decode()
    return LiveSource(insurer_id=insurer_id, url=found[0], secret=secret, set_at=found[2])


async def live_since(connection: Connection, insurer_id: InsurerId) -> tuple[str, datetime] | None:
    """The insurer's own address for checks and since when it is in use."""
    found = await InsurerStore(connection).live_source(insurer_id)
    return None if found is None else (found[0], found[2])


async def remove_live_source(connection: Connection, insurer_id: InsurerId, *, actor: Actor) -> bool:
    """From now on checks look at the rights that are hosted here; False where they do already."""
    is_done = await InsurerStore(connection).remove_live_source(insurer_id)
    if is_done:
        await audit.record(
            connection, actor=actor, action=Action.LIVE_SOURCE_REMOVED, subject_id=insurer_id, insurer_id=insurer_id
        )
    return is_done


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


async def publish(
    connection: Connection,
    insurer_id: InsurerId,
    kind: EventKind,
    *,
    subject_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """Writes the insurer's event and enqueues its deliveries, in the caller's transaction.

    Call it last: the insurer's counter is locked from its end to the commit, and its other events wait for that long.
    """
    store = InsurerStore(connection)
    event_id, endpoints = await store.next_event(insurer_id)
    for endpoint in endpoints:
        await enqueue(connection, JobKind.DELIVER_EVENT, insurer=insurer_id, event=event_id, endpoint=endpoint)
    await store.append_event(
        insurer_id, event_id, kind, subject_id=subject_id, data=data, now=now, channel=EVENTS_CHANNEL
    )


async def read_events(
    connection: Connection, insurer_id: InsurerId, *, after: int, limit: int, actor: Actor
) -> Sequence[Event]:
    """The insurer's events past a sequence number, in order. Those read are audited; a look in vain is not."""
    events = await InsurerStore(connection).events_after(insurer_id, after, limit)
    if events:
        await audit.record(connection, actor=actor, action=Action.EVENTS_READ, insurer_id=insurer_id)
    return events
