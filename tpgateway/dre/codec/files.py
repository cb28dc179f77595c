"""Tables as files. The same tables give the same bytes, always."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from pydantic_core import from_json as from_bytes

from tpgateway.dre.model import Change, ConventionLine, GroupingLine, GuaranteeLine, Line, Tables, Version
from tpgateway.practitioners.model import Specialty

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say: files carry no time of their own
COLUMNS: Mapping[str, Sequence[str]] = {
    name: [field.name for field in fields(kind)]
    for name, kind in (("grouping", GroupingLine), ("convention", ConventionLine), ("guarantee", GuaranteeLine))
}
"""The columns of each table, in order."""


def to_json(version: Version, tables: Tables) -> bytes:
    """One document with the version and the three tables, a line an object."""
    document = {
        "version": version.version,
        "effective_from": version.effective_from.isoformat(),
        "specialty": tables.specialty.value,
        **lines_of(tables),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def from_json(content: bytes) -> dict[str, Any]:
    """What ``to_json`` wrote: its head, and a list of lines for each table."""
    document: dict[str, Any] = from_bytes(content)
    return document


def tables_of(document: Mapping[str, Any]) -> Tables:
    """The tables of a document that ``from_json`` read."""
    return Tables(
        specialty=Specialty(document["specialty"]),
        grouping=tuple(GroupingLine(**line) for line in document["grouping"]),
        convention=tuple(ConventionLine(**line) for line in document["convention"]),
        guarantee=tuple(GuaranteeLine(**line) for line in document["guarantee"]),
    )


def lines_of(tables: Tables) -> dict[str, list[Line]]:
    """The tables as files hold them."""
    return {name: [_line(line, columns) for line in getattr(tables, name)] for name, columns in COLUMNS.items()}


def _line(line: Any, columns: Sequence[str]) -> Line:
    return {column: getattr(line, column) for column in columns}


def changes_to_json(older: Mapping[str, Any], newer: Mapping[str, Any], changes: Mapping[str, Change]) -> bytes:
    """What makes the newer version's tables of the older's."""
    document = {
        "from_version": older["version"],
        "to_version": newer["version"],
        "effective_from": newer["effective_from"],
        "specialty": newer["specialty"],
        **{name: asdict(change) for name, change in changes.items()},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def to_csv_zip(version: Version, tables: Tables) -> bytes:
    """``grouping.csv``, ``convention.csv``, ``guarantee.csv`` and ``version.csv``, separated by semicolons, in a zip."""
    head = [["version", "effective_from", "specialty"]]
    head.append([str(version.version), version.effective_from.isoformat(), tables.specialty.value])
    files = {"version.csv": _csv(head)}
    for name, columns in COLUMNS.items():
        rows = [[_text(getattr(line, column)) for column in columns] for line in getattr(tables, name)]
        files[f"{name}.csv"] = _csv([columns, *rows])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            archive.writestr(entry, files[name])
    return target.getvalue()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    target = io.StringIO()
    csv.writer(target, delimiter=";", lineterminator="\r\n").writerows(rows)
    return target.getvalue().encode()


def _text(value: Any) -> str:
    return "" if value is None else str(value)
