"""Handlers of insurers' accounts and events."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tpgateway.insurers import service
from tpgateway.insurers.model import EndpointId, Event, InsurerId
from tpgateway.insurers.payloads import (
    EndpointListView,
    EndpointPath,
    EndpointRequest,
    EndpointView,
    EventListView,
    EventsQuery,
    EventView,
    InsurerChange,
    InsurerView,
    LiveSourceView,
    NewEndpointView,
    NewLiveSourceView,
)
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call


async def show_insurer(call: Call) -> Answer:
    insurer = await service.get(call.connection, _me(call))
    return Answer(body=InsurerView.of(insurer))


async def change_insurer(call: Call, *, body: InsurerChange) -> Answer:
    """From now on requests are decided with these rules; what is not named stays as it is."""
    insurer = await service.set_approval_rules(call.connection, _me(call), body.approval_rules.change, actor=call.actor)
    return Answer(body=InsurerView.of(insurer))


async def list_endpoints(call: Call) -> Answer:
    endpoints = await service.list_endpoints(call.connection, _me(call))
    return Answer(body=EndpointListView(endpoints=[EndpointView.showing(endpoint) for endpoint in endpoints]))


async def add_endpoint(call: Call, *, body: EndpointRequest) -> Answer:
    """The signing secret is in this answer and nowhere else afterwards."""
    made = await service.add_endpoint(
        call.connection,
        call.state.vault,
        _me(call),
        url=body.url,
        allows_private=call.state.settings.webhook_private_targets,
        now=call.now,
        actor=call.actor,
    )
    view = NewEndpointView(
        id=made.endpoint.id, url=made.endpoint.url, created_at=made.endpoint.created_at, secret=made.secret
    )
    return Answer(status=201, body=view)


async def remove_endpoint(call: Call, *, path: EndpointPath) -> Answer:
    is_done = await service.remove_endpoint(
        call.connection, _me(call), EndpointId(path.id), now=call.now, actor=call.actor
    )
    if not is_done:
        raise NotFound
    return Answer(status=204)


async def set_live_source(call: Call, *, body: EndpointRequest) -> Answer:
    """Have checks of your people answered by yourself. The signing secret is in this answer and nowhere else afterwards."""
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
                with suppress(TimeoutError):
                    await asyncio.wait_for(arrived.wait(), query.wait)
                events = await _events(call, query)
    view = EventListView(
        events=[EventView.of(event) for event in events], after=events[-1].sequence if events else query.after
    )
    return Answer(body=view)


async def _events(call: Call, query: EventsQuery) -> Sequence[Event]:
    async with call.state.connection() as connection:
        return await service.read_events(connection, _me(call), after=query.after, limit=query.limit, actor=call.actor)


def _me(call: Call) -> InsurerId:
    return InsurerId(call.caller.account_id)
