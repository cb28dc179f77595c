"""SQL of card checks: the one statement of the hot path, and the readings of what it wrote."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from tpgateway.cards.codec.rows import FOUND, check_of, columns
from tpgateway.cards.model import CardCheck, CardCheckId, Person
from tpgateway.database import Connection
from tpgateway.database.ids import first_id
from tpgateway.insurers.model import InsurerId
from tpgateway.practitioners.model import PractitionerId

_BY_NIR = """LEFT JOIN LATERAL (
    -- Those whose rights are open on the day, or else all: a membership number may have been followed by another.
    SELECT CASE WHEN count(*) FILTER (WHERE is_open) > 0 THEN count(*) FILTER (WHERE is_open) ELSE count(*) END AS persons,
           CASE WHEN count(*) FILTER (WHERE is_open) = 1 THEN min(membership_number) FILTER (WHERE is_open)
                WHEN count(*) = 1 THEN min(membership_number) END AS membership_number,
           CASE WHEN count(*) FILTER (WHERE is_open) = 1 THEN min(birth_rank) FILTER (WHERE is_open)
                WHEN count(*) = 1 THEN min(birth_rank) END AS birth_rank
    FROM (
        SELECT t.membership_number, t.birth_rank, coalesce((
                   SELECT true FROM insured_rights o
                   WHERE o.insurer_id = {insurer} AND o.membership_number = t.membership_number
                     AND o.birth_date = t.birth_date AND o.birth_rank = t.birth_rank
                     AND a[5]::date BETWEEN o.valid_from AND o.valid_to
                   LIMIT 1), false) AS is_open
        FROM insured_nirs t
        WHERE a[11] IS NOT NULL AND a[16] IS NULL AND t.insurer_id = {insurer} AND t.nir_hash = a[11]::bytea
          AND t.birth_date = a[9] AND coalesce(t.birth_rank = a[10]::smallint, true)
        OFFSET 0  -- else the planner would put is_open, a look-up, wherever it is named above
    ) found
) n ON true
"""
_LIVE = """    UNION ALL
    SELECT a[17]::date, a[18]::date, string_to_array(a[19], ' '), coalesce(a[20], ''), a[21] WHERE a[16] = 'found'
"""


# Looks up and records any number of checks at once. They come as one text, a line each, with tabs between the values: an
# array a column would cost the driver several times what it costs the server to split the lines again.
# A check comes back with no row whose insurer is unknown, whose caller is locked, whose idempotency key was used before,
# whose proof is taken, or whose insurer is asked live otherwise than it was: not at all, or at another address.
#
# ``is_plain``: of people named by their membership number, and insurers that are not asked live. So are most, and what the
# others take would cost them a seventh of their time.
def _look_up(*, insurer: str = "i.id", of_one: str = "", is_plain: bool = False) -> str:
    number = "a[8]" if is_plain else "coalesce(n.membership_number, a[8])"
    rank = "a[10]::smallint" if is_plain else "coalesce(n.birth_rank, a[10]::smallint)"
    is_ambiguous = "false" if is_plain else "coalesce(n.persons > 1, false)"
    by_nir = "" if is_plain else _BY_NIR.format(insurer=insurer)
    live = "" if is_plain else _LIVE
    return f"""
SELECT {insurer}, p.id, a[2]::uuid, a[3]::timestamptz, a[4], a[5]::date, a[6], coalesce(a[7], ''),
    {number}, a[9], {rank}, a[11]::bytea, a[12],
    a[13]::timestamptz, a[14],
    c.id,
    coalesce(a[4] = ANY (c.domains), false),
    -- Scalar look-ups rather than EXISTS: for so many lines the planner would hash the whole table each time.
    coalesce((SELECT true FROM convention_signatures s
              WHERE s.practitioner_id = p.id AND s.specialty = p.specialty
                AND (s.left_on IS NULL OR s.left_on > a[5]::date)
                AND (s.counts_from IS NULL OR s.counts_from <= a[5]::date) LIMIT 1), false),
    coalesce(c.every_insurer OR (SELECT true FROM convention_participants cp
                                 WHERE cp.convention_id = c.id AND cp.insurer_id = {insurer}), false),
    coalesce(a[16] = 'silent', false), {is_ambiguous},
    coalesce(a[6] = ANY (r.convention_types), false), coalesce(a[7] = nullif(r.csr, ''), true),
    r.valid_from, r.valid_to, v.id
