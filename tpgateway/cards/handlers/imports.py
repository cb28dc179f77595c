"""Handlers of imports."""

import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import AsyncIterable, Mapping
from typing import IO

from aiohttp import web

from tpgateway.cards import service, uploads
from tpgateway.cards.codec.rights_files import Ready
from tpgateway.cards.errors import RightsFileUnreadable
from tpgateway.cards.model import RIGHTS_FILE_LIMIT, ImportId
from tpgateway.cards.payloads import (
    REASONS,
    REJECTS_HEADER,
    ImportPath,
    ImportQuery,
    RejectListView,
    RejectsQuery,
    RejectView,
    RightsImportView,
    rejects_as_csv,
)
from tpgateway.cards.uploads import Progress
from tpgateway.insurers.model import InsurerId
from tpgateway.web.frame import kept_from, replay_of, replayed, respond
from tpgateway.web.problems import MediaTypeNotSupported, NotFound, Overloaded, WrongEncoding
from tpgateway.web.routing import Answer, Call

_CHUNK = 256 * 1024
_PAGE = 2_000
_TYPES = ("text/csv", "application/xml", "text/xml", "application/gzip", "application/zstd")
_ENCODINGS = ("identity", "gzip", "zstd")


async def import_rights(call: Call, *, query: ImportQuery) -> web.StreamResponse:
    """Takes a rights file of any size. Good lines load, bad ones are listed; the file as a whole is in or not at all."""
    if call.request.content_type not in _TYPES:
        raise MediaTypeNotSupported(f"Content-Type must be one of {', '.join(_TYPES)}")
    if call.request.headers.get("Content-Encoding", "identity").strip().lower() not in _ENCODINGS:
        raise MediaTypeNotSupported(f"Content-Encoding must be one of {', '.join(_ENCODINGS)}")
    return await take_rights(
        call, call.request.content.iter_chunked(_CHUNK), query=query, size=call.request.content_length
    )


async def take_rights(
    call: Call, chunks: AsyncIterable[bytes], *, query: ImportQuery, size: int | None
) -> web.StreamResponse:
    """The same from wherever the file comes: a request's body, or a part of it. Its progress can be seen meanwhile.

    Nothing is read of an insurer's file before its last one is in: side by side, they would soon fill the disk.
    """
    digest = hashlib.sha256()
    insurer = InsurerId(call.caller.account_id)
    async with uploads.followed(call.state, insurer, size) as progress, call.state.spooling.own(insurer):
        with tempfile.TemporaryFile() as spool:
            # However slowly it comes, an upload holds no connection.
            ready = await _prepare(call, chunks, spool, digest, progress)
            await asyncio.to_thread(spool.seek, 0)
            async with call.state.turns.turn(insurer), call.state.connection(is_long=True) as connection:
                call.open_connection = connection
                async with connection.transaction():
                    return await _import(call, query, spool, ready, digest.digest(), progress)


async def _prepare(
    call: Call, chunks: AsyncIterable[bytes], spool: IO[bytes], digest: "hashlib._Hash", progress: Progress
) -> Ready:
    """Sends the body through a process of its own, which writes what COPY can take; raises what is wrong with the file."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tpgateway.cards.codec.rights_files"),
        stdin=asyncio.subprocess.PIPE,
        stdout=spool,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdin
    try:
        keys = call.state.settings.vault_keys.get_secret_value()
        child.stdin.write(json.dumps([keys, RIGHTS_FILE_LIMIT]).encode() + b"\n")
        # What goes wrong with the body ends all; where it is the child that wants no more, it says why below.
        async for chunk in chunks:
            progress.received += len(chunk)
            digest.update(chunk)
            child.stdin.write(chunk)
            try:
                await child.stdin.drain()
            except ConnectionError:
                break
        child.stdin.close()
        _, said = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return _ready(said)


def _ready(said: bytes) -> Ready:
    if not said:  # it was killed, for want of memory or with this process
        raise Overloaded("the process that reads the file ended", retry_after_seconds=5)
    told = json.loads(said.splitlines()[-1])
    if "wrong_encoding" in told:
        raise WrongEncoding("only UTF-8 text without control characters is accepted")
    if "unreadable" in told:
        raise RightsFileUnreadable(told["unreadable"])
    return Ready(**told)


async def _import(
    call: Call, query: ImportQuery, spool: IO[bytes], ready: Ready, digest: bytes, progress: Progress
) -> web.StreamResponse:
    replay = replay_of(call, request=digest) if call.idempotency_key else None
    if replay and (kept := await replay.begin()) is not None:
        return replayed(kept)
    done = await service.import_rights(
        call.connection,
        InsurerId(call.caller.account_id),
        query.mode,
        service.read_pieces(spool),
        ready,
        closing_percent=None if query.confirm_closing else call.state.settings.closing_percent,
        started_at=call.now,
        today=call.today,
        actor=call.actor,
        tell=progress.tell,
    )
    location = f"/v1/insurer/rights-imports/{done.id}"
    response = respond(Answer(status=201, body=RightsImportView.showing(done), headers={"Location": location}))
    if replay:
        await replay.keep(kept_from(response))
    return response


async def show_import(call: Call, *, path: ImportPath) -> Answer:
    done = await service.get_import(call.connection, InsurerId(call.caller.account_id), ImportId(path.id))
    if done is None:
        raise NotFound
    return Answer(body=RightsImportView.showing(done))


async def list_rejects(call: Call, *, path: ImportPath, query: RejectsQuery) -> Answer | web.StreamResponse:
    """The lines that were not loaded: a page of them, or all as a file."""
    insurer, import_id = InsurerId(call.caller.account_id), ImportId(path.id)
    async with call.transaction() as connection:
        if await service.get_import(connection, insurer, import_id) is None:
            raise NotFound
    if query.format == "csv":
        return await send_rejects(call, insurer, import_id, after=query.after)
    async with call.transaction() as connection:
        found = await service.rejects(connection, insurer, import_id, after=query.after, limit=query.limit)
    view = RejectListView(
        rejects=[RejectView.of(reject) for reject in found],
        after=found[-1].line if len(found) == query.limit else None,
    )
    return Answer(body=view)


async def send_rejects(
    call: Call,
    insurer: InsurerId,
    import_id: ImportId,
    *,
    after: int = 0,
    reasons: Mapping[str, str] = REASONS,
) -> web.StreamResponse:
    """All rejects past a line, a page at a time: there may be millions, and a slow reader holds no connection."""
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="rejects-{import_id}.csv"',
        "X-Request-Id": call.request_id,
    }
    response = web.StreamResponse(headers=headers)
    await response.prepare(call.request)
    if call.request.method == "HEAD":
        return response
    await response.write(REJECTS_HEADER)
    while True:
        async with call.transaction() as connection:
            found = await service.rejects(connection, insurer, import_id, after=after, limit=_PAGE)
        if not found:
            break
        await response.write(rejects_as_csv(found, reasons))
        after = found[-1].line
    await response.write_eof()
    return response
