"""SQL of approvals that ended: the archive that they go to; and of one person's, to be given out or erased."""

from datetime import datetime
from typing import Any

from tpgateway.cards.model import Person
from tpgateway.claims.model import ApprovalId
from tpgateway.database import Connection
from tpgateway.insurers.model import InsurerId

_ERASING_SECONDS = 3600.0
_WHOLE = """
SELECT jsonb_build_object(
    'approval', to_jsonb(a),
    'lines', (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.revision, l.line) FROM prior_approval_lines l
              WHERE l.insurer_id = $1 AND l.approval_id = $2),
    'events', (SELECT jsonb_agg(to_jsonb(e) ORDER BY e.version) FROM prior_approval_events e
               WHERE e.insurer_id = $1 AND e.approval_id = $2),
    'attachments', (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d.id), '[]') FROM prior_approval_attachments d
                    WHERE d.insurer_id = $1 AND d.approval_id = $2),
    'uses', (SELECT coalesce(jsonb_agg(to_jsonb(u) ORDER BY u.line, u.used_on), '[]') FROM benefit_uses u
             WHERE u.insurer_id = $1 AND u.approval_id = $2))
FROM prior_approvals a WHERE a.insurer_id = $1 AND a.id = $2
"""


class ArchiveStore:
    """Approvals that ended, and one person's."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def ended(
        self, insurer: InsurerId, *, months: int, now: datetime, after: ApprovalId | None, limit: int
    ) -> list[ApprovalId]:
        """An insurer's approvals that ended so many months ago, past a place in the order of their ids.

        What ended then began before: no more is looked through.
        """
        rows = await self.connection.fetch(
            """
            SELECT a.id FROM prior_approvals a
            WHERE a.insurer_id = $1 AND a.id < first_id($2::timestamptz - make_interval(months => $3)) AND a.due_at IS NULL
              AND (SELECT max(e.occurred_at) FROM prior_approval_events e WHERE e.insurer_id = $1 AND e.approval_id = a.id)
                  < $2::timestamptz - make_interval(months => $3)
              AND ($4::uuid IS NULL OR a.id > $4)
            ORDER BY a.id LIMIT $5
            """,
            insurer,
            now,
            months,
            after,
            limit,
        )
        return [ApprovalId(row["id"]) for row in rows]

    async def whole(self, insurer: InsurerId, approval: ApprovalId) -> dict[str, Any] | None:
        """All that is kept of an approval, as it is kept."""
        found: dict[str, Any] | None = await self.connection.fetchval(_WHOLE, insurer, approval)
        return found

    async def lock_whole(self, insurer: InsurerId, approval: ApprovalId) -> dict[str, Any] | None:
        """The same, locked until the transaction ends."""
        found: dict[str, Any] | None = await self.connection.fetchval(_WHOLE + " FOR UPDATE OF a", insurer, approval)
        return found

    async def archive(
        self, insurer: InsurerId, approval: ApprovalId, *, months: int, person: bytes, sealed: bytes
    ) -> bool:
        """Moves an approval into the archive, if it ended so long ago."""
        done: bool = await self.connection.fetchval(
            "SELECT archive_approval($1, $2, $3, $4, $5)", insurer, approval, months, person, sealed
        )
        return done

    async def forget(self, *, months: int, most: int) -> int:
        count: int = await self.connection.fetchval("SELECT forget_archived_approvals($1, $2)", months, most)
        return count

    async def of_person(self, insurer: InsurerId, person: Person) -> list[ApprovalId]:
        rows = await self.connection.fetch(
            "SELECT id FROM prior_approvals WHERE insurer_id = $1 AND membership_number = $2 AND birth_date = $3"
            " AND birth_rank = $4 ORDER BY id",
            insurer,
            *person,
        )
        return [ApprovalId(row["id"]) for row in rows]

    async def open_of(self, insurer: InsurerId, person: Person) -> list[ApprovalId]:
        """Those of a person whose clock runs."""
        rows = await self.connection.fetch(
            "SELECT id FROM prior_approvals WHERE insurer_id = $1 AND membership_number = $2 AND birth_date = $3"
            " AND birth_rank = $4 AND due_at IS NOT NULL ORDER BY id",
            insurer,
            *person,
        )
        return [ApprovalId(row["id"]) for row in rows]

    async def erase(self, insurer: InsurerId, person: Person, hashed: bytes) -> dict[str, int]:
        """Erases a person, the archive's ``hashed`` included; answers how many of what."""
        counts: dict[str, int] = await self.connection.fetchval(
            "SELECT erase_person($1, $2, $3, $4, $5)", insurer, *person, hashed, timeout=_ERASING_SECONDS
        )
        return counts

    async def archived_of(self, insurer: InsurerId, person: bytes) -> list[tuple[ApprovalId, datetime, bytes]]:
        """What the archive holds of a person: id, since when, sealed."""
        rows = await self.connection.fetch(
            "SELECT id, archived_at, sealed FROM archived_approvals WHERE insurer_id = $1 AND person_hash = $2 ORDER BY id",
            insurer,
            person,
        )
        return [(ApprovalId(row["id"]), row["archived_at"], row["sealed"]) for row in rows]