FROM string_to_table($1, E'\\n') AS line
CROSS JOIN LATERAL string_to_array(line, E'\\t', '') AS a
JOIN practitioners p ON p.id = a[1]::uuid
JOIN insurers i ON i.number = a[15] AND i.state = 'active'{of_one}
LEFT JOIN insurer_live_sources l ON l.insurer_id = i.id
LEFT JOIN conventions c ON c.specialty = p.specialty AND c.validity @> a[5]::date
{by_nir}LEFT JOIN LATERAL (
    (SELECT t.valid_from, t.valid_to, t.convention_types, t.csr, t.product_code
     FROM insured_rights t
     WHERE a[16] IS NULL AND t.insurer_id = {insurer} AND t.membership_number = {number}
       AND t.birth_date = a[9] AND t.birth_rank = {rank}
     ORDER BY a[5]::date BETWEEN t.valid_from AND t.valid_to DESC, t.valid_to DESC
     LIMIT 1)
{live}) r ON true
LEFT JOIN product_versions v
    ON v.insurer_id = {insurer} AND v.code = r.product_code AND v.superseded_at IS NULL AND v.validity @> a[5]::date
WHERE l.set_at IS NOT DISTINCT FROM a[22]::timestamptz
  AND NOT EXISTS (SELECT FROM check_locks k
                  WHERE k.owner_id IN (a[1]::uuid, a[2]::uuid) AND k.ends_at > a[3]::timestamptz)
"""  # noqa: S608


LOOK_UP = _look_up()
"""What is recorded of each check, in the order of the columns below."""

COLUMNS = {
    **dict.fromkeys(("insurer_id", "practitioner_id", "agent_id"), "uuid"),
    "checked_at": "timestamptz", "domain": "text", "care_date": "date", "convention_type": "text", "csr": "text",
    "membership_number": "text", "birth_date": "text", "birth_rank": "smallint", "nir_hash": "bytea", "proof": "text",
    "proof_expires_at": "timestamptz", "idempotency_key": "text", "convention_id": "uuid",
    **dict.fromkeys(("is_domain_agreed", "has_signed", "participates", "is_silent", "is_ambiguous", "holds_type",
                     "holds_csr"), "boolean"),
    "rights_from": "date", "rights_to": "date", "product_version_id": "uuid",
}  # fmt: skip
PROOF = list(COLUMNS).index("proof")
_RECORDED = f"""
ON CONFLICT DO NOTHING
RETURNING proof, insurer_id, id, {FOUND}
"""
RECORD_CHECKS = f"INSERT INTO card_checks ({', '.join(COLUMNS)}) {LOOK_UP} {_RECORDED}"
RECORD_PLAIN_CHECKS = f"INSERT INTO card_checks ({', '.join(COLUMNS)}) {_look_up(is_plain=True)} {_RECORDED}"
# Where insurers' data are on several servers, one is named, and its server does it all.
_OF_ONE = _look_up(insurer="$2::uuid", of_one=" AND i.id = $2")
RECORD_CHECKS_OF_ONE = f"INSERT INTO card_checks ({', '.join(COLUMNS)}) {_OF_ONE} {_RECORDED}"
# What was looked up elsewhere, where the caller is not locked and the insurer still takes part.
RECORD_FOUND = f"""
INSERT INTO card_checks ({", ".join(COLUMNS)})
SELECT f.* FROM unnest({", ".join(f"${at}::{kind}[]" for at, kind in enumerate(COLUMNS.values(), 1))})
    AS f ({", ".join(COLUMNS)})
