"""SQL of insurers, their systems, endpoints, events and deliveries. One method, one statement."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.insurers import codec
from tpgateway.insurers.model import (
    ApprovalRules,
    Attempt,
    BodyFormat,
    Contact,
    Disabled,
    Endpoint,
    EndpointId,
    Event,
    EventId,
    EventKind,
    Insurer,
    InsurerClient,
    InsurerId,
    InsurerState,
    Posted,
)


class InsurerStore:
    """Accounts, and who answers checks itself."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(self, number: str, name: str, convention_types: Sequence[str]) -> InsurerId | None:
        """A new insurer with its event counter; None where the number is taken."""
        added: UUID | None = await self.connection.fetchval(
            """
            WITH insurer AS (
                INSERT INTO insurers (number, name, convention_types) VALUES ($1, $2, $3)
                ON CONFLICT (number) DO NOTHING RETURNING id
            )
            INSERT INTO insurer_event_counters (insurer_id) SELECT id FROM insurer RETURNING insurer_id
            """,
            number,
            name,
            list(convention_types),
        )
        return InsurerId(added) if added else None

    async def get(self, insurer: InsurerId) -> Insurer | None:
        row = await self.connection.fetchrow("SELECT * FROM insurers WHERE id = $1", insurer)
        return None if row is None else _insurer(row)

    async def lock_approval_rules(self, insurer: InsurerId) -> ApprovalRules:
        """The insurer's rules, locked until the transaction ends."""
        kept = await self.connection.fetchval(
            "SELECT approval_rules FROM insurers WHERE id = $1 FOR NO KEY UPDATE", insurer
        )
        return codec.from_json(kept)

    async def set_approval_rules(self, insurer: InsurerId, rules: Mapping[str, Any]) -> None:
        await self.connection.execute("UPDATE insurers SET approval_rules = $2 WHERE id = $1", insurer, dict(rules))

    async def find(self, number: str) -> Insurer | None:
        row = await self.connection.fetchrow("SELECT * FROM insurers WHERE number = $1", number)
        return None if row is None else _insurer(row)

    async def list(self) -> list[Insurer]:
        """All insurers, by number."""
        rows = await self.connection.fetch("SELECT * FROM insurers ORDER BY number")
        return [_insurer(row) for row in rows]

    async def set_contacts(self, insurer: InsurerId, contacts: Sequence[Mapping[str, str]]) -> None:
        await self.connection.execute(
            "UPDATE insurers SET contacts = $2 WHERE id = $1", insurer, [dict(each) for each in contacts]
        )

    async def set_state(self, insurer: InsurerId, state: InsurerState, *, now: datetime, reason: str | None) -> bool:
        """False where it is in this state already."""
        done = await self.connection.execute(
            """
            UPDATE insurers SET state = $2, suspended_at = CASE WHEN $2 = 'suspended' THEN $3::timestamptz END,
                                suspended_for = $4
            WHERE id = $1 AND state <> $2
            """,
            insurer,
            state,
            now,
            reason,
        )
        return bool(done == "UPDATE 1")

    async def set_live_source(self, insurer: InsurerId, *, url: str, secret: bytes, now: datetime) -> None:
        await self.connection.execute(
            "INSERT INTO insurer_live_sources (insurer_id, url, secret, set_at) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (insurer_id) DO UPDATE SET url = excluded.url, secret = excluded.secret, set_at = excluded.set_at",
            insurer,
            url,
            secret,
            now,
        )

    async def live_source(self, insurer: InsurerId) -> tuple[str, bytes, datetime] | None:
        """URL, sealed secret and since when; None for an insurer whose rights are hosted."""
        row = await self.connection.fetchrow(
            "SELECT url, secret, set_at FROM insurer_live_sources WHERE insurer_id = $1", insurer
        )
        return None if row is None else (row["url"], row["secret"], row["set_at"])

    async def remove_live_source(self, insurer: InsurerId) -> bool:
        done = await self.connection.execute("DELETE FROM insurer_live_sources WHERE insurer_id = $1", insurer)
        return bool(done == "DELETE 1")


