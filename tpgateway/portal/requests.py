"""The forms of approval requests: glasses and stays, read as the API reads them and shown again as they were."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain
from typing import Any, TypeVar

from pydantic import BaseModel

from tpgateway.claims.errors import AmountsImpossible, CorrectionUnclear, ItemMissing, StayReversed, UnitsImpossible
from tpgateway.claims.model import BY_DAY, EQUIPMENT, AskedLine, Item, OpticalRequest, Request, Stay
from tpgateway.claims.payloads import MOST_SUPPLEMENTS, PRESCRIPTION
from tpgateway.claims.sentences import ITEMS_FR
from tpgateway.errors import Fault, FieldInvalid, FieldMissing, InvalidRequest
from tpgateway.portal.forms import Typed, cents, decimal, field_of, nested, read, typed_euros, whole
from tpgateway.web.routing import Call

Shape = TypeVar("Shape", bound=BaseModel)
LENSES = ("right_lens", "left_lens")
SUPPLEMENTS = tuple(f"supplements.{place}" for place in range(MOST_SUPPLEMENTS))
GLASSES = (*LENSES, "frame", *SUPPLEMENTS)
_NOT_OPTAM = "excess_fees_not_optam"
# The items of a stay by their name in the form: excess fees may stand twice, by whether the practitioner keeps to the option.
STAY_ITEMS: Mapping[str, str] = {
    **{
        item.value: ITEMS_FR[item] for item in (Item.COPAYMENT, Item.DAILY_FEE, Item.SINGLE_ROOM, Item.ACCOMPANYING_BED)
    },
    Item.EXCESS_FEES.value: f"{ITEMS_FR[Item.EXCESS_FEES]}, praticien OPTAM",
    _NOT_OPTAM: f"{ITEMS_FR[Item.EXCESS_FEES]}, praticien hors OPTAM",
    **{item.value: ITEMS_FR[item] for item in (Item.HIGH_COST_ACT_FEE, Item.EMERGENCY_FEE)},
}
# Of these a base makes sense, and of some of them what the AMO pays.
WITH_AMO = frozenset({Item.COPAYMENT.value, Item.HIGH_COST_ACT_FEE.value})
WITH_BASE = WITH_AMO | {Item.EXCESS_FEES.value, _NOT_OPTAM}
SAME = "same_lenses"
_PARTS = {
    "price_class": "classe",
    "lpp": "code LPP",
    "price": "prix",
    "base": "base de remboursement",
    "amo": "part de l'Assurance maladie",
    "correction": "correction",
    "sphere": "sphère",
    "cylinder": "cylindre",
    "addition": "addition",
}
_ITEM_PARTS = {"quantity": "quantité", "price": "prix", "base": "base", "amo": "part AMO"}
NAMES = {
    "right_lens": "Verre droit",
    "left_lens": "Verre gauche",
    "frame": "Monture",
    **{name: f"Supplément {place}" for place, name in enumerate(SUPPLEMENTS, start=1)},
}
_HEAD = {
    "insurer_number": "Numéro de l'organisme (AMC)",
    "proof": "Numéro de vérification de la carte",
    "version": "Version",
}
_OPTICAL_HEAD = {
    "prescription_date": "Date de l'ordonnance",
    "prescriber_rpps": "RPPS du prescripteur",
    "renewal_reason": "Motif de renouvellement anticipé",
    SAME: "Verre gauche identique au verre droit",
}
_STAY_HEAD = {
    "stay.finess": "FINESS de l'établissement",
    "stay.treasury.office": "Poste comptable",
    "stay.treasury.body": "Code de l'organisme public",
    "stay.admission": "Admission",
    "stay.entry_date": "Date d'entrée",
    "stay.exit_date": "Date de sortie prévue",
    "stay.dmt": "Discipline (DMT)",
    "stay.mode_of_treatment": "Mode de traitement (MT)",
    "stay.is_psychiatry": "Séjour en psychiatrie",
}
_CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    "price": cents,
    "base": cents,
    "amo": cents,
    "sphere": decimal,
    "cylinder": decimal,
    "addition": decimal,
    "quantity": whole,
    "version": whole,
    "is_psychiatry": bool,
}


@dataclass(frozen=True, slots=True, eq=False)
class RequestForm:
    """One kind of request as a form: its fields and what each is called."""

    template: str
    labels: Mapping[str, str]

    @property
    def is_stay(self) -> bool:
        return self.template == "hospital.html"


def _part_labels(names: Mapping[str, str], parts: Mapping[str, str], within: str = "") -> dict[str, str]:
    return {
        f"{within}{name}.{part}": f"{called}, {said}" for name, called in names.items() for part, said in parts.items()
    }


OPTICAL = RequestForm("optical.html", {**_HEAD, **_OPTICAL_HEAD, **_part_labels(NAMES, _PARTS)})
HOSPITAL = RequestForm(
    "hospital.html",
    {
        **_HEAD,
        **_STAY_HEAD,
        **_part_labels(STAY_ITEMS, _ITEM_PARTS, "stay.items."),
    },
)


def read_request(shape: type[Shape], form: RequestForm, typed: Typed, call: Call) -> Shape:
    """What was typed as the API's shape; raises the faults, each at the form's own field."""
    given, unread = _copied(typed) if SAME in typed else (typed, [])
    values, unconverted = nested(given, form.labels, conversions=_CONVERSIONS)
    unread += unconverted
    values.pop(SAME, None)
    unread += _without_base(values) if form.is_stay else _without_prescription(values)
    places = _stay_lists(values) if form.is_stay else _optical_lists(values)
    faults: list[Fault] = []
    try:
        asked = read(shape, values, call)
    except InvalidRequest as problem:
        faults = [_placed(each, places) for each in problem.faults]
    else:
        if not unread:
            return asked
    told = {field_of(each.pointer) for each in unread}
    faults = [*unread, *(each for each in faults if field_of(each.pointer) not in told)]
    if given is not typed:  # the left lens is the right one's copy, and so is what is wrong with it
        faults = [each for each in faults if not each.pointer.startswith(f"/{LENSES[1]}")]
    raise InvalidRequest(faults=faults)


def _copied(typed: Typed) -> tuple[Typed, list[Fault]]:
    """The left lens as the right one, where that was filled in, and a fault where the left one says something else."""
    right, left = LENSES
    if not any(value for name, value in typed.items() if name.startswith(f"{right}.") and not name.endswith("_class")):
        return typed, []
    others = {name: value for name, value in typed.items() if not name.startswith(f"{left}.")}
    copied = others | {
        f"{left}{name.removeprefix(right)}": value for name, value in typed.items() if name.startswith(f"{right}.")
    }
    if all(value in {"", copied.get(name)} or name.endswith("_class") for name, value in typed.items()):
        return copied, []
    said = "Le verre gauche est rempli autrement : décochez cette case, ou videz-le."
    return copied, [Fault(pointer=f"/{SAME}", problem=FieldInvalid, message_fr=said)]


def _optical_lists(values: dict[str, Any]) -> dict[str, str]:
    """Leaves out what nothing was typed of; answers where the form has what stands in a list."""
    for name in ("right_lens", "left_lens", "frame"):
        if not _is_typed(values.get(name, {})):
            values.pop(name, None)
        elif name in LENSES:
            _complete_correction(values[name])
    kept = {place: given for place, given in sorted(values.pop("supplements", {}).items()) if _is_typed(given)}
    if kept:
        values["supplements"] = list(kept.values())
    return {f"/supplements/{index}": f"/supplements/{place}" for index, place in enumerate(kept)}


def _is_typed(given: Mapping[str, Any]) -> bool:
    return any(name not in {"price_class", "correction"} for name in given)


def _complete_correction(lens: dict[str, Any]) -> None:
    """Where the sphere is given, cylinder and addition are 0 unless they say otherwise."""
    if "sphere" in lens:
        lens["cylinder"] = lens.get("cylinder", "0")
        lens["addition"] = lens.get("addition", "0")


def _without_base(values: Mapping[str, Any]) -> list[Fault]:
    """Of what the AMO pays a part of, nothing can be said without the base."""
    said = "Indiquez la base de remboursement et la part de l'Assurance maladie."
    items = values.get("stay", {}).get("items", {})
    return [
        Fault(pointer=f"/stay/items/{name}/base", problem=FieldMissing, message_fr=said)
        for name, given in items.items()
        if name in WITH_AMO and "price_cents" in given and "base_cents" not in given
    ]


def _without_prescription(values: Mapping[str, Any]) -> list[Fault]:
    """Told whatever else is wrong, so that an empty form tells all that it needs."""
    return [Fault(pointer=f"/{name}", problem=FieldMissing) for name in PRESCRIPTION if name not in values]


def _stay_lists(values: dict[str, Any]) -> dict[str, str]:
    """Items of which anything was typed, as the list that the API wants; answers where the form has each."""
    stay = values.setdefault("stay", {})
    items = {name: given for name, given in stay.pop("items", {}).items() if given != {"quantity": 1}}
    for name, given in items.items():
        if name in BY_DAY and "quantity" not in given and (days := _days_of(stay)):
            given["quantity"] = days
    stay["items"] = [
        {"item": Item.EXCESS_FEES.value, "is_optam": False, **given} if name == _NOT_OPTAM else {"item": name, **given}
        for name, given in items.items()
    ]
    return {f"/stay/items/{index}": f"/stay/items/{name}" for index, name in enumerate(items)}


def _days_of(stay: Mapping[str, Any]) -> int:
    """Days of presence; 0 where the dates are none, which is told beside them."""
    try:
        first, last = (date.fromisoformat(stay[name]) for name in ("entry_date", "exit_date"))
    except (KeyError, ValueError):
        return 0
    return max(0, (last - first).days + 1)


def _placed(fault: Fault, places: Mapping[str, str]) -> Fault:
    """A fault at the form's own field: of a whole line at its price, of a stay's days at its end."""
    if fault.pointer == "/stay/items":
        return Fault(pointer=fault.pointer, problem=ItemMissing)
    if fault.problem in {StayReversed, UnitsImpossible}:
        return replace(fault, pointer="/stay/exit_date")
    part = "amo" if fault.problem is AmountsImpossible else "price"
    for listed, place in places.items():
        if fault.pointer == listed or fault.pointer.startswith(f"{listed}/"):
            pointer = place + fault.pointer.removeprefix(listed)
            return replace(fault, pointer=f"{pointer}/{part}" if pointer == place else pointer)
    if fault.pointer.removeprefix("/") in GLASSES:
        is_of_correction = fault.problem is CorrectionUnclear
        return replace(fault, pointer=f"{fault.pointer}/{'sphere' if is_of_correction else part}")
    return fault


def typed_of(request: Request) -> dict[str, str]:
    """A request as it is typed, to be changed."""
    return dict(_typed_stay(request) if isinstance(request, Stay) else _typed_glasses(request))


def _typed_glasses(request: OpticalRequest) -> Iterable[tuple[str, str]]:
    yield "prescription_date", request.prescription_date.isoformat()
    yield "prescriber_rpps", request.prescriber_rpps
    yield "renewal_reason", request.renewal_reason or ""
    supplements = [line for line in request.lines if line.item is Item.SUPPLEMENT]
    equipment = [(line.item.value, line) for line in request.lines if line.item in EQUIPMENT]
    for name, line in chain(equipment, ((f"supplements.{place}", line) for place, line in enumerate(supplements))):
        yield from _typed_line(name, line)
        yield f"{name}.lpp", line.lpp or ""
        yield f"{name}.price_class", line.price_class or ""
        yield f"{name}.correction", line.correction or ""


def _typed_stay(stay: Stay) -> Iterable[tuple[str, str]]:
    yield "stay.finess", stay.finess
    yield "stay.treasury.office", stay.treasury_office or ""
    yield "stay.treasury.body", stay.treasury_body or ""
    yield "stay.admission", stay.admission
    yield "stay.entry_date", stay.entry_date.isoformat()
    yield "stay.exit_date", stay.exit_date.isoformat()
    yield "stay.dmt", stay.dmt
    yield "stay.mode_of_treatment", stay.mode
    if stay.is_psychiatry:
        yield "stay.is_psychiatry", "oui"
    for line in stay.lines:
        name = f"stay.items.{line.item if line.is_optam else _NOT_OPTAM}"
        yield from _typed_line(name, line)
        yield f"{name}.quantity", str(line.units)


def _typed_line(name: str, line: AskedLine) -> Iterable[tuple[str, str]]:
    yield f"{name}.price", typed_euros(line.price)
    yield f"{name}.base", typed_euros(line.base)
    yield f"{name}.amo", typed_euros(line.amo)
