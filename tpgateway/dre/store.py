"""SQL of published tables."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import asyncpg

from tpgateway.database import Connection
from tpgateway.dre.model import FileFormat, TableFile, Version
from tpgateway.practitioners.model import Specialty


class TableStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_publication(self) -> None:
        """Other publications wait until the transaction ends."""
        await self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('dre publication', 0))")

    async def add_version(self, effective_from: date, now: datetime) -> Version:
        """The next version."""
        row = await self.connection.fetchrow(
            "INSERT INTO dre_versions (version, effective_from, published_at)"
            " SELECT coalesce(max(version), 0) + 1, $1, $2 FROM dre_versions RETURNING *",
            effective_from,
            now,
        )
        assert row is not None
        return _version(row)

    async def add_file(
        self, version: int, specialty: Specialty, kind: FileFormat, *, lines: int, content: bytes
    ) -> None:
        await self.connection.execute(
            "INSERT INTO dre_files (version, specialty, format, lines, sha256, content) VALUES ($1, $2, $3, $4, $5, $6)",
            version,
            specialty,
            kind,
            lines,
            hashlib.sha256(content).digest(),
            content,
        )

    async def versions(self, specialty: Specialty) -> Sequence[Version]:
        """The versions that hold tables of a speciality, newest first."""
        rows = await self.connection.fetch(
            "SELECT v.* FROM dre_versions v WHERE EXISTS"
            " (SELECT FROM dre_files f WHERE f.version = v.version AND f.specialty = $1) ORDER BY v.version DESC",
            specialty,
        )
        return [_version(row) for row in rows]

    async def file(self, specialty: Specialty, version: int | None, kind: FileFormat) -> TableFile | None:
        """A version's file, the newest version's where none is named."""
        row = await self.connection.fetchrow(
            "SELECT version, sha256, content FROM dre_files"
            " WHERE specialty = $1 AND format = $3 AND ($2::integer IS NULL OR version = $2)"
            " ORDER BY version DESC LIMIT 1",
            specialty,
            version,
            kind,
        )
        return (
            None
            if row is None
            else TableFile(version=row["version"], format=kind, sha256=row["sha256"], content=row["content"])
        )

    async def in_force(self, specialty: Specialty, on: date) -> int | None:
        """The number of the version that counts on a day: the newest of those in force by then."""
        version: int | None = await self.connection.fetchval(
            "SELECT max(v.version) FROM dre_versions v JOIN dre_files f USING (version)"
            " WHERE f.specialty = $1 AND v.effective_from <= $2",
            specialty,
            on,
        )
        return version


def _version(row: asyncpg.Record) -> Version:
    return Version(version=row["version"], effective_from=row["effective_from"], published_at=row["published_at"])
