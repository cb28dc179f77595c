"""Handlers of card checks."""

from aiohttp import web

from tpgateway.cards import service
from tpgateway.cards.checker import CHECKER
from tpgateway.cards.codec.answers import write_check
from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.errors import CareDateOutOfRange
from tpgateway.cards.model import Ask, CardCheckId, Outcome
from tpgateway.cards.payloads import CardCheckRequest
from tpgateway.cards.rules import answers
from tpgateway.errors import Fault, InvalidRequest
from tpgateway.insurers import service as insurers
from tpgateway.insurers.errors import InsurerUnknown
from tpgateway.insurers.payloads import ReferencePath
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call


async def check_card(call: Call, *, body: CardCheckRequest) -> web.Response:
    """Answers whether the person's rights are open, once the check is durably recorded. A refusal is an answer too.

    Where the caller has the same answer already (``If-None-Match``), only the fresh proof goes out.
    """
    ask = _ask(call, body)
    answered, is_replay = await service.check_card(
        call.state.pool, call.request.app[CHECKER], ask, care_date=body.care_date
    )
    headers = {"ETag": answered.tag}
    if is_replay:
        headers["Idempotency-Replayed"] = "true"
    if answered.tag != call.request.headers.get("If-None-Match"):
        headers["Content-Type"] = "application/json"
        return web.Response(body=answered.body, headers=headers)
    check = answered.check
    headers["Content-Location"] = f"/v1/card-checks/{check.ask.card.insurer_number}-{check.id}"
    if answered.verdict and answered.verdict.outcome is Outcome.COVERED:
        headers["Proof"] = format_proof(check.proof)
        headers["Proof-Expires-At"] = check.proof_expires_at.isoformat()
    return web.Response(status=304, headers=headers)


def _ask(call: Call, body: CardCheckRequest) -> Ask:
    today, caller = call.today, call.caller
    care_date = body.care_date or today
    if not answers.is_care_date_possible(care_date, today=today):
        raise InvalidRequest(faults=[Fault(pointer="/care_date", problem=CareDateOutOfRange)])
    return Ask(
        PractitionerId(caller.account_id),
        caller.agent_id,
        body.card(),
        body.domain,
        care_date,
        call.now,
        call.idempotency_key,
    )


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
        CardCheckId(reference.id),
        practitioner=PractitionerId(call.caller.account_id),
        actor=call.actor,
    )
    if check is None:
        raise NotFound
    verdict = await call.request.app[CHECKER].verdicts.of(call.connection, check)
    body, tag = write_check(check, verdict)
    return Answer(body=body, headers={"ETag": tag})
