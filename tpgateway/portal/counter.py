"""The counter: a card typed, scanned or photographed, and the answer in large letters."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import ConfigDict

from tpgateway.cards import service as cards
from tpgateway.cards.checker import CHECKER
from tpgateway.cards.codec import datamatrix
from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.errors import BeneficiaryNeeded
from tpgateway.cards.model import CardCheck, Outcome, Verdict
from tpgateway.cards.payloads import CardCheckRequest
from tpgateway.cards.service import CHECKING
from tpgateway.conventions import service as conventions
from tpgateway.conventions.errors import NoConvention
from tpgateway.errors import InvalidRequest, Problem
from tpgateway.guarantees.model import Approval, Domain
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, conditions_fr, formula_fr
from tpgateway.insurers.model import Reference
from tpgateway.paper import day_fr
from tpgateway.portal.forms import Form
from tpgateway.portal.french import born
from tpgateway.portal.pages import (
    call_of,
    draft,
    form_of,
    may_act,
    page,
    parts_of,
    person,
    read_part,
    see_other,
    spend_own,
    text_of,
)
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.callers import Caller, Role
from tpgateway.web.frame import refuse_cross_site, refuse_role
from tpgateway.web.routing import PARIS, Call
from tpgateway.web.validation import parse_parameters

_PHOTO_LIMIT = 10 * 1024 * 1024
_RECENT = 8
_SHOWN = "verification"
_RECENT_HOURS = 12
# The answer's look: what it is called in the page and the word in large letters.
_LOOKS = {Outcome.COVERED: ("yes", "Oui"), Outcome.INSURER_SILENT: ("wait", "Pas de réponse")}
_NO = ("no", "Non")
# What can be asked for on a check of a domain.
_REQUESTS = {Domain.OPTI: "optique", Domain.HOSP: "hospitalisation"}
LABELS = {
    "card": "Carte",
    "domain": "Soins",
    "care_date": "Date des soins",
    "insurer_number": "Numéro de l'organisme (AMC)",
    "convention_type": "Type de convention",
    "csr": "CSR",
    "membership_number": "Numéro d'adhérent",
    "birth_date": "Date de naissance",
    "birth_rank": "Rang de naissance",
    "photo": "Photo",
}
# 29/02/1980, or 29021980, which cannot be taken for year, month, day.
_AS_PRINTED = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})|([0-3]\d)([01]\d)((?:19|20)\d\d)", re.ASCII)


class _CheckForm(CardCheckRequest):
    """The counter's form: the API's shape, from text."""

    model_config = ConfigDict(strict=False)


async def counter(request: web.Request) -> web.Response:
    caller = await person(request)
    call = call_of(request, caller)
    return await _shown(request, call, await draft(request, call), shown=request.query.get(_SHOWN, ""))


async def check(request: web.Request) -> web.Response:
    """Checks the card that was scanned into the first field, or typed into the others."""
    caller = await person(request)
    refuse_cross_site(request)
    typed = {name: value.strip() for name, value in await form_of(request)}
    return await _checked(request, caller, typed)


async def check_photo(request: web.Request) -> web.Response:
    """Reads the card in a photo, which is kept nowhere, and checks it."""
    caller = await person(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    typed: dict[str, str] = {}
    try:
        refuse_role(caller, Role.STAFF)
        await spend_own(request, caller, 5)
        photo = b""
        async for part in parts_of(request):
            if part.name == "photo":
                photo = await read_part(request, part, _PHOTO_LIMIT)
            elif part.name in {"domain", "care_date"}:
                typed[part.name] = await text_of(request, part)
        typed["card"] = await asyncio.to_thread(datamatrix.read_photo, photo)
    except Problem as problem:
        return await _shown(request, call, typed, problem=problem)
    return await _checked(request, caller, typed)


async def _checked(request: web.Request, caller: Caller, typed: Mapping[str, str]) -> web.Response:
    call = call_of(request, caller)
    try:
        refuse_role(caller, Role.STAFF)
        await spend_own(request, caller, 1)
        asked = parse_parameters(_CheckForm, _fields(typed))
        ask = asked.ask(
            PractitionerId(caller.account_id), caller.agent_id, call.state.vault, now=call.now, today=call.today
        )
        answered, _ = await cards.check_card(request.app[CHECKING], ask, care_date=asked.care_date, nir=asked.nir)
    except Problem as problem:
        needs_person = isinstance(problem, InvalidRequest) and any(
            fault.problem is BeneficiaryNeeded for fault in problem.faults
        )
        if needs_person:
            return await _shown(request, call, typed, people=datamatrix.parse(typed["card"]).beneficiaries)
        return await _shown(request, call, typed, problem=problem)
    # The answer has an address of its own: going back to it, or looking again, checks nothing anew.
    reference = Reference(insurer_number=answered.check.ask.card.insurer_number, id=answered.check.id)
    return see_other(f"/comptoir?{_SHOWN}={reference}")


def _fields(typed: Mapping[str, str]) -> dict[str, Any]:
    """What the API would be sent: empty fields are none, and what a scanner typed is the whole card."""
    fields: dict[str, Any] = {name: value for name, value in typed.items() if value and name != "card"}
    if person := fields.pop("person", None):
        born, _, rank = str(person).partition("-")
        fields |= {"birth_date": born, "birth_rank": rank}
    elif typed.get("card"):
        for name in ("birth_date", "birth_rank"):
            fields.pop(name, None)
    if typed.get("card"):
        fields = {name: fields[name] for name in ("domain", "care_date", "birth_date", "birth_rank") if name in fields}
        fields["datamatrix"] = typed["card"]
    elif "birth_date" in fields:
        fields["birth_date"] = _eight_digits(fields["birth_date"])
    return fields


def _eight_digits(born: str) -> str:
    """A birth date as it stands on cards, with or without signs between, as software writes it; else as it was typed."""
    found = _AS_PRINTED.fullmatch(born)
    if not found:
        return born
    day, month, year = (part for part in found.groups() if part is not None)
    return f"{year}{month:0>2}{day:0>2}"


def _result(check: CardCheck, verdict: Verdict) -> dict[str, Any]:
    """The answer as the page shows it."""
    look, word = _LOOKS.get(verdict.outcome, _NO)
    card, found = check.ask.card, check.found
    is_covered = verdict.outcome is Outcome.COVERED
    return {
        "look": look,
        "word": word,
        "message": verdict.message_fr,
        "next_step": verdict.next_step_fr,
        "domain": DOMAINS_FR[check.ask.domain],
        "domain_code": check.ask.domain.value,
        "born": born(check.ask.card.birth_date) if check.ask.card.birth_date else "",
        "care_date": day_fr(check.ask.care_date),
        "until": day_fr(found.rights_to) if is_covered and found.rights_to else None,
        "proof": format_proof(check.proof) if is_covered else None,
        "proof_until": day_fr(check.proof_expires_at.astimezone(PARIS).date()),
        "insurer": card.insurer_number,
        "member": found.membership_number or card.membership_number,
        "reference": str(Reference(insurer_number=card.insurer_number, id=check.id)),
        "request_kind": _REQUESTS.get(check.ask.domain) if is_covered else None,
        "benefits": [
            {
                "name": benefit_fr(line.benefit),
                "formula": formula_fr(line.formula),
                "conditions": conditions_fr(line),
                "needs_approval": line.approval is Approval.REQUIRED,
            }
            for line in verdict.benefits
        ],
        "at": f"{check.ask.checked_at.astimezone(PARIS):%H:%M}",
    }


async def _shown(
    request: web.Request,
    call: Call,
    typed: Mapping[str, str],
    *,
    problem: Problem | None = None,
    shown: str = "",
    people: tuple[tuple[str, int], ...] = (),
) -> web.Response:
    me = PractitionerId(call.caller.account_id)
    async with call.transaction() as connection:
        specialty = (await practitioners.get(connection, me)).specialty
        try:
            domains = (await conventions.find(connection, specialty, call.today)).terms.domains
        except NoConvention:
            domains = tuple(Domain)
        recent = []
        if call.caller.agent_id is not None:
            since = datetime.now(UTC) - timedelta(hours=_RECENT_HOURS)
            verdicts = request.app[CHECKER].verdicts
            recent = [
                _result(*each)
                for each in await cards.recent_checks(
                    connection, verdicts, me, call.caller.agent_id, since=since, limit=_RECENT
                )
            ]
    result = next((each for each in recent if each["reference"] == shown), None)
    if result is not None:
        typed = {"domain": result["domain_code"], **typed}
    return page(
        request,
        "counter.html",
        status=problem.status if problem else 200,
        is_logged_in=True,
        problem=problem,
        result=result,
        may_act=may_act(call.caller),
        recent=recent,
        people=[(f"{born}-{rank}", _born_fr(born), rank) for born, rank in people],
        domains={each: DOMAINS_FR[each] for each in domains},
        typed={"domain": domains[0].value, "care_date": call.today.isoformat(), **typed},
        today=call.today.isoformat(),
        is_by_hand=not typed.get("card") and (bool(problem) or bool(typed.get("membership_number"))),
        form=_form(typed, problem),
    )


def _form(typed: Mapping[str, str], problem: Problem | None) -> Form:
    form = Form.of({**LABELS, "datamatrix": LABELS["card"]}, typed, problem)
    # Whatever is wrong with a card's text is shown at the field that it was scanned into.
    faults = {"card" if name == "datamatrix" else name: said for name, said in form.faults.items()}
    if "birth_date" in faults and not typed.get("card"):
        faults["birth_date"] = "Écrivez la date comme sur la carte, par exemple 29/02/1980."
    return replace(form, faults=faults)


def _born_fr(born: str) -> str:
    try:
        return day_fr(date(int(born[:4]), int(born[4:6]), int(born[6:])))
    except ValueError:
        return f"{born[6:]}/{born[4:6]}/{born[:4]}"
