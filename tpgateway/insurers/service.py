"""Use cases of insurers: accounts and events."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.database.statements import Statement
from tpgateway.insurers import codec as rules_codec
from tpgateway.insurers import rules
from tpgateway.insurers.client import new_secret
from tpgateway.insurers.errors import CursorAhead, EndpointRefused, InsurerExists, InsurerStateAlready, InsurerUnknown
from tpgateway.insurers.model import (
    ApprovalRules,
    Contact,
    Event,
    EventKind,
    Insurer,
    InsurerId,
    InsurerState,
    LiveSource,
)
from tpgateway.insurers.store.accounts import ClientStore, InsurerStore
from tpgateway.insurers.store.endpoints import EndpointStore
from tpgateway.insurers.store.events import EventStore, appended
from tpgateway.members import service as members
from tpgateway.vault import Vault

EVENTS_CHANNEL = "insurer_events"
_FORGOTTEN_AT_ONCE = 50_000
MOST_COUNTED = 10_000
"""So many events waiting are told as so many, and more as no more than that."""
LIVE_SECRET_PURPOSE = "live source secret"  # noqa: S105  # what it is for, not one
SEALED = (Sealed("insurer_live_sources", "secret", ("insurer_id",), lambda _: LIVE_SECRET_PURPOSE),)


async def add(
    connection: Connection,
    *,
    number: str,
    name: str,
    convention_types: Sequence[str],
    public_jwk: Mapping[str, Any] | None = None,
    jwks_url: str | None = None,
    contacts: Sequence[Contact] = (),
    allows_private: bool = False,
    actor: Actor,
) -> tuple[Insurer, UUID]:
    """A new insurer and the client_id of its key, or of the address of its keys.

    Raises ``InsurerExists`` and ``EndpointRefused``.
    """
    if jwks_url is not None and (fault := rules.endpoint_fault(jwks_url, allows_private=allows_private)):
        raise EndpointRefused(fault)
    store = InsurerStore(connection)
    insurer_id = await store.add(number, name, convention_types)
    if insurer_id is None:
        raise InsurerExists
    await store.set_contacts(insurer_id, [asdict(contact) for contact in contacts])
    client = await ClientStore(connection).add(insurer_id, name="first key", public_jwk=public_jwk, jwks_url=jwks_url)
    await audit.record(connection, actor=actor, action=Action.INSURER_ADDED, subject_id=insurer_id)
    await audit.record(connection, actor=actor, action=Action.INSURER_KEY_ADDED, subject_id=client.id)
    return await get(connection, insurer_id), client.id


async def suspend(connection: Connection, number: str, reason: str, *, now: datetime, actor: Actor) -> Insurer:
    """The insurer leaves the network for a while: no token, no check, no request. Events go on, and are kept for it.

    Its people's sessions end, and do not go on when it is back.

    Raises ``InsurerUnknown`` and ``InsurerStateAlready``.
    """
    insurer = await _set_state(connection, number, InsurerState.SUSPENDED, reason, now, Action.INSURER_SUSPENDED, actor)
    await members.close(connection, insurer.id, now=now)
    return insurer


async def restore(connection: Connection, number: str, *, now: datetime, actor: Actor) -> Insurer:
    """The insurer is back; raises ``InsurerUnknown`` and ``InsurerStateAlready``."""
    return await _set_state(connection, number, InsurerState.ACTIVE, None, now, Action.INSURER_RESTORED, actor)


async def _set_state(
    connection: Connection,
    number: str,
    state: InsurerState,
    reason: str | None,
    now: datetime,
    action: Action,
    actor: Actor,
) -> Insurer:
    insurer = await find(connection, number)
    if not await InsurerStore(connection).set_state(insurer.id, state, now=now, reason=reason):
        raise InsurerStateAlready(state.value)
    await audit.record(connection, actor=actor, action=action, subject_id=insurer.id, insurer_id=insurer.id)
    return await get(connection, insurer.id)


async def set_contacts(
    connection: Connection, insurer_id: InsurerId, contacts: Sequence[Contact], *, actor: Actor
) -> Insurer:
    """Whom to write to from now on."""
    await InsurerStore(connection).set_contacts(insurer_id, [asdict(contact) for contact in contacts])
    await audit.record(
        connection, actor=actor, action=Action.INSURER_CONTACTS_SET, subject_id=insurer_id, insurer_id=insurer_id
    )
    return await get(connection, insurer_id)


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


async def ids_of(connection: Connection, numbers: Sequence[str] | None) -> Sequence[InsurerId]:
    """The insurers with these numbers, or all; those suspended too, whose events are kept for them."""
    return [each.id for each in await list_all(connection) if numbers is None or each.number in numbers]


async def list_all(connection: Connection) -> Sequence[Insurer]:
    """All insurers of the network, by number."""
    return await InsurerStore(connection).list()


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
    secret = new_secret()
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


def told(
    insurer_ids: Sequence[InsurerId],
    kind: EventKind,
    *,
    subject_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
    waits_for_number: bool = False,
) -> Statement:
    """What writes an event of its own for each of the insurers, and what is to be posted of it, as the transaction commits.

    Run it once in a transaction. An event that ``waits_for_number`` is there with the commit as well, for whoever reads, but
    no other commit waits for it; ``numbering`` is then to be asked to have it posted.
    """
    channel = None if waits_for_number else EVENTS_CHANNEL
    return appended(insurer_ids, kind, subject_id=subject_id, data=data, now=now, channel=channel)


async def publish(
    connection: Connection,
    insurer_id: InsurerId,
    kind: EventKind,
    *,
    subject_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """Writes the insurer's event and what is to be posted of it, when the transaction commits."""
    await publish_to(connection, [insurer_id], kind, subject_id=subject_id, data=data, now=now)


