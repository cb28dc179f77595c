"""Use cases of DRE tables: what a publication would change, publishing, bringing an earlier version back, telling of it."""

import asyncio
import gzip
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from uuid import NAMESPACE_URL, uuid5

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.conventions import service as conventions
from tpgateway.database import Connection
from tpgateway.dre import rules
from tpgateway.dre.codec import files
from tpgateway.dre.codec.signatures import Signer
from tpgateway.dre.codec.xml import to_xml
from tpgateway.dre.errors import EffectiveInPast, NoTables, TablesChanged
from tpgateway.dre.model import FileFormat, InsurerOffer, Outlook, Reader, TableFile, Tables, Version, file_name
from tpgateway.dre.store import ReaderStore, TableStore
from tpgateway.guarantees import service as guarantees
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import EventKind
from tpgateway.jobs import JobKind, enqueue
from tpgateway.practitioners.model import PractitionerId, Specialty

# What processes that serve tables listen for, on the channel of insurers' events.
PUBLISHED = "dre_tables"
# What table publications are the happenings of, so that insurers get them one after the other.
_TABLES = uuid5(NAMESPACE_URL, "urn:tpgateway:dre-tables")
_ZSTD_LEVEL = 12
# Zip and PDF files are compressed already.
_PACKED = {FileFormat.JSON, FileFormat.XML, FileFormat.HTML}

# Called with each speciality, when its files are made.
Progress = Callable[[Specialty], None]


async def preview(
    connection: Connection, *, effective_from: date, today: date, restores: int | None = None
) -> AsyncIterator[Outlook]:
    """What a publication would change, speciality by speciality, against the tables that count on its first day.

    ``restores`` is the version that would be brought back; where none is named, tables are built from what is in force on
    the day. Raises ``EffectiveInPast`` and ``NoTables``.
    """
    _refuse_past(effective_from, today)
    store = TableStore(connection)
    async for tables in _tables(connection, effective_from, restores):
        before = rules.in_force(await store.versions(tables.specialty), effective_from)
        older = _nothing(tables.specialty)
        if before is not None:
            older = files.tables_of(files.from_json(await _json(store, tables.specialty, before.version)))
        was, is_ = files.lines_of(older), files.lines_of(tables)
        yield Outlook(
            specialty=tables.specialty,
            lines=tables.lines,
            since=before.version if before else None,
            changes={name: rules.difference(name, was[name], is_[name]).counts for name in rules.KEYS},
            digest=_digest(tables, before),
        )


async def publish(
    connection: Connection,
    signer: Signer,
    *,
    effective_from: date,
    today: date,
    now: datetime,
    actor: Actor,
    note: str | None = None,
    restores: int | None = None,
    shown: Sequence[Outlook] | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Version, Mapping[Specialty, int]]:
    """A new version for every speciality, in the caller's transaction: whole or not at all.

    Answers the version and how many lines each speciality's tables have. Arguments and errors are those of ``preview``;
    where it ``shown`` what would be published, anything else raises ``TablesChanged``.
    """
    _refuse_past(effective_from, today)
    store = TableStore(connection)
    await store.lock_publication()
    await store.add_key(signer.kid, signer.public_jwk, now)
    before = {each: rules.in_force(await store.versions(each), effective_from) for each in Specialty} if shown else {}
    expected = {each.specialty: each.digest for each in shown or ()}
    version = await store.add_version(effective_from, now, note=note, restores=restores)
    names = {insurer.number: insurer.name for insurer in await insurers.list_all(connection)}
    lines: dict[Specialty, int] = {}
    async for tables in _tables(connection, effective_from, restores):
        specialty = tables.specialty
        if shown is not None and expected.pop(specialty, None) != _digest(tables, before[specialty]):
            raise TablesChanged
        lines[specialty] = tables.lines
        for kind in FileFormat:  # one at a time: together they take much memory
            file = await asyncio.to_thread(_file, kind, version, tables, names, signer)
            await store.add_file(version.version, specialty, file, lines=tables.lines)
        progress(specialty)
    if expected:
        raise TablesChanged
    await audit.record(connection, actor=actor, action=Action.TABLES_PUBLISHED, subject_id=version.id)
    await enqueue(connection, JobKind.ANNOUNCE_TABLES, version=version.id)
    await store.tell(insurers.EVENTS_CHANNEL, PUBLISHED)
    await insurers.publish_to(
        connection,
        await insurers.ids_of(connection, None),
        EventKind.TABLES_PUBLISHED,
        subject_id=_TABLES,
        data={"tables_version": version.version, "effective_from": effective_from.isoformat()},
        now=now,
    )
    return version, lines


def _nothing(specialty: Specialty) -> Tables:
    return Tables(specialty=specialty, grouping=(), convention=(), guarantee=())


def _digest(tables: Tables, before: Version | None) -> bytes:
    said = json.dumps([before.version if before else None, files.lines_of(tables)])
    return hashlib.sha256(said.encode()).digest()


def _refuse_past(effective_from: date, today: date) -> None:
    if effective_from < today:
        raise EffectiveInPast


