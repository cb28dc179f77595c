"""What DRE tables are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from tpgateway.guarantees.model import ProductTerms
from tpgateway.practitioners.model import Specialty


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerOffer:
    """An insurer as the tables see it: its number, the convention types its cards carry, its products in force."""

    number: str
    convention_types: tuple[str, ...]
    products: tuple[ProductTerms, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingLine:
    """Which group a card's routing key leads to; an empty type or CSR stands for any."""

    amc_number: str
    convention_type: str
    csr: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionLine:
    """What the speciality may do with a group."""

    group: str
    domains: str
    flow: str
    valid_from: str
    valid_to: str
    payment_days: int
    approval_domains: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuaranteeLine:
    """How the insurer's share of a benefit is computed; fields that the formula has no use for are empty."""

    group: str
    product_code: str
    domain: str
    benefit: str
    formula: str
    per: str
    rate_basis_points: int | None
    amount_cents: int | None
    ceiling_cents: int | None
    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The three tables of a speciality, in order."""

    specialty: Specialty
    grouping: tuple[GroupingLine, ...]
    convention: tuple[ConventionLine, ...]
    guarantee: tuple[GuaranteeLine, ...]

    @property
    def lines(self) -> int:
        return len(self.grouping) + len(self.convention) + len(self.guarantee)


Line = Mapping[str, Any]
"""A line as files hold it: its columns by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What makes one table of another: lines that are new, the keys of those that are gone, lines that read otherwise."""

    added: Sequence[Line]
    removed: Sequence[Line]
    changed: Sequence[Line]


class Match(StrEnum):
    """By how much of a card's routing key a route was found."""

    EXACT = "exact"
    TYPE = "type"
    INSURER = "insurer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a card leads: the lines of each table that decided it."""

    match: Match
    grouping: Line
    convention: Line
    guarantee: Sequence[Line]


class FileFormat(StrEnum):
    JSON = "json"
    CSV = "csv"
    """Three CSV files in a zip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A publication: immutable, in force from a day on."""

    version: int
    effective_from: date
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One file of a version, as it is served."""

    version: int
    format: FileFormat
    sha256: bytes
    content: bytes
