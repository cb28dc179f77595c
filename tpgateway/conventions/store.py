"""SQL of conventions and signatures."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.conventions.model import (
    AgreedTariff,
    AskedDocument,
    Convention,
    ConventionId,
    ConventionTerms,
    Signature,
)
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId, Specialty

_COLUMNS = """
    c.id, c.version, c.text_hash, c.published_at, c.specialty, c.title, c.text_markdown, c.domains, c.approval_domains,
    c.documents, c.tariffs, c.payment_days, c.notice_days,
    c.every_insurer, lower(c.validity) AS valid_from, upper(c.validity) - 1 AS valid_to,
    ARRAY(SELECT i.number FROM convention_participants p JOIN insurers i ON i.id = p.insurer_id
          WHERE p.convention_id = c.id ORDER BY i.number) AS participants
"""


class ConventionStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_specialty(self, specialty: Specialty) -> None:
        """Others who publish for this speciality wait until the transaction ends."""
        await self.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"convention {specialty}"
        )

    async def latest(self, specialty: Specialty) -> Convention | None:
        """The version published last."""
        row = await self.connection.fetchrow(
            f"SELECT {_COLUMNS} FROM conventions c WHERE c.specialty = $1 ORDER BY c.version DESC LIMIT 1",  # noqa: S608
            specialty,
        )
        return None if row is None else _convention(row)

    async def shorten(self, convention: ConventionId, before: date) -> None:
        """The version ends the day before, if it does not end earlier."""
        await self.connection.execute(
            "UPDATE conventions SET validity = validity * daterange(NULL, $2) WHERE id = $1", convention, before
        )

    async def add(self, terms: ConventionTerms, version: int, now: datetime) -> ConventionId | None:
        """A new version; None where its period overlaps another's."""
        try:
            added: UUID = await self.connection.fetchval(
                "INSERT INTO conventions (specialty, version, title, text_markdown, text_hash, domains, approval_domains,"
                " documents, tariffs, payment_days, notice_days, every_insurer, validity, published_at)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, daterange($13, $14, '[]'), $15) RETURNING id",
                terms.specialty,
                version,
                terms.title,
                terms.text_markdown,
                hashlib.sha256(terms.text_markdown.encode()).digest(),
                list(terms.domains),
                list(terms.approval_domains),
                [asdict(each) for each in terms.documents],
                [asdict(each) for each in terms.tariffs],
                terms.payment_days,
                terms.notice_days,
                terms.participants is None,
                terms.valid_from,
                terms.valid_to,
                now,
            )
        except asyncpg.ExclusionViolationError:
            return None
        return ConventionId(added)

    async def add_participants(self, convention: ConventionId, numbers: Sequence[str]) -> int:
        """Insurers of the network by number; answers how many were found."""
        done = await self.connection.execute(
            "INSERT INTO convention_participants (convention_id, insurer_id)"
            " SELECT $1, id FROM insurers WHERE number = ANY($2::text[])",
            convention,
            list(numbers),
        )
        return int(done.split()[-1])

    async def in_force(self, on: date) -> list[Convention]:
        """Those in force on a date, one a speciality."""
        rows = await self.connection.fetch(
            f"SELECT {_COLUMNS} FROM conventions c WHERE c.validity @> $1::date ORDER BY c.specialty",  # noqa: S608
            on,
        )
        return [_convention(row) for row in rows]

    async def versions(self, specialty: Specialty) -> list[Convention]:
        """All of a speciality's, newest first."""
        rows = await self.connection.fetch(
            f"SELECT {_COLUMNS} FROM conventions c WHERE c.specialty = $1 ORDER BY c.version DESC",  # noqa: S608
            specialty,
        )
        return [_convention(row) for row in rows]

    async def version(self, specialty: Specialty, version: int) -> Convention | None:
        row = await self.connection.fetchrow(
            f"SELECT {_COLUMNS} FROM conventions c WHERE c.specialty = $1 AND c.version = $2",  # noqa: S608
            specialty,
            version,
        )
        return None if row is None else _convention(row)

    async def approval_domains(self, convention: ConventionId) -> frozenset[Domain]:
        """The domains in which a version asks for an approval, whatever the product says."""
        found = await self.connection.fetchval("SELECT approval_domains FROM conventions WHERE id = $1", convention)
        return frozenset(Domain(domain) for domain in found)

    async def find(self, specialty: Specialty, on: date) -> Convention | None:
        row = await self.connection.fetchrow(
            f"SELECT {_COLUMNS} FROM conventions c WHERE c.specialty = $1 AND c.validity @> $2::date",  # noqa: S608
            specialty,
            on,
        )
        return None if row is None else _convention(row)

    async def take_back(self, practitioner: PractitionerId, convention: Convention, on: date) -> bool:
        """A leave whose notice is not over is undone; False where there is none."""
        done = await self.connection.execute(
            "UPDATE convention_signatures SET left_on = NULL"
            " WHERE practitioner_id = $1 AND convention_id = $2 AND left_on > $3",
            practitioner,
            convention.id,
            on,
        )
        return bool(done != "UPDATE 0")

    async def sign(
        self, practitioner: PractitionerId, convention: Convention, member_id: UUID | None, *, on: date, now: datetime
    ) -> bool:
        """Keeps the signature; where there is one that was not left, it stays as it is, and False is answered.

        Who had left counts as signed from this day on, and not for the days between.
        """
        done = await self.connection.execute(
            "INSERT INTO convention_signatures (practitioner_id, convention_id, specialty, text_hash, signed_at, member_id,"
            " counts_from) SELECT $1, $2, $3, $4, $5, $6, CASE WHEN EXISTS (SELECT FROM convention_signatures s"
            " WHERE s.practitioner_id = $1 AND s.specialty = $3 AND s.left_on <= $7::date) THEN $7::date END"
            " ON CONFLICT (practitioner_id, convention_id) WHERE left_on IS NULL DO NOTHING",
            practitioner,
            convention.id,
            convention.terms.specialty,
            convention.text_hash,
            now,
            member_id,
            on,
        )
        return bool(done == "INSERT 0 1")

    async def leave(self, practitioner: PractitionerId, specialty: Specialty, on: date) -> bool:
        """All signatures for a speciality end on a day; False where none is without an end."""
        done = await self.connection.execute(
            "UPDATE convention_signatures SET left_on = $3"
            " WHERE practitioner_id = $1 AND specialty = $2 AND left_on IS NULL",
            practitioner,
            specialty,
            on,
        )
        return bool(done != "UPDATE 0")

    async def signature(self, practitioner: PractitionerId, specialty: Specialty) -> Signature | None:
        """The practitioner's latest signature for a speciality."""
        row = await self.connection.fetchrow(
            "SELECT c.version, s.text_hash, s.signed_at, s.left_on, s.member_id FROM convention_signatures s"
            " JOIN conventions c ON c.id = s.convention_id"
            " WHERE s.practitioner_id = $1 AND s.specialty = $2 ORDER BY c.version DESC, s.signed_at DESC LIMIT 1",
            practitioner,
            specialty,
        )
        return None if row is None else Signature(**row)


def _convention(row: asyncpg.Record) -> Convention:
    return Convention(
        id=ConventionId(row["id"]),
        version=row["version"],
        text_hash=row["text_hash"],
        published_at=row["published_at"],
        terms=ConventionTerms(
            specialty=Specialty(row["specialty"]),
            title=row["title"],
            text_markdown=row["text_markdown"],
            domains=tuple(Domain(domain) for domain in row["domains"]),
            approval_domains=tuple(Domain(domain) for domain in row["approval_domains"]),
            documents=tuple(
                AskedDocument(kind=each["kind"], label=each["label"], domain=_domain(each)) for each in row["documents"]
            ),
            tariffs=tuple(
                AgreedTariff(
                    code=each["code"],
                    label=each["label"],
                    amount_cents=Cents(each["amount_cents"]),
                    domain=_domain(each),
                )
                for each in row["tariffs"]
            ),
            payment_days=row["payment_days"],
            notice_days=row["notice_days"],
            participants=None if row["every_insurer"] else tuple(row["participants"]),
            valid_from=row["valid_from"],
            valid_to=row["valid_to"],
        ),
    )


def _domain(table: Mapping[str, Any]) -> Domain | None:
    return Domain(table["domain"]) if table["domain"] else None
