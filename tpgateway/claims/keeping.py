"""Approvals that ended long ago: moved into a sealed archive, then forgotten. One person's, given out or erased."""

import json
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tpgateway.cards.model import Person
from tpgateway.claims.documents import piece_purpose
from tpgateway.claims.model import ApprovalId, AttachmentId
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.claims.store.archive import ArchiveStore
from tpgateway.database import Connection, scope
from tpgateway.database.migrations.distribute import is_distributed
from tpgateway.database.sealed import Sealed
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.vault import Vault

_AT_ONCE = 500
_PERSON_PURPOSE = "archived person"


def _purpose(approval: UUID) -> str:
    return f"archived approval {approval}"


SEALED = (Sealed("archived_approvals", "sealed", ("insurer_id", "id"), lambda row: _purpose(row["id"])),)


def person_hash(vault: Vault, insurer: InsurerId, person: Person) -> bytes:
    """By what somebody's archived approvals are found."""
    number, born, rank = person
    return vault.match(f"{insurer} {number} {born} {rank}".encode(), purpose=_PERSON_PURPOSE)


async def archive_old(connection: Connection, vault: Vault, *, months: int, now: datetime) -> int:
    """Moves approvals that ended so many months ago into the archive, each in a transaction; answers how many.

    Nobody's call finds them there. It is the database that judges, by its own clock, which are old enough.
    """
    store, count = ArchiveStore(connection), 0
    # On a cluster the function that moves it locks it itself, on a connection of its own, which would wait for ours.
    read = store.whole if await is_distributed(connection) else store.lock_whole
    for insurer in [each.id for each in await insurers.list_all(connection)]:
        after: ApprovalId | None = None
        while page := await store.ended(insurer, months=months, now=now, after=after, limit=_AT_ONCE):
            for approval in page:
                async with connection.transaction():
                    await scope.let_go(connection)
                    if (whole := await read(insurer, approval)) is None:
                        continue
                    kept = whole["approval"]
                    person = Person(kept["membership_number"], kept["birth_date"], kept["birth_rank"])
                    count += await store.archive(
                        insurer,
                        approval,
                        months=months,
                        person=person_hash(vault, insurer, person),
                        sealed=vault.seal(zlib.compress(json.dumps(whole).encode()), purpose=_purpose(approval)),
                    )
            after = page[-1]
    return count


async def forget_archived(connection: Connection, *, months: int) -> int:
    """Removes archived approvals that ended so many months ago, with their documents; answers how many."""
    store, count = ArchiveStore(connection), 0
    while forgotten := await store.forget(months=months, most=_AT_ONCE):
        count += forgotten
    return count


async def of_person(
    connection: Connection, vault: Vault, insurer: InsurerId, person: Person
) -> list[Mapping[str, Any]]:
    """All that is kept of somebody's approvals, those in the archive last.

    Of each: ``approval``, ``lines``, ``events``, ``attachments``, ``uses``, and ``archived_at`` where it is in the archive.
    """
    store = ArchiveStore(connection)
    found: list[Mapping[str, Any]] = []
    for approval in await store.of_person(insurer, person):
        if (whole := await store.whole(insurer, approval)) is not None:
            found.append(whole)
    for approval, archived_at, sealed in await store.archived_of(insurer, person_hash(vault, insurer, person)):
        whole = json.loads(zlib.decompress(vault.open(sealed, purpose=_purpose(approval))))
        found.append({**whole, "archived_at": archived_at.isoformat()})
    return found


async def document(
    connection: Connection, vault: Vault, insurer: InsurerId, attachment: AttachmentId
) -> AsyncIterator[bytes]:
    """A document's content, piece by piece."""
    store, number = ApprovalStore(connection), 0
    while (sealed := await store.piece(insurer, attachment, number)) is not None:
        yield vault.open(sealed, purpose=piece_purpose(attachment, number))
        number += 1


async def open_of(connection: Connection, insurer: InsurerId, person: Person) -> list[ApprovalId]:
    """Somebody's approvals that are not at their end yet."""
    return await ArchiveStore(connection).open_of(insurer, person)


async def erase(connection: Connection, vault: Vault, insurer: InsurerId, person: Person) -> Mapping[str, int]:
    """Erases all that is kept of somebody at an insurer, cards included; answers how much of what.

    What no longer says who it was stays: traces of checks, entries of the audit trail. Needs the schema's owner: the
    service's role may not, and asyncpg's ``InsufficientPrivilegeError`` is raised.
    """
    await scope.let_go(connection)
    await insurers.number(connection, [insurer])
    return await ArchiveStore(connection).erase(insurer, person, person_hash(vault, insurer, person))
