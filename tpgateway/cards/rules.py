"""The answer to a card check, decided from what was recorded of it and nothing else."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from tpgateway.cards.model import CardCheck, Outcome, Verdict
from tpgateway.guarantees.model import BenefitLine


class _Refusal(NamedTuple):
    outcome: Outcome
    message_fr: str
    next_step_fr: str


REFUSALS = {
    "no_convention": _Refusal(
        Outcome.NOT_CONTRACTED,
        "Aucune convention de votre spécialité n'est en vigueur à cette date.",
        "Vérifiez la date des soins ; sinon facturez l'assuré.",
    ),
    "domain_outside_convention": _Refusal(
        Outcome.NOT_CONTRACTED,
        "La convention de votre spécialité ne comprend pas ce domaine de soins.",
        "Vérifiez le domaine choisi ; sinon facturez l'assuré.",
    ),
    "convention_not_signed": _Refusal(
        Outcome.NOT_CONTRACTED,
        "Vous n'avez pas encore signé la convention de votre spécialité.",
        "Signez la convention dans votre espace, puis recommencez.",
    ),
    "insurer_outside_convention": _Refusal(
        Outcome.NOT_CONTRACTED,
        "Cet organisme ne participe pas à la convention de votre spécialité.",
        "Facturez l'assuré, qui se fera rembourser par son organisme.",
    ),
    "unknown_person": _Refusal(
        Outcome.UNKNOWN_PERSON,
        "Aucun assuré de cet organisme ne correspond à ces informations.",
        "Relisez le numéro d'adhérent, la date et le rang de naissance sur la carte.",
    ),
    "rights_closed": _Refusal(
        Outcome.RIGHTS_CLOSED,
        "Les droits de cette personne ne sont pas ouverts à la date des soins.",
        "Demandez une carte plus récente ; sinon facturez l'assuré.",
    ),
    "convention_type_not_held": _Refusal(
        Outcome.NOT_CONTRACTED,
        "Le contrat de cette personne ne passe pas par ce type de convention.",
        "Relisez le type de convention sur la carte (deux lettres).",
    ),
    "domain_not_covered": _Refusal(
        Outcome.NOT_COVERED,
        "Le contrat de cette personne ne couvre pas ce domaine de soins en tiers payant.",
        "Facturez l'assuré.",
    ),
}


# A claim can be brought for two years after care (CSS L332-1); a check a little beyond that still helps to see why not.
_LONGEST_AGO = timedelta(days=3 * 366)
_FURTHEST_AHEAD = timedelta(days=366)


def is_care_date_possible(care_date: date, *, today: date) -> bool:
    """Whether a check may be made for a day: three years back, one ahead."""
    return today - _LONGEST_AGO <= care_date <= today + _FURTHEST_AHEAD


def answer(check: CardCheck, benefits: Sequence[BenefitLine]) -> Verdict:
    """The verdict; ``benefits`` are all lines of the product version that was found, whatever their domain.

    What concerns the practitioner comes before what concerns the person: nobody learns of a person's rights without a
    convention to ask under.
    """
    if (code := _refusal(check)) is not None:
        return _refused(code)
    covered = tuple(line for line in benefits if line.domain is check.domain)
    if not covered:
        return _refused("domain_not_covered")
    return Verdict(
        outcome=Outcome.COVERED,
        code="covered",
        message_fr="Les droits sont ouverts : le tiers payant est possible.",
        next_step_fr=None,
        benefits=covered,
    )


def _refusal(check: CardCheck) -> str | None:
    if not check.has_convention:
        return "no_convention"
    if not check.is_domain_agreed:
        return "domain_outside_convention"
    if not check.has_signed:
        return "convention_not_signed"
    if not check.participates:
        return "insurer_outside_convention"
    if check.rights_from is None or check.rights_to is None:
        return "unknown_person"
    if not check.rights_from <= check.care_date <= check.rights_to:
        return "rights_closed"
    if not check.holds_type:
        return "convention_type_not_held"
    return None


def _refused(code: str) -> Verdict:
    refusal = REFUSALS[code]
    return Verdict(outcome=refusal.outcome, code=code, message_fr=refusal.message_fr, next_step_fr=refusal.next_step_fr)
