"""Use cases of cards: a check, its record, a proof, an import of rights."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import IO
from uuid import UUID

import asyncpg
from aiohttp import web

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.cards.checker import Answered, Checker
from tpgateway.cards.client import LiveInsurers
from tpgateway.cards.codec.rights_files import LONGEST_LINE, SEALING, Ready
from tpgateway.cards.errors import ClosesTooMany
from tpgateway.cards.model import (
    Ask,
    CardCheck,
    CardCheckId,
    ImportId,
    ImportMode,
    Reject,
    RightsImport,
    Verdict,
)
from tpgateway.cards.rules import answers
from tpgateway.cards.store.checks import CheckStore
from tpgateway.cards.store.rights import RightsStore
from tpgateway.cards.verdicts import Verdicts
from tpgateway.cards.watch import Agent, Watch
from tpgateway.database import Connection
from tpgateway.errors import Problem
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import EventKind, Insurer, InsurerId, LiveSource
from tpgateway.practitioners.model import PractitionerId
from tpgateway.vault import Vault
from tpgateway.web.problems import DatabaseUnavailable, IdempotencyKeyReused, WrongEncoding
from tpgateway.web.routing import PARIS

_TRIES = 4
_COUNTED_DAYS, _COUNTED_AT_ONCE = 31, 5
_LATE_COMMITS = timedelta(hours=1)
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """What a check takes beside itself; one a process."""

    connect: Callable[[], AbstractAsyncContextManager[Connection]]
    vault: Vault
    checker: Checker
    watch: Watch
    live: LiveInsurers
    looking_up: "set[asyncio.Task[Answered]]" = field(init=False, default_factory=set)
    """Verdicts on their way."""
    _live_sources: dict[str, LiveSource] = field(init=False, default_factory=dict)

    def live_source(self, insurer_number: str) -> LiveSource | None:
        """What is remembered of an insurer that answers itself; ``refresh`` where the database says otherwise."""
        return self._live_sources.get(insurer_number)

    async def refresh(self, connection: Connection, insurer: Insurer) -> None:
        """Looks again whether the insurer answers itself."""
        source = await insurers.live_source(connection, self.vault, insurer.id)
        if source is None:
            self._live_sources.pop(insurer.number, None)
        else:
            self._live_sources[insurer.number] = source


CHECKING: web.AppKey[Checking] = web.AppKey("checking", Checking)


async def check_card(
    checking: Checking, ask: Ask, *, care_date: date | None, nir: str | None = None, is_one_of_many: bool = False
) -> tuple[Answered, bool]:
    """Checks a card and records it, and tells whether it was made before under the same key.

    ``care_date`` is what the caller named, None where it left the day to us: a key is not misused by coming on another day.
    ``is_one_of_many``: a line of a batch.
    Raises ``InsurerUnknown``, ``IdempotencyKeyReused``, ``ChecksLocked``, ``ChecksTooFast`` and ``DatabaseUnavailable``.
    """
    agent = checking.watch.lets_through(ask) or await checking.watch.admit(ask)
    verdict: Verdict | None = None
    try:
        for _ in range(_TRIES):
            if ask.idempotency_key is not None and (before := await _made_before(checking, ask, care_date)) is not None:
                return await _answered(checking, before), True
            asked = ask
            if (source := checking.live_source(ask.card.insurer_number)) is not None:
                agent.end(None)  # a slow insurer must not hold up the same practice's checks of others
                try:
                    finding = await checking.live.ask(source, ask, nir=nir, is_one_of_many=is_one_of_many)
                finally:
                    agent.begin()
                asked = ask._replace(live=finding)
            if (answered := await checking.checker.check(asked)) is not None:
                if answered.verdict is None:
                    answered = await _answered(checking, answered.check)
                verdict = answered.verdict
                return answered, False
            await _find_out_why(checking, ask)
    finally:
        agent.end(verdict)
    raise RuntimeError("no check was recorded")


def check_at_once(checking: Checking, ask: Ask, tell: Callable[[Answered | Problem | None], None]) -> bool:
    """As ``check_card``, where the record is all that must be waited for; False where it is not, and nothing was done.

    ``tell`` hears what it came to: None where ``check_card`` is to find out why nothing did, which may record it once more.
    """
    if checking.live_source(ask.card.insurer_number) is not None or (agent := checking.watch.lets_through(ask)) is None:
        return False
    try:
        checking.checker.begin(ask, partial(_end, checking, agent, tell))
    except BaseException as error:
        agent.end(None)
        if isinstance(error, Problem):  # which whoever asks the usual way is told
            return False
        raise
    return True


def _end(
    checking: Checking,
    agent: Agent,
    tell: Callable[[Answered | Problem | None], None],
    answered: Answered | Exception | None,
) -> None:
    """Tells what a check came to, once its verdict is known."""
    if not isinstance(answered, Answered):
        agent.end(None)
        tell(answered if isinstance(answered, Problem) else None)
    elif answered.verdict is None:
        checking.looking_up.add(task := asyncio.create_task(_answered(checking, answered.check)))
        task.add_done_callback(partial(_end_looked_up, checking, agent, tell))
    else:
        agent.end(answered.verdict)
        tell(answered)


def _end_looked_up(
    checking: Checking,
    agent: Agent,
    tell: Callable[[Answered | Problem | None], None],
    task: "asyncio.Task[Answered]",
) -> None:
    checking.looking_up.discard(task)
    # What was recorded is not asked for again: as with any answer that is lost on its way, it is not known that it was.
    failure = DatabaseUnavailable(retry_after_seconds=1) if task.cancelled() or task.exception() else None
    _end(checking, agent, tell, failure or task.result())


async def _find_out_why(checking: Checking, ask: Ask) -> None:
    """Why a check was not recorded: raises it, or returns where another try may do."""
    async with checking.connect() as connection:
        insurer = await insurers.find(connection, ask.card.insurer_number)
        if not insurer.is_active:
            raise InsurerUnknown
        await checking.watch.refuse_locked(connection, ask)
        await checking.refresh(connection, insurer)
    # The proof was taken, or the key just now by another request, or the insurer has begun or ceased to answer itself.


async def _answered(checking: Checking, check: CardCheck) -> Answered:
    async with checking.connect() as connection:
        return Answered.of(check, await checking.checker.verdicts.of(connection, check))


async def _made_before(checking: Checking, ask: Ask, care_date: date | None) -> CardCheck | None:
    assert ask.idempotency_key is not None
    async with checking.connect() as connection:
        before = await CheckStore(connection).find_by_key(ask.practitioner_id, ask.idempotency_key)
    if before is not None and not answers.is_same_question(ask, before, care_date=care_date):
        raise IdempotencyKeyReused
    return before


async def read_check(
    connection: Connection,
    insurer_id: InsurerId,
    check_id: CardCheckId,
    *,
    practitioner: PractitionerId,
    actor: Actor,
) -> CardCheck | None:
    """A practitioner's own check; None where there is none. The reading is audited."""
    check = await CheckStore(connection).get(insurer_id, check_id)
    if check is None or check.ask.practitioner_id != practitioner:
        return None
    await audit.record(
        connection, actor=actor, action=Action.CARD_CHECK_READ, subject_id=check_id, insurer_id=insurer_id
    )
    return check


