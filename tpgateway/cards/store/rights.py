"""SQL of card checks and of the import of rights."""

from collections.abc import AsyncIterable
from datetime import date

from tpgateway.cards.model import ImportId, ImportMode, Reject, RightsImport
from tpgateway.database import Connection
from tpgateway.insurers.model import InsurerId

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
