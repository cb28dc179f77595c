"""The trail's chain: what was written cannot be altered, removed or put in between without being seen.

Every minute the worker links the entries that have come: the hash of each holds the one before it, numbered within the
day. When a day is over its end is closed, with a digest of the day's card checks, which are audit entries themselves; the
next day's chain begins from there. Entries are linked after their transaction and not in it, so that no two writers ever
wait for each other.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import structlog

from tpgateway.database import Connection, scope

_log = structlog.get_logger(__name__)
_LOCK = 7_452_002
_BATCH = 5_000
# How long after an entry or a card check was made its transaction may still be open.
_LATE = timedelta(days=1)
# A day is closed, and the next one's chain begun, so long after midnight: its last card checks are then all there.
_CLOSING = timedelta(minutes=10)
# No setting lets entries go sooner.
_SHORTEST = timedelta(days=365)
_ENTRY = "id, occurred_at, actor_kind, actor_id, agent_id, action, insurer_id, subject_id, request_id"
_CLOSED = "entries, card_checks, checks_digest, hash"
_START = hashlib.sha256(b"tpgateway audit chain 1").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the verification found of one day; ``fault`` is None where all is as it was written.

    ``hash`` is the day's last: kept elsewhere, it shows whether the chain was later written anew.
    """

    day: date
    entries: int
    card_checks: int | None
    hash: bytes | None
    fault: str | None
    is_forgotten: bool = False
    """Whether its entries went when their time was over: of it only its end is left, from which the chain goes on."""


def link_hash(before: bytes, entry: Mapping[str, Any]) -> bytes:
    """The hash of an entry whose predecessor's is ``before``."""
    parts = {
        name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value and str(value)
        for name, value in entry.items()
    }
    return hashlib.sha256(before + json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).digest()


def day_hash(last: bytes, day: date, entries: int, card_checks: int, checks_digest: bytes) -> bytes:
    """The hash that closes a day and opens the next."""
    return hashlib.sha256(last + f"{day} {entries} {card_checks} ".encode() + checks_digest).digest()


async def link(connection: Connection, *, now: datetime) -> int:
    """Links the entries that are not linked yet and closes the days that are over; answers how many entries.

    One process at a time does it; the others find nothing to do.
    """
    linked = 0
    while True:
        async with connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return linked
            await _close_days(connection, now)
            done = await _link_batch(connection, now)
        linked += done
        if done < _BATCH:
            return linked


async def _link_batch(connection: Connection, now: datetime) -> int:
    closed: date | None = await connection.fetchval("SELECT max(day) FROM audit_days")
    # Clocks differ and step back: what is closed stays so.
    day = max(_day_of(now), closed + timedelta(days=1)) if closed else _day_of(now)
    before, number = await _end(connection, day)
    newest: UUID | None = await connection.fetchval(
        "SELECT entry_id FROM audit_links ORDER BY day DESC, number DESC LIMIT 1"
    )
    rows = await connection.fetch(
        f"SELECT {_ENTRY} FROM audit_entries e"  # noqa: S608  # a constant of this module
        " WHERE e.id > $1 AND NOT EXISTS (SELECT FROM audit_links l WHERE l.entry_id = e.id) ORDER BY e.id LIMIT $2",
        _earlier(newest, now, _LATE),
        _BATCH,
    )
    links = []
    for row in rows:
        before, number = link_hash(before, dict(row)), number + 1
        links.append((day, number, row["id"], before))
    await connection.executemany("INSERT INTO audit_links (day, number, entry_id, hash) VALUES ($1, $2, $3, $4)", links)
    return len(links)


def _day_of(now: datetime) -> date:
    """The day whose chain is written at a moment."""
    return (now.astimezone(UTC) - _CLOSING).date()


def _earlier(entry_id: UUID | None, now: datetime, by: timedelta) -> UUID:
    """The smallest id (UUIDv7: 48 bits of milliseconds first) of so long before another, or before now if that is earlier.

    An id of the future, made while a clock was ahead, must not hide those of today.
    """
    if entry_id is None:
        return UUID(int=0)
    milliseconds = min(entry_id.int >> 80, int(now.timestamp() * 1000)) - by // timedelta(milliseconds=1)
    return UUID(int=max(0, milliseconds) << 80)


