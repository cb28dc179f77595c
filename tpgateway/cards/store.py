"""SQL of card checks and of the import of rights."""

from collections.abc import AsyncIterable, Sequence
from datetime import date, datetime

import asyncpg

from tpgateway.cards.model import Ask, Card, CardCheck, CardCheckId, ImportId, ImportMode, Reject, RightsImport
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain, ProductVersionId
from tpgateway.insurers.model import InsurerId
from tpgateway.practitioners.model import PractitionerId

# Looks up and records any number of checks at once. A check whose insurer is unknown, whose idempotency key was used
# before or whose proof is taken comes back with no row.
RECORD_CHECKS = """
INSERT INTO card_checks (
    insurer_id, practitioner_id, agent_id, checked_at, domain, care_date, convention_type, csr, membership_number,
    birth_date, birth_rank, proof, proof_expires_at, idempotency_key,
    convention_id, is_domain_agreed, has_signed, participates, holds_type, rights_from, rights_to, product_version_id)
SELECT i.id, a.practitioner_id, a.agent_id, a.checked_at, a.domain, a.care_date, a.convention_type, a.csr,
       a.membership_number, a.birth_date, a.birth_rank, a.proof, a.proof_expires_at, a.idempotency_key,
       c.id,
       coalesce(a.domain = ANY (c.domains), false),
       EXISTS (SELECT FROM convention_signatures s
               WHERE s.practitioner_id = a.practitioner_id AND s.specialty = p.specialty),
       coalesce(c.every_insurer OR EXISTS (SELECT FROM convention_participants cp
                                           WHERE cp.convention_id = c.id AND cp.insurer_id = i.id), false),
       coalesce(a.convention_type = ANY (r.convention_types), false),
       r.valid_from, r.valid_to, v.id
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::date[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::smallint[], $11::text[], $12::timestamptz[], $13::text[], $14::text[])
     AS a (practitioner_id, agent_id, checked_at, domain, care_date, convention_type, csr, membership_number,
           birth_date, birth_rank, proof, proof_expires_at, idempotency_key, insurer_number)
JOIN practitioners p ON p.id = a.practitioner_id
JOIN insurers i ON i.number = a.insurer_number AND i.state = 'active'
LEFT JOIN conventions c ON c.specialty = p.specialty AND c.validity @> a.care_date
LEFT JOIN LATERAL (
    SELECT t.valid_from, t.valid_to, t.convention_types, t.product_code
    FROM insured_rights t
    WHERE t.insurer_id = i.id AND t.membership_number = a.membership_number AND t.birth_date = a.birth_date
      AND t.birth_rank = a.birth_rank
    ORDER BY a.care_date BETWEEN t.valid_from AND t.valid_to DESC, t.valid_to DESC
    LIMIT 1
) r ON true
LEFT JOIN product_versions v
    ON v.insurer_id = i.id AND v.code = r.product_code AND v.superseded_at IS NULL AND v.validity @> a.care_date
ON CONFLICT DO NOTHING
RETURNING *
"""


