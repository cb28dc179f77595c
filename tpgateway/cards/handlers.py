"""Handlers of card checks and of imports."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta

from aiohttp import web

from tpgateway.cards import rules, service
from tpgateway.cards.checker import CHECKER
from tpgateway.cards.codec import new_proof
from tpgateway.cards.errors import CareDateOutOfRange
from tpgateway.cards.model import Ask, CardCheckId, ImportId
from tpgateway.cards.payloads import (
    CardCheckRequest,
    CardCheckView,
    ImportPath,
    ImportQuery,
    RejectListView,
    RejectsQuery,
    RejectView,
    RightsImportView,
)
from tpgateway.errors import Fault, InvalidRequest
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import InsurerId
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.frame import kept_from, refuse_encoded, replay_of, replayed, respond
from tpgateway.web.problems import BodyTooLarge, MediaTypeNotSupported, NotFound
from tpgateway.web.routing import Answer, Call

RIGHTS_FILE_LIMIT = 16 * 1024**3
_CHUNK = 256 * 1024


async def check_card(call: Call, *, body: CardCheckRequest) -> Answer:
    """Answers whether the person's rights are open, once the check is durably recorded. A refusal is an answer too."""
    care_date = body.care_date or call.today
    if not rules.is_care_date_possible(care_date, today=call.today):
        raise InvalidRequest(faults=[Fault(pointer="/care_date", problem=CareDateOutOfRange)])
    ask = Ask(
        practitioner_id=PractitionerId(call.caller.account_id),
        agent_id=call.caller.agent_id,
        card=body.card(),
        domain=body.domain,
        care_date=care_date,
        proof=new_proof(),
        proof_expires_at=call.now + timedelta(days=call.state.settings.proof_days),
        checked_at=call.now,
        idempotency_key=call.idempotency_key,
    )
    answered = await service.check_card(call.state.pool, call.request.app[CHECKER], ask, care_date=body.care_date)
    headers = {"Idempotency-Replayed": "true"} if answered.is_replay else {}
    return Answer(body=CardCheckView.of(answered), headers=headers)


async def show_check(call: Call, *, path: ReferencePath) -> Answer:
    """A check of one's own, answered as it was then."""
    reference = path.reference
    try:
        insurer = await insurers.find(call.connection, reference.insurer_number)
    except InsurerUnknown:
        raise NotFound from None
    check = await service.read_check(
        call.connection,
        insurer.id,
        insurer.number,
        CardCheckId(reference.id),
        practitioner=PractitionerId(call.caller.account_id),
        actor=call.actor,
    )
    if check is None:
        raise NotFound
    verdict = await service.verdict_of(call.connection, call.request.app[CHECKER].benefits, check)
    return Answer(body=CardCheckView.of(service.Answered(check=check, verdict=verdict)))


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
