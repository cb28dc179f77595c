"""What a process that serves tables keeps at hand: which versions there are, files that were asked for, tables to look up.

A published file never changes, so what is here is right as long as it is known which versions there are; that is read anew
when a publication is told of, and now and then.
"""

import asyncio
import gzip
import hashlib
import json
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import IO, Any, Generic, TypeVar

import structlog
from aiohttp import web

from tpgateway.database import Connection, faults
from tpgateway.database.notices import Notices
from tpgateway.dre import rules, service
from tpgateway.dre.codec import files
from tpgateway.dre.errors import NoTables
from tpgateway.dre.model import Encoding, FileFormat, FileHead, Route, Version
from tpgateway.dre.store import TableStore
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId, Specialty

_OPEN_FILES = 64  # some hundred megabytes of disk
_ROUTING_TABLES = 16  # some hundred megabytes of memory, if all of them are large
_REMEMBERED = 100_000
_LOOK_AGAIN_SECONDS = 60
# What people read says nothing of what their software has.
_READ_BY_SOFTWARE = {FileFormat.JSON, FileFormat.CSV, FileFormat.XML}

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(slots=True, eq=False)
class Round:
    """The time between two publications, as far as was heard."""

    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All versions of a speciality, newest first, and their files."""

    versions: Sequence[Version]
    files: Mapping[tuple[int, FileFormat], FileHead]
    read_at: float
    round: Round

    @property
    def holds(self) -> bool:
        """Whether there are these versions and no others, as far as was heard and not too long ago."""
        return not self.round.over.is_set() and time.monotonic() - self.read_at < _LOOK_AGAIN_SECONDS

    def find(self, which: int | date | None) -> Version:
        """The version of a number, the one that counts on a day, or the newest; raises ``NoTables``."""
        found: Version | None
        if which is None:
            found = next(iter(self.versions), None)
        elif isinstance(which, date):
            found = rules.in_force(self.versions, which)
            if found is None:
                raise NoTables(next_step="Aucune version ne vaut pour ce jour : vérifiez la date des soins.")
        else:
            found = next((each for each in self.versions if each.version == which), None)
        if found is None:
            raise NoTables
        return found

    def head(self, version: int, kind: FileFormat) -> FileHead:
        """What is known of a file; raises ``NoTables`` where an old version does not have the format."""
        head = self.files.get((version, kind))
        if head is None:
            raise NoTables(f"version {version} has no {kind}")
        return head


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file without a name, gone with the process; ``etag`` is its SHA-256 and how it is packed."""

    file: IO[bytes]
    size: int
    etag: str


