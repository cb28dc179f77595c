"""SQL of what was checked by whom, and of locks."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from tpgateway.cards.rules.quotas import DAY, Measure, Usage
from tpgateway.database import Connection
from tpgateway.practitioners.model import PractitionerId

# A day of one account is a stretch of its index; ids begin with their moment. What came before the end of an earlier lock
# no longer counts.
_USAGE = """
WITH since AS (
    SELECT max(ends_at) FILTER (WHERE owner_id = $1 AND ends_at <= $3) AS account_from,
           max(ends_at) FILTER (WHERE ends_at <= $3) AS agent_from,
           max(ends_at) FILTER (WHERE ends_at > $3) AS locked_until
    FROM check_locks WHERE owner_id IN ($1, $2)
), seen AS (
    SELECT concat_ws(' ', k.insurer_id, coalesce(k.membership_number, encode(k.nir_hash, 'hex')), k.birth_date, k.birth_rank)
               AS person,
           has_convention.yes AND k.is_domain_agreed AND k.has_signed AND k.participates AND NOT k.is_silent
               AND (k.is_ambiguous OR k.rights_from IS NULL) AS is_miss,
           k.checked_at > $3 - interval '1 hour' AS is_recent,
           k.checked_at > coalesce(s.account_from, '-infinity') AS of_account,
           k.agent_id IS NOT DISTINCT FROM $2 AND k.checked_at > coalesce(s.agent_from, '-infinity') AS of_agent
    FROM card_checks k, since s, LATERAL (SELECT k.convention_id IS NOT NULL AS yes) has_convention
    WHERE k.practitioner_id = $1 AND k.id >= $4
)
SELECT (SELECT specialty FROM practitioners WHERE id = $1) AS specialty, (SELECT locked_until FROM since) AS locked_until,
       count(DISTINCT person) FILTER (WHERE of_account AND is_recent) AS account_people_per_hour,
       count(DISTINCT person) FILTER (WHERE of_account) AS account_people_per_day,
       count(*) FILTER (WHERE of_account AND is_recent AND is_miss) AS account_misses_per_hour,
       count(*) FILTER (WHERE of_account AND is_miss) AS account_misses_per_day,
       count(DISTINCT person) FILTER (WHERE of_agent AND is_recent) AS agent_people_per_hour,
       count(DISTINCT person) FILTER (WHERE of_agent) AS agent_people_per_day,
       count(*) FILTER (WHERE of_agent AND is_recent AND is_miss) AS agent_misses_per_hour,
       count(*) FILTER (WHERE of_agent AND is_miss) AS agent_misses_per_day
FROM seen
"""


class Counted(NamedTuple):
    """What an account and one of its agents checked in the last hour and day, and until when either is locked."""

    specialty: str
    locked_until: datetime | None
    account: Usage
    agent: Usage


class LockStore:
    """SQL of locks."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def count(self, practitioner: PractitionerId, agent: UUID | None, now: datetime) -> Counted:
        row = await self.connection.fetchrow(_USAGE, practitioner, agent, now, _first_id(now - DAY))
        assert row is not None
        account = {measure: row[f"account_{measure}"] for measure in Measure}
        own = {measure: row[f"agent_{measure}"] for measure in Measure}
        return Counted(row["specialty"], row["locked_until"], account, own)

    async def lock(
        self, owner: UUID, practitioner: PractitionerId, measure: Measure, *, now: datetime, ends_at: datetime
    ) -> bool:
        """Locks an owner; False where it is locked already."""
        done = await self.connection.execute(
            "INSERT INTO check_locks AS k (owner_id, practitioner_id, reason, locked_at, ends_at) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (owner_id) DO UPDATE SET reason = excluded.reason, locked_at = excluded.locked_at,"
            " ends_at = excluded.ends_at WHERE k.ends_at <= $4",
            owner,
            practitioner,
            measure,
            now,
            ends_at,
        )
        return bool(done == "INSERT 0 1")

    async def unlock(self, practitioner: PractitionerId, now: datetime) -> int:
        """Ends all locks of an account and its agents; answers how many."""
        done = await self.connection.execute(
            "UPDATE check_locks SET ends_at = $2 WHERE practitioner_id = $1 AND ends_at > $2", practitioner, now
        )
        # The account's own counts begin anew as well, and with them those of all its agents.
        await self.connection.execute(
            "INSERT INTO check_locks (owner_id, practitioner_id, reason, locked_at, ends_at)"
            " VALUES ($1, $1, 'people_per_day', $2, $2) ON CONFLICT (owner_id) DO UPDATE SET ends_at = excluded.ends_at",
            practitioner,
            now,
        )
        return int(done.split()[-1])

    async def locked_until(self, practitioner: PractitionerId, agent: UUID | None, now: datetime) -> datetime | None:
        found: datetime | None = await self.connection.fetchval(
            "SELECT max(ends_at) FROM check_locks WHERE owner_id IN ($1, $2) AND ends_at > $3", practitioner, agent, now
        )
        return found


def _first_id(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
