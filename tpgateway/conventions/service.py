"""Use cases of conventions."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.conventions import rules
from tpgateway.conventions.errors import (
    ConventionInPast,
    ConventionOutdated,
    ConventionOverlaps,
    NoConvention,
    NotSigned,
    OtherSpecialty,
)
from tpgateway.conventions.model import Convention, ConventionId, ConventionTerms, Difference, Signature
from tpgateway.conventions.store import ConventionStore
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import EventKind
from tpgateway.practitioners.model import Practitioner, PractitionerId, Specialty
from tpgateway.web.routing import PARIS


async def publish(connection: Connection, terms: ConventionTerms, *, now: datetime, actor: Actor) -> Convention | None:
    """The next version of a convention; None where the latest says the same already.

    It ends the version before on the day before it begins, and only the first may begin in the past: what was agreed for days
    gone by stays. Raises ``ConventionInPast``, ``ConventionOverlaps`` and ``InsurerUnknown``.
    """
    store = ConventionStore(connection)
    await store.lock_specialty(terms.specialty)
    latest = await store.latest(terms.specialty)
    if latest and latest.terms == terms:
        return None
    if latest and terms.valid_from < now.astimezone(PARIS).date():
        raise ConventionInPast(f"{terms.specialty} from {terms.valid_from}")
    if latest and latest.terms.valid_from < terms.valid_from:
        await store.shorten(latest.id, terms.valid_from)
    convention_id = await store.add(terms, latest.version + 1 if latest else 1, now)
    if convention_id is None:
        raise ConventionOverlaps(f"{terms.specialty} from {terms.valid_from}")
    if terms.participants is not None:
        found = await store.add_participants(convention_id, terms.participants)
        if found != len(set(terms.participants)):
            raise InsurerUnknown(f"{terms.specialty} names an insurer that is not in the network")
    await audit.record(connection, actor=actor, action=Action.CONVENTION_PUBLISHED, subject_id=convention_id)
    return await store.latest(terms.specialty)


async def in_force(connection: Connection, on: date) -> Sequence[Convention]:
    """The conventions in force on a date, by speciality."""
    return await ConventionStore(connection).in_force(on)


async def find(connection: Connection, specialty: Specialty, on: date) -> Convention:
    """The speciality's convention on a date; raises ``NoConvention``."""
    convention = await ConventionStore(connection).find(specialty, on)
    if convention is None:
        raise NoConvention
    return convention


async def versions(connection: Connection, specialty: Specialty) -> Sequence[Convention]:
    """Every version of the speciality's convention, newest first; none where there never was one."""
    return await ConventionStore(connection).versions(specialty)


async def version(connection: Connection, specialty: Specialty, number: int) -> Convention:
    """A version by its number; raises ``NoConvention``."""
    convention = await ConventionStore(connection).version(specialty, number)
    if convention is None:
        raise NoConvention
    return convention


async def changes(
    connection: Connection, specialty: Specialty, number: int, older: int
) -> tuple[Convention, Convention, Difference]:
    """Two versions, the older of the question first, and what makes the other of it; raises ``NoConvention``."""
    before = await version(connection, specialty, older)
    after = await version(connection, specialty, number)
    return before, after, await asyncio.to_thread(_difference, before.terms, after.terms)


_difference = lru_cache(maxsize=64)(rules.difference)


class ApprovalDomains:
    """Where published conventions ask for approvals. A version's terms never change, so each is read once. One a process."""

    def __init__(self) -> None:
        self._known: dict[ConventionId, frozenset[Domain]] = {}

    async def of(self, connection: Connection, convention: ConventionId) -> frozenset[Domain]:
        """The domains in which a version asks for an approval, whatever the product says."""
        if convention not in self._known:
            self._known[convention] = await ConventionStore(connection).approval_domains(convention)
        return self._known[convention]


async def signature(connection: Connection, practitioner: PractitionerId, specialty: Specialty) -> Signature | None:
    """The practitioner's latest signature for a speciality, if there is one."""
    return await ConventionStore(connection).signature(practitioner, specialty)


async def sign(
    connection: Connection,
    practitioner: Practitioner,
    specialty: Specialty,
    version: int,
    *,
    member_id: UUID | None,
    now: datetime,
    on: date,
    actor: Actor,
) -> tuple[Convention, Signature]:
    """The practitioner signs the version in force, and the insurers that take part are told.

    Raises ``OtherSpecialty``, ``NoConvention``, ``ConventionOutdated``.
    """
    if practitioner.specialty is not specialty:
        raise OtherSpecialty
    convention = await find(connection, specialty, on)
    if convention.version != version:
        raise ConventionOutdated(f"in force is version {convention.version}")
    store = ConventionStore(connection)
    is_new = await store.take_back(practitioner.id, convention, on) or await store.sign(
        practitioner.id, convention, member_id, on=on, now=now
    )
    signed = await store.signature(practitioner.id, specialty)
    assert signed is not None
    if is_new:
        await audit.record(connection, actor=actor, action=Action.CONVENTION_SIGNED, subject_id=convention.id)
        await _tell_insurers(connection, EventKind.CONVENTION_SIGNED, practitioner, convention, on=on, now=now)
    return convention, signed


async def leave(
    connection: Connection,
    practitioner: Practitioner,
    specialty: Specialty,
    *,
    now: datetime,
    on: date,
    actor: Actor,
) -> Signature:
    """The practitioner leaves the convention, once the notice is over; the insurers that take part are told.

    Raises ``NotSigned``. The notice is that of the version in force, or of the one that was signed where none is.
    """
    store = ConventionStore(connection)
    signed = await store.signature(practitioner.id, specialty)
    if signed is None:
        raise NotSigned
    convention = await store.find(specialty, on) or await version(connection, specialty, signed.version)
    last = on + timedelta(days=convention.terms.notice_days)
    if not await store.leave(practitioner.id, specialty, last):
        raise NotSigned
    await audit.record(connection, actor=actor, action=Action.CONVENTION_LEFT, subject_id=convention.id)
    left = await store.signature(practitioner.id, specialty)
    assert left is not None
    await _tell_insurers(connection, EventKind.CONVENTION_LEFT, practitioner, convention, on=last, now=now)
    return left


async def _tell_insurers(
    connection: Connection,
    kind: EventKind,
    practitioner: Practitioner,
    convention: Convention,
    *,
    on: date,
    now: datetime,
) -> None:
    await insurers.publish_to(
        connection,
        await insurers.ids_of(connection, convention.terms.participants),
        kind,
        subject_id=practitioner.id,
        data={
            "practitioner_id": str(practitioner.id),
            "identifiers": [{"scheme": each.scheme.value, "value": each.value} for each in practitioner.identifiers],
            "specialty": convention.terms.specialty.value,
            "convention_version": convention.version,
            "on": on.isoformat(),
        },
        now=now,
    )
