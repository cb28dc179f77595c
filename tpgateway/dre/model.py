"""What DRE tables are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from tpgateway.guarantees.model import ProductTerms
from tpgateway.practitioners.model import Specialty
from tpgateway.web.routing import PARIS


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

    @property
    def counts(self) -> "Counts":
        return Counts(len(self.added), len(self.removed), len(self.changed))


class Counts(NamedTuple):
    """How many lines of a table are new, gone, or read otherwise."""

    added: int
    removed: int
    changed: int


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
    """CSV files in a zip."""
    XML = "xml"
    HTML = "html"
    """A page to read and to print."""
    PDF = "pdf"


def file_name(specialty: Specialty, version: int, kind: FileFormat) -> str:
    """What a published file is called, in its signature too."""
    return f"dre-{specialty}-{version}.{'csv.zip' if kind is FileFormat.CSV else kind}"


class Encoding(StrEnum):
    """How a file's bytes are sent; named as in Content-Encoding."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A publication: immutable, in force from a day on. ``restores`` is the earlier version whose tables it brings back."""

    id: UUID
    version: int
    effective_from: date
    published_at: datetime
    note: str | None
    restores: int | None

    @property
    def notice_days(self) -> int:
        """How many days ahead of its effect it was published."""
        return (self.effective_from - self.published_at.astimezone(PARIS).date()).days


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHead:
    """What is known of a version's file without reading it; ``sizes`` are in bytes, of each encoding that there is."""

    version: int
    format: FileFormat
    sha256: bytes
    sizes: Mapping[Encoding, int]
    is_signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One file of a version, as it is kept: packed where that gains something, and its detached signature."""

    format: FileFormat
    content: bytes
    gzip: bytes | None
    zstd: bytes | None
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a publication means for a speciality: ``since`` is the version that it follows, None where it is the first."""

    specialty: Specialty
    lines: int
    since: int | None
    changes: Mapping[str, Counts]
    digest: bytes
    """Of the tables to come, and of what they follow: what is published must be what was shown."""

    @property
    def is_new(self) -> bool:
        """Whether it says anything that the version before does not."""
        return self.since is None or any(any(counts) for counts in self.changes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A practitioner and the newest version that its software fetched; None where it never fetched any."""

    practitioner_id: UUID
    name: str
    specialty: Specialty
    version: int | None
    read_at: datetime | None
