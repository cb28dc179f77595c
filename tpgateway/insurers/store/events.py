"""SQL of what insurers are told."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.database.statements import Statement
from tpgateway.insurers.model import (
    Event,
    EventId,
    EventKind,
    InsurerId,
)

# Insurers come as text: what an array of ids is, each new connection would first ask at length.
_APPEND = """
INSERT INTO insurer_event_drafts (insurer_id, kind, subject_id, data, occurred_at, channel)
SELECT insurer_id, $2, $3, $4, $5, $6 FROM insurer_event_counters
WHERE insurer_id = ANY ($1::text[]::uuid[]) ORDER BY insurer_id
"""


def appended(
    insurers: Sequence[InsurerId],
    kind: EventKind,
    *,
    subject_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
    channel: str | None,
) -> Statement:
    """What makes the next event of each of these insurers, with what is to be posted; the channel's listeners hear of it.

    The events get their numbers as the transaction commits, when their insurers' counters are locked: so no number is
    skipped, and none is seen before a smaller one. Counters are locked in one order, so that no two wait for each other;
    who appends several times in a transaction must keep to that. Without a channel they are left to ``number``.
    """
    return Statement(_APPEND, ([str(insurer) for insurer in insurers], kind, subject_id, dict(data), now, channel))


class EventStore:
    """What insurers are told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def number(self, insurer: InsurerId) -> None:
        """What was appended without a channel, and committed, gets its numbers, after all that has one."""
        await self.connection.execute("SELECT number_events($1)", insurer)

    async def number_and_tell(self, insurers: Collection[InsurerId], channel: str) -> None:
        """The same for several insurers, in the order in which counters are locked; the channel's listeners hear of it."""
        await self.connection.execute(
            "SELECT number_events(id::uuid), pg_notify($2, id) FROM unnest($1::text[]) AS id ORDER BY id",
            [str(insurer) for insurer in insurers],
            channel,
        )

    async def unnumbered(self) -> Sequence[InsurerId]:
        """To whom something was told that has no number yet."""
        rows = await self.connection.fetch("SELECT DISTINCT insurer_id FROM insurer_event_drafts")
        return [InsurerId(row["insurer_id"]) for row in rows]

    async def notify(self, insurer: InsurerId, channel: str) -> None:
        await self.connection.execute("SELECT pg_notify($2, $1)", str(insurer), channel)

    async def after(self, insurer: InsurerId, after: int, limit: int) -> Sequence[Event]:
        rows = await self.connection.fetch(
            "SELECT id, sequence, kind, occurred_at, data FROM insurer_events"
            " WHERE insurer_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            insurer,
            after,
            limit,
        )
        return [_event(row) for row in rows]

    async def kind_of(self, insurer: InsurerId, event: EventId) -> EventKind | None:
        """The kind of an event of the insurer's; None where there is none."""
        kind: str | None = await self.connection.fetchval(
            "SELECT kind FROM insurer_events WHERE insurer_id = $1 AND id = $2", insurer, event
        )
        return None if kind is None else EventKind(kind)

    async def note_cursor(self, insurer: InsurerId, after: int) -> bool:
        """The insurer has read so far, or further already; False where there is no such event yet."""
        is_known: bool = await self.connection.fetchval(
            """
            WITH counter AS (
                SELECT last FROM insurer_event_counters WHERE insurer_id = $1
            ), noted AS (
                INSERT INTO insurer_feed_cursors AS c (insurer_id, after) SELECT $1, $2 FROM counter WHERE last >= $2
                ON CONFLICT (insurer_id) DO UPDATE SET after = excluded.after WHERE c.after < excluded.after
            )
            SELECT last >= $2 FROM counter
            """,
            insurer,
            after,
        )
        return is_known

    async def first_waiting(self, insurer: InsurerId) -> int:
        """The number of the earliest event that an endpoint has still to take, or that of the next event to come."""
        found: int = await self.connection.fetchval(
            """
            SELECT coalesce((SELECT min(sequence) FROM insurer_outbox WHERE insurer_id = $1), last + 1)
            FROM insurer_event_counters WHERE insurer_id = $1
            """,
            insurer,
        )
        return found

    async def pending(self, insurer: InsurerId, most: int) -> int:
        """How many events the insurer has not had, counted up to ``most``.

        Not read in the feed, and: from before it had an endpoint, or waiting to be posted. Without one all that is not read.
        What waits for its number is counted by what will become of it, and goes on waiting: a look locks nothing.
        """
        count: int = await self.connection.fetchval(
            """
            WITH had AS (
                SELECT c.last, greatest(coalesce(f.after, 0), coalesce((
                           SELECT min(sequence) - 1 FROM insurer_events WHERE insurer_id = $1), 0)) AS after
                FROM insurer_event_counters c LEFT JOIN insurer_feed_cursors f USING (insurer_id) WHERE c.insurer_id = $1
            ), live AS (
                SELECT id, first_sequence, kinds FROM insurer_endpoints
                WHERE insurer_id = $1 AND removed_at IS NULL AND disabled_at IS NULL
            ), unnumbered AS (
                SELECT 1 FROM insurer_event_drafts d
                WHERE d.insurer_id = $1 AND (NOT EXISTS (SELECT FROM live)
                      OR EXISTS (SELECT FROM live WHERE kinds IS NULL OR d.kind = ANY (kinds)))
                LIMIT $2
            ), waiting AS (
                SELECT DISTINCT o.sequence FROM live CROSS JOIN had CROSS JOIN LATERAL (
                    SELECT sequence FROM insurer_outbox o
                    WHERE o.insurer_id = $1 AND o.endpoint_id = live.id AND o.sequence > had.after
                    ORDER BY o.sequence LIMIT $2
                ) AS o
            )
            SELECT least($2, (SELECT count(*) FROM unnumbered) + CASE WHEN EXISTS (SELECT FROM live)
                THEN greatest(0, (SELECT min(first_sequence) FROM live) - 1 - after) + (SELECT count(*) FROM waiting)
                ELSE last - after END)
            FROM had
            """,
            insurer,
            most,
        )
        return count

    async def forget(self, most: int) -> int:
        """Removes events that are over 13 months old, with the log of their delivery; answers how many."""
        count: int = await self.connection.fetchval("SELECT forget_insurer_events($1)", most)
        return count


def _event(row: asyncpg.Record) -> Event:
    return Event(
        id=EventId(row["id"]),
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        occurred_at=row["occurred_at"],
        data=row["data"],
    )
