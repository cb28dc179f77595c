"""Use cases of cards: a check, its record, a proof, an import of rights."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from datetime import UTC, date, datetime
from typing import IO

import asyncpg

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.cards.checker import Answered, Checker
from tpgateway.cards.codec.rights_files import LONGEST_LINE, SEALING, Ready
from tpgateway.cards.errors import ClosesTooMany
from tpgateway.cards.model import (
    Ask,
    CardCheck,
    CardCheckId,
    ImportId,
    ImportMode,
    Outcome,
    Reject,
    RightsImport,
    Verdict,
)
from tpgateway.cards.rules import answers
from tpgateway.cards.store.checks import CheckStore
from tpgateway.cards.store.rights import RightsStore
from tpgateway.cards.verdicts import Verdicts
from tpgateway.database import Connection, Pool
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import EventKind, InsurerId
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.problems import IdempotencyKeyReused, WrongEncoding

_PROOF_TRIES = 3
_PIECE = 1024 * 1024


async def check_card(pool: Pool, checker: Checker, ask: Ask, *, care_date: date | None) -> tuple[Answered, bool]:
    """Checks a card and records it, and tells whether it was made before under the same key.

    ``care_date`` is what the caller named, None where it left the day to us: a key is not misused by coming on another day.
    Raises ``InsurerUnknown``, ``IdempotencyKeyReused`` and ``DatabaseUnavailable``.
    """
    for _ in range(_PROOF_TRIES):
        if ask.idempotency_key is not None and (before := await _made_before(pool, ask, care_date)) is not None:
            return await _answered(pool, checker, before), True
        if (answered := await checker.check(ask)) is not None:
            return answered if answered.verdict else await _answered(pool, checker, answered.check), False
        async with pool.acquire(timeout=5) as connection:
            insurer = await insurers.find(connection, ask.card.insurer_number)
        if not insurer.is_active:
            raise InsurerUnknown
        # The proof was taken, or the key just now by another request.
    raise RuntimeError("no check was recorded")


async def _answered(pool: Pool, checker: Checker, check: CardCheck) -> Answered:
    async with pool.acquire(timeout=5) as connection:
        return Answered.of(check, await checker.verdicts.of(connection, check))


async def _made_before(pool: Pool, ask: Ask, care_date: date | None) -> CardCheck | None:
    assert ask.idempotency_key is not None
    async with pool.acquire(timeout=5) as connection:
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


async def find_proof(
    connection: Connection, verdicts: Verdicts, insurer_id: InsurerId, proof: str
) -> tuple[CardCheck, Verdict] | None:
    """The check of a proof with its verdict, where it was covered: only then is a proof given out."""
    check = await CheckStore(connection).find_by_proof(insurer_id, proof)
    if check is None:
        return None
    verdict = await verdicts.of(connection, check)
    return (check, verdict) if verdict.outcome is Outcome.COVERED else None


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
    hears what is being done. Raises ``WrongEncoding``, and ``ClosesTooMany`` where a full file would end more than this share
    of the rights that are open or to come; None lets it.
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
    await store.check_lines(has_nir=ready.has_nir, longest=longest)
    lines, loaded = await store.count_lines()
    tell("Merging")
    closed, news = 0, loaded
    if await store.has_rights(insurer_id):
        if mode is ImportMode.FULL:
            standing = await store.count_standing(insurer_id, today)
            closed = await store.close_missing(insurer_id, today) + await store.drop_missing(insurer_id, today)
            if closing_percent is not None and closed * 100 > standing * closing_percent:
                raise ClosesTooMany(f"{closed} of {standing} rights, open today or to come, would end")
        await store.keep_news(insurer_id)
        await store.make_room(insurer_id)
        news = await store.add_news(insurer_id, import_id)
    else:
        await store.add_good(insurer_id, import_id)
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


async def rejects(
    connection: Connection, insurer_id: InsurerId, import_id: ImportId, *, after: int, limit: int
) -> Sequence[Reject]:
    """The lines that an import did not load, past a line number."""
    return await RightsStore(connection).rejects(insurer_id, import_id, after, limit)
