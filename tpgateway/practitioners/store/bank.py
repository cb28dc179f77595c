"""Bank details."""

from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.practitioners.model import (
    BankDetails,
    PractitionerId,
)

_DETAILS = "id, bic, iban_ending, requested_at, in_force_from, revoked_at"


class BankStore:
    """Bank details. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self,
        practitioner_id: PractitionerId,
        *,
        bic: str,
        iban: bytes | None,
        iban_ending: str | None,
        now: datetime,
        wait: timedelta,
        by: UUID | None,
    ) -> BankDetails:
        row = await self.connection.fetchrow(
            "INSERT INTO bank_details (practitioner_id, bic, iban, iban_ending, requested_at, in_force_from, requested_by)"  # noqa: S608
            f" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {_DETAILS}",
            practitioner_id,
            bic,
            iban,
            iban_ending,
            now,
            now + wait,
            by,
        )
        assert row is not None
        return _bank_details(row)

    async def history(self, practitioner_id: PractitionerId) -> list[BankDetails]:
        """All details there ever were, newest first."""
        rows = await self.connection.fetch(
            f"SELECT {_DETAILS} FROM bank_details"  # noqa: S608
            " WHERE practitioner_id = $1 ORDER BY requested_at DESC, id DESC",
            practitioner_id,
        )
        return [_bank_details(row) for row in rows]

    async def revoke_pending(self, practitioner_id: PractitionerId, now: datetime) -> int:
        """Takes back what is not in force yet; answers how many."""
        done = await self.connection.execute(
            "UPDATE bank_details SET revoked_at = $2"
            " WHERE practitioner_id = $1 AND revoked_at IS NULL AND in_force_from > $2",
            practitioner_id,
            now,
        )
        return int(done.split()[-1])


def _bank_details(row: asyncpg.Record) -> BankDetails:
    return BankDetails(
        id=row["id"],
        bic=row["bic"],
        iban_ending=row["iban_ending"],
        requested_at=row["requested_at"],
        in_force_from=row["in_force_from"],
        revoked_at=row["revoked_at"],
    )
