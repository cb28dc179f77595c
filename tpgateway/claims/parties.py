"""Whose an approval is: reading, listing and locking it as the practitioner's or the insurer's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.cards.model import Person
from tpgateway.claims import errors
from tpgateway.claims.model import (
    ApprovalEvent,
    ApprovalId,
    Attachment,
    PriorApproval,
    Search,
)
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.database import Connection
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId, Reference
from tpgateway.practitioners.model import PractitionerId


@dataclass(frozen=True, slots=True)
class Act:
    """Who acts, when, and on which version of the approval; None where it is left open."""

    now: datetime
    actor: Actor
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Owned:
    """An approval as a party names it: a practitioner or an insurer, who must own it."""

    insurer_number: str
    id: UUID
    practitioner_id: PractitionerId | None = None
    insurer_id: InsurerId | None = None

    @classmethod
    def by_practitioner(cls, reference: Reference, practitioner: PractitionerId) -> "Owned":
        return cls(reference.insurer_number, reference.id, practitioner_id=practitioner)

    @classmethod
    def by_insurer(cls, reference: Reference, insurer: InsurerId) -> "Owned":
        return cls(reference.insurer_number, reference.id, insurer_id=insurer)

    def owns(self, approval: PriorApproval | None) -> bool:
        """Whether there is one and it is the party's own."""
        if approval is None or approval.insurer_number != self.insurer_number:
            return False
        if self.practitioner_id is not None:
            return approval.practitioner_id == self.practitioner_id
        return approval.insurer_id == self.insurer_id


class ApprovalUnknown(LookupError):
    """The party has no such approval."""


async def read(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """A party's own approval; raises ``ApprovalUnknown``. The reading is audited."""
    approval = await as_it_stands(connection, approval_of, replace(act, version=None))
    await audit.record(
        connection,
        actor=act.actor,
        action=Action.APPROVAL_READ,
        subject_id=approval.id,
        insurer_id=approval.insurer_id,
    )
    return approval


async def events(connection: Connection, approval: PriorApproval) -> Sequence[ApprovalEvent]:
    """All that happened to an approval, in order."""
    return await ApprovalStore(connection).events(approval.insurer_id, approval.id)


async def attachments(connection: Connection, approval: PriorApproval) -> Sequence[Attachment]:
    """What is known of the documents of an approval."""
    return await ApprovalStore(connection).attachments(approval.insurer_id, approval.id)


async def list_of_practitioner(
    connection: Connection, practitioner: PractitionerId, search: Search, *, actor: Actor
) -> Sequence[PriorApproval]:
    """A practitioner's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, subject_id=practitioner)
    return await ApprovalStore(connection).of_practitioner(practitioner, search)


async def list_of_insurer(
    connection: Connection, insurer: InsurerId, search: Search, *, actor: Actor
) -> Sequence[PriorApproval]:
    """An insurer's own approvals, newest first. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, insurer_id=insurer)
    return await ApprovalStore(connection).of_insurer(insurer, search)


async def waiting_for_practitioner(
    connection: Connection, practitioner: PractitionerId, *, limit: int, actor: Actor
) -> Sequence[PriorApproval]:
    """What waits for a practitioner, what is due first on top. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, subject_id=practitioner)
    return await ApprovalStore(connection).waiting_for_practitioner(practitioner, limit)


async def waiting_for_insurer(
    connection: Connection, insurer: InsurerId, *, limit: int, actor: Actor
) -> tuple[Sequence[PriorApproval], int]:
    """What waits for an insurer, what is due first on top, and how many in all. The reading is audited."""
    await audit.record(connection, actor=actor, action=Action.APPROVALS_LISTED, insurer_id=insurer)
    store = ApprovalStore(connection)
    return await store.waiting_for_insurer(insurer, limit), await store.count_waiting(insurer)


async def count_waiting(connection: Connection, insurer: InsurerId) -> int:
    """How many requests wait for an insurer."""
    return await ApprovalStore(connection).count_waiting(insurer)


async def figures_of_insurer(connection: Connection, insurer: InsurerId, *, since: datetime) -> Mapping[str, Any]:
    """What became of an insurer's requests since a moment, counted: see ``ApprovalStore.figures``. It names nobody."""
    return await ApprovalStore(connection).figures(insurer, since)


async def as_it_stands(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """The party's approval as it stands; raises ``ApprovalUnknown`` and ``VersionStale``."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    return _own(await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id)), approval_of, act)


async def locked(connection: Connection, approval_of: Owned, act: Act) -> PriorApproval:
    """The same, locked."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    return _own(await lock(connection, insurer.id, ApprovalId(approval_of.id)), approval_of, act)


def _own(approval: PriorApproval | None, approval_of: Owned, act: Act) -> PriorApproval:
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    if act.version is not None and act.version != approval.version:
        raise errors.VersionStale(str(approval.state), approval.version)
    return approval


async def lock(connection: Connection, insurer_id: InsurerId, approval_id: ApprovalId) -> PriorApproval | None:
    """Locks the person's benefits, then the approval: in this order everywhere."""
    store = ApprovalStore(connection)
    known = await store.get(insurer_id, approval_id)
    if known is None:
        return None
    await store.lock_person(insurer_id, _person(known))
    return await store.lock(insurer_id, approval_id)


def _person(approval: PriorApproval) -> Person:
    return Person(approval.membership_number, approval.birth_date, approval.birth_rank)
