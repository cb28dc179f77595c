"""Delivery of events: read in one transaction, posted outside any, recorded in a second."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import structlog

from tpgateway.insurers import rules
from tpgateway.insurers.client import post_event
from tpgateway.insurers.model import EndpointId, EventId, InsurerId
from tpgateway.insurers.payloads import EventView
from tpgateway.insurers.service import SECRET_PURPOSE
from tpgateway.insurers.store import InsurerStore
from tpgateway.jobs import Handler, JobKind, RetryRequested, Tools

_log = structlog.get_logger(__name__)


async def deliver(tools: Tools, ids: Mapping[str, UUID], tries: int) -> None:
    """Posts one event to one endpoint, and again later until it is taken or the tries are used up."""
    insurer, event_id = InsurerId(ids["insurer"]), EventId(ids["event"])
    endpoint_id = EndpointId(ids["endpoint"])
    async with tools.pool.acquire() as connection:
        store = InsurerStore(connection)
        event = await store.event(insurer, event_id)
        target = await store.endpoint_target(insurer, endpoint_id)
    if event is None or target is None:
        return  # the endpoint was removed meanwhile; the event stays in the feed
    now = datetime.now(UTC)
    delivery = await post_event(
        tools.http,
        url=target["url"],
        secret=tools.vault.open(target["secret"], purpose=SECRET_PURPOSE).decode(),
        event_id=str(event.id),
        body=json.dumps(EventView.of(event).model_dump(mode="json"), ensure_ascii=False),
        now=now,
        timeout_seconds=tools.settings.webhook_timeout_seconds,
    )
    async with tools.pool.acquire() as connection:
        attempt = await InsurerStore(connection).record_delivery(insurer, event_id, endpoint_id, delivery, now)
    if delivery.is_taken:
        return
    _log.warning(
        "event_not_taken",
        insurer_id=insurer,
        event_id=event_id,
        endpoint_id=endpoint_id,
        tries=attempt,
        status=delivery.status,
        failure=delivery.failure,
    )
    if (delay := rules.delay_after(attempt)) is not None:
        raise RetryRequested(delay=delay)


JOBS: Mapping[JobKind, Handler] = {JobKind.DELIVER_EVENT: deliver}
