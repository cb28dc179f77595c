"""SQL of insurers, their endpoints, events and deliveries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.insurers import codec
from tpgateway.insurers.model import (
    ApprovalRules,
    Delivery,
    Endpoint,
    EndpointId,
    Event,
    EventId,
    EventKind,
    Insurer,
    InsurerId,
    InsurerState,
)


class InsurerStore:
    """One method, one statement."""

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

    async def add_client(self, insurer: InsurerId, public_jwk: Mapping[str, Any]) -> UUID:
        client: UUID = await self.connection.fetchval(
            "INSERT INTO insurer_clients (insurer_id, public_jwk) VALUES ($1, $2) RETURNING id",
            insurer,
            dict(public_jwk),
        )
        return client

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

    async def find_client(self, client_id: UUID) -> asyncpg.Record | None:
        """The key of a live client of an active insurer."""
        return await self.connection.fetchrow(
            "SELECT c.insurer_id, c.public_jwk FROM insurer_clients c JOIN insurers i ON i.id = c.insurer_id"
            " WHERE c.id = $1 AND c.revoked_at IS NULL AND i.state = 'active'",
            client_id,
        )

    async def add_endpoint(self, insurer: InsurerId, *, url: str, secret: bytes, now: datetime) -> Endpoint:
        row = await self.connection.fetchrow(
            "INSERT INTO insurer_endpoints (insurer_id, url, secret, created_at) VALUES ($1, $2, $3, $4)"
            " RETURNING id, url, created_at",
            insurer,
            url,
            secret,
            now,
        )
        assert row is not None
        return _endpoint(row)

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

    async def list_endpoints(self, insurer: InsurerId) -> Sequence[Endpoint]:
        """The endpoints in use, oldest first."""
        rows = await self.connection.fetch(
            "SELECT id, url, created_at FROM insurer_endpoints WHERE insurer_id = $1 AND removed_at IS NULL ORDER BY id",
            insurer,
        )
        return [_endpoint(row) for row in rows]

    async def remove_endpoint(self, insurer: InsurerId, endpoint: EndpointId, now: datetime) -> bool:
        done = await self.connection.execute(
            "UPDATE insurer_endpoints SET removed_at = $3 WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL",
            insurer,
            endpoint,
            now,
        )
        return done == "UPDATE 1"

    async def next_event(self, insurer: InsurerId) -> tuple[EventId, Sequence[EndpointId]]:
        """The id that the insurer's next event will have, and where it is to be posted."""
        row = await self.connection.fetchrow(
            "SELECT uuidv7() AS id, (SELECT array_agg(e.id ORDER BY e.id) FROM insurer_endpoints e"
            " WHERE e.insurer_id = $1 AND e.removed_at IS NULL) AS endpoints",
            insurer,
        )
        assert row
        return EventId(row["id"]), [EndpointId(endpoint) for endpoint in row["endpoints"] or ()]

    async def append_event(
        self,
        insurer: InsurerId,
        event: EventId,
        kind: EventKind,
        *,
        subject_id: UUID,
        data: Mapping[str, Any],
        now: datetime,
        channel: str,
    ) -> None:
        """The insurer's next event; who listens to the channel hears of it at the commit.

        The insurer's counter stays locked until the transaction ends, so that no number is skipped and none is seen before
        a smaller one: it is to be the last statement.
        """
        await self.connection.execute(
            """
            WITH counter AS (
                UPDATE insurer_event_counters SET last = last + 1 WHERE insurer_id = $1 RETURNING last
            ), event AS (
                INSERT INTO insurer_events (insurer_id, id, sequence, kind, subject_id, data, occurred_at)
                SELECT $1, $2, last, $3, $4, $5, $6 FROM counter
            )
            SELECT pg_notify($7, $1::text)
            """,
            insurer,
            event,
            kind,
            subject_id,
            dict(data),
            now,
            channel,
        )

    async def events_after(self, insurer: InsurerId, after: int, limit: int) -> Sequence[Event]:
        rows = await self.connection.fetch(
            "SELECT id, sequence, kind, occurred_at, data FROM insurer_events"
            " WHERE insurer_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
            insurer,
            after,
            limit,
        )
        return [_event(row) for row in rows]

    async def event(self, insurer: InsurerId, event: EventId) -> Event | None:
        row = await self.connection.fetchrow(
            "SELECT id, sequence, kind, occurred_at, data FROM insurer_events WHERE insurer_id = $1 AND id = $2",
            insurer,
            event,
        )
        return None if row is None else _event(row)

    async def endpoint_target(self, insurer: InsurerId, endpoint: EndpointId) -> asyncpg.Record | None:
        """URL and sealed secret of an endpoint in use."""
        return await self.connection.fetchrow(
            "SELECT url, secret FROM insurer_endpoints WHERE insurer_id = $1 AND id = $2 AND removed_at IS NULL",
            insurer,
            endpoint,
        )

    async def record_delivery(
        self, insurer: InsurerId, event: EventId, endpoint: EndpointId, delivery: Delivery, now: datetime
    ) -> int:
        """Keeps what a try came to; answers which attempt it was, the first being 1."""
        attempt: int = await self.connection.fetchval(
            """
            INSERT INTO insurer_deliveries (insurer_id, event_id, endpoint_id, attempt, attempted_at, status, failure,
                                            milliseconds)
            SELECT $1, $2, $3, count(*) + 1, $4, $5, $6, $7 FROM insurer_deliveries
            WHERE insurer_id = $1 AND event_id = $2 AND endpoint_id = $3
            RETURNING attempt
            """,
            insurer,
            event,
            endpoint,
            now,
            delivery.status,
            delivery.failure,
            delivery.milliseconds,
        )
        return attempt


def _insurer(row: asyncpg.Record) -> Insurer:
    return Insurer(
        id=InsurerId(row["id"]),
        number=row["number"],
        name=row["name"],
        state=InsurerState(row["state"]),
        convention_types=tuple(row["convention_types"]),
        approval_rules=codec.from_json(row["approval_rules"]),
    )


def _endpoint(row: asyncpg.Record) -> Endpoint:
    return Endpoint(id=EndpointId(row["id"]), url=row["url"], created_at=row["created_at"])


def _event(row: asyncpg.Record) -> Event:
    return Event(
        id=EventId(row["id"]),
        sequence=row["sequence"],
        kind=EventKind(row["kind"]),
        occurred_at=row["occurred_at"],
        data=row["data"],
    )