class ClientStore:
    """The systems of insurers, by their keys."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self, insurer: InsurerId, *, name: str, public_jwk: Mapping[str, Any] | None, jwks_url: str | None
    ) -> InsurerClient:
        row = await self.connection.fetchrow(
            "INSERT INTO insurer_clients (insurer_id, name, public_jwk, jwks_url) VALUES ($1, $2, $3, $4) RETURNING *",
            insurer,
            name,
            None if public_jwk is None else dict(public_jwk),
            jwks_url,
        )
        assert row is not None
        return _client(row)

    async def list(self, insurer: InsurerId) -> Sequence[InsurerClient]:
        """All clients, those revoked included, oldest first."""
        rows = await self.connection.fetch("SELECT * FROM insurer_clients WHERE insurer_id = $1 ORDER BY id", insurer)
        return [_client(row) for row in rows]

    async def lock(self, insurer: InsurerId, client: UUID) -> InsurerClient | None:
        """A live client, locked until the transaction ends."""
        row = await self.connection.fetchrow(
            "SELECT * FROM insurer_clients WHERE insurer_id = $1 AND id = $2 AND revoked_at IS NULL FOR UPDATE",
            insurer,
            client,
        )
        return None if row is None else _client(row)

    async def rotate(
        self,
        insurer: InsurerId,
        client: UUID,
        *,
        public_jwk: Mapping[str, Any] | None,
        jwks_url: str | None,
        former_until: datetime | None,
    ) -> InsurerClient:
        """Puts another key in place; the one before stays good until ``former_until``."""
        row = await self.connection.fetchrow(
            """
            UPDATE insurer_clients
            SET public_jwk = $3, jwks_url = $4, jwks = NULL, jwks_read_at = NULL, former_until = $5,
                former_public_jwk = CASE WHEN $5::timestamptz IS NOT NULL THEN public_jwk END,
                former_jwks = CASE WHEN $5::timestamptz IS NOT NULL THEN jwks END
            WHERE insurer_id = $1 AND id = $2 RETURNING *
            """,
            insurer,
            client,
            None if public_jwk is None else dict(public_jwk),
            jwks_url,
            former_until,
        )
        assert row is not None
        return _client(row)

    async def is_live(self, insurer: InsurerId, client: UUID) -> bool:
        """Whether the client may still do something; it stays so until the transaction ends."""
        found = await self.connection.fetchval(
            "SELECT true FROM insurer_clients c JOIN insurers i ON i.id = c.insurer_id"
            " WHERE c.insurer_id = $1 AND c.id = $2 AND c.revoked_at IS NULL AND i.state = 'active' FOR SHARE OF c",
            insurer,
            client,
        )
        return bool(found)

    async def revoke(self, insurer: InsurerId, client: UUID, now: datetime) -> bool:
        done = await self.connection.execute(
            "UPDATE insurer_clients SET revoked_at = $3 WHERE insurer_id = $1 AND id = $2 AND revoked_at IS NULL",
            insurer,
            client,
            now,
        )
        return bool(done == "UPDATE 1")

    async def find(self, client: UUID) -> asyncpg.Record | None:
        """The keys of a live client of an active insurer."""
        return await self.connection.fetchrow(
            """
            SELECT c.insurer_id, c.public_jwk, c.jwks_url, c.jwks, c.jwks_read_at,
                   CASE WHEN c.former_until > now() THEN c.former_public_jwk END AS former_public_jwk,
                   CASE WHEN c.former_until > now() THEN c.former_jwks END AS former_jwks
            FROM insurer_clients c JOIN insurers i ON i.id = c.insurer_id
            WHERE c.id = $1 AND c.revoked_at IS NULL AND i.state = 'active'
            """,
            client,
        )

    async def mark_used(self, client: UUID, now: datetime) -> None:
        await self.connection.execute("UPDATE insurer_clients SET last_used_at = $2 WHERE id = $1", client, now)

    async def claim_jwks(self, client: UUID, now: datetime, before: datetime) -> str | None:
        """The address of a client's keys, and the right to read it now; None where they were read since ``before``."""
        url: str | None = await self.connection.fetchval(
            """
            UPDATE insurer_clients SET jwks_read_at = $2
            WHERE id = $1 AND jwks_url IS NOT NULL AND revoked_at IS NULL AND (jwks_read_at IS NULL OR jwks_read_at < $3)
            RETURNING jwks_url
            """,
            client,
            now,
            before,
        )
        return url

    async def has_keys_since(self, client: UUID, since: datetime) -> bool:
        """Whether keys were read at the client's address since a moment."""
        found = await self.connection.fetchval(
            "SELECT (jwks ->> 'read_at')::timestamptz > $2 FROM insurer_clients WHERE id = $1", client, since
        )
        return bool(found)

    async def set_jwks(self, client: UUID, url: str, jwks: Mapping[str, Any]) -> None:
        """What was read at an address, where the client's keys still stand there."""
        await self.connection.execute(
            "UPDATE insurer_clients SET jwks = $3 WHERE id = $1 AND jwks_url = $2", client, url, dict(jwks)
        )

    async def with_published_keys(self, before: datetime) -> Sequence[UUID]:
        """Live clients with keys at an address that was last read before a moment."""
        rows = await self.connection.fetch(
            "SELECT id FROM insurer_clients WHERE jwks_url IS NOT NULL AND revoked_at IS NULL AND jwks_read_at < $1",
            before,
        )
        return [row["id"] for row in rows]


