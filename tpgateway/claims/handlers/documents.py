"""Handlers of what goes with an approval: attached documents, the letter."""

import asyncio
import hashlib
import struct
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from typing import IO

from aiohttp import web

from tpgateway.claims import documents, parties
from tpgateway.claims.codec.documents import ENDINGS, media_type
from tpgateway.claims.codec.letters import Parties, has_letter, write_letter
from tpgateway.claims.errors import AttachmentUnreadable, StateForbids
from tpgateway.claims.handlers.approvals import act_of, or_not_found, owned, read_own
from tpgateway.claims.model import Attachment, AttachmentId
from tpgateway.claims.payloads import (
    AttachmentListView,
    AttachmentPath,
    AttachmentQuery,
    AttachmentView,
)
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.web.frame import kept_from, refuse_encoded, remarks, replay_of, replayed, respond
from tpgateway.web.problems import BodyTooLarge
from tpgateway.web.routing import Answer, Call

ATTACHMENT_LIMIT = 10 * 1024 * 1024
_PIECE = 256 * 1024
_LENGTH = struct.Struct(">I")


async def add_attachment(call: Call, *, path: ReferencePath, query: AttachmentQuery) -> web.StreamResponse:
    """Takes a document that was asked for. It is sealed as it comes in; however slowly it comes, no connection waits."""
    refuse_encoded(call.request)
    if (call.request.content_length or 0) > ATTACHMENT_LIMIT:
        raise BodyTooLarge(f"at most {ATTACHMENT_LIMIT} bytes")
    return await take_attachment(call, call.request.content.iter_chunked(_PIECE), path=path, query=query)


async def take_attachment(
    call: Call, chunks: AsyncIterable[bytes], *, path: ReferencePath, query: AttachmentQuery
) -> web.StreamResponse:
    """The same from wherever the document comes: a request's body, or a part of it."""
    own = owned(call, path.reference)
    async with or_not_found(), call.transaction() as connection:
        attachment_id = await documents.may_attach(
            connection, own, query.kind, is_again=call.idempotency_key is not None
        )
    with tempfile.TemporaryFile() as spool:
        attachment = await _receive(call, chunks, spool, attachment_id, query.kind)
        await asyncio.to_thread(spool.seek, 0)
        async with or_not_found(), call.transaction() as connection:
            call.open_connection = connection
            replay = replay_of(call, request=bytes.fromhex(attachment.sha256)) if call.idempotency_key else None
            if replay and (kept := await replay.begin()) is not None:
                return replayed(kept)
            await documents.attach(connection, own, attachment, _sealed_pieces(spool), act_of(call))
            response = respond(Answer(status=201, body=AttachmentView.of(attachment)))
            if replay:
                await replay.keep(kept_from(response))
            return response


async def _receive(
    call: Call, chunks: AsyncIterable[bytes], spool: IO[bytes], attachment_id: AttachmentId, kind: str
) -> Attachment:
    """Seals the body into the spool, piece by piece; raises ``BodyTooLarge`` and ``AttachmentUnreadable``."""
    digest, size, number, found, pending = hashlib.sha256(), 0, 0, None, b""
    vault = call.state.vault
    async for chunk in chunks:
        size += len(chunk)
        if size > ATTACHMENT_LIMIT:
            raise BodyTooLarge(f"at most {ATTACHMENT_LIMIT} bytes")
        digest.update(chunk)
        pending += chunk
        if found is None and len(pending) >= 8 and (found := media_type(pending)) is None:
            raise AttachmentUnreadable
        while len(pending) >= _PIECE:
            piece, pending = pending[:_PIECE], pending[_PIECE:]
            _spool(spool, vault.seal(piece, purpose=documents.piece_purpose(attachment_id, number)))
            number += 1
    if found is None:
        raise AttachmentUnreadable
    if pending:
        _spool(spool, vault.seal(pending, purpose=documents.piece_purpose(attachment_id, number)))
    return Attachment(
        id=attachment_id, kind=kind, media_type=found, size=size, sha256=digest.hexdigest(), added_at=call.now
    )


def _spool(spool: IO[bytes], sealed: bytes) -> None:
    spool.write(_LENGTH.pack(len(sealed)) + sealed)


async def _sealed_pieces(spool: IO[bytes]) -> AsyncIterator[bytes]:
    while head := await asyncio.to_thread(spool.read, _LENGTH.size):
        yield await asyncio.to_thread(spool.read, _LENGTH.unpack(head)[0])


async def list_attachments(call: Call, *, path: ReferencePath) -> Answer:
    found = await parties.attachments(call.connection, await read_own(call, path.reference))
    return Answer(body=AttachmentListView(attachments=[AttachmentView.of(each) for each in found]))


async def show_attachment(call: Call, *, path: AttachmentPath) -> web.StreamResponse:
    """The document as it was given. Each reading is audited."""
    own = owned(call, path.reference)
    async with or_not_found(), call.transaction() as connection:
        insurer_id, attachment = await documents.open_attachment(
            connection, own, AttachmentId(path.attachment_id), act_of(call)
        )
    response = web.StreamResponse(
        headers={
            "Content-Type": attachment.media_type,
            "Content-Length": str(attachment.size),
            "Content-Disposition": f'attachment; filename="{attachment.kind}.{ENDINGS[attachment.media_type]}"',
            "X-Request-Id": call.request_id,
            **await remarks(call.request),
        }
    )
    await response.prepare(call.request)
    if call.request.method == "HEAD":
        return response
    for number in range(-(-attachment.size // _PIECE)):
        async with call.transaction() as connection:
            sealed = await documents.piece(connection, insurer_id, attachment.id, number)
        await response.write(call.state.vault.open(sealed, purpose=documents.piece_purpose(attachment.id, number)))
    await response.write_eof()
    return response


async def show_letter(call: Call, *, path: ReferencePath) -> Answer:
    """The decision as a letter to print or to hand to the patient (PDF)."""
    approval = await read_own(call, path.reference)
    if not has_letter(approval.state):
        raise StateForbids(str(approval.state))
    insurer_name, practitioner_name, decided_at = await documents.letter_facts(call.connection, approval, act_of(call))
    parties = Parties(
        insurer_name=insurer_name,
        practitioner_name=practitioner_name,
        network_contact=call.state.settings.support_contact,
    )
    letter = await asyncio.to_thread(write_letter, approval, parties, decided_at=decided_at)
    name = f"prise-en-charge-{approval.id}.pdf"
    return Answer(
        body=letter, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


async def list_insurer_attachments(call: Call, *, path: ReferencePath) -> Answer:
    return await list_attachments(call, path=path)


async def show_insurer_attachment(call: Call, *, path: AttachmentPath) -> web.StreamResponse:
    """The document as it was given. Each reading is audited."""
    return await show_attachment(call, path=path)
