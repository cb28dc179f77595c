"""Forms as people fill them in: text that becomes the JSON which the API would be sent, and faults beside their fields."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel

from tpgateway.errors import Fault, FieldInvalid, Problem
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_json

Shape = TypeVar("Shape", bound=BaseModel)
Typed = Mapping[str, str]
# 1 234,50 as people and spreadsheets write it, with any space, with or without the sign of the euro.
_AMOUNT = re.compile(r"(\d{1,8})(?:[.,](\d{1,2}))?", re.ASCII)
_SPACES = re.compile(r"[\s\u00a0\u202f]|€")
_DECIMAL = re.compile(r"[+-]?\d{1,3}(\.\d{1,3})?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}")
_AMOUNT_FR = "Écrivez un montant en euros, par exemple 120,50."
_NUMBER_FR = "Écrivez un nombre, par exemple -1,25."


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form as a template shows it: what each field is called, what was typed, what is wrong with it."""

    labels: Mapping[str, str]
    typed: Typed = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    """What is wrong with no field of its own."""

    @classmethod
    def of(cls, labels: Mapping[str, str], typed: Typed, problem: Problem | None = None) -> "Form":
        faults: dict[str, str] = {}
        others = []
        for each in problem.faults if problem else ():
            name, said = field_of(each.pointer), each.message_fr or each.problem.message_fr
            if name in labels:
                faults.setdefault(name, said)
            else:
                others.append(said)
        return cls(labels=labels, typed=typed, faults=faults, others=tuple(dict.fromkeys(others)))


def field_of(pointer: str) -> str:
    """The form's field for a place in the JSON: ``/right_lens/price_cents`` is ``right_lens.price``."""
    parts = [part for part in pointer.removeprefix("/query").split("/") if part]
    return ".".join(part.removesuffix("_cents") for part in parts)


def read(shape: type[Shape], values: Mapping[str, Any], call: Call) -> Shape:
    """The values as the API's shape, by the API's own rules; raises the faults, all at once."""
    return parse_json(shape, json.dumps(values).encode(), call.state.parsing)


def nested(
    typed: Typed, names: Iterable[str], *, conversions: Mapping[str, Callable[[str], Any]]
) -> tuple[dict[str, Any], list[Fault]]:
    """The fields named that were filled in, ``a.b`` within ``a``, and the faults of those that cannot be converted.

    ``conversions`` are by the last part of a field's name; what they raise as ``ValueError`` is told beside the field, and
    the text then stands in the value's place.
    """
    made: dict[str, Any] = {}
    faults: list[Fault] = []
    for name in names:
        text = typed.get(name, "").strip()
        if not text:
            continue
        *path, last = name.split(".")
        value: Any = text
        if convert := conversions.get(last):
            try:
                value = convert(text)
            except ValueError as error:
                pointer = "/" + name.replace(".", "/")
                faults.append(Fault(pointer=pointer, problem=FieldInvalid, message_fr=str(error)))
        inner = made
        for part in path:
            inner = inner.setdefault(part, {})
        inner[f"{last}_cents" if convert is cents else last] = value
    return made, faults


def cents(text: str) -> int:
    """An amount in euros as whole cents; raises ``ValueError`` with a French sentence."""
    found = _AMOUNT.fullmatch(_SPACES.sub("", text))
    if found is None:
        raise ValueError(_AMOUNT_FR)
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def decimal(text: str) -> str:
    """A number with a comma or a point, as JSON carries it without loss; raises ``ValueError`` with a French sentence."""
    written = text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-")
    if not _DECIMAL.fullmatch(written):
        raise ValueError(_NUMBER_FR)
    return str(Decimal(written))


def whole(text: str) -> int:
    """A whole number; raises ``ValueError`` with a French sentence."""
    bare = _SPACES.sub("", text)
    if not bare.isascii() or not bare.isdigit() or len(bare) > 9:
        raise ValueError("Écrivez un nombre entier.")
    return int(bare)


def number_of(text: str | None) -> int:
    """A number that the page itself wrote into a form, a version say; 0 for whatever else comes in its place."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else 0


def typed_euros(amount: int) -> str:
    """An amount as it is typed: ``120,50``."""
    return f"{amount // 100},{amount % 100:02d}"
