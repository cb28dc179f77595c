"""Handlers of card checks."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from tpgateway.cards import service
from tpgateway.cards.checker import CHECKER
from tpgateway.cards.codec import datamatrix, guarantees
from tpgateway.cards.codec.answers import write_check
from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.errors import NoCodeInPhoto, NotCovered
from tpgateway.cards.model import Ask, CardCheck, CardCheckId, Outcome, Verdict
from tpgateway.cards.payloads import DATAMATRIX_LENGTH, CardCheckRequest, GuaranteesQuery, PhotoQuery
from tpgateway.cards.service import CHECKING
from tpgateway.errors import Problem
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.model import Insurer
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.paper.html import HEADERS
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.callers import Caller
from tpgateway.web.downloads import is_known
from tpgateway.web.frame import read_body
from tpgateway.web.problems import MediaTypeNotSupported, NotFound
from tpgateway.web.routing import PARIS, Answer, Call, Said

PHOTO_LIMIT = 10 * 1024 * 1024
_PHOTOS = ("image/png", "image/jpeg")
_PHOTO_PLACES = asyncio.Semaphore(2)


async def check_card(call: Call, *, body: CardCheckRequest) -> web.Response:
    """Answers whether the person's rights are open, once the check is durably recorded. A refusal is an answer too.

    Where the caller has the same answer already (``If-None-Match``), only the fresh proof goes out.
    """
    answered, is_replay = await service.check_card(
        call.request.app[CHECKING], make_ask(call, body), care_date=body.care_date, nir=body.nir
    )
    headers = {"ETag": answered.tag}
    if is_replay:
        headers["Idempotency-Replayed"] = "true"
    if not is_known(call.request, answered.tag):
        headers["Content-Type"] = "application/json"
        return web.Response(body=answered.body, headers=headers)
    check = answered.check
    headers["Content-Location"] = f"/v1/card-checks/{check.ask.card.insurer_number}-{check.id}"
    if answered.verdict and answered.verdict.outcome is Outcome.COVERED:
        headers["Proof"] = format_proof(check.proof)
        headers["Proof-Expires-At"] = check.proof_expires_at.isoformat()
    return web.Response(status=304, headers=headers)


def check_at_once(
    app: web.Application,
    caller: Caller,
    body: CardCheckRequest,
    now: datetime,
    tell: Callable[[Said | Problem | None], None],
) -> bool:
    """``check_card`` for what needs no more than the record of the check."""
    checking, today = app[CHECKING], now.astimezone(PARIS).date()
    try:
        ask = body.ask(PractitionerId(caller.account_id), caller.agent_id, checking.vault, now=now, today=today)
    except Problem:
        return False
    return service.check_at_once(checking, ask, tell)


async def check_photo(call: Call, *, query: PhotoQuery) -> web.Response:
    """Reads the card in a photo and checks it; the photo is kept nowhere."""
    if call.request.content_type not in _PHOTOS:
        raise MediaTypeNotSupported(f"Content-Type must be one of {', '.join(_PHOTOS)}")
    photo = await read_body(call.request, PHOTO_LIMIT)
    async with _PHOTO_PLACES:  # a photo takes a tenth of a second of a processor
        text = await asyncio.to_thread(datamatrix.read_photo, photo)
    if len(text) > DATAMATRIX_LENGTH:
        raise NoCodeInPhoto
    return await check_card(call, body=CardCheckRequest(datamatrix=text, **query.model_dump()))


def make_ask(call: Call, body: CardCheckRequest) -> Ask:
    """The check that a request asks for; raises ``InvalidRequest``."""
    return body.ask(
        PractitionerId(call.caller.account_id),
        call.caller.agent_id,
        call.state.vault,
        now=call.now,
        today=call.today,
        idempotency_key=call.idempotency_key,
    )


async def show_check(call: Call, *, path: ReferencePath) -> Answer:
    """A check of one's own, answered as it was then."""
    _, check, verdict = await _own(call, path)
    body, tag = write_check(check, verdict)
    return Answer(body=body, headers={"ETag": tag})


async def show_guarantees(call: Call, *, path: ReferencePath, query: GuaranteesQuery) -> Answer:
    """What the person's product pays in the domain that was checked, as a table to show and to print."""
    async with call.transaction() as connection:
        call.open_connection = connection
        insurer, check, verdict = await _own(call, path)
        if verdict.outcome is not Outcome.COVERED or check.found.product_version_id is None:
            raise NotCovered
        checker = call.request.app[CHECKER]
        product = await checker.verdicts.benefits.version(connection, insurer.id, check.found.product_version_id)
    cover = guarantees.Cover(check=check, verdict=verdict, product_name=product.name, insurer_name=insurer.name)
    if query.format == "html":
        page = await asyncio.to_thread(guarantees.to_html, cover)
        return Answer(body=page, media_type="text/html; charset=utf-8", headers=HEADERS)
    contact = call.state.settings.support_contact
    return Answer(
        body=await asyncio.to_thread(guarantees.to_pdf, cover, network_contact=contact),
        media_type="application/pdf",
        headers={"Content-Disposition": 'inline; filename="garanties.pdf"'},
    )


async def _own(call: Call, path: ReferencePath) -> tuple[Insurer, CardCheck, Verdict]:
    """A check of the caller's own, with its insurer and what it came to; the reading is audited."""
    reference = path.reference
    try:
        insurer = await insurers.find(call.connection, reference.insurer_number)
    except InsurerUnknown:
        raise NotFound from None
    check = await service.read_check(
        call.connection,
        insurer.id,
        CardCheckId(reference.id),
        practitioner=PractitionerId(call.caller.account_id),
        actor=call.actor,
    )
    if check is None:
        raise NotFound
    return insurer, check, await call.request.app[CHECKER].verdicts.of(call.connection, check)
