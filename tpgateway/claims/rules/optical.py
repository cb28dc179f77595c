"""Pricing of an optical request, line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from tpgateway.claims.model import (
    EQUIPMENT,
    LENSES,
    AskedLine,
    DecidedLine,
    Item,
    OpticalRequest,
    PriceClass,
    RenewalReason,
)
from tpgateway.claims.rules import people, reasons
from tpgateway.guarantees.model import BenefitLine, FormulaKind, Tariffs, Use
from tpgateway.guarantees.rules.evaluation import Charge, add_months, evaluate, too_early
from tpgateway.guarantees.rules.responsible import PAIRS, RENEWAL
from tpgateway.money import ZERO, Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a request is decided on: the contract, the person and the day."""

    benefits: Mapping[str, BenefitLine]
    is_responsible: bool
    birth_date: str
    care_date: date
    tariffs: Tariffs
    uses: Sequence[Use]


def price(request: OpticalRequest, case: Case) -> list[DecidedLine]:
    """Every line priced, then the floor and the ceilings of a responsible contract applied."""
    months = renewal_months(case, request.renewal_reason)
    is_too_old = prescription_is_too_old(request.prescription_date, case)
    lines = [_priced(asked, case, months, is_too_old=is_too_old) for asked in request.lines]
    if not any(line.granted for line in lines if line.asked.item in LENSES):
        lines = [
            replace(line, granted=ZERO, units=0, code=reasons.GOES_WITH_LENSES.code)
            if line.asked.item is Item.SUPPLEMENT and line.granted
            else line
            for line in lines
        ]
    if case.is_responsible:
        lines = _under_ceilings(_above_floor(lines, case), case)
    return lines


def renewal_months(case: Case, reason: RenewalReason | None) -> int:
    """After how many months an equipment is paid for again (CSS R871-2: 2 years, 1 up to 16, 6 months under 6)."""
    age, tariffs, on = people.age(case.birth_date, case.care_date), case.tariffs, case.care_date
    if reason is RenewalReason.MEDICAL_CONDITION:
        return 0
    suffix = "_under_6" if age < 6 else "_under_16" if age < 16 else ""
    months = tariffs.at(RENEWAL + suffix, on)
    if reason is RenewalReason.SIGHT_CHANGE:
        changed = tariffs.at(f"{RENEWAL}_sight_change{'_under_16' if age < 16 else ''}", on)
        if changed is not None:
            return min(changed, months or changed)
    return months or 0


def prescription_is_too_old(prescribed: date, case: Case) -> bool:
    """Whether lenses may no longer be made on a prescription: its life depends on the person's age."""
    age = people.age(case.birth_date, case.care_date)
    suffix = "_under_16" if age < 16 else "_from_43" if age >= 43 else ""
    months = case.tariffs.at(f"optical_prescription_months{suffix}", case.care_date)
    return months is not None and case.care_date > add_months(prescribed, months)


def _priced(asked: AskedLine, case: Case, months: int, *, is_too_old: bool) -> DecidedLine:
    benefit = case.benefits.get(asked.benefit)
    granted, code = ZERO, ""
    if asked.item in LENSES and is_too_old:
        code = reasons.PRESCRIPTION_TOO_OLD.code
    elif asked.item in EQUIPMENT and _is_renewed_too_early(asked, benefit, case, months):
        code = reasons.RENEWAL_TOO_EARLY.code
    elif _is_above_class_a(asked, case):
        code = reasons.PRICE_ABOVE_CLASS_A.code
    elif asked.price == asked.amo:
        code = reasons.NOTHING_LEFT.code
    elif asked.price_class is PriceClass.A and case.is_responsible:
        # CSS R871-2: a responsible contract pays class A in full, whatever its own lines say.
        granted, code = Cents(asked.price - asked.amo), reasons.CLASS_A_IN_FULL.code
    elif benefit is None:
        code = reasons.BENEFIT_NOT_IN_CONTRACT.code
    else:
        charge = Charge(on=case.care_date, price=asked.price, base=asked.base, amo=asked.amo, units=asked.units)
        granted, _, code = evaluate(benefit, charge, case.uses)
    return DecidedLine(asked=asked, granted=granted, units=asked.units if granted else 0, code=code)