async def _end(connection: Connection, day: date) -> tuple[bytes, int]:
    """The hash that the day's next entry follows, and the number of its last."""
    row = await connection.fetchrow(
        "SELECT hash, number FROM audit_links WHERE day = $1 ORDER BY number DESC LIMIT 1", day
    )
    if row is not None:
        return row["hash"], row["number"]
    closed = await connection.fetchval("SELECT hash FROM audit_days WHERE day < $1 ORDER BY day DESC LIMIT 1", day)
    return closed or _START, 0


async def _close_days(connection: Connection, now: datetime) -> None:
    """Closes every day before today that has links or card checks and is still open, oldest first."""
    today = _day_of(now)
    last: date | None = await connection.fetchval("SELECT max(day) FROM audit_days")
    if last is not None and last >= today - timedelta(days=1):
        return
    day: date | None
    if last is not None:
        day = last + timedelta(days=1)
    else:
        day = await connection.fetchval(
            "SELECT least((SELECT min(day) FROM audit_links),"
            " (SELECT min(checked_at AT TIME ZONE 'UTC')::date FROM card_checks))",
            timeout=3600,
        )
    while day is not None and day < today:
        hash_, number = await _end(connection, day)
        checks, digest = await _checks_of(connection, day)
        closing = day_hash(hash_, day, number, checks, digest)
        await connection.execute(
            "INSERT INTO audit_days (day, entries, card_checks, checks_digest, hash, closed_at)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            day,
            number,
            checks,
            digest,
            closing,
            now,
        )
        # In the log, which is kept elsewhere: the anchor that somebody who rewrites the whole chain cannot move.
        _log.info("audit_day_closed", day=day.isoformat(), hash=closing.hex(), rows=number)
        day += timedelta(days=1)


async def _checks_of(connection: Connection, day: date) -> tuple[int, bytes]:
    """How many card checks a day had, and their digest: by insurer, each check by its id.

    Of those whose persons were forgotten the trace holds their part of it.
    """
    rows = await connection.fetch(
        """
        SELECT insurer_id, count(*) AS checks, sha256(string_agg(leaf, '' ORDER BY id)) AS digest FROM (
            SELECT insurer_id, id, check_leaf(k) AS leaf FROM card_checks k WHERE checked_at >= $1 AND checked_at < $2
            UNION ALL
            SELECT insurer_id, id, leaf FROM card_check_traces WHERE checked_at >= $1 AND checked_at < $2
        ) k GROUP BY insurer_id ORDER BY insurer_id
        """,
        _midnight(day),
        _midnight(day + timedelta(days=1)),
        timeout=3600,
    )
    whole = hashlib.sha256()
    for row in rows:
        whole.update(row["insurer_id"].bytes + row["digest"])
    return sum(row["checks"] for row in rows), whole.digest()


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What is not linked yet, as metrics: what came after the last that is."""
    newest = await connection.fetchval("SELECT entry_id FROM audit_links ORDER BY day DESC, number DESC LIMIT 1")
    count = await connection.fetchval("SELECT count(*) FROM audit_entries WHERE id > $1", newest or UUID(int=0))
    return {"tpgateway_audit_unlinked_entries": count}


async def verify(connection: Connection) -> AsyncIterator[Finding]:
    """Goes through the whole chain, day by day; entries not linked yet come last, as a finding of the day they are from."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        days = await connection.fetch(
            "SELECT day FROM audit_links UNION SELECT day FROM audit_days ORDER BY day", timeout=3600
        )
        forgotten = {
            row["day"]: row["forgotten_at"]
            for row in await connection.fetch("SELECT day, forgotten_at FROM audit_days_forgotten")
        }
        before, is_begun = _START, False
        for day in (row["day"] for row in days):
            if day in forgotten:
                finding, before = await _verify_forgotten(connection, day, forgotten[day], is_begun=is_begun)
            else:
                finding, before = await _verify_day(connection, day, before)
                is_begun = True
            yield finding
        loose = await connection.fetchrow(
            "SELECT count(*) AS entries, min(occurred_at) AS first FROM audit_entries e"
            " WHERE NOT EXISTS (SELECT FROM audit_links l WHERE l.entry_id = e.id)",
            timeout=3600,
        )
        assert loose is not None
        if loose["entries"] and datetime.now(UTC) - loose["first"] > timedelta(hours=1):
            day = loose["first"].astimezone(UTC).date()
            fault = (
                f"{loose['entries']} entries stand outside the chain, the oldest of {loose['first']:%Y-%m-%d %H:%M} UTC:"
                " no worker ran since, or they were put in between"
            )
            yield Finding(day=day, entries=loose["entries"], card_checks=None, hash=None, fault=fault)