# One column at a time, the first fault of a line being the one that is told; then periods that run into each other.
# A line that is faulty may still name its person, whose rights a full file must then not close.
_CHECK_LINES = """
CREATE TEMPORARY TABLE rights_checked ON COMMIT DROP AS
WITH split AS (
    SELECT line, raw, string_to_array(raw, ';') AS f FROM rights_staging WHERE line > 1 AND raw <> ''
), checked AS (
    SELECT line, f, CASE
        WHEN octet_length(raw) > 1000 THEN ':line_too_long'
        WHEN cardinality(f) <> 8 THEN ':wrong_column_count'
        WHEN f[1] !~ '^[A-Za-z0-9]{1,16}$' THEN 'membership_number:wrong_form'
        WHEN f[2] !~ '^[0-9]{8}$' THEN 'birth_date:wrong_form'
        WHEN f[3] !~ '^[1-9]$' THEN 'birth_rank:wrong_form'
        WHEN f[4] !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' OR NOT pg_input_is_valid(f[4], 'date') THEN 'valid_from:no_date'
        WHEN f[5] !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' OR NOT pg_input_is_valid(f[5], 'date') THEN 'valid_to:no_date'
        WHEN f[5]::date < f[4]::date THEN 'valid_to:before_valid_from'
        WHEN f[6] !~ '^[A-Z]{2}( [A-Z]{2}){0,9}$' THEN 'convention_types:wrong_form'
        WHEN f[7] !~ '^[A-Za-z0-9]{0,8}$' THEN 'csr:wrong_form'
        WHEN f[8] !~ '^[A-Z0-9_-]{1,20}$' THEN 'product_code:wrong_form'
    END AS fault
    FROM split
), typed AS (
    SELECT line, f, fault, upper(f[1]) AS membership_number, f[2] AS birth_date,
           CASE WHEN f[3] ~ '^[1-9]$' THEN f[3]::smallint END AS birth_rank,
           CASE WHEN fault IS NULL THEN f[4]::date END AS valid_from,
           CASE WHEN fault IS NULL THEN f[5]::date END AS valid_to
    FROM checked
)
SELECT line, f, membership_number, birth_date, birth_rank, valid_from, valid_to, CASE
           WHEN fault IS NOT NULL THEN fault
           WHEN max(valid_to) OVER (
                    PARTITION BY fault IS NULL, membership_number, birth_date, birth_rank ORDER BY valid_from, line
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) >= valid_from THEN 'valid_from:overlaps'
       END AS fault
FROM typed
"""
_SAME_PERSON = "(r.membership_number, r.birth_date, r.birth_rank) = (n.membership_number, n.birth_date, n.birth_rank)"
# What an import may take; the pool's own limit is made for requests.
_PATIENCE = 6 * 3600.0


