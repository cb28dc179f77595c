"""SQL of the directories."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from tpgateway.database import Connection
from tpgateway.directory.model import Entry, Position, Source

_COLUMNS = (
    "scheme", "number", "place", "legal_name", "long_name", "last_name", "first_name", "postal_code", "is_cedex", "town",
    "siret", "category", "latitude", "longitude",
)  # fmt: skip
_ENTRY = ", ".join(_COLUMNS)
_PATIENCE = 3600.0


class DirectoryStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def open_staging(self) -> None:
        """Tables of this transaction, which end with it."""
        await self.connection.execute(
            "CREATE TEMPORARY TABLE directory_staging (LIKE directory_entries) ON COMMIT DROP;"
            "ALTER TABLE directory_staging ALTER COLUMN source DROP NOT NULL;"
            "CREATE TEMPORARY TABLE directory_positions (number text, latitude float8, longitude float8) ON COMMIT DROP"
        )

    async def stage(self, entries: Sequence[Entry]) -> None:
        await self.connection.copy_records_to_table(
            "directory_staging",
            records=[tuple(getattr(entry, column) for column in _COLUMNS) for entry in entries],
            columns=_COLUMNS,
            timeout=_PATIENCE,
        )

    async def stage_positions(self, positions: Sequence[Position]) -> None:
        await self.connection.copy_records_to_table(
            "directory_positions",
            records=[(each.number, each.latitude, each.longitude) for each in positions],
            timeout=_PATIENCE,
        )

    async def lock(self, source: Source) -> int:
        """How many entries there are of a source, whose other imports wait until this transaction ends."""
        await self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('directory ' || $1, 0))", source)
        entries: int | None = await self.connection.fetchval(
            "SELECT entries FROM directory_imports WHERE source = $1", source
        )
        return entries or 0

    async def count_staged(self) -> int:
        counted: int = await self.connection.fetchval(
            "SELECT count(*) FROM (SELECT DISTINCT scheme, number, place FROM directory_staging) t", timeout=_PATIENCE
        )
        return counted

    async def remove(self, source: Source) -> None:
        await self.connection.execute("DELETE FROM directory_entries WHERE source = $1", source, timeout=_PATIENCE)

    async def merge(self, source: Source) -> None:
        """What was staged, with its positions, as the entries of a source; a place named twice counts once."""
        await self.connection.execute(
            """
            INSERT INTO directory_entries (scheme, number, place, source, legal_name, long_name, last_name, first_name,
                                           postal_code, is_cedex, town, siret, category, latitude, longitude)
            SELECT DISTINCT ON (s.scheme, s.number, s.place)
                   s.scheme, s.number, s.place, $1, s.legal_name, s.long_name, s.last_name, s.first_name,
                   s.postal_code, s.is_cedex, s.town, s.siret, s.category, p.latitude, p.longitude
            FROM directory_staging s LEFT JOIN directory_positions p ON p.number = s.number
            """,
            source,
            timeout=_PATIENCE,
        )

    async def record_import(self, source: Source, entries: int, now: datetime) -> None:
        await self.connection.execute(
            "INSERT INTO directory_imports (source, entries, imported_at) VALUES ($1, $2, $3)"
            " ON CONFLICT (source) DO UPDATE SET entries = excluded.entries, imported_at = excluded.imported_at",
            source,
            entries,
            now,
        )

    async def place_postal_codes(self) -> None:
        """Where postal codes and their beginnings lie; 97 and 98 are islands oceans apart, which have no middle."""
        await self.connection.execute(
            """
            WITH placed AS (
                SELECT postal_code, latitude, longitude FROM directory_entries
                WHERE latitude IS NOT NULL AND postal_code IS NOT NULL
            ), fresh AS (
                SELECT left(postal_code, size) AS prefix, avg(latitude) AS latitude, avg(longitude) AS longitude
                FROM placed, unnest(ARRAY[2, 3, 5]) AS size
                WHERE size > 2 OR left(postal_code, 2) NOT IN ('97', '98')
                GROUP BY 1
            )
            MERGE INTO directory_places d USING fresh f ON d.prefix = f.prefix
            WHEN MATCHED THEN UPDATE SET latitude = f.latitude, longitude = f.longitude
            WHEN NOT MATCHED THEN INSERT VALUES (f.prefix, f.latitude, f.longitude)
            WHEN NOT MATCHED BY SOURCE THEN DELETE
            """,
            timeout=_PATIENCE,
        )

    async def find(self, scheme: str, number: str) -> list[Entry]:
        rows = await self.connection.fetch(
            f"SELECT {_ENTRY} FROM directory_entries WHERE scheme = $1 AND number = $2",  # noqa: S608
            scheme,
            number,
        )
        return [_entry(row) for row in rows]

    async def find_by_siret(self, siret: str) -> list[Entry]:
        rows = await self.connection.fetch(f"SELECT {_ENTRY} FROM directory_entries WHERE siret = $1", siret)  # noqa: S608
        return [_entry(row) for row in rows]

    async def place_of(self, postal_code: str) -> asyncpg.Record | None:
        """Latitude and longitude of a postal code, or of the nearest that is known to begin like it."""
        return await self.connection.fetchrow(
            "SELECT latitude, longitude FROM directory_places WHERE prefix = ANY ($1) ORDER BY length(prefix) DESC LIMIT 1",
            [postal_code, postal_code[:3], postal_code[:2]],
        )


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(**{column: row[column] for column in _COLUMNS})
