"""Use cases of DRE tables."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.conventions import service as conventions
from tpgateway.database import Connection
from tpgateway.dre import codec, rules
from tpgateway.dre.errors import EffectiveInPast, NoTables
from tpgateway.dre.model import FileFormat, InsurerOffer, Route, TableFile, Version
from tpgateway.dre.store import TableStore
from tpgateway.guarantees import service as guarantees
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import EventKind
from tpgateway.practitioners.model import Specialty

_READY = 36  # three versions of each speciality
# What table publications are the happenings of, so that insurers get them one after the other.
_TABLES = uuid5(NAMESPACE_URL, "urn:tpgateway:dre-tables")


async def publish(
    connection: Connection, *, effective_from: date, today: date, now: datetime, actor: Actor
) -> tuple[Version, Mapping[Specialty, int]]:
    """A new version for every speciality that has a convention on the day, in the caller's transaction: whole or not at all.

    Answers the version and how many lines each speciality's tables have; raises ``EffectiveInPast``.
    """
    if effective_from < today:
        raise EffectiveInPast
    store = TableStore(connection)
    await store.lock_publication()
    offers = await _offers(connection, effective_from)
    version = await store.add_version(effective_from, now)
    lines: dict[Specialty, int] = {}
    for convention in await conventions.in_force(connection, effective_from):
        tables = rules.build(convention, offers)
        lines[tables.specialty] = tables.lines
        for kind, content in (
            (FileFormat.JSON, codec.to_json(version, tables)),
            (FileFormat.CSV, codec.to_csv_zip(version, tables)),
        ):
            await store.add_file(version.version, tables.specialty, kind, lines=tables.lines, content=content)
    await audit.record(connection, actor=actor, action=Action.TABLES_PUBLISHED)
    await insurers.publish_to(
        connection,
        await insurers.ids_of(connection, None),
        EventKind.TABLES_PUBLISHED,
        subject_id=_TABLES,
        data={"tables_version": version.version, "effective_from": effective_from.isoformat()},
        now=now,
    )
    return version, lines


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


async def changes(connection: Connection, specialty: Specialty, version: int | None, older: int) -> tuple[int, bytes]:
    """What makes a version's tables (the newest's where none is named) of another's; raises ``NoTables``.

    It is put together aside from the event loop, for as long as that takes.
    """
    before = await file(connection, specialty, older, FileFormat.JSON)
    after = await file(connection, specialty, version, FileFormat.JSON)
    return after.version, await asyncio.to_thread(_changes, before.content, after.content)


def _changes(older: bytes, newer: bytes) -> bytes:
    before, after = codec.from_json(older), codec.from_json(newer)
    found = {name: rules.difference(name, before[name], after[name]) for name in rules.KEYS}
    return codec.changes_to_json(before, after, found)


class RouteFinder:
    """Looks up routes in versions as they were published; those used last are kept ready. One a process."""

    def __init__(self) -> None:
        self._ready: OrderedDict[tuple[Specialty, int], rules.RoutingTables] = OrderedDict()

    async def find(
        self, connection: Connection, specialty: Specialty, *, number: str, convention_type: str, csr: str, on: date
    ) -> tuple[int, Route | None]:
        """The version that counts on a day, and where a card leads by it; raises ``NoTables``."""
        version = await TableStore(connection).in_force(specialty, on)
        if version is None:
            raise NoTables
        if (specialty, version) not in self._ready:
            found = await file(connection, specialty, version, FileFormat.JSON)
            tables = await asyncio.to_thread(lambda: rules.RoutingTables(codec.from_json(found.content)))
            self._ready[specialty, version] = tables
            if len(self._ready) > _READY:
                self._ready.popitem(last=False)
        self._ready.move_to_end((specialty, version))
        return version, self._ready[specialty, version].route(number, convention_type, csr)


ROUTES: web.AppKey[RouteFinder] = web.AppKey("dre_routes", RouteFinder)


async def versions(connection: Connection, specialty: Specialty) -> Sequence[Version]:
    """The versions that hold tables of the speciality, newest first."""
    return await TableStore(connection).versions(specialty)


async def file(connection: Connection, specialty: Specialty, version: int | None, kind: FileFormat) -> TableFile:
    """A file of a version, of the newest where none is named; raises ``NoTables``."""
    found = await TableStore(connection).file(specialty, version, kind)
    if found is None:
        raise NoTables
    return found
