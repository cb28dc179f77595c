"""Pricing and decision of an optical request."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from tpgateway.claims.model import AskedLine, Correction, DecidedLine, Decision, Item, Kind, PriceClass, Request
from tpgateway.claims.rules.life import VALIDITY
from tpgateway.guarantees.model import BenefitLine
from tpgateway.money import ZERO, Cents


class Ceiling(NamedTuple):
    """What a responsible contract may pay for class B, by the two lenses' corrections; AMO and insurer together."""

    letter: str
    cents: Cents


# Contrat responsable, CSS R871-2 as of 2020-01-01: what an equipment of two lenses and a frame may come to.
CEILINGS: Mapping[frozenset[Correction], Ceiling] = {
    frozenset({Correction.SIMPLE}): Ceiling("a", Cents(42_000)),
    frozenset({Correction.SIMPLE, Correction.COMPLEX}): Ceiling("b", Cents(56_000)),
    frozenset({Correction.COMPLEX}): Ceiling("c", Cents(70_000)),
    frozenset({Correction.SIMPLE, Correction.VERY_COMPLEX}): Ceiling("d", Cents(61_000)),
    frozenset({Correction.COMPLEX, Correction.VERY_COMPLEX}): Ceiling("e", Cents(75_000)),
    frozenset({Correction.VERY_COMPLEX}): Ceiling("f", Cents(80_000)),
}
# CSS R871-2: the frame counts for at most 100 EUR of the ceiling, AMO included.
FRAME_CEILING = Cents(10_000)

# 100 % Santé: a class A frame is sold for at most 30 EUR; above that it is no class A.
CLASS_A_FRAME_LIMIT = Cents(3_000)

MESSAGES: Mapping[str, str] = {
    "formula_applied": "Pris en charge selon la garantie du contrat.",
    "class_a_in_full": "Équipement 100 % Santé : pris en charge en totalité.",
    "price_above_class_a": "Une monture de classe A ne peut dépasser 30 € : ce prix n'est pas celui d'un 100 % Santé.",
    "frame_ceiling": "Monture limitée au plafond du contrat responsable.",
    "equipment_ceiling": "Limité au plafond de l'équipement du contrat responsable.",
    "benefit_not_in_contract": "Le contrat ne prévoit rien pour cet élément.",
    "all_granted": "La prise en charge est accordée.",
    "some_not_granted": "La prise en charge est accordée en partie : un élément n'est pas prévu au contrat.",
    "nothing_granted": "La prise en charge est refusée : le contrat ne prévoit aucun des éléments demandés.",
}
NEXT_STEPS: Mapping[str, str | None] = {
    "all_granted": None,
    "some_not_granted": "Facturez à l'assuré ce qui n'est pas pris en charge, ou changez l'équipement.",
    "nothing_granted": "Facturez l'assuré, ou proposez un équipement 100 % Santé si son contrat est responsable.",
}


def decide(request: Request, *, benefits: Sequence[BenefitLine], is_responsible: bool, care_date: date) -> Decision:
    """Every line priced, the ceilings of a responsible contract applied, and the whole decided."""
    by_name = {line.benefit: line for line in benefits}
    lines = [_priced(asked, by_name, is_responsible=is_responsible) for asked in request.lines]
    if is_responsible:
        lines = _under_ceilings(request.lines, lines)
    granted = [line.granted > ZERO or line.price == line.amo for line in lines]
    if all(granted):
        kind, code = Kind.APPROVED, "all_granted"
    elif any(granted):
        kind, code = Kind.PARTIALLY_APPROVED, "some_not_granted"
    else:
        kind, code = Kind.REFUSED, "nothing_granted"
    return Decision(
        kind=kind,
        code=code,
        lines=tuple(lines),
        valid_until=None if kind is Kind.REFUSED else care_date + VALIDITY,
    )


def _priced(asked: AskedLine, benefits: Mapping[str, BenefitLine], *, is_responsible: bool) -> DecidedLine:
    benefit = benefits.get(asked.benefit)
    if asked.price_class is PriceClass.A and asked.item is Item.FRAME and asked.price > CLASS_A_FRAME_LIMIT:
        granted, code = ZERO, "price_above_class_a"
    elif asked.price_class is PriceClass.A and is_responsible:
        # CSS R871-2: a responsible contract pays class A in full, whatever its own lines say.
        granted, code = Cents(asked.price - asked.amo), "class_a_in_full"
    elif benefit is None:
        granted, code = ZERO, "benefit_not_in_contract"
    else:
        granted = benefit.formula.insurer_share(price=asked.price, base=asked.base, amo=asked.amo)
        code = "formula_applied"
    return DecidedLine(
        item=asked.item,
        benefit=asked.benefit,
        price=asked.price,
        base=asked.base,
        amo=asked.amo,
        granted=granted,
        code=code,
    )


def _under_ceilings(asked: Sequence[AskedLine], lines: Sequence[DecidedLine]) -> list[DecidedLine]:
    """Class B cut to the frame's ceiling, then to the equipment's; lenses are served before the frame."""
    left = _left_to_insurer(asked)
    served: dict[Item, DecidedLine] = {}
    for want, line in sorted(zip(asked, lines, strict=True), key=lambda pair: pair[0].item is Item.FRAME):
        cut = line
        if want.price_class is PriceClass.B:
            if line.item is Item.FRAME:
                cut = _cut(cut, FRAME_CEILING, "frame_ceiling")
            if left is not None:
                cut = _cut(cut, Cents(left + cut.amo), "equipment_ceiling")
                left = Cents(left - cut.granted)
        served[line.item] = cut
    return [served[line.item] for line in lines]


def _left_to_insurer(asked: Sequence[AskedLine]) -> Cents | None:
    """What the pair's ceiling leaves to the insurer once the AMO has paid for class B; None where there is no lens.

    A single lens has half of the lenses' part of its pair's ceiling, beside the frame's.
    """
    corrections = [line.correction for line in asked if line.correction is not None]
    if not corrections:
        return None
    ceiling = CEILINGS[frozenset(corrections)].cents
    if len(corrections) == 1:
        ceiling = Cents((ceiling - FRAME_CEILING) // 2 + FRAME_CEILING)
    return Cents(max(ZERO, ceiling - sum(line.amo for line in asked if line.price_class is PriceClass.B)))


def _cut(line: DecidedLine, ceiling: Cents, code: str) -> DecidedLine:
    """The line with AMO and insurer together under the ceiling."""
    granted = Cents(max(ZERO, min(line.granted, ceiling - line.amo)))
    return line if granted == line.granted else replace(line, granted=granted, code=code)
