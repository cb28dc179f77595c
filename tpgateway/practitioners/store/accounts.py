"""Accounts, their numbers, what waits for a person, what strangers asked for."""

from datetime import datetime
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.practitioners.model import (
    AccountState,
    Consent,
    Identifier,
    Listed,
    Practitioner,
    PractitionerId,
    Profile,
    Registration,
    Review,
    Scheme,
    Specialty,
)

_IDENTIFIERS = """
(SELECT json_agg(json_build_array(i.scheme, i.value) ORDER BY i.scheme, i.value)
 FROM practitioner_identifiers i
 WHERE i.practitioner_id = p.id AND (i.is_held OR p.state NOT IN ('active', 'suspended'))) AS identifiers
"""
_NAME = "coalesce(p.legal_name, p.first_name || ' ' || p.last_name) AS name"


class PractitionerStore:
    """Accounts. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def holder_of(self, identifier: Identifier) -> PractitionerId | None:
        """The account in use that holds the identifier."""
        found: UUID | None = await self.connection.fetchval(
            "SELECT practitioner_id FROM practitioner_identifiers WHERE scheme = $1 AND value = $2 AND is_held",
            identifier.scheme,
            identifier.value,
        )
        return None if found is None else PractitionerId(found)

    async def add(self, registration: Registration, *, consent: Consent, now: datetime) -> PractitionerId:
        """A new account, unconfirmed, with its identifier claimed but not held."""
        added: UUID = await self.connection.fetchval(
            """
            WITH account AS (
                INSERT INTO practitioners (state, first_name, last_name, legal_name, specialty, postal_code, mobile,
                                           finess, siret, is_listed, terms_version, terms_accepted_at, privacy_version,
                                           privacy_accepted_at, registered_at)
                VALUES ('unconfirmed', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $11, $12, $12)
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
            registration.mobile,
            registration.finess,
            registration.siret,
            registration.is_listed,
            consent.terms,
            consent.privacy,
            now,
            registration.identifier.scheme,
            registration.identifier.value,
        )
        return PractitionerId(added)

    async def lock(self, practitioner_id: PractitionerId) -> AccountState | None:
        """The account's state, which nobody else changes until the transaction ends."""
        state: str | None = await self.connection.fetchval(
            "SELECT state FROM practitioners WHERE id = $1 FOR UPDATE", practitioner_id
        )
        return state and AccountState(state)  # type: ignore[return-value]

    async def confirm(self, practitioner_id: PractitionerId, now: datetime) -> None:
        """The address is the holder's; whether the account is in use is decided next."""
        await self.connection.execute(
            "UPDATE practitioners SET state = 'in_review', confirmed_at = $2 WHERE id = $1", practitioner_id, now
        )

    async def activate(self, practitioner_id: PractitionerId, now: datetime) -> None:
        await self.connection.execute(
            "UPDATE practitioners SET state = 'active', activated_at = coalesce(activated_at, $2), state_reason = NULL"
            " WHERE id = $1",
            practitioner_id,
            now,
        )

    async def set_state(self, practitioner_id: PractitionerId, state: AccountState, reason: str | None) -> None:
        await self.connection.execute(
            "UPDATE practitioners SET state = $2, state_reason = $3 WHERE id = $1", practitioner_id, state, reason
        )

    async def close(self, practitioner_id: PractitionerId, now: datetime) -> None:
        """The account's end; its identifiers are free again, and those that it merely claimed never were its own."""
        await self.connection.execute(
            """
            WITH freed AS (UPDATE practitioner_identifiers SET is_held = false WHERE practitioner_id = $1 AND is_held),
                 dropped AS (DELETE FROM practitioner_identifiers WHERE practitioner_id = $1 AND NOT is_held),
                 revoked AS (UPDATE practitioner_clients SET revoked_at = $2
                             WHERE practitioner_id = $1 AND revoked_at IS NULL)
            UPDATE practitioners SET state = 'closed', closed_at = $2, is_listed = false, state_reason = NULL
            WHERE id = $1
            """,
            practitioner_id,
            now,
        )

    async def place_missing(self) -> int:
        """Gives accounts that have no place the middle of their postal code's; answers how many."""
        done = await self.connection.execute(
            """
            UPDATE practitioners p SET latitude = d.latitude, longitude = d.longitude
            FROM (SELECT DISTINCT ON (q.id) q.id, e.latitude, e.longitude
                  FROM practitioners q JOIN directory_places e
                       ON e.prefix IN (q.postal_code, left(q.postal_code, 3), left(q.postal_code, 2))
                  WHERE q.latitude IS NULL ORDER BY q.id, length(e.prefix) DESC) d
            WHERE p.id = d.id
            """
        )
        return int(done.split()[-1])

    async def place(self, practitioner_id: PractitionerId, latitude: float | None, longitude: float | None) -> None:
        await self.connection.execute(
            "UPDATE practitioners SET latitude = $2, longitude = $3 WHERE id = $1", practitioner_id, latitude, longitude
        )

    async def hold(self, practitioner_id: PractitionerId, identifier: Identifier) -> bool:
        """The account holds this identifier from now on; False where another came first."""
        try:
            async with self.connection.transaction():
                await self.connection.execute(
                    "UPDATE practitioner_identifiers SET is_held = true"
                    " WHERE practitioner_id = $1 AND scheme = $2 AND value = $3",
                    practitioner_id,
                    identifier.scheme,
                    identifier.value,
                )
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def was_held_since(self, identifier: Identifier, moment: datetime) -> bool:
        """Whether an account that had the identifier was closed after a moment."""
        found = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM practitioner_identifiers i JOIN practitioners p ON p.id = i.practitioner_id"
            " WHERE i.scheme = $1 AND i.value = $2 AND p.state = 'closed' AND p.closed_at > $3)",
            identifier.scheme,
            identifier.value,
            moment,
        )
        return bool(found)

    async def has_scheme(self, practitioner_id: PractitionerId, scheme: Scheme) -> bool:
        """Whether the account holds or claims a number of a scheme."""
        found = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM practitioner_identifiers WHERE practitioner_id = $1 AND scheme = $2)",
            practitioner_id,
            scheme,
        )
        return bool(found)

    async def claim(self, practitioner_id: PractitionerId, identifier: Identifier) -> None:
        """The account wants this identifier too."""
        await self.connection.execute(
            "INSERT INTO practitioner_identifiers (practitioner_id, scheme, value) VALUES ($1, $2, $3)"
            " ON CONFLICT DO NOTHING",
            practitioner_id,
            identifier.scheme,
            identifier.value,
        )

    async def drop_claim(self, practitioner_id: PractitionerId, identifier: Identifier) -> None:
        await self.connection.execute(
            "DELETE FROM practitioner_identifiers"
            " WHERE practitioner_id = $1 AND scheme = $2 AND value = $3 AND NOT is_held",
            practitioner_id,
            identifier.scheme,
            identifier.value,
        )

    async def at_door(self, identifier: Identifier) -> asyncpg.Record | None:
        """Who is behind a number: the account that holds it, else the last that was opened with it and got an answer.

        A number that an account in use merely claims opens nothing.
        """
        return await self.connection.fetchrow(
            "SELECT p.id, p.state, p.state_reason FROM practitioner_identifiers i"
            " JOIN practitioners p ON p.id = i.practitioner_id"
            " WHERE i.scheme = $1 AND i.value = $2 AND p.state <> 'unconfirmed'"
            " AND (i.is_held OR p.state NOT IN ('active', 'suspended'))"
            " ORDER BY i.is_held DESC, p.registered_at DESC LIMIT 1",
            identifier.scheme,
            identifier.value,
        )

    async def unconfirmed(self, identifier: Identifier, email: str) -> PractitionerId | None:
        """The last registration of a number by an address that still waits for its link to be used."""
        found: UUID | None = await self.connection.fetchval(
            "SELECT p.id FROM practitioner_identifiers i JOIN practitioners p ON p.id = i.practitioner_id"
            " JOIN practitioner_members m ON m.practitioner_id = p.id AND m.is_holder"
            " WHERE i.scheme = $1 AND i.value = $2 AND lower(m.email) = lower($3) AND p.state = 'unconfirmed'"
            " ORDER BY p.id DESC LIMIT 1",
            identifier.scheme,
            identifier.value,
            email,
        )
        return None if found is None else PractitionerId(found)

    async def of_address(self, email: str) -> dict[Identifier, PractitionerId]:
        """The numbers, with their accounts, by which one logs in where an address is somebody's."""
        rows = await self.connection.fetch(
            "SELECT DISTINCT i.scheme, i.value, p.id FROM practitioner_members m"
            " JOIN practitioners p ON p.id = m.practitioner_id"
            " JOIN practitioner_identifiers i ON i.practitioner_id = p.id"
            " WHERE lower(m.email) = lower($1) AND m.state = 'active'"
            " AND (i.is_held AND p.state IN ('active', 'suspended') OR p.state = 'in_review')"
            " ORDER BY i.scheme, i.value",
            email,
        )
        return {Identifier(scheme=Scheme(row["scheme"]), value=row["value"]): PractitionerId(row["id"]) for row in rows}

    async def remove(self, practitioner_id: PractitionerId) -> None:
        """Removes an account that was never confirmed."""
        await self.connection.execute(
            "DELETE FROM practitioners WHERE id = $1 AND state = 'unconfirmed'", practitioner_id
        )

    async def remove_unconfirmed(self, before: datetime) -> int:
        done = await self.connection.execute(
            "DELETE FROM practitioners WHERE state = 'unconfirmed' AND registered_at < $1", before
        )
        return int(done.split()[-1])

    async def get(self, practitioner_id: PractitionerId) -> Practitioner | None:
        row = await self.connection.fetchrow(
            f"""
            SELECT p.id, p.state, p.state_reason, p.first_name, p.last_name, p.legal_name, p.specialty, p.street,
                   p.postal_code, p.town, p.mobile, p.finess, p.siret, p.is_listed, p.registered_at, p.activated_at,
                   {_NAME}, {_IDENTIFIERS}, m.email,
                   (SELECT b.bic FROM bank_details b
                    WHERE b.practitioner_id = p.id AND b.in_force_from <= now() AND b.revoked_at IS NULL
                    ORDER BY b.in_force_from DESC, b.requested_at DESC LIMIT 1) AS bic
            FROM practitioners p JOIN practitioner_members m ON m.practitioner_id = p.id AND m.is_holder
            WHERE p.id = $1
            """,  # noqa: S608  # constants of this module
            practitioner_id,
        )
        return None if row is None else _practitioner(row)

    async def set_profile(self, practitioner_id: PractitionerId, profile: Profile) -> None:
        await self.connection.execute(
            "UPDATE practitioners SET mobile = $2, street = $3, postal_code = $4, town = $5, is_listed = $6 WHERE id = $1",
            practitioner_id,
            profile.mobile,
            profile.street,
            profile.postal_code,
            profile.town,
            profile.is_listed,
        )

    async def link_psc(self, practitioner_id: PractitionerId, subject: str) -> bool:
        """Links the account to whom Pro Santé Connect names so; False where it is linked, to whomever."""
        done = await self.connection.execute(
            "UPDATE practitioners SET psc_subject = $2 WHERE id = $1 AND psc_subject IS NULL", practitioner_id, subject
        )
        return done == "UPDATE 1"

    async def psc_subject(self, practitioner_id: PractitionerId) -> str | None:
        """Whom the account is linked to at Pro Santé Connect."""
        subject: str | None = await self.connection.fetchval(
            "SELECT psc_subject FROM practitioners WHERE id = $1", practitioner_id
        )
        return subject

    async def unlink_psc(self, practitioner_id: PractitionerId) -> bool:
        """Forgets whom the account is linked to; False where it was linked to nobody."""
        done = await self.connection.execute(
            "UPDATE practitioners SET psc_subject = NULL WHERE id = $1 AND psc_subject IS NOT NULL", practitioner_id
        )
        return done == "UPDATE 1"

    async def listed_near(
        self,
        specialty: Specialty,
        latitude: float,
        longitude: float,
        *,
        after_metres: int | None,
        after_id: UUID | None,
        limit: int,
    ) -> list[Listed]:
        """Who agreed to be listed, nearest first (haversine, on a sphere of 6,371 km)."""
        rows = await self.connection.fetch(
            f"""
            WITH near AS (
                SELECT id, round(12742000 * asin(least(1, sqrt(
                           sind((latitude - $2) / 2) ^ 2
                           + cosd($2) * cosd(latitude) * sind((longitude - $3) / 2) ^ 2))))::bigint AS metres
                FROM practitioners
                WHERE specialty = $1 AND is_listed AND state = 'active' AND latitude IS NOT NULL
            ), page AS (
                SELECT id, metres FROM near WHERE $4::bigint IS NULL OR (metres, id) > ($4, $5::uuid)
                ORDER BY metres, id LIMIT $6
            )
            SELECT p.id, {_NAME}, p.specialty, p.street, p.postal_code, p.town, p.mobile, n.metres, {_IDENTIFIERS}
            FROM page n JOIN practitioners p ON p.id = n.id ORDER BY n.metres, n.id
            """,  # noqa: S608  # constants of this module
            specialty,
            latitude,
            longitude,
            after_metres,
            after_id,
            limit,
        )
        return [
            Listed(
                id=PractitionerId(row["id"]),
                name=row["name"],
                specialty=Specialty(row["specialty"]),
                street=row["street"],
                postal_code=row["postal_code"],
                town=row["town"],
                mobile=row["mobile"],
                identifiers=_identifiers(row),
                metres=row["metres"],
            )
            for row in rows
        ]


