"""What a responsible contract (contrat responsable, CSS L871-1 and R871-2) must keep, as far as its lines show it.

What a line leaves open (a remainder without a ceiling) is cut when a request is decided; here is refused what contradicts.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations_with_replacement
from typing import NamedTuple

from tpgateway.errors import Problem
from tpgateway.guarantees import errors
from tpgateway.guarantees.model import BenefitLine, Domain, Formula, FormulaKind, ProductTerms, Tariffs

LENSES = ("simple", "complex", "very_complex")
# The letters of the pairs, as CSS R871-2 counts them.
PAIRS: Mapping[frozenset[str], str] = {
    frozenset({"simple"}): "a",
    frozenset({"simple", "complex"}): "b",
    frozenset({"complex"}): "c",
    frozenset({"simple", "very_complex"}): "d",
    frozenset({"complex", "very_complex"}): "e",
    frozenset({"very_complex"}): "f",
}
RENEWAL = "optical_renewal_months"


class Breach(NamedTuple):
    """A rule that a line breaks; ``line`` is its place among the product's benefits."""

    line: int
    rule: type[Problem]
    detail: str


def breaches(terms: ProductTerms, tariffs: Tariffs) -> list[Breach]:
    """Every rule that the product breaks on the day that it begins; none where it does not claim to be responsible."""
    if not terms.is_responsible:
        return []
    found: list[Breach] = []
    for place, line in enumerate(terms.benefits):
        if line.domain is Domain.HOSP:
            found += (Breach(place, rule, line.benefit) for rule in _of_hospital(line))
        elif line.domain is Domain.OPTI:
            found += (Breach(place, rule, line.benefit) for rule in _of_optics(line, tariffs, terms.valid_from))
    return found + _of_pairs(terms.benefits, tariffs, terms.valid_from)


def _of_hospital(line: BenefitLine) -> Iterator[type[Problem]]:
    formula = line.formula
    is_limited = formula.ceiling_cents is not None or line.waiting_days > 0 or line.days_covered is not None
    match line.benefit:
        case "daily_fee":
            if is_limited or formula.kind is not FormulaKind.REMAINDER:
                yield errors.ResponsibleDailyFee
        case "copayment" | "high_cost_act_fee" | "emergency_fee":
            if is_limited or not _pays_whole_copayment(formula):
                yield errors.ResponsibleCopayment
        case "excess_fees_not_optam":
            # No more than the base again, the AMO's share counted in it.
            if formula.kind is FormulaKind.PERCENTAGE and (formula.rate_basis_points or 0) > 20_000:
                yield errors.ResponsibleExcessFees


def _pays_whole_copayment(formula: Formula) -> bool:
    return formula.kind in {FormulaKind.COPAYMENT, FormulaKind.REMAINDER} or (
        formula.kind is FormulaKind.PERCENTAGE and (formula.rate_basis_points or 0) >= 10_000
    )


def _of_optics(line: BenefitLine, tariffs: Tariffs, on: date) -> Iterator[type[Problem]]:
    formula = line.formula
    if line.benefit.endswith("_a") and (formula.kind is not FormulaKind.REMAINDER or formula.ceiling_cents is not None):
        yield errors.ResponsibleClassA
    most = _most(formula)
    frame = tariffs.at("optical_frame_ceiling", on)
    if line.benefit == "frame_b" and most is not None and frame is not None and most > frame:
        yield errors.ResponsibleFrame
    period = tariffs.at(RENEWAL, on)
    if line.renewal_months is not None and period is not None and line.renewal_months < period:
        yield errors.ResponsibleRenewal


def _of_pairs(lines: Sequence[BenefitLine], tariffs: Tariffs, on: date) -> list[Breach]:
    """Each pair of lenses against its ceiling, and with the frame against its floor."""
    found: list[Breach] = []
    places = {line.benefit: place for place, line in enumerate(lines) if line.domain is Domain.OPTI}
    frame = lines[places["frame_b"]].formula if "frame_b" in places else None
    for pair in combinations_with_replacement(LENSES, 2):
        names = [f"lens_{correction}_b" for correction in pair]
        if not all(name in places for name in names):
            continue
        letter = PAIRS[frozenset(pair)]
        place = places[names[0]]
        amounts = [_most(lines[places[name]].formula) for name in names]
        if None in amounts:
            continue
        lenses = sum(amount or 0 for amount in amounts)
        ceiling, floor = tariffs.at(f"optical_ceiling_{letter}", on), tariffs.at(f"optical_floor_{letter}", on)
        if ceiling is not None and lenses > ceiling:
            found.append(Breach(place, errors.ResponsibleEquipmentCeiling, f"pair {letter}: {' and '.join(names)}"))
        with_frame = lenses + (_most(frame) or 0) if frame else lenses
        has_bound = frame is None or _most(frame) is not None
        if floor is not None and has_bound and with_frame < floor:
            found.append(Breach(place, errors.ResponsibleEquipmentFloor, f"pair {letter}: {' and '.join(names)}"))
    return found


def _most(formula: Formula) -> int | None:
    """The most that a formula can pay for one piece, where it has a bound of its own."""
    bounds = [bound for bound in (formula.amount_cents, formula.ceiling_cents) if bound is not None]
    return min(bounds, default=None)