class EndpointStore:
    """Where events are posted, and what came of it."""

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
            """
            INSERT INTO insurer_endpoints (insurer_id, url, kinds, format, secret, signing_key, public_key, created_at,
                                           first_sequence)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, last + 1 FROM insurer_event_counters WHERE insurer_id = $1 RETURNING *
            """,
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
            "SELECT * FROM insurer_endpoints WHERE insurer_id = $1 AND removed_at IS NULL ORDER BY id", insurer
        )
        return [_endpoint(row) for row in rows]

    async def get(self, insurer: InsurerId, endpoint: EndpointId) -> Endpoint | None:
        """An endpoint that was not removed, locked against other changes until the transaction ends."""
        row = await self.connection.fetchrow(
            "SELECT * FROM insurer_endpoints WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL FOR NO KEY UPDATE",
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
            """
            UPDATE insurer_endpoints
            SET secret = $3, signing_key = $4, public_key = $5, former_until = $6,
                former_secret = CASE WHEN $6::timestamptz IS NOT NULL THEN secret END,
                former_signing_key = CASE WHEN $6::timestamptz IS NOT NULL THEN signing_key END
            WHERE insurer_id = $1 AND id = $2 RETURNING *
            """,
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
            WHERE removed_at IS NULL AND disabled_at IS NULL AND EXISTS (
                SELECT FROM insurer_outbox o
                WHERE o.insurer_id = p.insurer_id AND o.endpoint_id = p.id AND o.due_at <= now()
                  AND (o.leased_until IS NULL OR o.leased_until <= now())
            )
            """
        )
        return [(InsurerId(row["insurer_id"]), EndpointId(row["id"])) for row in rows]

    async def claim(
        self, insurer: InsurerId, endpoint: EndpointId, *, seconds: float, limit: int
    ) -> Sequence[asyncpg.Record]:
        """Events to post now, nobody else's for so long: of each subject the earliest, as only that may go out.

        It is the database's clock that leases go by: workers' own may differ.
        """
        return await self.connection.fetch(
            """
            WITH target AS (
                SELECT url, format, secret, signing_key, former_until, former_secret, former_signing_key
                FROM insurer_endpoints
                WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL AND disabled_at IS NULL
            ), picked AS (
                SELECT o.sequence FROM insurer_outbox o, target
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.due_at <= now()
                  AND (o.leased_until IS NULL OR o.leased_until <= now())
                  AND NOT EXISTS (
                    SELECT FROM insurer_outbox before
                    WHERE before.insurer_id = $1 AND before.endpoint_id = $2 AND before.subject_id = o.subject_id
                      AND before.sequence < o.sequence
                  )
                ORDER BY o.due_at, o.sequence LIMIT $4 FOR UPDATE OF o SKIP LOCKED
            ), claimed AS (
                UPDATE insurer_outbox o SET leased_until = now() + make_interval(secs => $3) FROM picked
                WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = picked.sequence
                RETURNING o.sequence, o.tries, o.due_at, o.leased_until
            )
            SELECT e.id, e.sequence, e.kind, e.occurred_at, e.data, claimed.tries, claimed.due_at, claimed.leased_until,
                   target.*
            FROM claimed JOIN insurer_events e ON e.insurer_id = $1 AND e.sequence = claimed.sequence, target
            ORDER BY e.sequence
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
                           SELECT max(d.attempt) FROM insurer_deliveries d
                           WHERE d.insurer_id = $1 AND d.event_id = posted.event_id AND d.endpoint_id = $2
                       ), 0), attempted_at, status, failure, milliseconds
                FROM posted
                ON CONFLICT DO NOTHING
            ), affected AS (
                SELECT o.sequence, o.sequence = p.sequence AS is_itself, p.was_due_at,
                       clock_timestamp() + make_interval(secs => p.delay) AS due_at
                FROM posted p JOIN insurer_outbox mine
                    ON mine.insurer_id = $1 AND mine.endpoint_id = $2 AND mine.sequence = p.sequence
                       AND mine.leased_until = p.leased_until
                JOIN insurer_outbox o
                    ON o.insurer_id = $1 AND o.endpoint_id = $2 AND o.subject_id = mine.subject_id
                       AND o.sequence >= mine.sequence
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
                  AND (a.due_at IS NOT NULL OR o.due_at <> a.was_due_at OR NOT a.is_itself)
            )
            DELETE FROM insurer_outbox o USING affected a
            WHERE o.insurer_id = $1 AND o.endpoint_id = $2 AND o.sequence = a.sequence
              AND a.is_itself AND a.due_at IS NULL AND o.due_at = a.was_due_at
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