WHERE NOT EXISTS (SELECT FROM check_locks k
                  WHERE k.owner_id IN (f.practitioner_id, f.agent_id) AND k.ends_at > f.checked_at)
  AND EXISTS (SELECT FROM insurers i WHERE i.id = f.insurer_id AND i.state = 'active')
{_RECORDED}
"""  # noqa: S608


class CheckStore:
    """Reads what was recorded."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def get(self, insurer: InsurerId, check: CardCheckId) -> CardCheck | None:
        row = await self.connection.fetchrow(f"{_SELECT} WHERE k.insurer_id = $1 AND k.id = $2", insurer, check)
        return None if row is None else check_of(row)

    async def recent(self, practitioner: PractitionerId, agent: UUID, since: datetime, limit: int) -> list[CardCheck]:
        """The checks that one of a practice made since a moment, the last first. They may be of any insurer.

        Ids begin with their moment: so no more of the practice's checks are looked through than were made since.
        """
        rows = await self.connection.fetch(
            f"{_SELECT} WHERE k.practitioner_id = $1 AND k.agent_id = $2 AND k.checked_at >= $3 AND k.id >= $5"
            " ORDER BY k.id DESC LIMIT $4",
            practitioner,
            agent,
            since,
            limit,
            first_id(since - _CLOCKS_APART),
        )
        return [check_of(row) for row in rows]

    async def days_to_count(self, since: date, before: date, limit: int) -> list[date]:
        """Days of a period that were not counted yet, the last first."""
        rows = await self.connection.fetch(
            "SELECT d::date AS day FROM generate_series($1::date, $2::date - 1, interval '1 day') AS d"
            " WHERE NOT EXISTS (SELECT FROM card_check_days_counted c WHERE c.day = d::date) ORDER BY d DESC LIMIT $3",
            since,
            before,
            limit,
        )
        return [row["day"] for row in rows]

    async def count_day(self, day: date, start: datetime, end: datetime) -> None:
        """Counts a day that is over, for all insurers at once: what is kept of it are numbers."""
        await self.connection.execute(
            """
            WITH counted AS (INSERT INTO card_check_days_counted VALUES ($1) ON CONFLICT DO NOTHING RETURNING day)
            INSERT INTO card_check_days (insurer_id, day, checks)
            SELECT k.insurer_id, c.day, count(*) FROM counted c, card_checks k
            WHERE k.checked_at >= $2 AND k.checked_at < $3 GROUP BY k.insurer_id, c.day
            """,
            day,
            start,
            end,
            timeout=_COUNTING_SECONDS,
        )

    async def counted_days(self, insurer: InsurerId, since: date) -> dict[date, int]:
        """An insurer's checks by day, of the days that were counted."""
        rows = await self.connection.fetch(
            "SELECT c.day, coalesce(d.checks, 0) AS checks FROM card_check_days_counted c"
            " LEFT JOIN card_check_days d ON d.insurer_id = $1 AND d.day = c.day WHERE c.day >= $2",
            insurer,
            since,
        )
        return {row["day"]: row["checks"] for row in rows}

    async def count_of(self, insurer: InsurerId, start: datetime, end: datetime) -> int:
        """An insurer's checks between two moments. Ids begin with their moment, and are looked through in their order."""
        count: int = await self.connection.fetchval(
            "SELECT count(*) FROM card_checks WHERE insurer_id = $1 AND id >= $4 AND id < $5"
            " AND checked_at >= $2 AND checked_at < $3",
            insurer,
            start,
            end,
            first_id(start - _CLOCKS_APART),
            first_id(end + _CLOCKS_APART),
        )
        return count

    async def forget(self, *, months: int, most: int) -> int:
        """Leaves of some checks that are so old the audit trail's trace alone; answers of how many."""
        count: int = await self.connection.fetchval(
            "SELECT forget_card_checks($1, $2)", months, most, timeout=_COUNTING_SECONDS
        )
        return count

    async def of_person(self, insurer: InsurerId, person: Person, nir_hash: bytes | None) -> list[dict[str, Any]]:
        """The checks of one person, as they are kept, oldest first; reads all of the insurer's."""
        rows = await self.connection.fetch(
            "SELECT k.*, p.specialty FROM card_checks k JOIN practitioners p ON p.id = k.practitioner_id"
            " WHERE k.insurer_id = $1 AND k.birth_date = $3"
            " AND (k.membership_number = $2 AND k.birth_rank = $4 OR k.nir_hash = $5) ORDER BY k.id",
            insurer,
            *person,
            nir_hash,
            timeout=_COUNTING_SECONDS,
        )
        return [{name: value for name, value in row.items() if name != "nir_hash"} for row in rows]

    async def find_by_key(self, practitioner: PractitionerId, key: str) -> CardCheck | None:
        """The check that was made under an idempotency key, whichever insurer it went to."""
        row = await self.connection.fetchrow(
            f"{_SELECT} WHERE k.practitioner_id = $1 AND k.idempotency_key = $2", practitioner, key
        )
        return None if row is None else check_of(row)


_COUNTING_SECONDS = 600.0
_CLOCKS_APART = timedelta(minutes=10)
"""How much the database's clock, which makes ids, may be behind ours."""


_SELECT = f"SELECT {columns('k')}, i.number FROM card_checks k JOIN insurers i ON i.id = k.insurer_id"  # noqa: S608