class _Ready(Generic[T]):
    """The things used last, each made once however many ask for it at a time. What fails is made anew the next time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ready: OrderedDict[Hashable, asyncio.Task[T]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = self._ready.get(key)
        if task is None:
            task = self._ready[key] = asyncio.create_task(make())
            task.add_done_callback(lambda done: self._drop_failed(key, done))
            if len(self._ready) > self._most:
                self._ready.popitem(last=False)
        else:
            self._ready.move_to_end(key)
        return await asyncio.shield(task)

    def drop(self, key: Hashable, made: T) -> None:
        """It is made anew for who asks from now on, unless it was already."""
        task = self._ready.get(key)
        if task is not None and task.done() and task.result() is made:
            del self._ready[key]

    def _drop_failed(self, key: Hashable, task: "asyncio.Task[T]") -> None:
        if (task.cancelled() or task.exception()) and self._ready.get(key) is task:
            del self._ready[key]


class Shelf:
    """One a process."""

    def __init__(self, connect: Connect, notices: Notices) -> None:
        self._connect = connect
        self._notices = notices
        self._catalogues = _Ready[Catalogue](len(Specialty))
        self._round = Round()
        self._specialties: OrderedDict[PractitionerId, Specialty] = OrderedDict()
        self._readers: OrderedDict[PractitionerId, int] = OrderedDict()
        self._open = _Ready[OpenFile](_OPEN_FILES)
        self._routing = _Ready[rules.RoutingTables](_ROUTING_TABLES)
        self._comparing = asyncio.Semaphore(2)

    async def keep_current(self) -> None:
        """Runs as long as the process: a new round begins as soon as there may be other versions."""
        while not self._notices.is_closed:
            async with self._notices.expecting(service.PUBLISHED) as published:
                ended, self._round = self._round, Round()
                ended.over.set()
                await published.wait()
        self._round.over.set()

    async def specialty(self, practitioner: PractitionerId) -> Specialty:
        """The practitioner's speciality, which never changes."""
        known = self._specialties.get(practitioner)
        if known is None:
            async with self._connect() as connection:
                known = (await practitioners.get(connection, practitioner)).specialty
            _remember(self._specialties, practitioner, known)
        return known

    async def catalogue(self, specialty: Specialty) -> Catalogue:
        """The versions there are at this moment."""
        while True:
            known = await self._catalogues.get(specialty, partial(self._read_catalogue, specialty))
            if known.holds or self._notices.is_closed:
                return known
            self._catalogues.drop(specialty, known)

    async def _read_catalogue(self, specialty: Specialty) -> Catalogue:
        begun, read_at = self._round, time.monotonic()
        async with self._connect() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            store = TableStore(connection)
            versions = await store.versions(specialty)
            heads = {(head.version, head.format): head for head in await store.heads(specialty)}
        return Catalogue(versions, heads, read_at, begun)

    async def news(self, specialty: Specialty, *, after: int, wait: int) -> Sequence[Version]:
        """The versions past a number; where there are none yet, those of the next publication within so many seconds."""
        until = time.monotonic() + wait
        while True:
            round_ = self._round
            found = [each for each in (await self.catalogue(specialty)).versions if each.version > after]
            left = until - time.monotonic()
            if found or left <= 0 or self._notices.is_closed:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await round_.over.wait()

    async def note_reader(self, practitioner: PractitionerId, version: int, kind: FileFormat, *, now: datetime) -> None:
        """That a practitioner's software has a version; written once, not at each look whether there is a newer one."""
        if kind not in _READ_BY_SOFTWARE or self._readers.get(practitioner, 0) >= version:
            return
        try:
            async with self._connect() as connection:
                await service.note_reader(connection, practitioner, version, now=now)
        except faults.ANY as error:  # the next look notes it
            _log.warning("reader_not_noted", failure=type(error).__name__)
            return
        _remember(self._readers, practitioner, version)

    async def file(self, specialty: Specialty, head: FileHead, encoding: Encoding) -> OpenFile:
        """A published file in one of its encodings, ready to be sent."""

        async def make() -> OpenFile:
            async with self._connect() as connection:
                content = await TableStore(connection).content(specialty, head.version, head.format, encoding)
            assert content is not None
            return await asyncio.to_thread(_lay_down, content, etag_of(head.sha256, encoding))

        return await self._open.get((specialty, head.version, head.format, encoding), make)

    async def changes(self, specialty: Specialty, version: int, older: int, encoding: Encoding) -> OpenFile:
        """What makes a version's tables of another's, as a file ready to be sent; raises ``NoTables``."""

        async def make() -> OpenFile:
            async with self._comparing, self._connect() as connection:
                content = await service.changes(connection, specialty, version, older)
            etag = etag_of(hashlib.sha256(content).digest(), encoding)
            if encoding is Encoding.GZIP:
                content = await asyncio.to_thread(gzip.compress, content, mtime=0)
            return await asyncio.to_thread(_lay_down, content, etag)

        return await self._open.get((specialty, version, older, encoding), make)

    async def differences(self, specialty: Specialty, version: int, older: int) -> Mapping[str, Any]:
        """The same as ``changes``, read: lines added, removed and changed of each table; raises ``NoTables``."""
        found = await self.changes(specialty, version, older, Encoding.IDENTITY)

        def read() -> Mapping[str, Any]:
            document: Mapping[str, Any] = json.loads(os.pread(found.file.fileno(), found.size, 0))
            return document

        return await asyncio.to_thread(read)

    async def route(
        self, specialty: Specialty, *, number: str, convention_type: str, csr: str, on: date
    ) -> tuple[int, Route | None]:
        """The version that counts on a day of care, and where a card leads by it; raises ``NoTables``."""
        version = (await self.catalogue(specialty)).find(on).version

        async def make() -> rules.RoutingTables:
            async with self._connect() as connection:
                content = await TableStore(connection).content(specialty, version, FileFormat.JSON)
            assert content is not None
            return await asyncio.to_thread(lambda: rules.RoutingTables(files.from_json(content)))

        tables = await self._routing.get((specialty, version), make)
        return version, tables.route(number, convention_type, csr, on=on)


SHELF: web.AppKey[Shelf] = web.AppKey("dre_shelf", Shelf)


def etag_of(sha256: bytes, encoding: Encoding) -> str:
    """The tag of a file as it is packed: its SHA-256, and how."""
    return f'"{sha256.hex()}"' if encoding is Encoding.IDENTITY else f'"{sha256.hex()}-{encoding}"'


def _remember(known: OrderedDict[PractitionerId, T], practitioner: PractitionerId, value: T) -> None:
    known[practitioner] = value
    known.move_to_end(practitioner)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _lay_down(content: bytes, etag: str) -> OpenFile:
    file = tempfile.TemporaryFile()  # noqa: SIM115  # stays open until nobody reads it any more
    file.write(content)
    file.flush()
    return OpenFile(file, len(content), etag)
