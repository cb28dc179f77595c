"""The answer to a card check, decided from what was recorded of it and nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from tpgateway.cards.model import Ask, CardCheck, Outcome, Verdict
from tpgateway.errors import reason
from tpgateway.guarantees.model import Approval, BenefitLine, Domain

REFUSALS = {
    verdict.code: verdict
    for verdict in (
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="no_convention",
            message_fr="Aucune convention de votre spécialité n'est en vigueur à cette date.",
            next_step_fr="Vérifiez la date des soins ; sinon facturez l'assuré.",
        ),
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="domain_outside_convention",
            message_fr="La convention de votre spécialité ne comprend pas ce domaine de soins.",
            next_step_fr="Vérifiez le domaine choisi ; sinon facturez l'assuré.",
        ),
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="convention_not_signed",
            message_fr="À cette date, vous n'êtes pas lié à la convention de votre spécialité : non signée, ou quittée.",
            next_step_fr="Signez la convention en vigueur dans votre espace, puis recommencez ; sinon facturez l'assuré.",
        ),
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="insurer_outside_convention",
            message_fr="Cet organisme ne participe pas à la convention de votre spécialité.",
            next_step_fr="Facturez l'assuré, qui se fera rembourser par son organisme.",
        ),
        Verdict(
            outcome=Outcome.INSURER_SILENT,
            code="insurer_silent",
            message_fr="L'organisme de cette personne n'a pas pu répondre.",
            next_step_fr="Recommencez dans quelques minutes ; si cela presse, facturez l'assuré.",
        ),
        Verdict(
            outcome=Outcome.UNKNOWN_PERSON,
            code="ambiguous",
            message_fr="Plusieurs personnes correspondent à ces informations.",
            next_step_fr="Précisez le rang de naissance, ou remplacez le NIR par le numéro d'adhérent de la carte.",
        ),
        Verdict(
            outcome=Outcome.UNKNOWN_PERSON,
            code="unknown_person",
            message_fr="Aucun assuré de cet organisme ne correspond à ces informations.",
            next_step_fr="Relisez sur la carte le numéro d'adhérent (ou le NIR), la date et le rang de naissance.",
        ),
        Verdict(
            outcome=Outcome.RIGHTS_CLOSED,
            code="rights_closed",
            message_fr="Les droits de cette personne ne sont pas ouverts à la date des soins.",
            next_step_fr="Demandez une carte plus récente ; sinon facturez l'assuré.",
        ),
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="convention_type_not_held",
            message_fr="Le contrat de cette personne ne passe pas par ce type de convention.",
            next_step_fr="Relisez le type de convention sur la carte (deux lettres).",
        ),
        Verdict(
            outcome=Outcome.NOT_CONTRACTED,
            code="csr_not_held",
            message_fr="Le critère secondaire de routage (CSR) de la carte n'est plus celui de cette personne.",
            next_step_fr="Demandez la carte en cours de validité, ou relisez le CSR.",
        ),
        Verdict(
            outcome=Outcome.NOT_COVERED,
            code="domain_not_covered",
            message_fr="Le contrat de cette personne ne couvre pas ce domaine de soins en tiers payant.",
            next_step_fr="Facturez l'assuré.",
        ),
    )
}
"""Every refusal, by its code."""
for _verdict in REFUSALS.values():
    reason(_verdict.code, _verdict.message_fr, _verdict.next_step_fr)


# A claim can be brought for two years after care (CSS L332-1); a check a little beyond that still helps to see why not.
_LONGEST_AGO = timedelta(days=3 * 366)
_FURTHEST_AHEAD = timedelta(days=366)


def is_care_date_possible(care_date: date, *, today: date) -> bool:
    """Whether a check may be made for a day: three years back, one ahead."""
    return today - _LONGEST_AGO <= care_date <= today + _FURTHEST_AHEAD


def refusal(check: CardCheck) -> Verdict | None:
    """What stands in the way of cover before any product is looked at; None where nothing does.

    What concerns the practitioner comes before what concerns the person: nobody learns of a person's rights without a
    convention to ask under.
    """
    found = check.found
    if found.convention_id is None:
        return REFUSALS["no_convention"]
    if not found.is_domain_agreed:
        return REFUSALS["domain_outside_convention"]
    if not found.has_signed:
        return REFUSALS["convention_not_signed"]
    if not found.participates:
        return REFUSALS["insurer_outside_convention"]
    if found.is_silent:
        return REFUSALS["insurer_silent"]
    if found.is_ambiguous:
        return REFUSALS["ambiguous"]
    if found.rights_from is None or found.rights_to is None:
        return REFUSALS["unknown_person"]
    if not found.rights_from <= check.ask.care_date <= found.rights_to:
        return REFUSALS["rights_closed"]
    if not found.holds_type:
        return REFUSALS["convention_type_not_held"]
    if not found.holds_csr:
        return REFUSALS["csr_not_held"]
    return None


def cover(domain: Domain, benefits: Sequence[BenefitLine], *, asks_first: bool = False) -> Verdict:
    """What a product comes to for a domain, nothing else standing in the way; ``benefits`` are all of its lines.

    ``asks_first``: the convention wants an approval in the domain, whatever the product says.
    """
    covered = tuple(line for line in benefits if line.domain is domain)
    if asks_first:
        covered = tuple(replace(line, approval=Approval.REQUIRED) for line in covered)
    if not covered:
        return REFUSALS["domain_not_covered"]
    return Verdict(
        outcome=Outcome.COVERED,
        code="covered",
        message_fr="Les droits sont ouverts : le tiers payant est possible.",
        next_step_fr=None,
        benefits=covered,
    )


def answer(check: CardCheck, benefits: Sequence[BenefitLine]) -> Verdict:
    """The verdict of a check; ``benefits`` are all lines of the product version that it found."""
    return refusal(check) or cover(check.ask.domain, benefits)


def is_same_question(ask: Ask, before: CardCheck, *, care_date: date | None) -> bool:
    """Whether a check asks what one made before did; ``care_date`` is the day that was named, None where none was.

    Of a person who was asked for by NIR the record holds what was found, so that only what was asked is compared.
    """
    one, other = ask.card, before.ask.card
    is_same_person = (one.nir_hash, one.birth_date) == (other.nir_hash, other.birth_date) and (
        (one.membership_number, one.birth_rank) == (other.membership_number, other.birth_rank)
        if one.nir_hash is None
        else one.birth_rank in {None, other.birth_rank}
    )
    return (
        is_same_person
        and (one.insurer_number, one.convention_type, one.csr)
        == (other.insurer_number, other.convention_type, other.csr)
        and ask.domain is before.ask.domain
        and care_date in {None, before.ask.care_date}
    )