async def publish_to(
    connection: Connection,
    insurer_ids: Sequence[InsurerId],
    kind: EventKind,
    *,
    subject_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
) -> None:
    """The same happening told to several insurers, to each as its own event. Call it once in a transaction."""
    text, values = told(insurer_ids, kind, subject_id=subject_id, data=data, now=now)
    await connection.execute(text, *values)


async def number(connection: Connection, insurer_ids: Collection[InsurerId]) -> None:
    """Gives numbers to the insurers' events that wait for theirs; whoever posts or waits for them hears of it."""
    await EventStore(connection).number_and_tell(insurer_ids, EVENTS_CHANNEL)


async def number_all(connection: Connection) -> None:
    """The same for all insurers who have such."""
    if waiting := await EventStore(connection).unnumbered():
        await number(connection, waiting)


async def wake(connection: Connection, insurer_id: InsurerId) -> None:
    """Whoever delivers looks at once at what waits for the insurer, when the caller's transaction commits."""
    await EventStore(connection).notify(insurer_id, EVENTS_CHANNEL)


async def read_events(
    connection: Connection, insurer_id: InsurerId, *, after: int, limit: int, actor: Actor
) -> Sequence[Event]:
    """The insurer's events past a sequence number, in order. Those read are audited; a look in vain is not.

    That it asks for what comes after tells that the insurer has what came before. Raises ``CursorAhead``.
    """
    store = EventStore(connection)
    await store.number(insurer_id)
    if after and not await store.note_cursor(insurer_id, after):
        raise CursorAhead
    events = await store.after(insurer_id, after, limit)
    if events:
        await audit.record(connection, actor=actor, action=Action.EVENTS_READ, insurer_id=insurer_id)
    return events


async def pending_events(connection: Connection, insurer_id: InsurerId) -> int:
    """How many events wait for the insurer: neither read in the feed nor taken by an endpoint."""
    return await EventStore(connection).pending(insurer_id, MOST_COUNTED)


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What waits to be posted, as metrics."""
    waiting, oldest, disabled = await EndpointStore(connection).backlog()
    return {
        "tpgateway_outbox_events": waiting,
        "tpgateway_outbox_oldest_seconds": oldest,
        "tpgateway_endpoints_disabled": disabled,
    }


async def forget_old(connection: Connection, *, now: datetime) -> int:
    """Removes events past the 13 months for which they are kept, with the log of their delivery; answers how many.

    It is the database's own clock that says which, and the database that refuses any other.
    """
    forgotten = await EventStore(connection).forget(_FORGOTTEN_AT_ONCE)
    return forgotten + await EndpointStore(connection).forget_idle()
