"""SQL of insurers' accounts and of their systems."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.insurers import codec
from tpgateway.insurers.model import (
    ApprovalRules,
    Contact,
    Insurer,
    InsurerClient,
    InsurerId,
    InsurerState,
)

_INSURER = "id, number, name, state, convention_types, approval_rules, contacts"
_CLIENT = "id, name, jwks_url, jwks, created_at, last_used_at, former_until, revoked_at"


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
        row = await self.connection.fetchrow(f"SELECT {_INSURER} FROM insurers WHERE id = $1", insurer)  # noqa: S608
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
        row = await self.connection.fetchrow(f"SELECT {_INSURER} FROM insurers WHERE number = $1", number)  # noqa: S608
        return None if row is None else _insurer(row)

    async def list(self) -> list[Insurer]:
        """All insurers, by number."""
        rows = await self.connection.fetch(f"SELECT {_INSURER} FROM insurers ORDER BY number")  # noqa: S608
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


class RequestStore:
    """What strangers asked for, until the worker has looked it up."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(self, sealed: bytes) -> UUID:
        added: UUID = await self.connection.fetchval(
            "INSERT INTO insurer_requests (sealed) VALUES ($1) RETURNING id", sealed
        )
        return added

    async def take(self, request_id: UUID) -> bytes | None:
        """The request, gone from the table; None where it was taken before."""
        taken: bytes | None = await self.connection.fetchval(
            "DELETE FROM insurer_requests WHERE id = $1 RETURNING sealed", request_id
        )
        return taken

    async def forget(self, now: datetime) -> int:
        done = await self.connection.execute(
            "DELETE FROM insurer_requests WHERE created_at < $1::timestamptz - interval '1 day'", now
        )
        return int(done.split()[-1])


class ClientStore:
    """The systems of insurers, by their keys."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self, insurer: InsurerId, *, name: str, public_jwk: Mapping[str, Any] | None, jwks_url: str | None
    ) -> InsurerClient:
        row = await self.connection.fetchrow(
            "INSERT INTO insurer_clients (insurer_id, name, public_jwk, jwks_url) VALUES ($1, $2, $3, $4)"  # noqa: S608
            f" RETURNING {_CLIENT}",
            insurer,
            name,
            None if public_jwk is None else dict(public_jwk),
            jwks_url,
        )
        assert row is not None
        return _client(row)

    async def list(self, insurer: InsurerId) -> Sequence[InsurerClient]:
        """All clients, those revoked included, oldest first."""
        rows = await self.connection.fetch(
            f"SELECT {_CLIENT} FROM insurer_clients WHERE insurer_id = $1 ORDER BY id",  # noqa: S608
            insurer,
        )
        return [_client(row) for row in rows]

    async def lock(self, insurer: InsurerId, client: UUID) -> InsurerClient | None:
        """A live client, locked until the transaction ends."""
        row = await self.connection.fetchrow(
            f"SELECT {_CLIENT} FROM insurer_clients"  # noqa: S608
            " WHERE insurer_id = $1 AND id = $2 AND revoked_at IS NULL FOR UPDATE",
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
            f"""
            UPDATE insurer_clients
            SET public_jwk = $3, jwks_url = $4, jwks = NULL, jwks_read_at = NULL, former_until = $5,
                former_public_jwk = CASE WHEN $5::timestamptz IS NOT NULL THEN public_jwk END,
                former_jwks = CASE WHEN $5::timestamptz IS NOT NULL THEN jwks END
            WHERE insurer_id = $1 AND id = $2 RETURNING {_CLIENT}
            """,  # noqa: S608
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
