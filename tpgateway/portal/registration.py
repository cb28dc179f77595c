"""Registration in three steps, each checked by the API's own rules; a step's fields ride along in the next one's form."""

import json
from typing import Any

from aiohttp import web

from tpgateway.errors import Fault, InvalidRequest, Problem
from tpgateway.portal.forms import Form, Typed, field_of, number_of, read
from tpgateway.portal.pages import LOGIN_COST, SCHEME_NAMES, call_of, form_of, page, spend, transaction
from tpgateway.practitioners import handlers
from tpgateway.practitioners.errors import NameMissing, TreasuryNeedsEstablishment
from tpgateway.practitioners.payloads import RegistrationRequest
from tpgateway.practitioners.sentences import SPECIALTIES_FR
from tpgateway.web.frame import refuse_cross_site
from tpgateway.web.routing import Call

LABELS = {
    "scheme": "Type de numéro",
    "value": "Votre numéro",
    "specialty": "Spécialité",
    "finess": "FINESS de l'établissement",
    "siret": "SIRET de l'établissement",
    "kind": "Le compte est celui",
    "first_name": "Prénom",
    "last_name": "Nom",
    "legal_name": "Raison sociale",
    "postal_code": "Code postal ou CEDEX",
    "email": "Adresse électronique",
    "mobile": "Téléphone mobile",
    "is_listed": "Les autres professionnels du réseau peuvent me trouver dans l'annuaire",
    "bic": "BIC de la banque",
    "iban": "IBAN",
    "password": "Mot de passe",
    "password_confirmation": "Mot de passe, encore une fois",
    "terms_accepted": "J'accepte les conditions d'utilisation",
    "privacy_accepted": "J'ai lu l'information sur les données personnelles",
}
_STEPS = (
    ("scheme", "value", "specialty", "finess", "siret"),
    ("kind", "first_name", "last_name", "legal_name", "postal_code", "email", "mobile", "is_listed"),
    ("bic", "iban", "password", "password_confirmation", "terms_accepted", "privacy_accepted"),
)
_TICKS = ("is_listed", "terms_accepted", "privacy_accepted")
# What the steps to come will ask, as if it had been given: the whole is then judged by its rules at every step.
_LATER: dict[str, Any] = {
    "legal_name": "Établissement",
    "postal_code": "75001",
    "email": "adresse@tpgateway.fr",
    "bic": "BNPAFRPP",
    "password": "Encore-a-choisir-7",
    "terms_accepted": True,
    "privacy_accepted": True,
}
# Rules of the whole, by the field that mends them.
_PLACES: dict[type[Problem], str] = {NameMissing: "/legal_name", TreasuryNeedsEstablishment: "/finess"}


async def registration(request: web.Request) -> web.Response:
    return _shown(request, 1, {"scheme": "finess"})


async def step(request: web.Request) -> web.Response:
    """Judges the step that was sent, and all before it; shows the next, or registers after the last."""
    refuse_cross_site(request)
    call, typed = call_of(request), dict(await form_of(request))
    number = min(max(number_of(typed.get("step")), 1), len(_STEPS))
    if "back" in typed:
        return _shown(request, max(number - 1, 1), typed)
    try:
        await spend(request, LOGIN_COST if number == len(_STEPS) else 1)
        asked = _judged(call, typed, number)
        if number < len(_STEPS):
            return _shown(request, number + 1, typed)
        async with transaction(call):
            await handlers.register(call, body=asked)
    except Problem as problem:
        return _shown(request, _step_of(problem, number), typed, problem)
    return page(request, "registered.html", email=asked.email)


async def check(request: web.Request) -> web.Response:
    """What is wrong with the fields of a step so far, by field, for the page that asks while one types."""
    refuse_cross_site(request)
    call, typed = call_of(request), dict(await form_of(request))
    await spend(request, 1)
    faults: dict[str, str] = {}
    try:
        read(RegistrationRequest, _fields(typed), call)
    except InvalidRequest as problem:
        faults = dict(Form.of(LABELS, typed, _placed(problem, typed)).faults)
    return web.json_response(faults, dumps=lambda found: json.dumps(found, ensure_ascii=False))


def _judged(call: Call, typed: Typed, number: int) -> RegistrationRequest:
    """The registration as far as it goes; raises the faults of the steps so far."""
    given = {name for fields in _STEPS[:number] for name in fields}
    later = {name: value for name, value in _LATER.items() if name not in given}
    try:
        return read(RegistrationRequest, {**_fields(typed, within=given), **later}, call)
    except InvalidRequest as problem:
        raise _placed(problem, typed) from None


def _placed(problem: InvalidRequest, typed: Typed) -> InvalidRequest:
    """What is wrong with the whole, at the field that mends it."""
    places = {**_PLACES, NameMissing: "/last_name"} if typed.get("kind") == "person" else _PLACES
    return InvalidRequest(
        faults=[
            Fault(
                pointer=each.pointer or places.get(each.problem, ""),
                problem=each.problem,
                detail=each.detail,
                message_fr=each.message_fr,
            )
            for each in problem.faults
        ]
    )


def _step_of(problem: Problem, number: int) -> int:
    """The first step with a field that is wrong."""
    wrong = {field_of(each.pointer) for each in problem.faults}
    return next((place for place, fields in enumerate(_STEPS[:number], start=1) if wrong & set(fields)), number)


def _fields(typed: Typed, within: set[str] | None = None) -> dict[str, Any]:
    """What the API would be sent: empty fields are none, and of a person or a body only its own names."""
    unused = ("legal_name",) if typed.get("kind") == "person" else ("first_name", "last_name")
    fields: dict[str, Any] = {
        name: value if "password" in name else value.strip()
        for name, value in typed.items()
        if name in LABELS and name not in _TICKS and name != "kind" and name not in unused and value.strip()
    }
    if fields.get("scheme") != "treasury":
        fields = {name: value for name, value in fields.items() if name not in {"finess", "siret"}}
    fields |= {name: name in typed for name in _TICKS}
    return fields if within is None else {name: value for name, value in fields.items() if name in within}


def _shown(request: web.Request, number: int, typed: Typed, problem: Problem | None = None) -> web.Response:
    own = set(_STEPS[number - 1])
    return page(
        request,
        "registration.html",
        status=problem.status if problem else 200,
        problem=problem,
        form=Form.of(LABELS, {name: value for name, value in typed.items() if "password" not in name}, problem),
        step=number,
        carried=[
            (name, value)
            for name, value in typed.items()
            if name in LABELS and name not in own and value and "password" not in name
        ],
        schemes=[(each.value, name) for each, name in SCHEME_NAMES.items()],
        specialties=[(each.value, name) for each, name in SPECIALTIES_FR.items()],
    )