async def _tables(connection: Connection, on: date, restores: int | None) -> AsyncIterator[Tables]:
    """The tables of each speciality, one after the other: those of a day, or those of an earlier version.

    A speciality that was published before and has nothing now gets empty tables: what it had must not go on counting.
    """
    store = TableStore(connection)
    missing = set(await store.specialties(None))
    if restores is not None:
        specialties = await store.specialties(restores)
        if not specialties:
            raise NoTables(f"version {restores}")
        for specialty in specialties:
            missing.discard(specialty)
            yield files.tables_of(files.from_json(await _json(store, specialty, restores)))
    else:
        offers = await _offers(connection, on)
        for convention in await conventions.in_force(connection, on):
            missing.discard(convention.terms.specialty)
            yield rules.build(convention, offers)
    for specialty in sorted(missing):
        yield _nothing(specialty)


async def _json(store: TableStore, specialty: Specialty, version: int) -> bytes:
    content = await store.content(specialty, version, FileFormat.JSON)
    assert content is not None  # every version has it
    return content


async def _offers(connection: Connection, on: date) -> list[InsurerOffer]:
    products = await guarantees.products_in_force(connection, on)
    return [
        InsurerOffer(
            number=insurer.number,
            convention_types=insurer.convention_types,
            products=tuple(products.get(insurer.id, ())),
        )
        for insurer in await insurers.list_all(connection)
        if insurer.is_active
    ]


def _file(kind: FileFormat, version: Version, tables: Tables, names: Mapping[str, str], signer: Signer) -> TableFile:
    """One file of a speciality; the same from the same."""
    content = _content(kind, version, tables, names)
    return TableFile(
        format=kind,
        content=content,
        gzip=gzip.compress(content, mtime=0) if kind in _PACKED else None,
        zstd=zstd.compress(content, _ZSTD_LEVEL) if kind in _PACKED else None,
        signature=signer.sign(content, name=file_name(tables.specialty, version.version, kind)),
    )


def _content(kind: FileFormat, version: Version, tables: Tables, names: Mapping[str, str]) -> bytes:
    from tpgateway.dre.codec import prints  # noqa: PLC0415  # what writes PDF takes 25 MB, for publishing alone

    match kind:
        case FileFormat.JSON:
            return files.to_json(version, tables)
        case FileFormat.CSV:
            return files.to_csv_zip(version, tables)
        case FileFormat.XML:
            return to_xml(version, tables)
        case FileFormat.HTML:
            return prints.to_html(version, tables, names)
        case FileFormat.PDF:
            return prints.to_pdf(version, tables, names)


async def changes(connection: Connection, specialty: Specialty, version: int, older: int) -> bytes:
    """What makes a version's tables of another's, as JSON; raises ``NoTables``.

    It is put together aside from the event loop, for as long as that takes.
    """
    store = TableStore(connection)
    before = await store.content(specialty, older, FileFormat.JSON)
    after = await store.content(specialty, version, FileFormat.JSON)
    if before is None or after is None:
        raise NoTables
    return await asyncio.to_thread(_changes, before, after)


def _changes(older: bytes, newer: bytes) -> bytes:
    before, after = files.from_json(older), files.from_json(newer)
    found = {name: rules.difference(name, before[name], after[name]) for name in rules.KEYS}
    return files.changes_to_json(before, after, found)


async def signature(connection: Connection, specialty: Specialty, version: int, kind: FileFormat) -> str:
    """The detached signature of a file; raises ``NoTables`` where there is no such file, or it was never signed."""
    found = await TableStore(connection).signature(specialty, version, kind)
    if found is None:
        raise NoTables
    return found


async def keys(connection: Connection) -> Sequence[Mapping[str, object]]:
    """The public keys that files were ever signed with, as JWKs."""
    return await TableStore(connection).keys()


async def all_versions(connection: Connection) -> tuple[Sequence[Version], Mapping[int | None, int]]:
    """Every version, newest first, and how many practitioners' software has each (under None: has fetched none)."""
    return await TableStore(connection).versions(None), await ReaderStore(connection).counts()


async def versions_after(connection: Connection, day: date) -> Sequence[Version]:
    """The versions that are already published to take effect after a day, in order."""
    every = await TableStore(connection).versions(None)
    return sorted((each for each in every if each.effective_from > day), key=lambda each: each.effective_from)


def number_in_force(versions: Sequence[Version], on: date) -> int | None:
    """The number of the version that counts on a day."""
    found = rules.in_force(versions, on)
    return found.version if found else None


def last_days(versions: Sequence[Version]) -> Mapping[int, date | None]:
    """The last day on which each version counts: None where no other follows, before its first where it was replaced."""
    return rules.last_days(versions)


async def readers(connection: Connection, version: int | None, *, limit: int) -> Sequence[Reader]:
    """The practitioners whose newest version is this one (None: who never fetched any), longest first."""
    return await ReaderStore(connection).of_version(version, limit)


async def note_reader(connection: Connection, practitioner: PractitionerId, version: int, *, now: datetime) -> None:
    """That a practitioner's software has a version."""
    await ReaderStore(connection).note(practitioner, version, now)


async def subscribe(connection: Connection, practitioner: PractitionerId, *, wants: bool) -> None:
    """Whether new versions are mailed to the practitioner."""
    store = ReaderStore(connection)
    await (store.subscribe(practitioner) if wants else store.unsubscribe(practitioner))


async def is_subscribed(connection: Connection, practitioner: PractitionerId) -> bool:
    return await ReaderStore(connection).is_subscribed(practitioner)
