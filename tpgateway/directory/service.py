"""Use cases of the public directories."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from tpgateway.database import Connection
from tpgateway.directory import rules
from tpgateway.directory.codec import Record
from tpgateway.directory.errors import DirectoryShrinks
from tpgateway.directory.model import Claim, DirectoryImport, Disagreement, Entry, Position, Source
from tpgateway.directory.store import DirectoryStore

_BATCH = 10_000


async def load(
    connection: Connection,
    source: Source,
    records: Iterator[Record],
    *,
    now: datetime,
    may_shrink: bool = False,
    on_progress: Callable[[int], None] = lambda _lines: None,
    on_merge: Callable[[], None] = lambda: None,
) -> DirectoryImport:
    """Replaces a source's entries by a file's, in the caller's transaction; raises ``DirectoryShrinks``.

    ``on_progress`` hears of every batch how many lines it was, ``on_merge`` when all are read.
    """
    store = DirectoryStore(connection)
    await store.open_staging()
    lines, skipped = 0, 0
    while batch := list(islice(records, _BATCH)):
        lines += len(batch)
        skipped += sum(record is None for record in batch)
        await store.stage([record for record in batch if isinstance(record, Entry)])
        await store.stage_positions([record for record in batch if isinstance(record, Position)])
        on_progress(len(batch))
    on_merge()
    former = await store.lock(source)
    entries = await store.count_staged()
    if entries * 2 < former and not may_shrink:
        raise DirectoryShrinks(f"{entries} entries, {former} before")
    await store.remove(source)
    await store.merge(source)
    await store.place_postal_codes()
    await store.record_import(source, entries, now)
    return DirectoryImport(source=source, lines=lines, entries=entries, skipped=skipped, imported_at=now)


async def compare(
    connection: Connection, claim: Claim, *, scheme: str, number: str, finess: str | None, siret: str | None
) -> tuple[Disagreement | None, Entry | None]:
    """Whether a claim agrees with the directories: None with the entry it agrees with, or why it does not.

    A treasury identifier stands in no directory: it is compared by the establishment's FINESS or SIRET beside it.
    """
    store = DirectoryStore(connection)
    if scheme != "treasury":
        return rules.disagreement(claim, await store.find(scheme, number))
    found = await store.find("finess", finess) if finess else await store.find_by_siret(siret or "")
    return rules.disagreement(claim, found)


async def place_of(connection: Connection, postal_code: str) -> tuple[float, float] | None:
    """Latitude and longitude of a postal code, in degrees; None where nothing near it is known."""
    row = await DirectoryStore(connection).place_of(postal_code)
    return None if row is None else (row["latitude"], row["longitude"])
