"""API clients."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.practitioners.model import (
    ApiClient,
    ClientId,
    PractitionerId,
)

_CLIENT = "id, name, scopes, public_jwk, created_at, last_used_at, former_until, revoked_at"


class ClientStore:
    """API clients. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self,
        practitioner_id: PractitionerId,
        *,
        name: str,
        scopes: list[str],
        secret_hash: bytes | None,
        public_jwk: dict[str, Any] | None,
    ) -> ApiClient:
        row = await self.connection.fetchrow(
            "INSERT INTO practitioner_clients (practitioner_id, name, scopes, secret_hash, public_jwk)"  # noqa: S608
            f" VALUES ($1, $2, $3, $4, $5) RETURNING {_CLIENT}",
            practitioner_id,
            name,
            scopes,
            secret_hash,
            public_jwk,
        )
        assert row is not None
        return _client(row)

    async def list_all(self, practitioner_id: PractitionerId) -> list[ApiClient]:
        """The clients, those revoked included, oldest first."""
        rows = await self.connection.fetch(
            f"SELECT {_CLIENT} FROM practitioner_clients WHERE practitioner_id = $1 ORDER BY id",  # noqa: S608
            practitioner_id,
        )
        return [_client(row) for row in rows]

    async def rename(self, practitioner_id: PractitionerId, client_id: ClientId, name: str) -> ApiClient | None:
        row = await self.connection.fetchrow(
            "UPDATE practitioner_clients SET name = $3"  # noqa: S608
            f" WHERE practitioner_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING {_CLIENT}",
            practitioner_id,
            client_id,
            name,
        )
        return None if row is None else _client(row)

    async def lock(self, practitioner_id: PractitionerId, client_id: ClientId) -> ApiClient | None:
        """A live client, locked until the transaction ends."""
        row = await self.connection.fetchrow(
            f"SELECT {_CLIENT} FROM practitioner_clients"  # noqa: S608
            " WHERE practitioner_id = $1 AND id = $2 AND revoked_at IS NULL FOR UPDATE",
            practitioner_id,
            client_id,
        )
        return None if row is None else _client(row)

    async def rotate(
        self,
        practitioner_id: PractitionerId,
        client_id: ClientId,
        *,
        secret_hash: bytes | None,
        public_jwk: dict[str, Any] | None,
        former_until: datetime | None,
    ) -> ApiClient | None:
        """Gives a live client another credential; the former one works until then, or no more."""
        row = await self.connection.fetchrow(
            f"""
            UPDATE practitioner_clients SET
                former_secret_hash = CASE WHEN $5::timestamptz IS NOT NULL THEN secret_hash END,
                former_public_jwk = CASE WHEN $5::timestamptz IS NOT NULL THEN public_jwk END,
                former_until = $5, secret_hash = $3, public_jwk = $4
            WHERE practitioner_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING {_CLIENT}
            """,  # noqa: S608
            practitioner_id,
            client_id,
            secret_hash,
            public_jwk,
            former_until,
        )
        return None if row is None else _client(row)

    async def revoke(self, practitioner_id: PractitionerId, client_id: ClientId, now: datetime) -> bool:
        """Ends a client; False where the account has no such live client."""
        done = await self.connection.execute(
            "UPDATE practitioner_clients SET revoked_at = $3"
            " WHERE practitioner_id = $1 AND id = $2 AND revoked_at IS NULL",
            practitioner_id,
            client_id,
            now,
        )
        return done == "UPDATE 1"

    async def find(self, client_id: UUID) -> asyncpg.Record | None:
        """The credentials and scopes of a live client of an account in use."""
        return await self.connection.fetchrow(
            "SELECT c.practitioner_id, c.scopes, c.secret_hash, c.public_jwk,"
            " CASE WHEN c.former_until > now() THEN c.former_secret_hash END AS former_secret_hash,"
            " CASE WHEN c.former_until > now() THEN c.former_public_jwk END AS former_public_jwk"
            " FROM practitioner_clients c JOIN practitioners p ON p.id = c.practitioner_id"
            " WHERE c.id = $1 AND c.revoked_at IS NULL AND p.state = 'active'",
            client_id,
        )

    async def mark_used(self, client_id: UUID, now: datetime) -> None:
        """To the minute: software that asks for tokens without end does not write without end."""
        await self.connection.execute(
            "UPDATE practitioner_clients SET last_used_at = $2::timestamptz"
            " WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '1 minute')",
            client_id,
            now,
        )


def _client(row: asyncpg.Record) -> ApiClient:
    return ApiClient(
        id=ClientId(row["id"]),
        name=row["name"],
        scopes=tuple(row["scopes"]),
        has_key=row["public_jwk"] is not None,
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        former_until=row["former_until"],
        revoked_at=row["revoked_at"],
    )
