"""What goes wrong, said once: every problem that the gateway can answer, each a class with a code of one meaning.

A ``Problem`` is raised anywhere and answered as an RFC 9457 document. A ``Fault`` is one thing wrong with one part of a
request; all faults of a request are gathered before anything is answered. Neither ever carries the offending value.
A refusal (rights closed, domain not covered) is an answer and not an error: it has no place here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

CATALOGUE: dict[str, type["Problem"]] = {}
REASONS: dict[str, "Reason"] = {}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was decided as it was: an answer, with what the practice reads and what it can do next."""

    code: str
    message_fr: str
    next_step_fr: str | None


def reason(code: str, message_fr: str, next_step_fr: str | None = None) -> Reason:
    """A reason of the catalogue; raises ``TypeError`` where the code has a meaning already."""
    if code in REASONS:
        raise TypeError(f"the code {code} has two meanings")
    REASONS[code] = made = Reason(code, message_fr, next_step_fr)
    return made


class Problem(Exception):
    """Base of all problems. A subclass states its code, status and sentences; an instance may add ``detail``.

    ``title`` and ``hint`` are English, for the vendor; ``message_fr`` and ``next_step_fr`` are shown to the practice.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    message_fr: ClassVar[str]
    next_step_fr: ClassVar[str | None] = None
    hint: ClassVar[str | None] = None
    oauth_error: ClassVar[str | None] = None
    """What RFC 6749 calls it, for what the token endpoint answers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} has no code of its own")
        if cls.code in CATALOGUE:
            raise TypeError(f"the code {cls.code} has two meanings: {CATALOGUE[cls.code].__name__}, {cls.__name__}")
        CATALOGUE[cls.code] = cls

    def __init__(
        self,
        detail: str | None = None,
        *,
        faults: Sequence["Fault"] = (),
        retry_after_seconds: int | None = None,
        headers: dict[str, str] | None = None,
        next_step: str | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        """``next_step`` says in French what this one's kind can only say in general: whom to call, what was decided.

        ``members`` stand in the document beside all others, for software.
        """
        super().__init__(self.code)
        self.detail = detail
        self.next_step = next_step or self.next_step_fr
        self.faults = tuple(faults)
        self.retry_after_seconds = retry_after_seconds
        self.headers = headers or {}
        self.members = members or {}

    @property
    def said_in_headers(self) -> dict[str, str]:
        """What of it is said in the answer's headers, to machines and people alike."""
        if self.retry_after_seconds is None:
            return dict(self.headers)
        return {**self.headers, "Retry-After": str(self.retry_after_seconds)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong at one place of the request; ``pointer`` is an RFC 6901 JSON pointer into the body."""

    pointer: str
    problem: type[Problem]
    detail: str | None = None
    message_fr: str | None = None


class InvalidRequest(Problem):
    code = "invalid_request"
    status = 422
    title = "Several parts of the request are wrong"
    message_fr = "Plusieurs informations sont à corriger."
    next_step_fr = "Corrigez chaque champ signalé puis renvoyez la demande."
    hint = "errors[] lists every fault with a JSON pointer and a code of its own."


class FieldMissing(Problem):
    code = "field_missing"
    status = 422
    title = "A required field is missing"
    message_fr = "Une information obligatoire manque."
    next_step_fr = "Complétez le champ signalé."
    hint = "See the schema of this operation in /openapi.json."


class FieldUnknown(Problem):
    code = "field_unknown"
    status = 422
    title = "A field is not part of this request"
    message_fr = "Un champ n'est pas prévu dans cette demande."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "Unknown fields are refused so that a spelling mistake is not silently ignored."


class FieldInvalid(Problem):
    code = "field_invalid"
    status = 422
    title = "A field has a value that cannot be used"
    message_fr = "Une information n'a pas la forme attendue."
    next_step_fr = "Corrigez le champ signalé."
    hint = "See the schema of this operation in /openapi.json."


class IdentifierWrongLength(Problem):
    code = "identifier_wrong_length"
    status = 422
    title = "The identifier does not have the length of its scheme"
    message_fr = "Le numéro n'a pas le bon nombre de caractères."
    next_step_fr = "Vérifiez le numéro saisi et son type."
    hint = "Each scheme has its own length; the scheme is never guessed from the value."


class IdentifierWrongForm(Problem):
    code = "identifier_wrong_form"
    status = 422
    title = "The identifier does not have the form of its scheme"
    message_fr = "Le numéro ne correspond pas au format attendu."
    next_step_fr = "Vérifiez le numéro saisi et son type."
    hint = "Check characters, prefix and department or country for the scheme named."


class IdentifierWrongKey(Problem):
    code = "identifier_wrong_key"
    status = 422
    title = "The identifier's check digits are wrong"
    message_fr = "La clé de contrôle du numéro est fausse : un chiffre a sans doute été mal saisi."
    next_step_fr = "Relisez le numéro et corrigez-le."
    hint = "The key is computed by the rule of the scheme named; a wrong scheme gives a wrong key too."


class SchemeUnknown(Problem):
    code = "scheme_unknown"
    status = 422
    title = "This scheme of identifier does not exist"
    message_fr = "Ce type d'identifiant n'est pas reconnu."
    next_step_fr = "Choisissez FINESS, Adeli, RPPS ou identifiant de trésorerie."
    hint = "scheme is one of finess, adeli, rpps, treasury."