class RightsStore:
    """SQL of the import. The staging table belongs to the connection, which is given back without it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def open_staging(self) -> None:
        await self.connection.execute(
            "CREATE TEMPORARY TABLE rights_staging (line bigint GENERATED ALWAYS AS IDENTITY, raw text)"
        )

    async def close_staging(self) -> None:
        await self.connection.execute("DROP TABLE IF EXISTS rights_staging")

    async def stage(self, pieces: AsyncIterable[bytes]) -> None:
        """Copies raw lines; the delimiter and quote named here are bytes that ``pieces`` never hold."""
        await self.connection.copy_to_table(
            "rights_staging",
            source=pieces,
            columns=["raw"],
            format="csv",
            delimiter="\x01",
            quote="\x02",
            timeout=_PATIENCE,
        )

    async def header(self) -> str | None:
        """The first line as it came."""
        found: str | None = await self.connection.fetchval("SELECT raw FROM rights_staging WHERE line = 1")
        return found

    async def lock_insurer(self, insurer: InsurerId) -> None:
        """Other imports of the insurer wait until the transaction ends."""
        await self.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"rights {insurer}", timeout=_PATIENCE
        )

    async def check_lines(self) -> None:
        await self.connection.execute(_CHECK_LINES, timeout=_PATIENCE)

    async def make_room(self, insurer: InsurerId) -> None:
        """The file's periods win: what they overlap is cut to what lies outside them, before, between and after."""
        await self.connection.execute(
            f"""
            WITH n AS (
                SELECT membership_number, birth_date, birth_rank,
                       range_agg(daterange(valid_from, valid_to, '[]')) AS span
                FROM rights_checked WHERE fault IS NULL GROUP BY 1, 2, 3
            ), cut AS (
                DELETE FROM insured_rights r USING n
                WHERE r.insurer_id = $1 AND {_SAME_PERSON} AND daterange(r.valid_from, r.valid_to, '[]') && n.span
                RETURNING r.*, n.span
            )
            INSERT INTO insured_rights (insurer_id, membership_number, birth_date, birth_rank, valid_from, valid_to,
                                        convention_types, csr, product_code, import_id)
            SELECT insurer_id, membership_number, birth_date, birth_rank, lower(part), upper(part) - 1,
                   convention_types, csr, product_code, import_id
            FROM cut, unnest(datemultirange(daterange(valid_from, valid_to, '[]')) - span) AS part
            """,  # noqa: S608
            insurer,
            timeout=_PATIENCE,
        )

    async def add_good(self, insurer: InsurerId, import_id: ImportId) -> int:
        """The good lines become rights; answers how many."""
        done = await self.connection.execute(
            """
            INSERT INTO insured_rights (insurer_id, membership_number, birth_date, birth_rank, valid_from, valid_to,
                                        convention_types, csr, product_code, import_id)
            SELECT $1, membership_number, birth_date, birth_rank, valid_from, valid_to, string_to_array(f[6], ' '), f[7],
                   f[8], $2
            FROM rights_checked WHERE fault IS NULL
            """,
            insurer,
            import_id,
            timeout=_PATIENCE,
        )
        return int(done.split()[-1])

    async def count_standing(self, insurer: InsurerId, today: date) -> int:
        """How many rights are open today or will be."""
        found: int = await self.connection.fetchval(
            "SELECT count(*) FROM insured_rights WHERE insurer_id = $1 AND valid_to >= $2",
            insurer,
            today,
            timeout=_PATIENCE,
        )
        return found

    async def close_missing(self, insurer: InsurerId, today: date) -> int:
        """Rights begun before today, of people whom the file does not name, end yesterday; answers how many."""
        done = await self.connection.execute(
            f"""
            UPDATE insured_rights r SET valid_to = $2::date - 1
            WHERE r.insurer_id = $1 AND r.valid_from < $2 AND r.valid_to >= $2
              AND NOT EXISTS (SELECT FROM rights_checked n WHERE {_SAME_PERSON})
            """,  # noqa: S608
            insurer,
            today,
            timeout=_PATIENCE,
        )
        return int(done.split()[-1])

    async def drop_missing(self, insurer: InsurerId, today: date) -> int:
        """Rights that begin today or later, of people whom the file does not name, never begin; answers how many."""
        done = await self.connection.execute(
            f"""
            DELETE FROM insured_rights r
            WHERE r.insurer_id = $1 AND r.valid_from >= $2
              AND NOT EXISTS (SELECT FROM rights_checked n WHERE {_SAME_PERSON})
            """,  # noqa: S608
            insurer,
            today,
            timeout=_PATIENCE,
        )
        return int(done.split()[-1])

    async def new_import_id(self) -> ImportId:
        return ImportId(await self.connection.fetchval("SELECT uuidv7()"))

    async def add_import(self, insurer: InsurerId, done: RightsImport) -> None:
        await self.connection.execute(
            "INSERT INTO rights_imports (insurer_id, id, mode, lines, loaded, rejected, closed, started_at, finished_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            insurer,
            done.id,
            done.mode,
            done.lines,
            done.loaded,
            done.rejected,
            done.closed,
            done.started_at,
            done.finished_at,
        )

    async def add_rejects(self, insurer: InsurerId, import_id: ImportId) -> None:
        await self.connection.execute(
            """
            INSERT INTO rights_rejects (insurer_id, import_id, line, column_name, code)
            SELECT $1, $2, line, split_part(fault, ':', 1), split_part(fault, ':', 2)
            FROM rights_checked WHERE fault IS NOT NULL
            """,
            insurer,
            import_id,
        )

    async def count_lines(self) -> int:
        found: int = await self.connection.fetchval("SELECT count(*) FROM rights_checked")
        return found

    async def get_import(self, insurer: InsurerId, import_id: ImportId) -> RightsImport | None:
        row = await self.connection.fetchrow(
            "SELECT * FROM rights_imports WHERE insurer_id = $1 AND id = $2", insurer, import_id
        )
        return (
            None
            if row is None
            else RightsImport(
                id=ImportId(row["id"]),
                mode=ImportMode(row["mode"]),
                lines=row["lines"],
                loaded=row["loaded"],
                rejected=row["rejected"],
                closed=row["closed"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
            )
        )

    async def rejects(self, insurer: InsurerId, import_id: ImportId, after: int, limit: int) -> list[Reject]:
        rows = await self.connection.fetch(
            "SELECT line, column_name, code FROM rights_rejects"
            " WHERE insurer_id = $1 AND import_id = $2 AND line > $3 ORDER BY line LIMIT $4",
            insurer,
            import_id,
            after,
            limit,
        )
        return [Reject(line=row["line"], column=row["column_name"], code=row["code"]) for row in rows]


class CheckStore:
    """SQL of checks."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def record(self, asks: Sequence[Ask]) -> dict[str, CardCheck]:
        """Looks up and records all checks in one statement; answers those recorded, by proof."""
        numbers = {ask.proof: ask.card.insurer_number for ask in asks}
        rows = await self.connection.fetch(
            RECORD_CHECKS,
            [ask.practitioner_id for ask in asks],
            [ask.agent_id for ask in asks],
            [ask.checked_at for ask in asks],
            [ask.domain for ask in asks],
            [ask.care_date for ask in asks],
            [ask.card.convention_type for ask in asks],
            [ask.card.csr for ask in asks],
            [ask.card.membership_number for ask in asks],
            [ask.card.birth_date for ask in asks],
            [ask.card.birth_rank for ask in asks],
            [ask.proof for ask in asks],
            [ask.proof_expires_at for ask in asks],
            [ask.idempotency_key for ask in asks],
            [ask.card.insurer_number for ask in asks],
        )
        return {row["proof"]: _check(row, numbers[row["proof"]]) for row in rows}

    async def get(self, insurer: InsurerId, number: str, check: CardCheckId) -> CardCheck | None:
        row = await self.connection.fetchrow(
            "SELECT * FROM card_checks WHERE insurer_id = $1 AND id = $2", insurer, check
        )
        return None if row is None else _check(row, number)

    async def find_by_proof(self, insurer: InsurerId, number: str, proof: str) -> CardCheck | None:
        row = await self.connection.fetchrow(
            "SELECT * FROM card_checks WHERE insurer_id = $1 AND proof = $2", insurer, proof
        )
        return None if row is None else _check(row, number)

    async def find_by_key(self, practitioner: PractitionerId, key: str) -> CardCheck | None:
        """The check that was made under an idempotency key, whichever insurer it went to."""
        row = await self.connection.fetchrow(
            "SELECT k.*, i.number FROM card_checks k JOIN insurers i ON i.id = k.insurer_id"
            " WHERE k.practitioner_id = $1 AND k.idempotency_key = $2",
            practitioner,
            key,
        )
        return None if row is None else _check(row, row["number"])


def _check(row: asyncpg.Record, insurer_number: str) -> CardCheck:
    checked_at: datetime = row["checked_at"]
    return CardCheck(
        insurer_id=InsurerId(row["insurer_id"]),
        id=CardCheckId(row["id"]),
        practitioner_id=PractitionerId(row["practitioner_id"]),
        card=Card(
            insurer_number=insurer_number,
            convention_type=row["convention_type"],
            csr=row["csr"],
            membership_number=row["membership_number"],
            birth_date=row["birth_date"],
            birth_rank=row["birth_rank"],
        ),
        domain=Domain(row["domain"]),
        care_date=row["care_date"],
        checked_at=checked_at,
        proof=row["proof"],
        proof_expires_at=row["proof_expires_at"],
        has_convention=row["convention_id"] is not None,
        is_domain_agreed=row["is_domain_agreed"],
        has_signed=row["has_signed"],
        participates=row["participates"],
        holds_type=row["holds_type"],
        rights_from=row["rights_from"],
        rights_to=row["rights_to"],
        product_version_id=ProductVersionId(row["product_version_id"]) if row["product_version_id"] else None,
    )