def _is_renewed_too_early(asked: AskedLine, benefit: BenefitLine | None, case: Case, months: int) -> bool:
    own = [use for use in case.uses if use.item == asked.item]
    if not own:
        return False
    if benefit is not None and benefit.renewal_months is not None and months:
        months = benefit.renewal_months
    return too_early(months, case.care_date, own)


def _is_above_class_a(asked: AskedLine, case: Case) -> bool:
    if asked.price_class is not PriceClass.A:
        return False
    kind = f"lens_{asked.correction}" if asked.correction else asked.item.value
    limit = case.tariffs.at(f"optical_class_a_{kind}_limit", case.care_date)
    return limit is not None and asked.price > limit


def _letter(lines: Sequence[DecidedLine]) -> str | None:
    """The pair's letter; None where there is no lens. A single lens counts as one of a pair of its own kind."""
    corrections = frozenset(line.asked.correction.value for line in lines if line.asked.correction is not None)
    return PAIRS[corrections] if corrections else None


def _above_floor(lines: list[DecidedLine], case: Case) -> list[DecidedLine]:
    """CSS R871-2: where the contract pays more than the co-payment, a pair of class B comes to the floor at least."""
    of_class_b = [line for line in lines if line.asked.price_class is PriceClass.B]
    lenses = [line for line in of_class_b if line.asked.item in LENSES]
    benefits = [case.benefits.get(line.asked.benefit) for line in lenses]
    goes_beyond = all(each is not None and each.formula.kind is not FormulaKind.COPAYMENT for each in benefits)
    if len(lenses) < 2 or not goes_beyond or not all(line.granted for line in lenses):
        return lines
    floor = case.tariffs.at(f"optical_floor_{_letter(lines)}", case.care_date) or 0
    missing = floor - sum(line.granted + line.asked.amo for line in of_class_b)
    raised: list[DecidedLine] = []
    for line in lines:
        more = max(0, min(missing, line.patient)) if line in of_class_b and line.granted else 0
        missing -= more
        raised.append(
            replace(line, granted=Cents(line.granted + more), code=reasons.EQUIPMENT_FLOOR.code) if more else line
        )
    return raised


def _under_ceilings(lines: list[DecidedLine], case: Case) -> list[DecidedLine]:
    """Class B cut to the frame's ceiling, then to the equipment's; lenses are served before all else."""
    left = _left_to_insurer(lines, case)
    frame_ceiling = case.tariffs.cents("optical_frame_ceiling", case.care_date)
    served: dict[int, DecidedLine] = {}
    for place, line in sorted(enumerate(lines), key=lambda pair: pair[1].asked.item not in LENSES):
        cut = line
        if line.asked.price_class is PriceClass.B:
            if line.asked.item is Item.FRAME and frame_ceiling is not None:
                cut = _cut(cut, frame_ceiling, reasons.FRAME_CEILING.code)
            if left is not None:
                cut = _cut(cut, Cents(left + cut.asked.amo), reasons.EQUIPMENT_CEILING.code)
                left = Cents(left - cut.granted)
        served[place] = cut
    return [served[place] for place in range(len(lines))]


def _left_to_insurer(lines: Sequence[DecidedLine], case: Case) -> Cents | None:
    """What the pair's ceiling leaves to the insurer once the AMO has paid for class B; None where there is no lens.

    A single lens has half of the lenses' part of its pair's ceiling, beside the frame's.
    """
    letter = _letter(lines)
    if letter is None:
        return None
    ceiling = case.tariffs.cents(f"optical_ceiling_{letter}", case.care_date)
    frame = case.tariffs.cents("optical_frame_ceiling", case.care_date)
    if ceiling is None or frame is None:
        return None
    if sum(line.asked.correction is not None for line in lines) == 1:
        ceiling = Cents((ceiling - frame) // 2 + frame)
    paid = sum(line.asked.amo for line in lines if line.asked.price_class is PriceClass.B)
    return Cents(max(ZERO, ceiling - paid))


def _cut(line: DecidedLine, ceiling: Cents, code: str) -> DecidedLine:
    """The line with AMO and insurer together under the ceiling."""
    granted = Cents(max(ZERO, min(line.granted, ceiling - line.asked.amo)))
    return line if granted == line.granted else replace(line, granted=granted, code=code)