class EventStore:
    """What insurers are told."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def append(
        self,
        insurers: Sequence[InsurerId],
        kind: EventKind,
        *,
        subject_id: UUID,
        data: Mapping[str, Any],
        now: datetime,
        channel: str,
    ) -> None:
        """The next event of each of these insurers, with what is to be posted; who listens to the channel hears of it.

        An insurer's counter stays locked until the transaction ends, so that no number is skipped and none is seen before a
        smaller one: it is to be the last statement. Counters are locked in one order, so that no two wait for each other.
        """
        await self.connection.execute(
            """
            WITH counters AS (
                SELECT insurer_id FROM insurer_event_counters WHERE insurer_id = ANY ($1)
                ORDER BY insurer_id FOR NO KEY UPDATE
            ), counted AS (
                UPDATE insurer_event_counters c SET last = c.last + 1 FROM counters
                WHERE c.insurer_id = counters.insurer_id RETURNING c.insurer_id, c.last
            ), appended AS (
                INSERT INTO insurer_events (insurer_id, sequence, kind, subject_id, data, occurred_at)
                SELECT insurer_id, last, $2, $3, $4, $5 FROM counted RETURNING insurer_id, sequence, id
            ), to_post AS (
                INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
                SELECT a.insurer_id, p.id, a.sequence, a.id, $3, now()
                FROM appended a JOIN insurer_endpoints p ON p.insurer_id = a.insurer_id
                WHERE p.removed_at IS NULL AND p.disabled_at IS NULL AND (p.kinds IS NULL OR $2 = ANY (p.kinds))
            )
            SELECT pg_notify($6, insurer_id::text) FROM appended
            """,
            list(insurers),
            kind,
            subject_id,
            dict(data),
            now,
            channel,
        )

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
        """
        count: int = await self.connection.fetchval(
            """
            WITH had AS (
                SELECT c.last, greatest(coalesce(f.after, 0), coalesce((
                           SELECT min(sequence) - 1 FROM insurer_events WHERE insurer_id = $1), 0)) AS after
                FROM insurer_event_counters c LEFT JOIN insurer_feed_cursors f USING (insurer_id) WHERE c.insurer_id = $1
            ), live AS (
                SELECT id, first_sequence FROM insurer_endpoints
                WHERE insurer_id = $1 AND removed_at IS NULL AND disabled_at IS NULL
            ), waiting AS (
                SELECT DISTINCT o.sequence FROM live CROSS JOIN had CROSS JOIN LATERAL (
                    SELECT sequence FROM insurer_outbox o
                    WHERE o.insurer_id = $1 AND o.endpoint_id = live.id AND o.sequence > had.after
                    ORDER BY o.sequence LIMIT $2
                ) AS o
            )
            SELECT least($2, CASE WHEN EXISTS (SELECT FROM live)
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


def _insurer(row: asyncpg.Record) -> Insurer:
    return Insurer(
        id=InsurerId(row["id"]),
        number=row["number"],
        name=row["name"],
        state=InsurerState(row["state"]),
        convention_types=tuple(row["convention_types"]),
        approval_rules=codec.from_json(row["approval_rules"]),
        contacts=tuple(Contact(**each) for each in row["contacts"]),
    )


def _client(row: asyncpg.Record) -> InsurerClient:
    names = ("id", "name", "jwks_url", "created_at", "last_used_at", "former_until", "revoked_at")
    read_at = row["jwks"] and datetime.fromisoformat(row["jwks"]["read_at"])
    return InsurerClient(**{name: row[name] for name in names}, keys_read_at=read_at)


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


def _event(row: asyncpg.Record) -> Event:
    return Event(
        id=EventId(row["id"]),
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        occurred_at=row["occurred_at"],
        data=row["data"],
    )
