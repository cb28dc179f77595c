"""SQL of published tables."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import asyncpg

from tpgateway.database import Connection
from tpgateway.dre.model import Encoding, FileFormat, FileHead, Reader, TableFile, Version
from tpgateway.practitioners.model import PractitionerId, Specialty


class TableStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_publication(self) -> None:
        """Other publications wait until the transaction ends."""
        await self.connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('dre publication', 0))")

    async def add_version(
        self, effective_from: date, now: datetime, *, note: str | None, restores: int | None
    ) -> Version:
        """The next version."""
        row = await self.connection.fetchrow(
            "INSERT INTO dre_versions (version, effective_from, published_at, note, restores)"
            " SELECT coalesce(max(version), 0) + 1, $1, $2, $3, $4 FROM dre_versions"
            " RETURNING id, version, effective_from, published_at, note, restores",
            effective_from,
            now,
            note,
            restores,
        )
        assert row is not None
        return _version(row)

    async def add_file(self, version: int, specialty: Specialty, file: TableFile, *, lines: int) -> None:
        await self.connection.execute(
            "INSERT INTO dre_files (version, specialty, format, lines, sha256, content, gzip, zstd, signature)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            version,
            specialty,
            file.format,
            lines,
            hashlib.sha256(file.content).digest(),
            file.content,
            file.gzip,
            file.zstd,
            file.signature,
        )

    async def add_key(self, kid: str, jwk: Mapping[str, str], now: datetime) -> None:
        """The public half of a key that files are signed with, unless it is here."""
        await self.connection.execute(
            "INSERT INTO dre_keys (kid, jwk, first_used_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", kid, jwk, now
        )

    async def keys(self) -> list[Mapping[str, Any]]:
        """The public keys that files were ever signed with, the newest first."""
        rows = await self.connection.fetch("SELECT jwk FROM dre_keys ORDER BY first_used_at DESC, kid")
        return [row["jwk"] for row in rows]

    async def versions(self, specialty: Specialty | None) -> list[Version]:
        """The versions that hold tables of a speciality (of any where none is named), newest first."""
        rows = await self.connection.fetch(
            "SELECT v.id, v.version, v.effective_from, v.published_at, v.note, v.restores"
            " FROM dre_versions v WHERE EXISTS (SELECT FROM dre_files f"
            " WHERE f.version = v.version AND ($1::text IS NULL OR f.specialty = $1)) ORDER BY v.version DESC",
            specialty,
        )
        return [_version(row) for row in rows]

    async def specialties(self, version: int | None) -> list[Specialty]:
        """The specialities that a version holds tables of; those of any version where none is named."""
        rows = await self.connection.fetch(
            "SELECT DISTINCT specialty FROM dre_files WHERE version = $1 OR $1::integer IS NULL ORDER BY specialty",
            version,
        )
        return [Specialty(row["specialty"]) for row in rows]

    async def heads(self, specialty: Specialty) -> list[FileHead]:
        """What is known of every file of a speciality."""
        rows = await self.connection.fetch(
            "SELECT version, format, sha256, length(content) AS identity, length(gzip) AS gzip, length(zstd) AS zstd,"
            " signature IS NOT NULL AS is_signed FROM dre_files WHERE specialty = $1",
            specialty,
        )
        return [
            FileHead(
                version=row["version"],
                format=FileFormat(row["format"]),
                sha256=row["sha256"],
                sizes={each: row[each] for each in Encoding if row[each] is not None},
                is_signed=row["is_signed"],
            )
            for row in rows
        ]

    async def content(
        self, specialty: Specialty, version: int, kind: FileFormat, encoding: Encoding = Encoding.IDENTITY
    ) -> bytes | None:
        """A file's bytes in an encoding."""
        content: bytes | None = await self.connection.fetchval(
            "SELECT CASE $4 WHEN 'gzip' THEN gzip WHEN 'zstd' THEN zstd ELSE content END FROM dre_files"
            " WHERE version = $2 AND specialty = $1 AND format = $3",
            specialty,
            version,
            kind,
            encoding,
        )
        return content

    async def signature(self, specialty: Specialty, version: int, kind: FileFormat) -> str | None:
        signature: str | None = await self.connection.fetchval(
            "SELECT signature FROM dre_files WHERE version = $2 AND specialty = $1 AND format = $3",
            specialty,
            version,
            kind,
        )
        return signature

    async def tell(self, channel: str, key: str) -> None:
        """Wakes who waits for publications, once the transaction has committed."""
        await self.connection.execute("SELECT pg_notify($1, $2)", channel, key)


