"""Handlers of insurers' accounts and events."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from tpgateway.insurers import credentials, endpoints, service
from tpgateway.insurers.model import EndpointId, Event, EventId, InsurerId
from tpgateway.insurers.payloads import (
    AddressRequest,
    AttemptListView,
    AttemptsQuery,
    EndpointChangeRequest,
    EndpointListView,
    EndpointPath,
    EndpointRequest,
    EndpointView,
    EventListView,
    EventPath,
    EventsQuery,
    EventView,
    InsurerChange,
    InsurerClientListView,
    InsurerClientRequest,
    InsurerClientView,
    InsurerView,
    KeyRotationRequest,
    LiveSourceView,
    NewEndpointView,
    NewLiveSourceView,
    OverlapRequest,
    PeriodRequest,
    RedeliveryRequest,
    RedeliveryView,
)
from tpgateway.web.callers import Caller
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call
from tpgateway.web.state import State


async def show_insurer(call: Call) -> Answer:
    insurer = await service.get(call.connection, _me(call))
    return Answer(body=InsurerView.of(insurer))


async def change_insurer(call: Call, *, body: InsurerChange) -> Answer:
    """From now on requests are decided with these rules; what is not named stays as it is."""
    await _refuse_revoked(call)
    if body.approval_rules is not None:
        await service.set_approval_rules(call.connection, _me(call), body.approval_rules.change, actor=call.actor)
    if body.new_contacts is not None:
        await service.set_contacts(call.connection, _me(call), body.new_contacts, actor=call.actor)
    return await show_insurer(call)


async def list_clients(call: Call) -> Answer:
    found = await credentials.list_all(call.connection, _me(call))
    return Answer(body=InsurerClientListView(clients=[InsurerClientView.of(client) for client in found]))


async def add_client(call: Call, *, body: InsurerClientRequest) -> Answer:
    """Another system of the insurer's, with all that the insurer may do."""
    await _refuse_revoked(call)
    client = await credentials.add(
        call.connection,
        _me(call),
        name=body.name,
        public_jwk=body.public_jwk,
        jwks_url=body.jwks_url,
        allows_private=call.state.settings.webhook_private_targets,
        actor=call.actor,
    )
    return Answer(status=201, body=InsurerClientView.of(client))


async def rotate_client(call: Call, *, path: EndpointPath, body: KeyRotationRequest) -> Answer:
    """Another key; the former one works on for as long as asked, so that nothing stands still meanwhile."""
    await _refuse_revoked(call)
    client = await credentials.rotate(
        call.connection,
        _me(call),
        path.id,
        public_jwk=body.public_jwk,
        jwks_url=body.jwks_url,
        allows_private=call.state.settings.webhook_private_targets,
        overlap=timedelta(hours=body.overlap_hours),
        now=call.now,
        actor=call.actor,
    )
    if client is None:
        raise NotFound
    return Answer(body=InsurerClientView.of(client))


async def revoke_client(call: Call, *, path: EndpointPath) -> Answer:
    await _refuse_revoked(call)
    is_done = await credentials.revoke(
        call.connection, _me(call), path.id, calling=call.caller.client_id, now=call.now, actor=call.actor
    )
    if not is_done:
        raise NotFound
    return Answer(status=204)


async def list_endpoints(call: Call) -> Answer:
    found = await endpoints.list_all(call.connection, _me(call))
    return Answer(body=EndpointListView(endpoints=[EndpointView.of(endpoint) for endpoint in found]))


async def add_endpoint(call: Call, *, body: EndpointRequest) -> Answer:
    """The signing secret is in this answer and nowhere else afterwards."""
    await _refuse_revoked(call)
    made = await endpoints.add(
        call.connection,
        call.state.vault,
        _me(call),
        url=body.url,
        kinds=list(dict.fromkeys(body.kinds)) or None,
        form=body.format,
        allows_private=call.state.settings.webhook_private_targets,
        now=call.now,
        actor=call.actor,
    )
    return Answer(status=201, body=NewEndpointView.made(made))


async def change_endpoint(call: Call, *, path: EndpointPath, body: EndpointChangeRequest) -> Answer:
    """Other kinds, another form, a pause or its end."""
    await _refuse_revoked(call)
    endpoint = await endpoints.change(
        call.connection, _me(call), EndpointId(path.id), body.change(), now=call.now, actor=call.actor
    )
    if endpoint is None:
        raise NotFound
    return Answer(body=EndpointView.of(endpoint))


