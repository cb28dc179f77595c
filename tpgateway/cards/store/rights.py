"""SQL of the import of rights: a file's lines in a table of their own, checked and merged set by set."""

from collections.abc import AsyncIterable
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tpgateway.cards.model import ImportId, ImportMode, Person, Reject, RightsImport, Upload, UploadStage
from tpgateway.database import Connection
from tpgateway.insurers.model import InsurerId

# What an import may take; the pool's own limit is made for requests.
_PATIENCE = 6 * 3600.0
# Lines are split and checked by several processes of the server, and joined in memory; a cluster sends as many as there are.
IMPORT_MEANS = """
SET LOCAL work_mem = '128MB';
SET LOCAL max_parallel_workers_per_gather = 4;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL jit = off;
SET LOCAL citus.max_intermediate_result_size = -1
"""
# After so many new or ended periods the planner's picture of the table is renewed at once.
_ANALYSE_AFTER = 50_000

_PERSON = "membership_number, birth_date, birth_rank"
_SAME_PERSON = "(r.membership_number, r.birth_date, r.birth_rank) = (n.membership_number, n.birth_date, n.birth_rank)"
_IS_SAME = (
    "(r.valid_from, r.valid_to, r.csr, r.product_code) = (n.valid_from, n.valid_to, n.csr, n.product_code)"
    " AND r.convention_types = n.convention_types"
)
_IS_UNSAID = f"NOT EXISTS (SELECT FROM n WHERE {_SAME_PERSON} AND (n.is_faulty OR n.valid_from = r.valid_from))"
_IMPORT = "id, mode, lines, loaded, unchanged, rejected, closed, started_at, finished_at"
_PERIOD = f"{_PERSON}, valid_from, valid_to, convention_types, csr, product_code"

# One column at a time, the first fault of a line being the one that is told. Regular expressions only where they are short:
# a bounded repetition costs more than all the rest, and one for a whole text twice one for what must not be in it.
_FAULT = """
CASE
    WHEN size > {longest} THEN ':line_too_long'
    WHEN columns <> {columns} THEN ':wrong_column_count'
    WHEN membership_number ~ '[^A-Z0-9]' OR octet_length(membership_number) NOT BETWEEN 1 AND 16
        THEN 'membership_number:wrong_form'
    WHEN octet_length(birth_date) <> 8 OR birth_date ~ '[^0-9]' THEN 'birth_date:wrong_form'
    WHEN rank NOT IN ('1', '2', '3', '4', '5', '6', '7', '8', '9') THEN 'birth_rank:wrong_form'
    WHEN octet_length(first) <> 10 OR valid_from IS NULL OR valid_from::text <> first THEN 'valid_from:no_date'
    WHEN octet_length(last) <> 10 OR valid_to IS NULL OR valid_to::text <> last THEN 'valid_to:no_date'
    WHEN valid_to < valid_from THEN 'valid_to:before_valid_from'
    WHEN types !~ '^[A-Z][A-Z]( [A-Z][A-Z])*$' OR octet_length(types) > 29 THEN 'convention_types:wrong_form'
    WHEN csr ~ '[^A-Za-z0-9]' OR octet_length(csr) > 8 THEN 'csr:wrong_form'
    WHEN product_code ~ '[^A-Z0-9_-]' OR octet_length(product_code) NOT BETWEEN 1 AND 20
        THEN 'product_code:wrong_form'
    WHEN left(nir_hash, 1) = '!' THEN 'nir:' || substr(nir_hash, 2)
END
"""
# Three levels, so that each line is split once, each column taken once and each date read once, however often they are
# mentioned. The time of day keeps the planner from merging them, as OFFSET 0 would, but leaves it several processes.
_CHECKED = """
SELECT line, membership_number, birth_date,
       CASE WHEN rank IN ('1', '2', '3', '4', '5', '6', '7', '8', '9') THEN rank::smallint END AS birth_rank,
       valid_from, valid_to, string_to_array(types, ' ') AS convention_types, csr, product_code, nir_hash, nir_sealed,
       hashtextextended(membership_number || birth_date || rank, 0) AS person, {fault} AS fault
FROM (
    SELECT line, size, columns, membership_number, birth_date, rank, first, last, types, csr, product_code,
           nir_hash, nir_sealed, CASE WHEN pg_input_is_valid(first, 'date') THEN first::date END AS valid_from,
           CASE WHEN pg_input_is_valid(last, 'date') THEN last::date END AS valid_to, clock_timestamp()
    FROM (
        SELECT line, size, cardinality(f) AS columns, upper(f[1] COLLATE "C") AS membership_number,
               f[2] COLLATE "C" AS birth_date, f[3] AS rank, f[4] AS first, f[5] AS last, f[6] AS types, f[7] AS csr,
               f[8] AS product_code, f[9] AS nir_hash, f[10] AS nir_sealed, clock_timestamp()
        FROM (
            SELECT line, octet_length(raw) AS size, string_to_array(raw, ';') AS f, clock_timestamp()
            FROM {lines} WHERE raw <> ''
        ) split
    ) taken
) dated
"""