class ReaderStore:
    """Which practitioner has which version, and who wants to be told of new ones. One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def note(self, practitioner: PractitionerId, version: int, now: datetime) -> None:
        """That a practitioner has a version, unless it has a newer one."""
        await self.connection.execute(
            "INSERT INTO dre_readers (practitioner_id, version, read_at) VALUES ($1, $2, $3)"
            " ON CONFLICT (practitioner_id) DO UPDATE SET version = excluded.version, read_at = excluded.read_at"
            " WHERE dre_readers.version < excluded.version",
            practitioner,
            version,
            now,
        )

    async def counts(self) -> dict[int | None, int]:
        """How many practitioners in service have each version, and (under None) how many none."""
        rows = await self.connection.fetch(
            "SELECT r.version, count(*) AS readers FROM practitioners p"
            " LEFT JOIN dre_readers r ON r.practitioner_id = p.id WHERE p.state = 'active' GROUP BY r.version"
        )
        return {row["version"]: row["readers"] for row in rows}

    async def of_version(self, version: int | None, limit: int) -> list[Reader]:
        """The practitioners in service whose newest version is this one, those first who have had it longest."""
        rows = await self.connection.fetch(
            "SELECT p.id, coalesce(p.legal_name, concat_ws(' ', p.first_name, p.last_name)) AS name, p.specialty,"
            " r.version, r.read_at FROM practitioners p LEFT JOIN dre_readers r ON r.practitioner_id = p.id"
            " WHERE p.state = 'active' AND r.version IS NOT DISTINCT FROM $1 ORDER BY r.read_at, p.id LIMIT $2",
            version,
            limit,
        )
        return [
            Reader(
                practitioner_id=row["id"],
                name=row["name"],
                specialty=Specialty(row["specialty"]),
                version=row["version"],
                read_at=row["read_at"],
            )
            for row in rows
        ]

    async def subscribe(self, practitioner: PractitionerId) -> None:
        """Versions that come from now on are mailed."""
        await self.connection.execute(
            "INSERT INTO dre_subscriptions (practitioner_id, told)"
            " SELECT $1, coalesce(max(version), 0) FROM dre_versions ON CONFLICT DO NOTHING",
            practitioner,
        )

    async def unsubscribe(self, practitioner: PractitionerId) -> None:
        await self.connection.execute("DELETE FROM dre_subscriptions WHERE practitioner_id = $1", practitioner)

    async def is_subscribed(self, practitioner: PractitionerId) -> bool:
        found: bool = await self.connection.fetchval(
            "SELECT EXISTS (SELECT FROM dre_subscriptions WHERE practitioner_id = $1)", practitioner
        )
        return found

    async def take_untold(self, version: int, limit: int) -> tuple[int, list[tuple[str, int]]]:
        """Marks some as told of all versions up to this one.

        Answers how many, and whom of them to tell of which version: each that came since what they were told last, and
        holds tables of their speciality.
        """
        rows = await self.connection.fetch(
            """
            WITH picked AS (
                SELECT practitioner_id, told FROM dre_subscriptions WHERE told < $1
                ORDER BY practitioner_id LIMIT $2 FOR UPDATE
            ), marked AS (
                UPDATE dre_subscriptions s SET told = $1 FROM picked WHERE s.practitioner_id = picked.practitioner_id
            )
            SELECT t.practitioner_id, m.email, f.version FROM picked t
            LEFT JOIN practitioners p ON p.id = t.practitioner_id AND p.state = 'active'
            LEFT JOIN practitioner_members m ON m.practitioner_id = p.id AND m.is_holder
            LEFT JOIN dre_files f ON f.specialty = p.specialty AND f.format = 'json' AND f.version > t.told
                AND f.version <= $1
            ORDER BY t.practitioner_id, f.version
            """,
            version,
            limit,
        )
        told = [(row["email"], row["version"]) for row in rows if row["version"] is not None]
        return len({row["practitioner_id"] for row in rows}), told


def _version(row: asyncpg.Record) -> Version:
    return Version(
        id=row["id"],
        version=row["version"],
        effective_from=row["effective_from"],
        published_at=row["published_at"],
        note=row["note"],
        restores=row["restores"],
    )