async def rotate_endpoint(call: Call, *, path: EndpointPath, body: OverlapRequest) -> Answer:
    """A fresh secret and key, shown in this answer; the former ones sign too for as long as asked."""
    await _refuse_revoked(call)
    made = await endpoints.rotate(
        call.connection,
        call.state.vault,
        _me(call),
        EndpointId(path.id),
        overlap=timedelta(hours=body.overlap_hours),
        now=call.now,
        actor=call.actor,
    )
    if made is None:
        raise NotFound
    return Answer(status=201, body=NewEndpointView.made(made))


async def list_attempts(call: Call, *, path: EndpointPath, query: AttemptsQuery) -> Answer:
    """Every try to post an event there, latest first."""
    found = await endpoints.attempts(
        call.connection,
        _me(call),
        EndpointId(path.id),
        EventId(query.event) if query.event else None,
        before=query.before,
        limit=query.limit,
    )
    if found is None:
        raise NotFound
    return Answer(body=AttemptListView.of(found))


async def post_period_again(call: Call, *, path: EndpointPath, body: PeriodRequest) -> Answer:
    """All events of a period that the endpoint wants, in order, under the ids that they had."""
    count = await endpoints.post_period_again(
        call.connection,
        _me(call),
        EndpointId(path.id),
        start=body.start,
        end=body.end,
        actor=call.actor,
    )
    if count is None:
        raise NotFound
    return Answer(status=202, body=RedeliveryView(events=count, endpoints=[path.id]))


async def post_event_again(call: Call, *, path: EventPath, body: RedeliveryRequest) -> Answer:
    """One event under the id that it had."""
    to = await endpoints.post_again(
        call.connection,
        _me(call),
        EventId(path.id),
        EndpointId(body.endpoint_id) if body.endpoint_id else None,
        actor=call.actor,
    )
    if to is None:
        raise NotFound
    return Answer(status=202, body=RedeliveryView(events=1, endpoints=list(to)))


async def remove_endpoint(call: Call, *, path: EndpointPath) -> Answer:
    await _refuse_revoked(call)
    is_done = await endpoints.remove(call.connection, _me(call), EndpointId(path.id), now=call.now, actor=call.actor)
    if not is_done:
        raise NotFound
    return Answer(status=204)


async def set_live_source(call: Call, *, body: AddressRequest) -> Answer:
    """Have checks of your people answered by yourself. The signing secret is in this answer and nowhere else afterwards."""
    await _refuse_revoked(call)
    made = await service.set_live_source(
        call.connection,
        call.state.vault,
        _me(call),
        url=body.url,
        allows_private=call.state.settings.webhook_private_targets,
        now=call.now,
        actor=call.actor,
    )
    return Answer(body=NewLiveSourceView(url=made.url, set_at=call.now, secret=made.secret))


async def show_live_source(call: Call) -> Answer:
    if (found := await service.live_since(call.connection, _me(call))) is None:
        raise NotFound
    return Answer(body=LiveSourceView(url=found[0], set_at=found[1]))


async def remove_live_source(call: Call) -> Answer:
    await _refuse_revoked(call)
    if not await service.remove_live_source(call.connection, _me(call), actor=call.actor):
        raise NotFound
    return Answer(status=204)


async def list_events(call: Call, *, query: EventsQuery) -> Answer:
    """Events in order. With ``wait``, an empty list is held back until an event comes or the time is over."""
    events = await _events(call, query)
    if not events and query.wait:
        async with call.state.notices.expecting(str(_me(call))) as arrived:
            events = await _events(call, query)
            if not events:
                with suppress(TimeoutError), call.state.pressure.waiting():
                    await asyncio.wait_for(arrived.wait(), query.wait)
                events = await _events(call, query)
    view = EventListView(
        events=[EventView.of(event) for event in events], after=events[-1].sequence if events else query.after
    )
    return Answer(body=view)


async def _events(call: Call, query: EventsQuery) -> Sequence[Event]:
    async with call.transaction() as connection:
        return await service.read_events(connection, _me(call), after=query.after, limit=query.limit, actor=call.actor)


async def say_what_waits(state: State, caller: Caller) -> Mapping[str, str]:
    """How many events the insurer has not had, said with every answer to it."""
    async with state.connection() as connection:
        count = await service.pending_events(connection, InsurerId(caller.account_id))
    return {"X-Pending-Events": str(count)}


async def _refuse_revoked(call: Call) -> None:
    await credentials.refuse_revoked(call.connection, _me(call), call.caller.client_id)


def _me(call: Call) -> InsurerId:
    return InsurerId(call.caller.account_id)