async def recent_checks(
    connection: Connection,
    verdicts: Verdicts,
    practitioner: PractitionerId,
    agent: UUID,
    *,
    since: datetime,
    limit: int,
) -> Sequence[tuple[CardCheck, Verdict]]:
    """The checks that one of a practice made since a moment and what they came to, the last first: for who made them."""
    found = await CheckStore(connection).recent(practitioner, agent, since, limit)
    return [(check, await verdicts.of(connection, check)) for check in found]


async def proven(
    connection: Connection, verdicts: Verdicts, insurer_id: InsurerId, check_id: UUID
) -> tuple[CardCheck, Verdict]:
    """The check that something was built on, and what it came to."""
    check = await CheckStore(connection).get(insurer_id, CardCheckId(check_id))
    assert check is not None
    return check, await verdicts.of(connection, check)


async def read_pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    """An open file, a piece at a time, read aside from the event loop."""
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


async def import_rights(
    connection: Connection,
    insurer_id: InsurerId,
    mode: ImportMode,
    pieces: AsyncIterable[bytes],
    ready: Ready,
    *,
    closing_percent: int | None,
    started_at: datetime,
    today: date,
    actor: Actor,
    tell: Callable[[str], None] = lambda _: None,
) -> RightsImport:
    """The lines of a file become the insurer's rights, in the caller's transaction: others see before or after.

    ``pieces`` and ``ready`` are what ``codec.rights_files.prepare`` wrote and said of it; they must come quickly. ``tell``
    hears what is being done. Raises ``WrongEncoding``, and ``ClosesTooMany`` where more than this share of the people whose
    rights are open or to come would have none any more; None lets it.
    """
    store = RightsStore(connection)
    await store.lock_insurer(insurer_id)
    tell("Copying")
    try:
        await store.stage(pieces, are_numbered=ready.are_numbered)
    except asyncpg.CharacterNotInRepertoireError:
        raise WrongEncoding from None
    import_id = await store.new_import_id()
    tell("Checking")
    longest = LONGEST_LINE + SEALING if ready.has_nir else LONGEST_LINE
    lines, loaded = await store.check_lines(has_nir=ready.has_nir, longest=longest)
    tell("Merging")
    has_rights = await store.has_rights(insurer_id)
    if has_rights:
        if closing_percent is not None and (ending := await store.count_ending(insurer_id, mode, today)):
            standing = await store.count_standing(insurer_id, today)
            if ending * 100 > standing * closing_percent:
                raise ClosesTooMany(
                    f"{ending} of {standing} people, with rights open today or to come, would have none"
                )
        await store.make_room(insurer_id)
    news = await store.add_good(insurer_id, import_id)
    closed = 0
    if has_rights and mode is ImportMode.FULL:
        closed = await store.close_unsaid(insurer_id, today) + await store.drop_unsaid(insurer_id, today)
    if ready.has_nir:
        await store.add_nirs(insurer_id)
    done = RightsImport(
        id=import_id,
        mode=mode,
        lines=lines,
        loaded=loaded,
        unchanged=loaded - news,
        rejected=lines - loaded,
        closed=closed,
        started_at=started_at,
        finished_at=datetime.now(UTC),
    )
    await store.add_import(insurer_id, done)
    if done.rejected:
        await store.add_rejects(insurer_id, import_id)
    await store.finish(changed=news + closed)
    await audit.record(
        connection, actor=actor, action=Action.RIGHTS_IMPORTED, subject_id=import_id, insurer_id=insurer_id
    )
    counts = {"lines": lines, "loaded": loaded, "rejected": done.rejected, "closed": closed}
    await insurers.publish(
        connection,
        insurer_id,
        EventKind.RIGHTS_IMPORTED,
        subject_id=import_id,
        data={"rights_import_id": str(import_id), "mode": mode.value, **counts, "unchanged": done.unchanged},
        now=done.finished_at,
    )
    return done


