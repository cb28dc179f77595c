"""SQL of endpoints: what is to be posted there, and what came of it."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from tpgateway.database import Connection
from tpgateway.insurers.model import (
    Attempt,
    BodyFormat,
    Disabled,
    Endpoint,
    EndpointId,
    EventId,
    EventKind,
    InsurerId,
    Posted,
)

_ENDPOINT = "id, url, created_at, kinds, format, public_key, former_until, failing_since, disabled_at, disabled_for"


class EndpointStore:
    """Where events are posted, and what came of it.

    The outbox is planned for while it is empty, and must be quick when it is full: what a worker asks of it leaves the
    planner no way but the index that finds the rows. Hence ``OFFSET 0``, and rows named by ``ANY (ARRAY(...))`` before
    they are joined.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self,
        insurer: InsurerId,
        *,
        url: str,
        kinds: Sequence[EventKind] | None,
        form: BodyFormat,
        secret: bytes,
        signing_key: bytes,
        public_key: str,
        now: datetime,
    ) -> Endpoint:
        row = await self.connection.fetchrow(
            f"""
            INSERT INTO insurer_endpoints (insurer_id, url, kinds, format, secret, signing_key, public_key, created_at,
                                           first_sequence)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, last + 1 FROM insurer_event_counters WHERE insurer_id = $1
            RETURNING {_ENDPOINT}
            """,  # noqa: S608
            insurer,
            url,
            None if kinds is None else list(kinds),
            form,
            secret,
            signing_key,
            public_key,
            now,
        )
        assert row is not None
        return _endpoint(row)

    async def list(self, insurer: InsurerId) -> Sequence[Endpoint]:
        """The endpoints that were not removed, oldest first."""
        rows = await self.connection.fetch(
            f"SELECT {_ENDPOINT} FROM insurer_endpoints WHERE insurer_id = $1 AND removed_at IS NULL ORDER BY id",  # noqa: S608
            insurer,
        )
        return [_endpoint(row) for row in rows]

    async def get(self, insurer: InsurerId, endpoint: EndpointId) -> Endpoint | None:
        """An endpoint that was not removed, locked against other changes until the transaction ends."""
        row = await self.connection.fetchrow(
            f"SELECT {_ENDPOINT} FROM insurer_endpoints"  # noqa: S608
            " WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL FOR NO KEY UPDATE",
            insurer,
            endpoint,
        )
        return None if row is None else _endpoint(row)

    async def change(self, insurer: InsurerId, endpoint: Endpoint) -> None:
        """Keeps which kinds are posted, in which form, and whether any are; one started again begins with what comes."""
        await self.connection.execute(
            """
            UPDATE insurer_endpoints
            SET kinds = $3, format = $4, disabled_at = $5, disabled_for = $6, failing_since = $7,
                first_sequence = CASE WHEN disabled_at IS NOT NULL AND $5::timestamptz IS NULL
                    THEN (SELECT last + 1 FROM insurer_event_counters WHERE insurer_id = $1) ELSE first_sequence END
            WHERE insurer_id = $1 AND id = $2
            """,
            insurer,
            endpoint.id,
            None if endpoint.kinds is None else list(endpoint.kinds),
            endpoint.format,
            endpoint.disabled_at,
            endpoint.disabled_for,
            endpoint.failing_since,
        )

    async def rotate(
        self,
        insurer: InsurerId,
        endpoint: EndpointId,
        *,
        secret: bytes,
        signing_key: bytes,
        public_key: str,
        former_until: datetime | None,
    ) -> Endpoint:
        """Puts other keys in place; those before sign too until ``former_until``."""
        row = await self.connection.fetchrow(
            f"""
            UPDATE insurer_endpoints
            SET secret = $3, signing_key = $4, public_key = $5, former_until = $6,
                former_secret = CASE WHEN $6::timestamptz IS NOT NULL THEN secret END,
                former_signing_key = CASE WHEN $6::timestamptz IS NOT NULL THEN signing_key END
            WHERE insurer_id = $1 AND id = $2 RETURNING {_ENDPOINT}
            """,  # noqa: S608
            insurer,
            endpoint,
            secret,
            signing_key,
            public_key,
            former_until,
        )
        assert row is not None
        return _endpoint(row)

    async def remove(self, insurer: InsurerId, endpoint: EndpointId, now: datetime) -> bool:
        done = await self.connection.execute(
            "UPDATE insurer_endpoints SET removed_at = $3 WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL",
            insurer,
            endpoint,
            now,
        )
        return bool(done == "UPDATE 1")

    async def empty_outbox(self, insurer: InsurerId, endpoint: EndpointId) -> None:
        """Nothing waits to be posted there any more."""
        await self.connection.execute(
            """
            WITH waiting AS (
                SELECT sequence FROM insurer_outbox WHERE insurer_id = $1 AND endpoint_id = $2 ORDER BY sequence FOR UPDATE
            )
            DELETE FROM insurer_outbox o USING waiting
            WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = waiting.sequence
            """,
            insurer,
            endpoint,
        )

    async def drop_unwanted(self, insurer: InsurerId, endpoint: EndpointId, kinds: Sequence[EventKind]) -> None:
        """What waits of other kinds than these is not posted there any more."""
        await self.connection.execute(
            """
            DELETE FROM insurer_outbox o USING insurer_events e
            WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND e.insurer_id = $1 AND e.sequence = o.sequence
              AND e.kind <> ALL ($3)
            """,
            insurer,
            endpoint,
            list(kinds),
        )

    async def post_again(self, insurer: InsurerId, endpoint: EndpointId, event: EventId) -> None:
        """One event is posted once more, with ten tries before it."""
        await self.connection.execute(
            """
            INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
            SELECT insurer_id, $2, sequence, id, subject_id, now() FROM insurer_events WHERE insurer_id = $1 AND id = $3
            ON CONFLICT (insurer_id, endpoint_id, sequence) DO UPDATE SET tries = 0, due_at = now()
            """,
            insurer,
            endpoint,
            event,
        )

    async def post_period_again(
        self,
        insurer: InsurerId,
        endpoint: EndpointId,
        kinds: Sequence[EventKind] | None,
        *,
        start: datetime,
        end: datetime,
    ) -> int:
        """All events of a period that the endpoint wants; answers how many."""
        done = await self.connection.execute(
            """
            INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
            SELECT insurer_id, $2, sequence, id, subject_id, now() FROM insurer_events
            WHERE insurer_id = $1 AND occurred_at >= $3 AND occurred_at < $4 AND ($5::text[] IS NULL OR kind = ANY ($5))
            ORDER BY sequence
            ON CONFLICT (insurer_id, endpoint_id, sequence) DO UPDATE SET tries = 0, due_at = now()
            """,
            insurer,
            endpoint,
            start,
            end,
            None if kinds is None else list(kinds),
        )
        return int(done.split()[-1])

    async def attempts(
        self, insurer: InsurerId, endpoint: EndpointId, event: EventId | None, *, before: datetime | None, limit: int
    ) -> Sequence[Attempt]:
        """The delivery log of an endpoint, of one event or all, latest first, before a moment."""
        rows = await self.connection.fetch(
            """
            SELECT d.event_id, e.sequence, e.kind, d.attempt, d.attempted_at, d.status, d.failure, d.milliseconds
            FROM insurer_deliveries d JOIN insurer_events e ON e.insurer_id = d.insurer_id AND e.id = d.event_id
            WHERE d.insurer_id = $1 AND d.endpoint_id = $2 AND ($3::uuid IS NULL OR d.event_id = $3)
              AND ($4::timestamptz IS NULL OR d.attempted_at < $4)
            ORDER BY d.attempted_at DESC, e.sequence DESC LIMIT $5
            """,
            insurer,
            endpoint,
            event,
            before,
            limit,
        )
        return [Attempt(**{**row, "kind": EventKind(row["kind"])}) for row in rows]

    async def with_work(self) -> Sequence[tuple[InsurerId, EndpointId]]:
        """The endpoints in use for which something is due and nobody's."""
        rows = await self.connection.fetch(
            """
            SELECT insurer_id, id FROM insurer_endpoints p
            WHERE removed_at IS NULL AND disabled_at IS NULL AND (
                SELECT true FROM insurer_outbox o
                WHERE o.insurer_id = p.insurer_id AND o.endpoint_id = p.id AND o.due_at <= now()
                  AND (o.leased_until IS NULL OR o.leased_until <= now())
                ORDER BY o.due_at, o.sequence LIMIT 1
            )
            """
        )
        return [(InsurerId(row["insurer_id"]), EndpointId(row["id"])) for row in rows]

    async def claim(
        self, insurer: InsurerId, endpoint: EndpointId, *, seconds: float, limit: int
    ) -> Sequence[asyncpg.Record]:
        """Events to post now, nobody else's for so long: of each subject the earliest, while no other of it is under way.

        It is the database's clock that leases go by: workers' own may differ.
        """
        return await self.connection.fetch(
            """
            WITH target AS (
                SELECT url, format, secret, signing_key, former_until, former_secret, former_signing_key
                FROM insurer_endpoints
                WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL AND disabled_at IS NULL
            ), picked AS (
                SELECT o.sequence, o.event_id FROM insurer_outbox o, target
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.due_at <= now()
                  AND (o.leased_until IS NULL OR o.leased_until <= now())
                  AND NOT EXISTS (
                    SELECT FROM insurer_outbox other
                    WHERE other.insurer_id = $1 AND other.endpoint_id = $2 AND other.subject_id = o.subject_id
                      AND (other.sequence < o.sequence OR other.leased_until > now())
                    OFFSET 0
                  )
                ORDER BY o.due_at, o.sequence LIMIT $4 FOR UPDATE OF o SKIP LOCKED
            ), claimed AS (
                UPDATE insurer_outbox o SET leased_until = now() + make_interval(secs => $3)
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = ANY (ARRAY(SELECT sequence FROM picked))
                RETURNING o.event_id, o.sequence, o.tries, o.due_at, o.leased_until
            )
            SELECT e.id, e.sequence, e.kind, e.occurred_at, e.data, claimed.tries, claimed.due_at, claimed.leased_until,
                   target.url, target.format, target.secret, target.signing_key, target.former_until, target.former_secret,
                   target.former_signing_key
            FROM claimed JOIN insurer_events e ON e.id = claimed.event_id, target
            WHERE e.insurer_id = $1 AND e.id = ANY (ARRAY(SELECT event_id FROM picked))
            ORDER BY claimed.sequence
            """,
            insurer,
            endpoint,
            seconds,
            limit,
        )

    async def record(self, insurer: InsurerId, endpoint: EndpointId, posted: Sequence[Posted]) -> None:
        """Logs what posts came to, and when those not taken are tried again.

        Of an event whose lease has gone to another nothing but the log is written. One that was asked for again while it was
        under way stays. What comes after one of the same subject is due when that one is, so that nobody looks at it in vain.
        Rows are locked in one order, that of their numbers.
        """
        await self.connection.execute(
            """
            WITH posted AS (
                SELECT *, row_number() OVER (PARTITION BY event_id ORDER BY attempted_at) AS nth
                FROM unnest($3::bigint[], $4::uuid[], $5::timestamptz[], $6::smallint[], $7::text[], $8::int[],
                            $9::timestamptz[], $10::timestamptz[], $11::float[])
                    AS p (sequence, event_id, attempted_at, status, failure, milliseconds, leased_until, was_due_at, delay)
            ), logged AS (
                INSERT INTO insurer_deliveries (insurer_id, event_id, endpoint_id, attempt, attempted_at, status, failure,
                                                milliseconds)
                SELECT $1, event_id, $2, nth + coalesce((
                           SELECT d.attempt FROM insurer_deliveries d
                           WHERE d.insurer_id = $1 AND d.event_id = posted.event_id AND d.endpoint_id = $2
                           ORDER BY d.attempt DESC LIMIT 1
                       ), 0), attempted_at, status, failure, milliseconds
                FROM posted
                ON CONFLICT DO NOTHING
            ), mine AS (
                SELECT sequence, subject_id, leased_until FROM insurer_outbox
                WHERE insurer_id = $1 AND endpoint_id = $2 AND sequence = ANY ($3)
            ), theirs AS (
                SELECT same.sequence, same.sequence = p.sequence AS is_itself, p.was_due_at,
                       clock_timestamp() + make_interval(secs => p.delay) AS due_at
                FROM posted p JOIN mine USING (sequence, leased_until)
                CROSS JOIN LATERAL (
                    SELECT o.sequence FROM insurer_outbox o
                    WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.subject_id = mine.subject_id
                      AND o.sequence >= mine.sequence
                    OFFSET 0
                ) AS same
            ), affected AS (
                SELECT t.sequence, t.is_itself, t.was_due_at, t.due_at FROM theirs t JOIN insurer_outbox o USING (sequence)
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = ANY (ARRAY(SELECT sequence FROM theirs))
                ORDER BY o.sequence FOR UPDATE OF o
            ), later AS (
                -- What was asked for again meanwhile has another due_at than it had.
                UPDATE insurer_outbox o
                SET due_at = CASE WHEN a.is_itself AND o.due_at <> a.was_due_at THEN o.due_at
                                  ELSE coalesce(a.due_at, clock_timestamp()) END,
                    tries = CASE WHEN a.is_itself AND o.due_at = a.was_due_at THEN o.tries + 1 ELSE o.tries END,
                    leased_until = CASE WHEN a.is_itself THEN NULL ELSE o.leased_until END
                FROM affected a
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = a.sequence
                  AND o.sequence = ANY (ARRAY(SELECT sequence FROM affected))
                  AND (a.due_at IS NOT NULL OR o.due_at <> a.was_due_at OR NOT a.is_itself)
            )
            DELETE FROM insurer_outbox o USING affected a
            WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = a.sequence
              AND o.sequence = ANY (ARRAY(SELECT sequence FROM affected))
              AND a.is_itself AND a.due_at IS NULL AND o.due_at IS NOT DISTINCT FROM a.was_due_at
            """,
            insurer,
            endpoint,
            [each.sequence for each in posted],
            [each.event_id for each in posted],
            [each.attempted_at for each in posted],
            [each.delivery.status for each in posted],
            [each.delivery.failure for each in posted],
            [each.delivery.milliseconds for each in posted],
            [each.leased_until for each in posted],
            [each.was_due_at for each in posted],
            [None if each.delay is None else each.delay.total_seconds() for each in posted],
        )

    async def note_health(self, insurer: InsurerId, endpoint: EndpointId, *, is_well: bool) -> datetime | None:
        """Whether the endpoint takes events; answers since when it has taken none, whichever worker tried."""
        failing_since: datetime | None = await self.connection.fetchval(
            """
            UPDATE insurer_endpoints p SET failing_since = CASE WHEN $3 OR EXISTS (
                SELECT FROM insurer_deliveries d
                WHERE d.insurer_id = $1 AND d.endpoint_id = $2 AND d.attempted_at > p.failing_since
                  AND d.status BETWEEN 200 AND 299
            ) THEN CASE WHEN $3 THEN NULL ELSE clock_timestamp() END ELSE coalesce(p.failing_since, clock_timestamp()) END
            WHERE insurer_id = $1 AND id = $2 RETURNING failing_since
            """,
            insurer,
            endpoint,
            is_well,
        )
        return failing_since

    async def backlog(self) -> tuple[int, float, int]:
        """How many events wait, for how many seconds the one due longest, and how many endpoints are out of service.

        What has no number yet waits too: for a moment, or where nobody runs who could give it one.
        """
        row = await self.connection.fetchrow(
            "SELECT count(*), coalesce(greatest(0, extract(epoch FROM now() - min(due_at))), 0)::float,"
            " (SELECT count(*) FROM insurer_endpoints WHERE disabled_at IS NOT NULL AND removed_at IS NULL)"
            " FROM (SELECT due_at FROM insurer_outbox UNION ALL SELECT occurred_at FROM insurer_event_drafts) AS waiting"
        )
        assert row is not None
        return row[0], row[1], row[2]

    async def forget_idle(self) -> int:
        """Removes what waits for endpoints that are no more in use; answers how much."""
        done = await self.connection.execute(
            """
            DELETE FROM insurer_outbox o USING insurer_endpoints p
            WHERE p.insurer_id = o.insurer_id AND p.id = o.endpoint_id
              AND (p.removed_at IS NOT NULL OR p.disabled_at IS NOT NULL)
            """
        )
        return int(done.split()[-1])

    async def disable(self, insurer: InsurerId, endpoint: EndpointId, why: Disabled, now: datetime) -> str | None:
        """Its URL; None where it was disabled or removed before."""
        url: str | None = await self.connection.fetchval(
            """
            UPDATE insurer_endpoints SET disabled_at = $4, disabled_for = $3
            WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL AND disabled_at IS NULL RETURNING url
            """,
            insurer,
            endpoint,
            why,
            now,
        )
        return url


def _endpoint(row: asyncpg.Record) -> Endpoint:
    kinds, why = row["kinds"], row["disabled_for"]
    return Endpoint(
        id=EndpointId(row["id"]),
        url=row["url"],
        created_at=row["created_at"],
        kinds=None if kinds is None else tuple(EventKind(kind) for kind in kinds),
        format=BodyFormat(row["format"]),
        public_key=row["public_key"],
        former_until=row["former_until"],
        failing_since=row["failing_since"],
        disabled_at=row["disabled_at"],
        disabled_for=why and Disabled(why),
    )
