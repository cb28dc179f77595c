"""The files of the public directories, read line by line: whatever their size, little of them is in memory."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import BinaryIO

from tpgateway.directory.errors import DirectoryFileUnknown
from tpgateway.directory.model import Entry, Position, Source
from tpgateway.identifiers import adeli, finess, rpps

Record = Entry | Position | None
"""One line; None where it could not be used."""

_DELIVERY = re.compile(r"(\d{5})\s+(.+)")
_EPSG = re.compile(r"EPSG[:_ ]?(\d{4,5})")
# The systems as the source text of a position names them, where it gives no EPSG number.
_SYSTEMS = {
    "LAMB93": 2154,
    "UTM_N20": 5490,
    "UTM_N21": 4467,
    "UTM_N22": 2972,
    "UTM_S38": 4471,
    "UTM_S40": 2975,
}
_KINDS = {"8": ("rpps", rpps.validate), "0": ("adeli", adeli.validate_form)}


def read(lines: BinaryIO) -> tuple[Source, Iterator[Record]]:
    """What the file is, and its lines; raises ``DirectoryFileUnknown``. Lines that say nothing of ours are left out."""
    first = _text(lines.readline(10_000)).lstrip("\ufeff").rstrip("\r\n")
    if first.startswith("finess;"):
        return Source.FINESS, _finess(lines)
    if "|" in first and "identifiantpp" in _name(first):
        return Source.PROFESSIONALS, _professionals(_columns(first.split("|"), _PROFESSIONAL_COLUMNS), lines)
    if first.startswith("finess,"):
        wanted = ("finess", "name", "category_code", "postal_code", "town", "siret")
        return Source.ESTABLISHMENTS, _establishments(_columns(first.split(","), wanted), lines)
    raise DirectoryFileUnknown


def _text(line: bytes) -> str:
    """UTF-8, as files are lately; what is none is ISO-8859-15, as they were before. Less NULs, which no database keeps."""
    line = line.replace(b"\0", b"")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("iso-8859-15")


def _fields(line: str, delimiter: str) -> Sequence[str]:
    line = line.strip("\r\n")
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error:  # a stray line end within
        return line.split(delimiter)


def _name(column: str) -> str:
    """A column's name without what differs between releases: case, accents, blanks and marks."""
    bare = unicodedata.normalize("NFD", column.lower())
    return "".join(each for each in bare if each.isascii() and each.isalnum())


def _columns(header: Sequence[str], wanted: Iterable[str]) -> Mapping[str, int]:
    places = {_name(column): index for index, column in enumerate(header)}
    try:
        return {name: places[_name(name)] for name in wanted}
    except KeyError as missing:
        raise DirectoryFileUnknown(f"the column {missing.args[0]} is missing") from None


def _finess(lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        fields = _fields(_text(line), ";")
        if fields[0] == "structureet":
            yield _establishment_of_finess(fields)
        elif fields[0] == "geolocalisation":
            yield _position(fields)


def _establishment_of_finess(fields: Sequence[str]) -> Entry | None:
    delivery = _DELIVERY.match(fields[15].strip()) if len(fields) > 22 else None
    if delivery is None or not finess.is_valid(fields[1]):
        return None
    return Entry(
        scheme="finess",
        number=finess.validate(fields[1]),
        place="",
        legal_name=fields[3].strip() or None,
        long_name=fields[4].strip() or None,
        postal_code=delivery[1],
        is_cedex="CEDEX" in delivery[2].upper(),
        town=delivery[2].strip()[:100],
        siret=fields[22].strip() or None,
        category=fields[18].strip() or None,
    )


def _position(fields: Sequence[str]) -> Position | None:
    if len(fields) < 5 or not finess.is_valid(fields[1]) or (system := _system(fields[4])) is None:
        return None
    from pyproj.exceptions import ProjError  # noqa: PLC0415

    try:
        longitude, latitude = _to_degrees(system)(float(fields[2]), float(fields[3]))
    except (ValueError, ProjError):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None  # infinite, where the metres are none of this system
    return Position(number=finess.validate(fields[1]), latitude=latitude, longitude=longitude)


def _system(source: str) -> int | None:
    if named := _EPSG.search(source):
        return int(named[1])
    return next((number for name, number in _SYSTEMS.items() if name in source), None)


@cache
def _to_degrees(system: int) -> Callable[[float, float], tuple[float, float]]:
    from pyproj import Transformer  # noqa: PLC0415  # 11 MB, which processes that read no such file can do without

    transformer = Transformer.from_crs(system, 4326, always_xy=True)
    to_degrees: Callable[[float, float], tuple[float, float]] = transformer.transform
    return to_degrees


def _establishments(columns: Mapping[str, int], lines: Iterable[bytes]) -> Iterator[Record]:
    for line in lines:
        fields = _fields(_text(line), ",")
        if len(fields) <= max(columns.values()) or not finess.is_valid(fields[columns["finess"]]):
            yield None
            continue
        town = fields[columns["town"]].strip()
        yield Entry(
            scheme="finess",
            number=finess.validate(fields[columns["finess"]]),
            place="",
            legal_name=fields[columns["name"]].strip() or None,
            postal_code=fields[columns["postal_code"]].strip() or None,
            is_cedex="CEDEX" in town.upper(),
            town=town[:100] or None,
            siret=fields[columns["siret"]].strip() or None,
            category=fields[columns["category_code"]].strip() or None,
        )


_KIND, _NUMBER = "Type d'identifiant PP", "Identifiant PP"
_LAST, _FIRST, _PROFESSION = "Nom d'exercice", "Prénom d'exercice", "Code profession"
_SITE_FINESS, _SITE_SIRET = "Numéro FINESS site", "Numéro SIRET site"
_POSTAL, _CEDEX, _TOWN = (
    "Code postal (coord. structure)",
    "Bureau cedex (coord. structure)",
    "Libellé commune (coord. structure)",
)
_PROFESSIONAL_COLUMNS = (
    _KIND, _NUMBER, _LAST, _FIRST, _PROFESSION, _SITE_FINESS, _SITE_SIRET, _POSTAL, _CEDEX, _TOWN
)  # fmt: skip


def _professionals(columns: Mapping[str, int], lines: Iterable[bytes]) -> Iterator[Record]:
    most = max(columns.values())
    for line in lines:
        fields = _fields(_text(line), "|")
        kind = _KINDS.get(fields[columns[_KIND]]) if len(fields) > most else None
        yield _professional(columns, fields, *kind) if kind else None


def _professional(
    columns: Mapping[str, int], fields: Sequence[str], scheme: str, validate: Callable[[str], str]
) -> Entry | None:
    def field(name: str) -> str | None:
        return fields[columns[name]].strip() or None

    last_name = field(_LAST)
    try:
        number = validate(fields[columns[_NUMBER]])
    except ValueError:
        return None
    if last_name is None:
        return None
    postal_code = field(_POSTAL)
    if postal_code is not None and not re.fullmatch(r"\d{5}", postal_code, re.ASCII):
        postal_code = None
    return Entry(
        scheme=scheme,
        number=number,
        place="|".join(part or "" for part in (field(_SITE_FINESS), field(_SITE_SIRET), postal_code)),
        last_name=last_name,
        first_name=field(_FIRST),
        postal_code=postal_code,
        is_cedex=field(_CEDEX) is not None,
        town=(field(_TOWN) or "")[:100] or None,
        siret=field(_SITE_SIRET),
        category=field(_PROFESSION),
    )
