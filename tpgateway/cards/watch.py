"""Watches over how much each account checks: slows it down as a quota nears its end, locks it when one is used up.

What was checked stands in the checks' own records, where all processes see it. It is counted anew after so many people whom
this process had not seen, the more often the less is left; in between, a check costs a look into memory. Any check may
turn out a miss: of an agent no more are under way at once than may miss until the next count, so that guessing many at once
leads no further than one by one.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from tpgateway import audit
from tpgateway.audit import SYSTEM, Action
from tpgateway.cards.errors import ChecksLocked, ChecksTooFast
from tpgateway.cards.model import Ask, Verdict
from tpgateway.cards.rules import quotas
from tpgateway.cards.rules.quotas import Measure
from tpgateway.cards.store.locks import LockStore
from tpgateway.database import Connection, faults
from tpgateway.errors import Problem
from tpgateway.mail import Post
from tpgateway.members import service as members
from tpgateway.practitioners.model import PractitionerId
from tpgateway.settings import Settings
from tpgateway.web.metrics import Metrics

_KEPT = 100_000
_SEEN = 50_000
_COUNT_AGAIN = timedelta(minutes=5)
_LOOK_AGAIN = timedelta(seconds=2)
_MOST_WAITING = 20
_REASONS_FR = {
    Measure.PEOPLE_PER_HOUR: "trop de personnes différentes en une heure",
    Measure.PEOPLE_PER_DAY: "trop de personnes différentes en un jour",
    Measure.MISSES_PER_HOUR: "trop de personnes inconnues en une heure",
    Measure.MISSES_PER_DAY: "trop de personnes inconnues en un jour",
}
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Agent:
    """What this process knows of who checks."""

    left: int = 0
    """People not seen yet until usage is counted again."""
    seen: set[int] = field(default_factory=set)
    misses_left: int = 0
    """Checks of unknown people until usage is counted again, less those under way, which may all be such."""
    under_way: int = 0
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    good_until: datetime | None = None
    delay: float = 0.0
    locked_until: datetime | None = None
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begin(self) -> None:
        """A check is on its way to be recorded."""
        self.under_way += 1
        self.misses_left -= 1

    def end(self, verdict: Verdict | None) -> None:
        """It came to this, or to no record at all."""
        self.under_way -= 1
        if verdict is None or not quotas.is_miss(verdict):
            self.misses_left += 1
        self.freed.set()

    @property
    def is_full(self) -> bool:
        """Whether what is under way must show first what it comes to."""
        return self.under_way > 0 >= self.misses_left and not self.delay and not self.locked_until


class Watch:
    """One a process. A check is made between an agent's ``begin``, which being admitted implies, and its ``end``."""

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        settings: Settings,
        post: Post,
        metrics: Metrics,
    ) -> None:
        self._connect, self._settings, self._post, self._metrics = connect, settings, post, metrics
        self._agents: dict[UUID, Agent] = {}
        self._beside: set[asyncio.Task[None]] = set()

    def lets_through(self, ask: Ask) -> Agent | None:
        """The agent whose check may be made at once; where it may not, ``admit`` is awaited."""
        agent = self._agents.get(ask.agent_id or ask.practitioner_id)
        if agent is None or agent.misses_left <= 0 or agent.delay or agent.locked_until or agent.good_until is None:
            return None
        card = ask.card
        person = hash((card.insurer_number, card.membership_number, card.birth_date, card.birth_rank, card.nir_hash))
        if person not in agent.seen:
            if agent.left <= 0:
                return None
            agent.left -= 1
            if len(agent.seen) >= _SEEN:
                agent.seen.clear()
            agent.seen.add(person)
        if ask.checked_at >= agent.good_until:
            agent.good_until = ask.checked_at + _COUNT_AGAIN
            self._beside.add(task := asyncio.create_task(self._count_beside(agent, ask)))
            task.add_done_callback(self._beside.discard)
        agent.begin()
        return agent

    async def admit(self, ask: Ask) -> Agent:
        """The agent, once it has waited as long as it must; raises ``ChecksLocked`` and ``ChecksTooFast``."""
        agent = self._agent(ask)
        if agent.delay and agent.waiting >= _MOST_WAITING:
            raise ChecksTooFast(retry_after_seconds=max(1, round(agent.delay * _MOST_WAITING)))
        agent.waiting += 1
        try:
            async with agent.turn:  # one of those who must wait at a time
                if agent.delay and agent.waiting > _MOST_WAITING:
                    raise ChecksTooFast(retry_after_seconds=max(1, round(agent.delay * _MOST_WAITING)))
                while self.lets_through(ask) is None:
                    if agent.is_full:
                        agent.freed.clear()
                        await agent.freed.wait()
                        continue
                    await self._look(agent, ask)
                    if agent.delay:
                        await asyncio.sleep(agent.delay)
                        agent.begin()
                        break
        finally:
            agent.waiting -= 1
        return agent

    async def refuse_locked(self, connection: Connection, ask: Ask) -> None:
        """Raises ``ChecksLocked`` where the account or the agent is locked, be it by another process."""
        until = await LockStore(connection).locked_until(ask.practitioner_id, ask.agent_id, ask.checked_at)
        if until is not None:
            self._agent(ask).left = 0
            raise _locked(until, ask.checked_at)

    async def _count_beside(self, agent: Agent, ask: Ask) -> None:
        with suppress(Problem, *faults.ANY):
            await self._look(agent, ask)

    def _agent(self, ask: Ask) -> Agent:
        key = ask.agent_id or ask.practitioner_id
        if (agent := self._agents.get(key)) is None:
            if len(self._agents) >= _KEPT:
                self._agents.clear()  # they are counted anew as they come
            agent = self._agents[key] = Agent()
        return agent

    async def _look(self, agent: Agent, ask: Ask) -> None:
        """Counts usage anew; raises ``ChecksLocked``."""
        now = ask.checked_at
        if agent.locked_until and now < agent.locked_until and agent.good_until and now < agent.good_until:
            raise _locked(agent.locked_until, now)
        async with self._connect() as connection:
            counted = await LockStore(connection).count(ask.practitioner_id, ask.agent_id, now)
            agent.locked_until = counted.locked_until
            if counted.locked_until is None:
                own = self._settings.check_quotas
                account = quotas.quotas_of(counted.specialty, own)
                percent = self._settings.check_quota_agent_percent
                agents = quotas.quotas_of(counted.specialty, own, percent=percent)
                if measure := quotas.used_up(counted.account, account):
                    agent.locked_until = await self._lock(connection, ask, ask.practitioner_id, measure)
                elif ask.agent_id and (measure := quotas.used_up(counted.agent, agents)):
                    agent.locked_until = await self._lock(connection, ask, ask.agent_id, measure)
                else:
                    slowest, was_slow = self._settings.check_slowest_seconds, agent.delay > 0
                    agent.delay = max(
                        quotas.delay(counted.account, account, slowest=slowest),
                        quotas.delay(counted.agent, agents, slowest=slowest),
                    )
                    if agent.delay and not was_slow:
                        _log.warning("checks_slowed", owner_id=str(ask.agent_id or ask.practitioner_id))
                    ahead = [
                        quotas.until_next_count(counted.account, account),
                        quotas.until_next_count(counted.agent, agents),
                    ]
                    agent.left, misses = (min(each) for each in zip(*ahead, strict=True))
                    agent.misses_left = misses - agent.under_way
        agent.good_until = now + (_LOOK_AGAIN if agent.locked_until else _COUNT_AGAIN)
        if agent.locked_until:
            raise _locked(agent.locked_until, now)

    async def _lock(self, connection: Connection, ask: Ask, owner: UUID, measure: Measure) -> datetime:
        now = ask.checked_at
        ends_at = now + timedelta(hours=self._settings.check_lock_hours)
        async with connection.transaction():
            if not await LockStore(connection).lock(owner, ask.practitioner_id, measure, now=now, ends_at=ends_at):
                return ends_at
            await audit.record(
                connection, actor=SYSTEM, action=Action.CHECKS_LOCKED, subject_id=PractitionerId(ask.practitioner_id)
            )
            holder = await members.holder(connection, ask.practitioner_id)
            is_account = owner == ask.practitioner_id
            said = {
                "agent": "Votre compte" if is_account else "Un de vos accès (une personne ou un logiciel)",
                "reason": _REASONS_FR[measure],
                "moment": now,
                "until": ends_at,
            }
            for address in {holder.email, self._settings.alert_address or holder.email}:
                await self._post.send(connection, "cards/checks_locked", to=address, **said)
        self._metrics.locks.labels(measure.value).inc()
        _log.error("checks_locked", owner_id=str(owner), measure=measure.value)
        return ends_at


def _locked(until: datetime, now: datetime) -> ChecksLocked:
    return ChecksLocked(retry_after_seconds=max(1, int((until - now).total_seconds())))


async def unlock(connection: Connection, practitioner: PractitionerId, *, now: datetime, actor: audit.Actor) -> int:
    """Ends the locks of an account and its agents, whose counts begin anew; answers how many there were."""
    ended = await LockStore(connection).unlock(practitioner, now)
    if ended:
        await audit.record(connection, actor=actor, action=Action.CHECKS_UNLOCKED, subject_id=practitioner)
    return ended
