"""Use cases of endpoints: where an insurer wants its events posted, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.insurers import rules, service
from tpgateway.insurers.client import new_secret, new_signing_key
from tpgateway.insurers.errors import EndpointOff, EndpointRefused, EndpointRotates
from tpgateway.insurers.model import (
    Attempt,
    BodyFormat,
    Disabled,
    Endpoint,
    EndpointId,
    EventId,
    EventKind,
    InsurerId,
)
from tpgateway.insurers.store.endpoints import EndpointStore
from tpgateway.insurers.store.events import EventStore
from tpgateway.mail import Post
from tpgateway.vault import Vault

SECRET_PURPOSE = "webhook secret"  # noqa: S105  # what it is for, not one
SIGNING_PURPOSE = "webhook signing key"
SEALED = (
    Sealed("insurer_endpoints", "secret", ("insurer_id", "id"), lambda _: SECRET_PURPOSE),
    Sealed("insurer_endpoints", "signing_key", ("insurer_id", "id"), lambda _: SIGNING_PURPOSE),
    Sealed("insurer_endpoints", "former_secret", ("insurer_id", "id"), lambda _: SECRET_PURPOSE),
    Sealed("insurer_endpoints", "former_signing_key", ("insurer_id", "id"), lambda _: SIGNING_PURPOSE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """An endpoint with a secret just made, which is shown this once."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """What is to be another; None leaves it. ``kinds`` of no kind stands for all."""

    kinds: tuple[EventKind, ...] | None = None
    format: BodyFormat | None = None
    is_enabled: bool | None = None


async def add(
    connection: Connection,
    vault: Vault,
    insurer_id: InsurerId,
    *,
    url: str,
    kinds: Sequence[EventKind] | None,
    form: BodyFormat,
    allows_private: bool,
    now: datetime,
    actor: Actor,
) -> NewEndpoint:
    """Events of these kinds, of all where none is named, are posted to the URL from now on; raises ``EndpointRefused``."""
    if fault := rules.endpoint_fault(url, allows_private=allows_private):
        raise EndpointRefused(fault)
    secret, (signing_key, public_key) = new_secret(), new_signing_key()
    await EventStore(connection).number(insurer_id)  # what was told before is not for it
    endpoint = await EndpointStore(connection).add(
        insurer_id,
        url=url,
        kinds=kinds,
        form=form,
        secret=vault.seal(secret.encode(), purpose=SECRET_PURPOSE),
        signing_key=vault.seal(signing_key, purpose=SIGNING_PURPOSE),
        public_key=public_key,
        now=now,
    )
    await _audit(connection, actor, Action.ENDPOINT_ADDED, insurer_id, endpoint.id)
    return NewEndpoint(endpoint=endpoint, secret=secret)


async def list_all(connection: Connection, insurer_id: InsurerId) -> Sequence[Endpoint]:
    """The insurer's endpoints that were not removed."""
    return await EndpointStore(connection).list(insurer_id)


async def change(
    connection: Connection,
    insurer_id: InsurerId,
    endpoint_id: EndpointId,
    wanted: EndpointChange,
    *,
    now: datetime,
    actor: Actor,
) -> Endpoint | None:
    """Other kinds, another form, a pause or its end; None where there is no such endpoint.

    What waits while an endpoint is paused is not kept for it: it stands in the feed, and can be asked for again.
    """
    store = EndpointStore(connection)
    endpoint = await store.get(insurer_id, endpoint_id)
    if endpoint is None:
        return None
    changed = replace(endpoint, format=wanted.format or endpoint.format)
    if wanted.kinds is not None:
        changed = replace(changed, kinds=wanted.kinds or None)
        if wanted.kinds:
            await store.drop_unwanted(insurer_id, endpoint_id, wanted.kinds)
    if wanted.is_enabled and changed.disabled_at is not None:
        changed = replace(changed, disabled_at=None, disabled_for=None, failing_since=None)
        await EventStore(connection).number(insurer_id)
        await store.empty_outbox(insurer_id, endpoint_id)  # what was written while it was being paused
    elif wanted.is_enabled is False and changed.disabled_at is None:
        changed = replace(changed, disabled_at=now, disabled_for=Disabled.ASKED)
        await _put_off(connection, insurer_id, endpoint_id)
    await store.change(insurer_id, changed)
    await _audit(connection, actor, Action.ENDPOINT_CHANGED, insurer_id, endpoint_id)
    return changed


async def rotate(
    connection: Connection,
    vault: Vault,
    insurer_id: InsurerId,
    endpoint_id: EndpointId,
    *,
    overlap: timedelta,
    now: datetime,
    actor: Actor,
) -> NewEndpoint | None:
    """Another secret and key; what they replace signs too for as long as they overlap. None where there is no such endpoint.

    Raises ``EndpointRotates`` while the exchange before is under way.
    """
    store = EndpointStore(connection)
    present = await store.get(insurer_id, endpoint_id)
    if present is None:
        return None
    if overlap and present.former_until is not None and present.former_until > now:
        raise EndpointRotates
    secret, (signing_key, public_key) = new_secret(), new_signing_key()
    endpoint = await store.rotate(
        insurer_id,
        endpoint_id,
        secret=vault.seal(secret.encode(), purpose=SECRET_PURPOSE),
        signing_key=vault.seal(signing_key, purpose=SIGNING_PURPOSE),
        public_key=public_key,
        former_until=now + overlap if overlap else None,
    )
    await _audit(connection, actor, Action.ENDPOINT_ROTATED, insurer_id, endpoint_id)
    return NewEndpoint(endpoint=endpoint, secret=secret)


