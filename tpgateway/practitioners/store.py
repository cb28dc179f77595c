"""SQL of practitioners' accounts."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.practitioners.model import (
    AccountState,
    ApiClient,
    ClientId,
    Identifier,
    Link,
    Login,
    Practitioner,
    PractitionerId,
    Registration,
    Scheme,
    Specialty,
)


class PractitionerStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def is_held(self, identifier: Identifier) -> bool:
        """Whether an account in use holds the identifier."""
        found = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM practitioner_identifiers WHERE scheme = $1 AND value = $2 AND is_held)",
            identifier.scheme,
            identifier.value,
        )
        return bool(found)

    async def add(
        self, registration: Registration, *, password_hash: str, terms_version: str, now: datetime
    ) -> PractitionerId:
        """A new account, unconfirmed, with its identifier claimed but not held."""
        added: UUID = await self.connection.fetchval(
            """
            WITH account AS (
                INSERT INTO practitioners (state, first_name, last_name, legal_name, specialty, postal_code, email, bic,
                                           finess, siret, password_hash, terms_version, terms_accepted_at, registered_at)
                VALUES ('unconfirmed', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
                RETURNING id
            )
            INSERT INTO practitioner_identifiers (practitioner_id, scheme, value)
            SELECT id, $13, $14 FROM account
            RETURNING practitioner_id
            """,
            registration.first_name,
            registration.last_name,
            registration.legal_name,
            registration.specialty,
            registration.postal_code,
            registration.email,
            registration.bic,
            registration.finess,
            registration.siret,
            password_hash,
            terms_version,
            now,
            registration.identifier.scheme,
            registration.identifier.value,
        )
        return PractitionerId(added)

    async def add_activation_link(
        self, token_hash: bytes, practitioner_id: PractitionerId, *, expires_at: datetime
    ) -> None:
        await self.connection.execute(
            "INSERT INTO practitioner_links (token_hash, purpose, practitioner_id, expires_at)"
            " VALUES ($1, 'activation', $2, $3)",
            token_hash,
            practitioner_id,
            expires_at,
        )

    async def lock_activation_link(self, token_hash: bytes) -> Link | None:
        """The link, locked until the transaction ends."""
        row = await self.connection.fetchrow(
            "SELECT practitioner_id, expires_at, used_at FROM practitioner_links"
            " WHERE token_hash = $1 AND purpose = 'activation' FOR UPDATE",
            token_hash,
        )
        return (
            None
            if row is None
            else Link(
                practitioner_id=PractitionerId(row["practitioner_id"]),
                expires_at=row["expires_at"],
                used_at=row["used_at"],
            )
        )

    async def use_link(self, token_hash: bytes, now: datetime) -> None:
        await self.connection.execute(
            "UPDATE practitioner_links SET used_at = $2 WHERE token_hash = $1", token_hash, now
        )

    async def activate(self, practitioner_id: PractitionerId, now: datetime) -> None:
        await self.connection.execute(
            "UPDATE practitioners SET state = 'active', activated_at = $2 WHERE id = $1", practitioner_id, now
        )

    async def hold_identifiers(self, practitioner_id: PractitionerId) -> bool:
        """The account holds its identifiers from now on; False where another came first."""
        try:
            await self.connection.execute(
                "UPDATE practitioner_identifiers SET is_held = true WHERE practitioner_id = $1", practitioner_id
            )
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def find_login(self, identifier: Identifier) -> Login | None:
        row = await self.connection.fetchrow(
            "SELECT p.id, p.state, p.password_hash FROM practitioner_identifiers i"
            " JOIN practitioners p ON p.id = i.practitioner_id"
            " WHERE i.scheme = $1 AND i.value = $2 AND i.is_held",
            identifier.scheme,
            identifier.value,
        )
        return (
            None
            if row is None
            else Login(
                practitioner_id=PractitionerId(row["id"]),
                state=AccountState(row["state"]),
                password_hash=row["password_hash"],
            )
        )

    async def get(self, practitioner_id: PractitionerId) -> Practitioner | None:
        row = await self.connection.fetchrow(
            """
            SELECT p.*, coalesce(p.legal_name, p.first_name || ' ' || p.last_name) AS name,
                   (SELECT json_agg(json_build_array(i.scheme, i.value) ORDER BY i.scheme, i.value)
                    FROM practitioner_identifiers i WHERE i.practitioner_id = p.id) AS identifiers
            FROM practitioners p WHERE p.id = $1
            """,
            practitioner_id,
        )
        return None if row is None else _practitioner(row)

    async def add_client(
        self,
        practitioner_id: PractitionerId,
        *,
        name: str,
        scopes: list[str],
        secret_hash: bytes | None,
        public_jwk: dict[str, Any] | None,
    ) -> ApiClient:
        row = await self.connection.fetchrow(
            "INSERT INTO practitioner_clients (practitioner_id, name, scopes, secret_hash, public_jwk)"
            " VALUES ($1, $2, $3, $4, $5) RETURNING *",
            practitioner_id,
            name,
            scopes,
            secret_hash,
            public_jwk,
        )
        assert row is not None
        return _client(row)

    async def list_clients(self, practitioner_id: PractitionerId) -> list[ApiClient]:
        """The clients, those revoked included, oldest first."""
        rows = await self.connection.fetch(
            "SELECT * FROM practitioner_clients WHERE practitioner_id = $1 ORDER BY id", practitioner_id
        )
        return [_client(row) for row in rows]

    async def revoke_client(self, practitioner_id: PractitionerId, client_id: ClientId, now: datetime) -> bool:
        """Ends a client; False where the account has no such live client."""
        done = await self.connection.execute(
            "UPDATE practitioner_clients SET revoked_at = $3"
            " WHERE practitioner_id = $1 AND id = $2 AND revoked_at IS NULL",
            practitioner_id,
            client_id,
            now,
        )
        return done == "UPDATE 1"

    async def find_client(self, client_id: UUID) -> asyncpg.Record | None:
        """The credential and scopes of a live client of an account in use."""
        return await self.connection.fetchrow(
            "SELECT c.practitioner_id, c.scopes, c.secret_hash, c.public_jwk FROM practitioner_clients c"
            " JOIN practitioners p ON p.id = c.practitioner_id"
            " WHERE c.id = $1 AND c.revoked_at IS NULL AND p.state = 'active'",
            client_id,
        )


def _practitioner(row: asyncpg.Record) -> Practitioner:
    return Practitioner(
        id=PractitionerId(row["id"]),
        state=AccountState(row["state"]),
        name=row["name"],
        specialty=Specialty(row["specialty"]),
        postal_code=row["postal_code"],
        email=row["email"],
        bic=row["bic"],
        identifiers=tuple(Identifier(scheme=Scheme(scheme), value=value) for scheme, value in row["identifiers"]),
        registered_at=row["registered_at"],
        activated_at=row["activated_at"],
    )


def _client(row: asyncpg.Record) -> ApiClient:
    return ApiClient(
        id=ClientId(row["id"]),
        name=row["name"],
        scopes=tuple(row["scopes"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )
