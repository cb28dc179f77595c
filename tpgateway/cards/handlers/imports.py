"""Handlers of imports."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator

from aiohttp import web

from tpgateway.cards import service
from tpgateway.cards.model import ImportId
from tpgateway.cards.payloads import (
    ImportPath,
    ImportQuery,
    RejectListView,
    RejectsQuery,
    RejectView,
    RightsImportView,
)
from tpgateway.insurers.model import InsurerId
from tpgateway.web.frame import kept_from, refuse_encoded, replay_of, replayed, respond
from tpgateway.web.problems import BodyTooLarge, MediaTypeNotSupported, NotFound
from tpgateway.web.routing import Answer, Call

RIGHTS_FILE_LIMIT = 16 * 1024**3
_CHUNK = 256 * 1024


async def import_rights(call: Call, *, query: ImportQuery) -> web.StreamResponse:
    """Takes a rights file of any size. Good lines load, bad ones are listed; the file as a whole is in or not at all."""
    if call.request.content_type != "text/csv":
        raise MediaTypeNotSupported("Content-Type must be text/csv")
    refuse_encoded(call.request)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as spool:
        # However slowly it comes, an upload holds no connection.
        async for clean in service.clean_pieces(_chunks(call, digest)):
            await asyncio.to_thread(spool.write, clean)
        await asyncio.to_thread(spool.seek, 0)
        async with call.state.turns.turn(call.caller.account_id), call.state.connection() as connection:
            call.open_connection = connection
            async with service.staged_rights(connection, service.read_pieces(spool)), connection.transaction():
                return await _merge(call, query, digest.digest())


async def _merge(call: Call, query: ImportQuery, digest: bytes) -> web.StreamResponse:
    replay = replay_of(call, request=digest) if call.idempotency_key else None
    if replay and (kept := await replay.begin()) is not None:
        return replayed(kept)
    done = await service.merge_rights(
        call.connection,
        InsurerId(call.caller.account_id),
        query.mode,
        closing_percent=None if query.confirm_closing else call.state.settings.closing_percent,
        started_at=call.now,
        today=call.today,
        actor=call.actor,
    )
    location = f"/v1/insurer/rights-imports/{done.id}"
    response = respond(Answer(status=201, body=RightsImportView.showing(done), headers={"Location": location}))
    if replay:
        await replay.keep(kept_from(response))
    return response


async def _chunks(call: Call, digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    size = 0
    async for chunk in call.request.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > RIGHTS_FILE_LIMIT:
            raise BodyTooLarge(f"at most {RIGHTS_FILE_LIMIT} bytes")
        digest.update(chunk)
        yield chunk


async def show_import(call: Call, *, path: ImportPath) -> Answer:
    done = await service.get_import(call.connection, InsurerId(call.caller.account_id), ImportId(path.id))
    if done is None:
        raise NotFound
    return Answer(body=RightsImportView.showing(done))


async def list_rejects(call: Call, *, path: ImportPath, query: RejectsQuery) -> Answer:
    insurer, import_id = InsurerId(call.caller.account_id), ImportId(path.id)
    if await service.get_import(call.connection, insurer, import_id) is None:
        raise NotFound
    found = await service.rejects(call.connection, insurer, import_id, after=query.after, limit=query.limit)
    view = RejectListView(
        rejects=[RejectView.of(reject) for reject in found],
        after=found[-1].line if len(found) == query.limit else None,
    )
    return Answer(body=view)