class ReviewStore:
    """Claims that a person looks at. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def open(
        self,
        practitioner_id: PractitionerId,
        identifier: Identifier,
        *,
        is_registration: bool,
        reason: str,
        now: datetime,
    ) -> None:
        await self.connection.execute(
            "INSERT INTO practitioner_reviews (practitioner_id, scheme, value, is_registration, reason, asked_at)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            practitioner_id,
            identifier.scheme,
            identifier.value,
            is_registration,
            reason,
            now,
        )

    async def list_open(self) -> list[Review]:
        """All that wait, the oldest first."""
        rows = await self.connection.fetch(_OPEN_REVIEWS + " ORDER BY r.asked_at, r.id")
        return [_review(row) for row in rows]

    async def drop_open(self, practitioner_id: PractitionerId, now: datetime) -> None:
        """Ends the reviews of an account that is no more."""
        await self.connection.execute(
            "UPDATE practitioner_reviews SET decided_at = $2, is_approved = false"
            " WHERE practitioner_id = $1 AND decided_at IS NULL",
            practitioner_id,
            now,
        )

    async def account_of(self, review_id: UUID) -> PractitionerId | None:
        """Whose review it is: the account is locked before the review."""
        found: UUID | None = await self.connection.fetchval(
            "SELECT practitioner_id FROM practitioner_reviews WHERE id = $1", review_id
        )
        return None if found is None else PractitionerId(found)

    async def lock(self, review_id: UUID) -> Review | None:
        """A review that waits, locked until the transaction ends."""
        row = await self.connection.fetchrow(_OPEN_REVIEWS + " AND r.id = $1 FOR UPDATE OF r", review_id)
        return None if row is None else _review(row)

    async def decide(self, review_id: UUID, *, is_approved: bool, reason: str | None, now: datetime) -> None:
        await self.connection.execute(
            "UPDATE practitioner_reviews SET decided_at = $2, is_approved = $3, decision_reason = $4 WHERE id = $1",
            review_id,
            now,
            is_approved,
            reason,
        )


_OPEN_REVIEWS = f"""
SELECT r.id, r.practitioner_id, r.scheme, r.value, r.is_registration, r.reason, r.asked_at, {_NAME}, p.specialty,
       p.postal_code, m.email
