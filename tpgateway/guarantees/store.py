"""SQL of products and their benefit lines."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.database import Connection
from tpgateway.guarantees.model import (
    Approval,
    BenefitLine,
    Domain,
    Formula,
    FormulaKind,
    Per,
    ProductTerms,
    ProductVersion,
    ProductVersionId,
    Tariff,
    Unit,
)
from tpgateway.insurers.model import InsurerId
from tpgateway.money import Cents

_SELECT = """
SELECT v.insurer_id, v.id, v.code, v.name, v.is_responsible, lower(v.validity) AS valid_from,
       upper(v.validity) - 1 AS valid_to, l.domain, l.benefit, l.kind, l.rate_basis_points, l.amount_cents,
       l.ceiling_cents, l.per, l.approval, l.waiting_days, l.days_covered, l.renewal_months
FROM product_versions v JOIN benefit_lines l ON l.insurer_id = v.insurer_id AND l.product_version_id = v.id
"""


class ProductStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_code(self, insurer: InsurerId, code: str) -> None:
        """Others who change this product wait until the transaction ends."""
        await self.connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"product {insurer} {code}"
        )

    async def supersede(self, insurer: InsurerId, code: str, valid_from: date) -> None:
        """The version that begins on this very day gives way."""
        await self.connection.execute(
            "UPDATE product_versions SET superseded_at = now()"
            " WHERE insurer_id = $1 AND code = $2 AND lower(validity) = $3 AND superseded_at IS NULL",
            insurer,
            code,
            valid_from,
        )

    async def shorten(self, insurer: InsurerId, code: str, before: date) -> None:
        """The version that began earlier and is in force on the day ends the day before."""
        await self.connection.execute(
            "UPDATE product_versions SET validity = daterange(lower(validity), $3)"
            " WHERE insurer_id = $1 AND code = $2 AND validity @> $3::date AND lower(validity) < $3"
            " AND superseded_at IS NULL",
            insurer,
            code,
            before,
        )

    async def add(self, insurer: InsurerId, terms: ProductTerms) -> ProductVersionId | None:
        """A new version; None where its period overlaps one that is in force."""
        try:
            added: UUID = await self.connection.fetchval(
                "INSERT INTO product_versions (insurer_id, code, name, is_responsible, validity)"
                " VALUES ($1, $2, $3, $4, daterange($5, $6, '[]')) RETURNING id",
                insurer,
                terms.code,
                terms.name,
                terms.is_responsible,
                terms.valid_from,
                terms.valid_to,
            )
        except asyncpg.ExclusionViolationError:
            return None
        return ProductVersionId(added)

    async def add_lines(self, insurer: InsurerId, version: ProductVersionId, lines: Sequence[BenefitLine]) -> None:
        await self.connection.execute(
            """
            INSERT INTO benefit_lines (insurer_id, product_version_id, domain, benefit, kind, rate_basis_points,
                                       amount_cents, ceiling_cents, per, approval, waiting_days, days_covered,
                                       renewal_months)
            SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::bigint[],
                                         $9::text[], $10::text[], $11::smallint[], $12::smallint[], $13::smallint[])
            RETURNING domain  -- Citus, told nothing of this kind, would COPY, which row-level security does not let it
            """,
            insurer,
            version,
            [line.domain for line in lines],
            [line.benefit for line in lines],
            [line.formula.kind for line in lines],
            [line.formula.rate_basis_points for line in lines],
            [line.formula.amount_cents for line in lines],
            [line.formula.ceiling_cents for line in lines],
            [line.formula.per for line in lines],
            [line.approval for line in lines],
            [line.waiting_days for line in lines],
            [line.days_covered for line in lines],
            [line.renewal_months for line in lines],
        )

    async def version(self, insurer: InsurerId, version: ProductVersionId) -> ProductVersion | None:
        """One version with its lines."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE v.insurer_id = $1 AND v.id = $2 ORDER BY l.domain, l.benefit", insurer, version
        )
        return _version(rows) if rows else None

    async def of_insurer(self, insurer: InsurerId, since: date) -> list[ProductTerms]:
        """An insurer's products in force since a day or later, by code and period."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE v.insurer_id = $1 AND v.superseded_at IS NULL AND v.validity && daterange($2, NULL)"
            " ORDER BY v.code, lower(v.validity), v.id, l.domain, l.benefit",
            insurer,
            since,
        )
        groups = groupby(rows, key=lambda row: row["id"])
        return [_version(list(lines)).terms for _, lines in groups]

    async def in_force(self, on: date) -> list[tuple[InsurerId, ProductTerms]]:
        """All insurers' products on a day, by insurer and code. Products are no insured person's data."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE v.superseded_at IS NULL AND v.validity @> $1::date"
            " ORDER BY v.insurer_id, v.code, v.id, l.domain, l.benefit",
            on,
        )
        groups = groupby(rows, key=lambda row: (row["insurer_id"], row["id"]))
        return [(InsurerId(insurer), _version(list(lines)).terms) for (insurer, _), lines in groups]


class TariffStore:
    """One method, one statement. Tariffs are nobody's data."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def all(self) -> list[Tariff]:
        """Every tariff that ever was, by code and day."""
        rows = await self.connection.fetch(
            "SELECT code, valid_from, value, unit, source FROM tariffs ORDER BY code, valid_from"
        )
        return [
            Tariff(
                code=row["code"],
                valid_from=row["valid_from"],
                value=row["value"],
                unit=Unit(row["unit"]),
                source=row["source"],
            )
            for row in rows
        ]

    async def set(self, code: str, valid_from: date, value: int, source: str) -> bool:
        """The value from a day on, in place of one that was set for that very day; False where the code is unknown."""
        done = await self.connection.fetchval(
            "INSERT INTO tariffs (code, valid_from, value, unit, source)"
            " SELECT $1, $2, $3, unit, $4 FROM tariffs WHERE code = $1 LIMIT 1"
            " ON CONFLICT (code, valid_from) DO UPDATE"
            " SET value = excluded.value, source = excluded.source, recorded_at = now() RETURNING true",
            code,
            valid_from,
            value,
            source,
        )
        return bool(done)


def _version(rows: Sequence[asyncpg.Record]) -> ProductVersion:
    head = rows[0]
    return ProductVersion(
        id=ProductVersionId(head["id"]),
        terms=ProductTerms(
            code=head["code"],
            name=head["name"],
            is_responsible=head["is_responsible"],
            valid_from=head["valid_from"],
            valid_to=head["valid_to"],
            benefits=tuple(_line(row) for row in rows),
        ),
    )


def _line(row: asyncpg.Record) -> BenefitLine:
    return BenefitLine(
        domain=Domain(row["domain"]),
        benefit=row["benefit"],
        formula=Formula(
            kind=FormulaKind(row["kind"]),
            per=Per(row["per"]),
            rate_basis_points=row["rate_basis_points"],
            amount_cents=_cents(row["amount_cents"]),
            ceiling_cents=_cents(row["ceiling_cents"]),
        ),
        approval=Approval(row["approval"]),
        waiting_days=row["waiting_days"],
        days_covered=row["days_covered"],
        renewal_months=row["renewal_months"],
    )


def _cents(value: Any) -> Cents | None:
    return None if value is None else Cents(value)
