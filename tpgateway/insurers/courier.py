"""The courier: posts what waits in the outbox. Each endpoint has a lane of its own, so that none waits for another.

Of one subject (an approval, say) only the earliest event is ever under way, however many workers there are: an event goes out
when those before it were taken or given up. What is posted is claimed for a while first; who dies meanwhile leaves it to be
posted again, under the same ``webhook-id``.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from tpgateway.database import Connection, faults
from tpgateway.database.notices import ANY, Notices
from tpgateway.insurers import endpoints, rules, service
from tpgateway.insurers.client import Signer, post_event
from tpgateway.insurers.model import BodyFormat, Disabled, EndpointId, Event, EventId, EventKind, InsurerId, Posted
from tpgateway.insurers.payloads import event_body
from tpgateway.insurers.store.endpoints import EndpointStore
from tpgateway.jobs import Tools
from tpgateway.mail import Post
from tpgateway.web.logs import where

_LOOK_SECONDS = 1.0
_APART_SECONDS = 0.02
"""Between two looks, and between two claims of a lane that has places left: what comes and ends meanwhile goes together."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Lane:
    """One endpoint, how it did lately, and who is told that more is due."""

    insurer: InsurerId
    endpoint: EndpointId
    failures: int = 0
    is_known_well: bool = False
    resting_until: float = 0.0
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Courier:
    """One a worker. ``run`` looks until it is told to stop; several workers share the work."""

    def __init__(self, tools: Tools, notices: Notices, *, chance: Callable[[], float] = random.random) -> None:
        self._tools, self._notices, self._chance = tools, notices, chance
        self._patience = tools.settings.webhook_timeout_seconds
        self._lanes: dict[tuple[InsurerId, EndpointId], _Lane] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Posts until ``stop``; while the database is away it waits for it."""
        numbered = 0.0
        async with self._notices.expecting(ANY) as heard:
            while not self._stopping.is_set():
                heard.clear()
                now = time.monotonic()
                soonest = now + _APART_SECONDS
                try:
                    if now >= numbered + _LOOK_SECONDS:
                        await self._number()
                        numbered = now
                    await self._look()
                except faults.ANY as error:
                    _log.warning("outbox_unreadable", failure=type(error).__name__)
                    await asyncio.sleep(_LOOK_SECONDS)
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), _LOOK_SECONDS)
                await asyncio.sleep(soonest - time.monotonic())

    async def stop(self) -> None:
        """Begins nothing more, and waits for what is under way."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.wanted.set()
        if tasks := [lane.task for lane in self._lanes.values() if lane.task]:
            await asyncio.wait(tasks)

    async def _number(self) -> None:
        """What has no number yet, because who told it went away before it could ask for one."""
        async with self._tools.pool.acquire() as connection:
            await service.number_all(connection)

    async def _look(self) -> None:
        async with self._tools.pool.acquire() as connection:
            found = await EndpointStore(connection).with_work()
        for key in found:
            lane = self._lanes.setdefault(key, _Lane(*key))
            lane.wanted.set()
            if lane.task is None or lane.task.done():
                lane.task = asyncio.create_task(self._drain(lane))

    async def _drain(self, lane: _Lane) -> None:
        """Posts all that is due at one endpoint, as many at once as it may have, until nothing is."""
        under_way: set[asyncio.Task[Posted]] = set()
        try:
            while True:
                lane.wanted.clear()
                soonest = time.monotonic() + _APART_SECONDS
                under_way |= await self._begin(lane, rules.places(lane.failures) - len(under_way))
                if not under_way:
                    return
                more = asyncio.create_task(lane.wanted.wait())
                await asyncio.wait({*under_way, more}, return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
                if len(under_way) < rules.places(lane.failures) // 2:
                    await asyncio.sleep(soonest - time.monotonic())
                done = {task for task in under_way if task.done()}
                under_way -= done
                if done:
                    await self._record(lane, [task.result() for task in done])
        except faults.ANY as error:
            # What is under way was claimed: it comes again when the claim has ended.
            _log.warning("lane_interrupted", endpoint_id=lane.endpoint, failure=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)
        except Exception as error:
            _log.error("lane_failed", endpoint_id=lane.endpoint, failure=type(error).__name__, where=where(error))
        finally:
            for task in under_way:
                task.cancel()

    async def _begin(self, lane: _Lane, places: int) -> set[asyncio.Task[Posted]]:
        rest = lane.resting_until - time.monotonic()
        if rest > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), rest)
        if places <= 0 or self._stopping.is_set():
            return set()
        lease = 2 * self._patience + 5
        async with self._tools.pool.acquire() as connection:
            claimed = await EndpointStore(connection).claim(lane.insurer, lane.endpoint, seconds=lease, limit=places)
        return {asyncio.create_task(self._post(row)) for row in claimed}

    async def _post(self, row: asyncpg.Record) -> Posted:
        event, form, now = _event(row), BodyFormat(row["format"]), datetime.now(UTC)
        delivery = await post_event(
            self._tools.http,
            url=row["url"],
            signer=self._signer(row, now),
            event_id=str(event.id),
            body=event_body(event, form),
            form=form,
            now=now,
            timeout_seconds=self._patience,
        )
        delay = None if delivery.is_taken else rules.delay_after(row["tries"] + 1)
        return Posted(
            event_id=event.id,
            sequence=event.sequence,
            attempted_at=now,
            delivery=delivery,
            leased_until=row["leased_until"],
            was_due_at=row["due_at"],
            delay=None if delay is None else rules.with_jitter(delay, self._chance()),
        )

    def _signer(self, row: asyncpg.Record, now: datetime) -> Signer:
        vault = self._tools.vault
        is_exchanging = row["former_until"] is not None and row["former_until"] > now
        names = ("", "former_") if is_exchanging else ("",)
        secrets = [row[f"{name}secret"] for name in names]
        keys = [row[f"{name}signing_key"] for name in names]
        return Signer(
            secrets=[vault.open(each, purpose=endpoints.SECRET_PURPOSE).decode() for each in secrets if each],
            signing_keys=[vault.open(each, purpose=endpoints.SIGNING_PURPOSE) for each in keys if each],
        )

    async def _record(self, lane: _Lane, posted: Sequence[Posted]) -> None:
        is_well = any(each.delivery.is_taken for each in posted)
        async with self._tools.pool.acquire() as connection:
            store = EndpointStore(connection)
            await store.record(lane.insurer, lane.endpoint, posted)
            if not (is_well and lane.is_known_well):
                failing_since = await store.note_health(lane.insurer, lane.endpoint, is_well=is_well)
                lane.is_known_well = is_well
                await self._look_whether_to_give_up(connection, lane, posted, failing_since)
        for each in posted:
            if not each.delivery.is_taken:
                _log.warning(
                    "event_not_taken",
                    insurer_id=lane.insurer,
                    event_id=each.event_id,
                    endpoint_id=lane.endpoint,
                    status=each.delivery.status,
                    failure=each.delivery.failure,
                    is_last=each.delay is None,
                )
        if is_well:
            lane.failures = 0
        else:
            lane.failures += 1
            lane.resting_until = time.monotonic() + rules.pause_after(lane.failures).total_seconds()

    async def _look_whether_to_give_up(
        self, connection: Connection, lane: _Lane, posted: Sequence[Posted], failing_since: datetime | None
    ) -> None:
        now = datetime.now(UTC)
        if (why := _why_given_up(posted, failing_since, now)) is None:
            return
        post = Post.of(self._tools.settings, self._tools.vault)
        async with connection.transaction():
            await endpoints.give_up(connection, post, lane.insurer, lane.endpoint, why, now=now)
        _log.warning("endpoint_disabled", insurer_id=lane.insurer, endpoint_id=lane.endpoint, reason=why.value)


def _why_given_up(posted: Sequence[Posted], failing_since: datetime | None, now: datetime) -> Disabled | None:
    if any(each.delivery.is_refused_for_good for each in posted):
        return Disabled.GONE
    if failing_since is not None and now - failing_since >= rules.FAILING_FOR:
        return Disabled.FAILING
    return None


def _event(row: Any) -> Event:
    return Event(
        id=EventId(row["id"]),
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        occurred_at=row["occurred_at"],
        data=row["data"],
    )
