"""Use cases of what goes with an approval: attached documents, the letter."""

from collections.abc import AsyncIterable
from datetime import datetime
from uuid import uuid4

from tpgateway import audit
from tpgateway.audit import Action
from tpgateway.claims import errors
from tpgateway.claims.model import (
    ApprovalId,
    Attachment,
    AttachmentId,
    Kind,
    PriorApproval,
    State,
)
from tpgateway.claims.parties import Act, ApprovalUnknown, Owned, attachments, events, locked
from tpgateway.claims.store.approvals import ApprovalStore
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.practitioners import service as practitioners

_MOST_ATTACHMENTS = 10


def piece_purpose(attachment: AttachmentId, number: int) -> str:
    """What a piece of a document is sealed for: this document, at this place."""
    return f"attachment {attachment} {number}"


SEALED = (
    Sealed(
        "prior_approval_attachment_pieces",
        "sealed",
        ("insurer_id", "attachment_id", "piece"),
        lambda row: piece_purpose(row["attachment_id"], row["piece"]),
    ),
)


async def may_attach(connection: Connection, approval_of: Owned, kind: str, *, is_again: bool) -> AttachmentId:
    """The id that a document will have; raises ``AttachmentNotAsked``, ``AttachmentsTooMany`` and ``ApprovalUnknown``.

    What may have been sent before (``is_again``) is looked at once it is known what it is.
    """
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    if not is_again:
        await _refuse_attachment(connection, approval, kind)
    return AttachmentId(uuid4())


async def _refuse_attachment(connection: Connection, approval: PriorApproval, kind: str) -> None:
    # Data minimisation: nobody sends a prescription that nobody asked for.
    if approval.state is not State.INFORMATION_REQUESTED or (approval.documents and kind not in approval.documents):
        raise errors.AttachmentNotAsked(f"the state is {approval.state}")
    if len(await given(connection, approval)) >= _MOST_ATTACHMENTS:
        raise errors.AttachmentsTooMany


async def given(connection: Connection, approval: PriorApproval) -> list[Attachment]:
    """The documents attached since the latest question."""
    asked = [event for event in await events(connection, approval) if event.kind is Kind.INFORMATION_REQUESTED]
    return [each for each in await attachments(connection, approval) if each.added_at >= asked[-1].occurred_at]


async def attach(
    connection: Connection, approval_of: Owned, attachment: Attachment, pieces: AsyncIterable[bytes], act: Act
) -> None:
    """Keeps a document, its pieces sealed before; raises as ``may_attach`` does."""
    approval = await locked(connection, approval_of, act)
    await _refuse_attachment(connection, approval, attachment.kind)
    store, number = ApprovalStore(connection), 0
    async for sealed in pieces:
        await store.add_piece(approval.insurer_id, attachment.id, number, sealed)
        number += 1
    await store.add_attachment(approval.insurer_id, approval.id, attachment)
    await audit.record(
        connection,
        actor=act.actor,
        action=Action.ATTACHMENT_ADDED,
        subject_id=approval.id,
        insurer_id=approval.insurer_id,
    )


async def open_attachment(
    connection: Connection, approval_of: Owned, attachment_id: AttachmentId, act: Act
) -> tuple[InsurerId, Attachment]:
    """A document of a party's own approval, whose reading is audited; raises ``ApprovalUnknown``."""
    insurer = await insurers.find(connection, approval_of.insurer_number)
    approval = await ApprovalStore(connection).get(insurer.id, ApprovalId(approval_of.id))
    if approval is None or not approval_of.owns(approval):
        raise ApprovalUnknown
    found = next((each for each in await attachments(connection, approval) if each.id == attachment_id), None)
    if found is None:
        raise ApprovalUnknown
    await audit.record(
        connection, actor=act.actor, action=Action.ATTACHMENT_READ, subject_id=approval.id, insurer_id=insurer.id
    )
    return insurer.id, found


async def piece(connection: Connection, insurer_id: InsurerId, attachment: AttachmentId, number: int) -> bytes:
    """A sealed piece of a document that was opened."""
    sealed = await ApprovalStore(connection).piece(insurer_id, attachment, number)
    assert sealed is not None
    return sealed


async def letter_facts(connection: Connection, approval: PriorApproval, act: Act) -> tuple[str, str, datetime]:
    """The insurer's name, the practitioner's, and when it was decided. That the letter is read is audited.

    Raises ``StateForbids`` for what was never decided.
    """
    insurer = await insurers.get(connection, approval.insurer_id)
    practitioner = await practitioners.get(connection, approval.practitioner_id)
    decided = {Kind.APPROVED, Kind.PARTIALLY_APPROVED, Kind.REFUSED}
    happened = [event.occurred_at for event in await events(connection, approval) if event.kind in decided]
    if not happened:
        raise errors.StateForbids(str(approval.state))
    await audit.record(
        connection,
        actor=act.actor,
        action=Action.APPROVAL_LETTER_READ,
        subject_id=approval.id,
        insurer_id=approval.insurer_id,
    )
    return insurer.name, practitioner.name, happened[-1]
