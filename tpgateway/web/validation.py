"""pydantic's findings as our faults: every one, with a JSON pointer and a French sentence, never with the value."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tpgateway.errors import Fault, FieldInvalid, FieldMissing, FieldUnknown, InvalidRequest, Problem
from tpgateway.web.problems import NotJson, WrongEncoding

# \u0000, but not a backslash that is itself escaped and then u0000.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
Shape = TypeVar("Shape", bound=BaseModel)


class Payload(BaseModel):
    """Base of what comes in as JSON: nothing unknown, nothing coerced, values never shown in an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, str_strip_whitespace=True, hide_input_in_errors=True
    )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"  # what people send stays out of every text that is made of it


class Parameters(BaseModel):
    """Base of what comes in a query or a path: text that is coerced, but not trimmed: one thing has one address."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class View(BaseModel):
    """Base of what goes out; ``showing`` reads it from a model whose attributes have the same names."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    @classmethod
    def showing(cls, model: object) -> Self:
        return cls.model_validate(model)


_SENTENCES: Mapping[str, str] = {
    "string_too_short": "Le texte est trop court.",
    "string_too_long": "Le texte est trop long.",
    "string_type": "Un texte est attendu.",
    "string_pattern_mismatch": "Le format n'est pas celui attendu.",
    "int_type": "Un nombre entier est attendu.",
    "int_parsing": "Un nombre entier est attendu.",
    "bool_type": "Vrai ou faux est attendu.",
    "enum": "La valeur ne fait pas partie des choix possibles.",
    "literal_error": "La valeur ne fait pas partie des choix possibles.",
    "greater_than_equal": "Le nombre est trop petit.",
    "less_than_equal": "Le nombre est trop grand.",
    "date_from_datetime_parsing": "La date n'est pas valable (AAAA-MM-JJ).",
    "date_parsing": "La date n'est pas valable (AAAA-MM-JJ).",
    "date_type": "La date n'est pas valable (AAAA-MM-JJ).",
    "datetime_parsing": "L'instant n'est pas valable (2026-11-21T08:00:00Z).",
    "datetime_from_date_parsing": "L'instant n'est pas valable (2026-11-21T08:00:00Z).",
    "timezone_aware": "L'instant n'est pas valable (2026-11-21T08:00:00Z).",
    "value_error": "La valeur n'est pas acceptée.",
}


def fault_error(
    problem: type[Problem], message_fr: str | None = None, detail: str | None = None
) -> PydanticCustomError:
    """What a validator raises to name the problem itself."""
    return faults_error([Fault(pointer="", problem=problem, detail=detail or problem.title, message_fr=message_fr)])


def faults_error(faults: Sequence[Fault]) -> PydanticCustomError:
    """The same of several at once; their pointers begin at what is validated."""
    said = "; ".join(each.detail or each.problem.title for each in faults)
    return PydanticCustomError("tpg_problem", "{said}", {"said": said, "faults": faults})


def parse_json(shape: type[Shape], raw: bytes, context: dict[str, Any]) -> Shape:
    """The body as its shape; raises ``WrongEncoding``, ``NotJson`` or the faults, all at once."""
    if not raw.isascii():
        raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            raise WrongEncoding from None
    if b"\\u0000" in raw and _NUL.search(raw):
        raise WrongEncoding("a NUL character stands in the body")
    try:
        return shape.model_validate_json(raw, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        if found[0]["type"] == "json_invalid":
            # The parser says where, in its own words and without the text around.
            raise NotJson(str(found[0]["ctx"]["error"])) from None
        raise InvalidRequest(faults=_faults(found)) from None


def parse_parameters(shape: type[Shape], values: Mapping[str, Any]) -> Shape:
    """Query or path as its shape; raises the faults, all at once. Their pointers open with ``/query``."""
    if any(isinstance(value, str) and "\0" in value for value in values.values()):
        raise WrongEncoding
    names = Counter(name for name, _ in values.items())  # of a query as often as each stands there
    if twice := [name for name, count in names.items() if count > 1]:
        places = ["/query" + _pointer([name]) for name in twice]
        raise InvalidRequest(
            faults=[Fault(pointer=each, problem=FieldInvalid, detail="given more than once") for each in places]
        )
    try:
        return shape.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidRequest(faults=_faults(found, prefix="/query")) from None


def _faults(found: Sequence[ErrorDetails], prefix: str = "") -> list[Fault]:
    faults: list[Fault] = []
    for error in found:
        pointer = prefix + _pointer(error["loc"])
        if error["type"] == "tpg_problem":
            faults += [replace(each, pointer=pointer + each.pointer) for each in error["ctx"]["faults"]]
        else:
            faults.append(_fault(error, pointer))
    return faults


def _pointer(parts: Sequence[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _fault(error: ErrorDetails, pointer: str) -> Fault:
    if error["type"] == "missing":
        return Fault(pointer=pointer, problem=FieldMissing)
    if error["type"] == "extra_forbidden":
        return Fault(pointer=pointer, problem=FieldUnknown)
    sentence = _SENTENCES.get(error["type"])
    if error["type"] == "multiple_of":
        step = str(error["ctx"]["multiple_of"]).replace(".", ",")
        sentence = f"Le nombre doit être un multiple de {step}."
    return Fault(pointer=pointer, problem=FieldInvalid, detail=error["msg"], message_fr=sentence)