async def remove(
    connection: Connection, insurer_id: InsurerId, endpoint_id: EndpointId, *, now: datetime, actor: Actor
) -> bool:
    """Nothing more is posted there; False where the insurer has no such endpoint."""
    store = EndpointStore(connection)
    is_done = await store.remove(insurer_id, endpoint_id, now)
    if is_done:
        await _put_off(connection, insurer_id, endpoint_id)
        await _audit(connection, actor, Action.ENDPOINT_REMOVED, insurer_id, endpoint_id)
    return is_done


async def post_again(
    connection: Connection,
    insurer_id: InsurerId,
    event_id: EventId,
    endpoint_id: EndpointId | None,
    *,
    actor: Actor,
) -> Sequence[EndpointId] | None:
    """One event once more, to one endpoint or to all in use, of those that want its kind; answers to which.

    None where there is no such event, or no such endpoint. Raises ``EndpointOff`` where nothing can be posted.
    """
    kind = await EventStore(connection).kind_of(insurer_id, event_id)
    store = EndpointStore(connection)
    found = [each for each in await store.list(insurer_id) if endpoint_id in {None, each.id}]
    if kind is None or (endpoint_id is not None and not found):
        return None
    to = [each.id for each in found if each.disabled_at is None and (each.kinds is None or kind in each.kinds)]
    if not to:
        raise EndpointOff(f"none in use takes {kind}")
    for each in to:
        await store.post_again(insurer_id, each, event_id)
    await audit.record(
        connection, actor=actor, action=Action.EVENTS_ASKED_AGAIN, subject_id=event_id, insurer_id=insurer_id
    )
    await service.wake(connection, insurer_id)
    return to


async def post_period_again(
    connection: Connection,
    insurer_id: InsurerId,
    endpoint_id: EndpointId,
    *,
    start: datetime,
    end: datetime,
    actor: Actor,
) -> int | None:
    """All events of a period once more; answers how many. None where there is no such endpoint; raises ``EndpointOff``."""
    store = EndpointStore(connection)
    endpoint = await store.get(insurer_id, endpoint_id)
    if endpoint is None:
        return None
    if endpoint.disabled_at is not None:
        raise EndpointOff
    count = await store.post_period_again(insurer_id, endpoint_id, endpoint.kinds, start=start, end=end)
    await _audit(connection, actor, Action.EVENTS_ASKED_AGAIN, insurer_id, endpoint_id)
    await service.wake(connection, insurer_id)
    return count


async def attempts(
    connection: Connection,
    insurer_id: InsurerId,
    endpoint_id: EndpointId,
    event_id: EventId | None,
    *,
    before: datetime | None,
    limit: int,
) -> Sequence[Attempt] | None:
    """The delivery log, latest first; None where there is no such endpoint."""
    if all(each.id != endpoint_id for each in await list_all(connection, insurer_id)):
        return None
    return await EndpointStore(connection).attempts(insurer_id, endpoint_id, event_id, before=before, limit=limit)


async def give_up(
    connection: Connection, post: Post, insurer_id: InsurerId, endpoint_id: EndpointId, why: Disabled, *, now: datetime
) -> None:
    """Nothing is posted there any more, and the insurer's contacts are told."""
    store = EndpointStore(connection)
    url = await store.disable(insurer_id, endpoint_id, why, now)
    if url is None:
        return
    await _put_off(connection, insurer_id, endpoint_id)
    await _audit(connection, SYSTEM, Action.ENDPOINT_DISABLED, insurer_id, endpoint_id)
    insurer = await service.get(connection, insurer_id)
    for contact in insurer.contacts:
        await post.send(
            connection,
            "insurers/endpoint_disabled",
            to=contact.email,
            name=contact.name,
            insurer=insurer.name,
            url=url,
            endpoint=endpoint_id,
            is_gone=why is Disabled.GONE,
        )


async def _put_off(connection: Connection, insurer_id: InsurerId, endpoint_id: EndpointId) -> None:
    """Nothing waits for the endpoint any more; what it took counts as had, and what it did not as waiting in the feed."""
    events = EventStore(connection)
    await events.note_cursor(insurer_id, await events.first_waiting(insurer_id) - 1)
    await EndpointStore(connection).empty_outbox(insurer_id, endpoint_id)


async def _audit(
    connection: Connection, actor: Actor, action: Action, insurer_id: InsurerId, endpoint_id: EndpointId
) -> None:
    await audit.record(connection, actor=actor, action=action, subject_id=endpoint_id, insurer_id=insurer_id)