FROM practitioner_reviews r JOIN practitioners p ON p.id = r.practitioner_id
JOIN practitioner_members m ON m.practitioner_id = p.id AND m.is_holder
WHERE r.decided_at IS NULL
"""  # noqa: S608  # a constant of this module


class RequestStore:
    """What strangers asked for, until the worker has looked it up. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(self, sealed: bytes) -> UUID:
        added: UUID = await self.connection.fetchval(
            "INSERT INTO practitioner_requests (sealed) VALUES ($1) RETURNING id", sealed
        )
        return added

    async def forget(self, before: datetime) -> int:
        done = await self.connection.execute("DELETE FROM practitioner_requests WHERE created_at < $1", before)
        return int(done.split()[-1])

    async def take(self, request_id: UUID) -> bytes | None:
        """The request, gone from the table; None where it was taken before."""
        taken: bytes | None = await self.connection.fetchval(
            "DELETE FROM practitioner_requests WHERE id = $1 RETURNING sealed", request_id
        )
        return taken


def _identifiers(row: asyncpg.Record) -> tuple[Identifier, ...]:
    return tuple(Identifier(scheme=Scheme(scheme), value=value) for scheme, value in row["identifiers"] or ())


def _practitioner(row: asyncpg.Record) -> Practitioner:
    return Practitioner(
        id=PractitionerId(row["id"]),
        state=AccountState(row["state"]),
        state_reason=row["state_reason"],
        name=row["name"],
        first_name=row["first_name"],
        last_name=row["last_name"],
        legal_name=row["legal_name"],
        specialty=Specialty(row["specialty"]),
        street=row["street"],
        postal_code=row["postal_code"],
        town=row["town"],
        mobile=row["mobile"],
        email=row["email"],
        bic=row["bic"],
        finess=row["finess"],
        siret=row["siret"],
        is_listed=row["is_listed"],
        identifiers=_identifiers(row),
        registered_at=row["registered_at"],
        activated_at=row["activated_at"],
    )


def _review(row: asyncpg.Record) -> Review:
    return Review(
        id=row["id"],
        practitioner_id=PractitionerId(row["practitioner_id"]),
        identifier=Identifier(scheme=Scheme(row["scheme"]), value=row["value"]),
        is_registration=row["is_registration"],
        reason=row["reason"],
        asked_at=row["asked_at"],
        name=row["name"],
        specialty=Specialty(row["specialty"]),
        postal_code=row["postal_code"],
        email=row["email"],
    )
