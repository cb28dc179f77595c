"""What the public directories say."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Source(StrEnum):
    """The files that are known, by what they are."""

    FINESS = "finess"
    """The public FINESS extraction: establishments, with their positions."""
    PROFESSIONALS = "professionals"
    """The public file of health professionals: RPPS and Adeli numbers with places of work."""
    ESTABLISHMENTS = "establishments"
    """A plain list of establishments, comma separated with a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A number at a place: an establishment, or one place of work of a person.

    ``scheme`` is ``finess``, ``rpps`` or ``adeli``. ``place`` tells a person's places of work apart.
    """

    scheme: str
    number: str
    place: str
    legal_name: str | None = None
    long_name: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    postal_code: str | None
    is_cedex: bool = False
    town: str | None = None
    siret: str | None = None
    category: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where an establishment stands, in degrees (WGS 84)."""

    number: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryImport:
    """What an import came to: lines read, entries now held of this source, lines that could not be used."""

    source: Source
    lines: int
    entries: int
    skipped: int
    imported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody says of himself: a person's names or a body's legal name, and where."""

    first_name: str | None
    last_name: str | None
    legal_name: str | None
    postal_code: str


class Disagreement(StrEnum):
    """Why a claim does not stand by the directory alone."""

    NOT_FOUND = "not_found"
    NAME_DIFFERS = "name_differs"
    PLACE_DIFFERS = "place_differs"