async def _verify_day(connection: Connection, day: date, before: bytes) -> tuple[Finding, bytes]:
    """What one day comes to, and the hash that the next follows."""
    entries, last, fault = 0, before, None
    async for row in connection.cursor(
        f"SELECT l.number, l.hash AS link, l.entry_id, e.id IS NULL AS is_gone, {_prefixed()}"  # noqa: S608
        " FROM audit_links l LEFT JOIN audit_entries e ON e.id = l.entry_id WHERE l.day = $1 ORDER BY l.number",
        day,
        prefetch=_BATCH,
    ):
        entries += 1
        entry = dict(row)
        number, link_, entry_id, is_gone = (entry.pop(name) for name in ("number", "link", "entry_id", "is_gone"))
        if fault is None and number != entries:
            fault = f"entry {entries} of the day is missing from the chain"
        elif fault is None and is_gone:
            fault = f"entry {number} of the day ({entry_id}) was removed"
        elif fault is None and link_hash(last, entry) != link_:
            fault = f"entry {number} of the day ({entry_id}) is not as it was written"
        last = link_
    closed = await connection.fetchrow(f"SELECT {_CLOSED} FROM audit_days WHERE day = $1", day)  # noqa: S608
    if closed is None:
        return Finding(day=day, entries=entries, card_checks=None, hash=last, fault=fault), last
    checks, digest = await _checks_of(connection, day)
    if fault is None and closed["entries"] != entries:
        fault = f"the day was closed with {closed['entries']} entries"
    if fault is None and (checks, digest) != (closed["card_checks"], closed["checks_digest"]):
        fault = f"the day's card checks are not as they were: {closed['card_checks']} then, {checks} now"
    if fault is None and day_hash(last, day, entries, checks, digest) != closed["hash"]:
        fault = "the day's closing hash is not as it was written"
    found = Finding(day=day, entries=entries, card_checks=checks, hash=closed["hash"], fault=fault)
    return found, closed["hash"]


async def _verify_forgotten(
    connection: Connection, day: date, forgotten_at: datetime, *, is_begun: bool
) -> tuple[Finding, bytes]:
    """The same of a day whose entries were let go: ``is_begun`` where entries of an earlier day are still there."""
    closed = await connection.fetchrow(f"SELECT {_CLOSED} FROM audit_days WHERE day = $1", day)  # noqa: S608
    assert closed is not None
    left = await connection.fetchval("SELECT count(*) FROM audit_links WHERE day = $1", day)
    fault = None
    if is_begun:
        fault = "the day was let go before an earlier one"
    elif forgotten_at - _midnight(day) < _SHORTEST:
        fault = f"the day was let go on {forgotten_at:%Y-%m-%d}, before its time"
    elif left:
        fault = f"the day was let go, and has {left} entries"
    found = Finding(
        day=day,
        entries=closed["entries"],
        card_checks=closed["card_checks"],
        hash=closed["hash"],
        fault=fault,
        is_forgotten=True,
    )
    return found, closed["hash"]


async def forget(connection: Connection, *, months: int) -> int:
    """Lets the entries of closed days older than this go, oldest first; answers how many days.

    The end of each stays, so that what follows can still be verified. It is the database that judges, by its own clock.
    Raises asyncpg's ``RestrictViolationError`` for less than a year.
    """
    days = 0
    while True:
        async with connection.transaction():
            await scope.let_go(connection)
            if await connection.fetchval("SELECT forget_audit_day($1)", months, timeout=3600) is None:
                return days
        days += 1


def _prefixed() -> str:
    return ", ".join(f"e.{column.strip()}" for column in _ENTRY.split(","))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