async def get_import(connection: Connection, insurer_id: InsurerId, import_id: ImportId) -> RightsImport | None:
    """An insurer's own import."""
    return await RightsStore(connection).get_import(insurer_id, import_id)


async def list_imports(connection: Connection, insurer_id: InsurerId, *, limit: int) -> Sequence[RightsImport]:
    """An insurer's imports, the last first."""
    return await RightsStore(connection).imports(insurer_id, limit)


async def count_days(connection: Connection, *, now: datetime) -> int:
    """Counts the checks of days that are over for an hour and were not counted yet, some at a time; answers how many days."""
    today = (now - _LATE_COMMITS).astimezone(PARIS).date()
    store = CheckStore(connection)
    days = await store.days_to_count(today - timedelta(days=_COUNTED_DAYS), today, _COUNTED_AT_ONCE)
    for day in days:
        async with connection.transaction():
            await store.count_day(day, *_bounds(day))
    return len(days)


async def checks_by_day(
    connection: Connection, insurer_id: InsurerId, *, days: int, now: datetime
) -> Sequence[tuple[date, int]]:
    """How many checks went to an insurer on each of the last days, today included."""
    today = now.astimezone(PARIS).date()
    store = CheckStore(connection)
    counted = await store.counted_days(insurer_id, today - timedelta(days=days - 1))
    found = []
    for back in range(days - 1, -1, -1):
        day = today - timedelta(days=back)
        if day not in counted:
            counted[day] = await store.count_of(insurer_id, *_bounds(day))
        found.append((day, counted[day]))
    return found


def _bounds(day: date) -> tuple[datetime, datetime]:
    """A day's beginning and end by the clocks of Paris."""
    return datetime.combine(day, time(), PARIS), datetime.combine(day + timedelta(days=1), time(), PARIS)


async def rejects(
    connection: Connection, insurer_id: InsurerId, import_id: ImportId, *, after: int, limit: int
) -> Sequence[Reject]:
    """The lines that an import did not load, past a line number."""
    return await RightsStore(connection).rejects(insurer_id, import_id, after, limit)