def checked_lines(table: str, *, has_nir: bool, longest: int) -> str:
    """The query that splits the lines of a staging table and finds their faults."""
    return _CHECKED.format(fault=_FAULT.format(columns=10 if has_nir else 8, longest=longest), lines=f"staging.{table}")


class RightsStore:
    """SQL of one import. Its tables are made and dropped in the caller's transaction: whatever happens, nothing is left."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        name = uuid4().hex
        self._lines, self._checked, self._spans = f"lines_{name}", f"checked_{name}", f"spans_{name}"

    async def lock_insurer(self, insurer: InsurerId) -> None:
        """Other imports of the insurer wait until the transaction ends."""
        await self.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"rights {insurer}", timeout=_PATIENCE
        )

    async def stage(self, pieces: AsyncIterable[bytes], *, are_numbered: bool) -> None:
        """Copies raw lines; the delimiter and quote named here are bytes that lines never hold.

        Numbered ones come with their number in the file and the delimiter in front.
        """
        await self.connection.execute(IMPORT_MEANS)
        await self._run(
            f"CREATE UNLOGGED TABLE staging.{self._lines} "
            " (line bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 2), raw text)"
        )
        await self.connection.copy_to_table(
            self._lines,
            schema_name="staging",
            source=pieces,
            columns=["line", "raw"] if are_numbered else ["raw"],
            format="csv",
            delimiter="\x01",
            quote="\x02",
            timeout=_PATIENCE,
        )

    async def check_lines(self, *, has_nir: bool, longest: int) -> tuple[int, int]:
        """Splits the lines and finds their faults; then periods of one person that run into each other.

        Answers how many lines there were, and how many of them are good.

        A line that is faulty may still name its person, whose rights a full file must then not close.
        """
        checked = checked_lines(self._lines, has_nir=has_nir, longest=longest)
        await self._run(f"CREATE UNLOGGED TABLE staging.{self._checked} AS {checked}")
        await self._run(f"DROP TABLE staging.{self._lines}")
        # Most files name nobody twice, which is seen in half the time.
        counted = await self.connection.fetchrow(
            f"""
            SELECT count(*), count(*) FILTER (WHERE fault IS NULL), count(DISTINCT person) FILTER (WHERE fault IS NULL)
            FROM staging.{self._checked}
            """,  # noqa: S608
            timeout=_PATIENCE,
        )
        assert counted is not None
        lines, good, people = counted
        if good == people:
            return lines, good
        overlapping = await self.connection.fetchval(
            f"""
            SELECT array_agg(line) FROM (
                SELECT line, valid_from <= max(valid_to) OVER (
                           PARTITION BY {_PERSON} ORDER BY valid_from, line
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS does_overlap
                FROM staging.{self._checked} WHERE fault IS NULL
            ) s WHERE does_overlap
            """,  # noqa: S608
            timeout=_PATIENCE,
        )
        if overlapping:
            await self._run(
                f"UPDATE staging.{self._checked} SET fault = 'valid_from:overlaps' WHERE line = ANY ($1)",  # noqa: S608
                overlapping,
            )
        return lines, good - len(overlapping or ())

    async def has_rights(self, insurer: InsurerId) -> bool:
        """Whether the insurer has any."""
        found: bool = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM insured_rights WHERE insurer_id = $1)", insurer
        )
        return found

    async def make_room(self, insurer: InsurerId) -> None:
        """The file's periods win: what they overlap is cut to what lies outside them, before, between and after.

        A right that begins on a line's first day is the one that the line restates: nothing of it is left, even where the
        line ends earlier.
        """
        await self._run(f"ANALYZE staging.{self._checked}")
        # What is to be cut is looked for by a statement of its own: one that changes rows is run by a single process.
        await self._run(
            f"""
            CREATE UNLOGGED TABLE staging.{self._spans} AS
            SELECT {_PERSON}, range_agg(daterange(n.valid_from, CASE WHEN n.valid_from = r.valid_from
                       THEN greatest(n.valid_to, r.valid_to) ELSE n.valid_to END, '[]')) AS span
            FROM staging.{self._checked} n JOIN insured_rights r USING ({_PERSON})
            WHERE n.fault IS NULL AND r.insurer_id = '{insurer}'
              AND daterange(r.valid_from, r.valid_to, '[]') && daterange(n.valid_from, n.valid_to, '[]')
              AND NOT ({_IS_SAME})
            GROUP BY {_PERSON}
            """  # noqa: S608
        )
        await self._change(
            f"""
            WITH n AS (
                SELECT {_PERSON}, span FROM staging.{self._spans}
            ), cut AS (
                DELETE FROM insured_rights r USING n
                WHERE r.insurer_id = $1 AND {_SAME_PERSON} AND daterange(r.valid_from, r.valid_to, '[]') && n.span
                RETURNING r.*, n.span
            ), done AS (
                INSERT INTO insured_rights (insurer_id, {_PERIOD}, import_id)
                SELECT insurer_id, {_PERSON}, lower(part), upper(part) - 1, convention_types, csr, product_code, import_id
                FROM cut, unnest(datemultirange(daterange(valid_from, valid_to, '[]')) - span) AS part RETURNING 1
            ) SELECT count(*) FROM done
            """,  # noqa: S608
            insurer,
        )
        await self._run(f"DROP TABLE staging.{self._spans}")

    async def add_good(self, insurer: InsurerId, import_id: ImportId) -> int:
        """The good lines become rights, but for those that say what is so already; answers how many did.

        In the order of the primary key: an index that grows at one end is written at half the cost.
        """
        return await self._change(
            f"""
            WITH n AS (
                SELECT {_PERIOD} FROM staging.{self._checked} WHERE fault IS NULL
            ), done AS (
                INSERT INTO insured_rights (insurer_id, {_PERIOD}, import_id)
                SELECT $1, {_PERIOD}, $2 FROM n
                WHERE NOT EXISTS (SELECT FROM insured_rights r WHERE r.insurer_id = $1 AND {_SAME_PERSON} AND {_IS_SAME})
                ORDER BY {_PERSON}, valid_from RETURNING 1
            ) SELECT count(*) FROM done
            """,  # noqa: S608
            insurer,
            import_id,
        )

    async def add_nirs(self, insurer: InsurerId) -> None:
        """Keeps the sealed NIR of every good line that has one; the latest of a person's counts."""
        await self._run(
            f"""
            INSERT INTO insured_nirs AS k (insurer_id, {_PERSON}, nir_hash, nir_sealed)
            SELECT DISTINCT ON ({_PERSON}) $1::uuid, {_PERSON}, nir_hash::bytea, nir_sealed::bytea
            FROM staging.{self._checked} WHERE fault IS NULL AND nir_hash <> ''
            ORDER BY {_PERSON}, line DESC
            ON CONFLICT (insurer_id, {_PERSON}) DO UPDATE
            SET nir_hash = excluded.nir_hash, nir_sealed = excluded.nir_sealed WHERE k.nir_hash <> excluded.nir_hash
            """,  # noqa: S608
            insurer,
        )

    async def forget_ended(self, insurer: InsurerId, today: date, months: int) -> int:
        """Removes rights that ended so many months ago, and the NIR of whoever has none left; answers how many rights."""
        count: int = await self.connection.fetchval(
            f"""
            WITH past AS (
                SELECT ($2::date - make_interval(months => $3))::date AS day
            ), gone AS (
                DELETE FROM insured_rights r USING past WHERE r.insurer_id = $1 AND r.valid_to < past.day
                RETURNING {_PERSON}
            ), nirs AS (
                DELETE FROM insured_nirs k USING (SELECT DISTINCT {_PERSON} FROM gone) n, past
                WHERE k.insurer_id = $1
                  AND (k.membership_number, k.birth_date, k.birth_rank) = (n.membership_number, n.birth_date, n.birth_rank)
                  AND NOT EXISTS (SELECT FROM insured_rights r
                                  WHERE r.insurer_id = $1 AND {_SAME_PERSON} AND r.valid_to >= past.day)
            )
            SELECT count(*) FROM gone
            """,  # noqa: S608
            insurer,
            today,
            months,
            timeout=_PATIENCE,
        )
        return count

    async def of_person(self, insurer: InsurerId, person: Person) -> list[dict[str, Any]]:
        """Somebody's rights, as they are kept."""
        rows = await self.connection.fetch(
            "SELECT valid_from, valid_to, convention_types, csr, product_code, import_id FROM insured_rights"
            " WHERE insurer_id = $1 AND membership_number = $2 AND birth_date = $3 AND birth_rank = $4"
            " ORDER BY valid_from",
            insurer,
            *person,
        )
        return [dict(row) for row in rows]

    async def nir_of(self, insurer: InsurerId, person: Person) -> tuple[bytes, bytes] | None:
        """The hash and the sealed value of somebody's NIR."""
        row = await self.connection.fetchrow(
            "SELECT nir_hash, nir_sealed FROM insured_nirs WHERE insurer_id = $1 AND membership_number = $2"
            " AND birth_date = $3 AND birth_rank = $4",
            insurer,
            *person,
        )
        return None if row is None else (row["nir_hash"], row["nir_sealed"])

    async def persons_of_nir(self, insurer: InsurerId, nir_hash: bytes, birth_date: str) -> list[Person]:
        """Whom the insurer knows by a NIR and a birth date."""
        rows = await self.connection.fetch(
            f"SELECT {_PERSON} FROM insured_nirs WHERE insurer_id = $1 AND nir_hash = $2 AND birth_date = $3"  # noqa: S608
            " ORDER BY membership_number, birth_rank",
            insurer,
            nir_hash,
            birth_date,
        )
        return [Person(*row) for row in rows]

    async def count_ending(self, insurer: InsurerId, mode: ImportMode, today: date) -> int:
        """How many people with rights open today or to come would have none after the file. Before anything is merged."""
        if mode is ImportMode.FULL:
            ending = f"""
                SELECT 1 FROM insured_rights r WHERE r.insurer_id = $1 AND r.valid_to >= $2
                  AND NOT EXISTS (SELECT FROM n WHERE {_SAME_PERSON} AND (n.is_faulty OR n.valid_to >= $2))
                GROUP BY {_PERSON}
            """  # noqa: S608
        elif not await self._has_ended(today):
            return 0
        else:
            ending = f"""
                SELECT 1 FROM n JOIN insured_rights r ON {_SAME_PERSON} AND r.valid_from = n.valid_from
                WHERE r.insurer_id = $1 AND r.valid_to >= $2 AND NOT n.is_faulty AND n.valid_to < $2
                  AND NOT EXISTS (SELECT FROM insured_rights r WHERE r.insurer_id = $1 AND r.valid_to >= $2
                                  AND {_SAME_PERSON} AND r.valid_from <> n.valid_from)
                  AND NOT EXISTS (SELECT FROM n o WHERE NOT o.is_faulty AND o.valid_to >= $2
                                  AND (o.membership_number, o.birth_date, o.birth_rank)
                                    = (n.membership_number, n.birth_date, n.birth_rank))
            """  # noqa: S608
        count: int = await self.connection.fetchval(
            f"{self._said} SELECT count(*) FROM ({ending}) ending",  # noqa: S608
            insurer,
            today,
            timeout=_PATIENCE,
        )
        return count

    async def _has_ended(self, today: date) -> bool:
        """Whether a good line's period is over: in most updates none is, and there is nothing to look for."""
        found: bool = await self.connection.fetchval(
            f"SELECT EXISTS (SELECT FROM staging.{self._checked} WHERE fault IS NULL AND valid_to < $1)",  # noqa: S608
            today,
            timeout=_PATIENCE,
        )
        return found

    async def count_standing(self, insurer: InsurerId, today: date) -> int:
        """How many people have rights that are open today or will be."""
        found: int = await self.connection.fetchval(
            f"""
            SELECT count(*) FROM (
                SELECT 1 FROM insured_rights WHERE insurer_id = $1 AND valid_to >= $2 GROUP BY {_PERSON}
            ) standing
            """,  # noqa: S608
            insurer,
            today,
            timeout=_PATIENCE,
        )
        return found

    async def close_unsaid(self, insurer: InsurerId, today: date) -> int:
        """Rights begun before today of which the file says nothing end yesterday; answers how many.

        Once its lines are merged: what it says then begins with a line. People of whom a line is faulty are left alone.
        """
        return await self._run(
            f"""
            {self._said} UPDATE insured_rights r SET valid_to = $2::date - 1
            WHERE r.insurer_id = $1 AND r.valid_from < $2 AND r.valid_to >= $2 AND {_IS_UNSAID}
            """,  # noqa: S608
            insurer,
            today,
        )

    async def drop_unsaid(self, insurer: InsurerId, today: date) -> int:
        """Rights that begin today or later, of which the file says nothing, never begin; answers how many."""
        return await self._run(
            f"""
            {self._said} DELETE FROM insured_rights r WHERE r.insurer_id = $1 AND r.valid_from >= $2 AND {_IS_UNSAID}
            """,  # noqa: S608
            insurer,
            today,
        )

    @property
    def _said(self) -> str:
        """Whom and what the lines name: by itself, as where data are on several servers all of them must have it."""
        return (
            f"WITH n AS (SELECT {_PERSON}, valid_from, valid_to, fault IS NOT NULL AS is_faulty"  # noqa: S608
            f" FROM staging.{self._checked})"
        )

    async def finish(self, *, changed: int) -> None:
        """Drops the import's tables; after many changes renews the planner's picture of the rights."""
        await self._run(f"DROP TABLE staging.{self._checked}")
        if changed >= _ANALYSE_AFTER:
            await self._run("ANALYZE insured_rights, insured_nirs")

    async def new_import_id(self) -> ImportId:
        return ImportId(await self.connection.fetchval("SELECT uuidv7()"))

    async def add_import(self, insurer: InsurerId, done: RightsImport) -> None:
        await self.connection.execute(
            "INSERT INTO rights_imports (insurer_id, id, mode, lines, loaded, unchanged, rejected, closed, started_at,"
            " finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            insurer,
            done.id,
            done.mode,
            done.lines,
            done.loaded,
            done.unchanged,
            done.rejected,
            done.closed,
            done.started_at,
            done.finished_at,
        )

    async def add_rejects(self, insurer: InsurerId, import_id: ImportId) -> None:
        await self._change(
            f"""
            WITH done AS (
                INSERT INTO rights_rejects (insurer_id, import_id, line, column_name, code)
                SELECT $1, $2, line, split_part(fault, ':', 1), split_part(fault, ':', 2)
                FROM staging.{self._checked} WHERE fault IS NOT NULL RETURNING 1
            ) SELECT count(*) FROM done
            """,  # noqa: S608
            insurer,
            import_id,
        )

    async def get_import(self, insurer: InsurerId, import_id: ImportId) -> RightsImport | None:
        row = await self.connection.fetchrow(
            f"SELECT {_IMPORT} FROM rights_imports WHERE insurer_id = $1 AND id = $2",  # noqa: S608
            insurer,
            import_id,
        )
        return None if row is None else _import(row)

    async def imports(self, insurer: InsurerId, limit: int) -> list[RightsImport]:
        """The insurer's imports, the last first."""
        rows = await self.connection.fetch(
            f"SELECT {_IMPORT} FROM rights_imports WHERE insurer_id = $1 ORDER BY id DESC LIMIT $2",  # noqa: S608
            insurer,
            limit,
        )
        return [_import(row) for row in rows]

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

    async def _change(self, query: str, *values: object) -> int:
        """What a statement counts itself.

        Rows from the coordinator's own tables go to other servers by COPY, which row-level security does not let through,
        unless they are asked to come back.
        """
        count: int = await self.connection.fetchval(query, *values, timeout=_PATIENCE)
        return count

    async def _run(self, query: str, *values: object) -> int:
        done = await self.connection.execute(query, *values, timeout=_PATIENCE)
        count = done.split()[-1]
        return int(count) if count.isdigit() else 0


class UploadStore:
    """Files on their way in. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def begin(self, insurer: InsurerId, size: int | None) -> UUID:
        """A file begins to come; those of processes that are no more are forgotten."""
        begun: UUID = await self.connection.fetchval(
            "WITH gone AS (DELETE FROM rights_uploads WHERE insurer_id = $1 AND seen_at < now() - interval '2 minutes')"
            " INSERT INTO rights_uploads (insurer_id, stage, size) VALUES ($1, $2, $3) RETURNING id",
            insurer,
            UploadStage.RECEIVING,
            size,
        )
        return begun

    async def tell(self, insurer: InsurerId, upload: UUID, stage: UploadStage, received: int) -> None:
        await self.connection.execute(
            "UPDATE rights_uploads SET stage = $3, received = $4, seen_at = now() WHERE insurer_id = $1 AND id = $2",
            insurer,
            upload,
            stage,
            received,
        )

    async def end(self, insurer: InsurerId, upload: UUID) -> None:
        await self.connection.execute("DELETE FROM rights_uploads WHERE insurer_id = $1 AND id = $2", insurer, upload)

    async def list(self, insurer: InsurerId) -> list[Upload]:
        """The insurer's files on their way in, of processes that still live."""
        rows = await self.connection.fetch(
            "SELECT stage, received, size, started_at FROM rights_uploads"
            " WHERE insurer_id = $1 AND seen_at > now() - interval '2 minutes' ORDER BY id",
            insurer,
        )
        return [
            Upload(
                stage=UploadStage(row["stage"]),
                received=row["received"],
                size=row["size"],
                started_at=row["started_at"],
            )
            for row in rows
        ]


def _import(row: asyncpg.Record) -> RightsImport:
    return RightsImport(
        id=ImportId(row["id"]),
        mode=ImportMode(row["mode"]),
        lines=row["lines"],
        loaded=row["loaded"],
        unchanged=row["unchanged"],
        rejected=row["rejected"],
        closed=row["closed"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
