"""Pricing of an optical request, line by line."""

from collections.abc import Sequence
from dataclasses import replace
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
from tpgateway.claims.rules import reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.consumption import uses_of_line
from tpgateway.errors import Reason
from tpgateway.guarantees.model import BenefitLine, FormulaKind, Per, Use
from tpgateway.guarantees.rules.evaluation import Charge, Part, add_months, evaluate, limit_of, too_early
from tpgateway.guarantees.rules.responsible import PAIRS, RENEWAL
from tpgateway.money import ZERO, Cents

_WHOLE_BASE = 10_000


def price(request: OpticalRequest, case: Case) -> list[DecidedLine]:
    """Every line priced, then the floor and the ceilings of a responsible contract applied.

    A change of sight is one only if it was prescribed after what was granted before.
    """
    is_too_old = prescription_is_too_old(request.prescription_date, case)
    before = granted_before(request, case)
    lines: list[DecidedLine] = []
    spent: list[Use] = []
    for asked in request.lines:
        reason = _reason(request, [use for use in case.uses if use.item == asked.item])
        line = _priced(asked, case, reason, spent, is_too_old=is_too_old)
        if asked.benefit in case.counted_together:
            line = _of_equipment(line, request, case, spent)
            spent += uses_of_line(line, request)
        lines.append(line)
    if not any(line.granted for line in lines if line.asked.item in LENSES):
        lines = [
            _nothing(line.asked, reasons.GOES_WITH_LENSES)
            if line.asked.item is Item.SUPPLEMENT and line.granted
            else line
            for line in lines
        ]
    if case.is_responsible:
        lines = _under_ceilings(_above_floor(lines, case, before), case, before)
    return lines


def is_taken(line: DecidedLine, request: OpticalRequest, case: Case) -> bool:
    """Whether the person has got this piece already, within the period."""
    asked = line.asked
    reason = _reason(request, [use for use in case.uses if use.item == asked.item])
    again = _available_from(asked, case.benefits.get(asked.benefit), case, reason)
    return asked.item in EQUIPMENT and again is not None


def _reason(request: OpticalRequest, before: Sequence[Use]) -> RenewalReason | None:
    """Why something is asked for again; a change of sight only if it was prescribed after what was granted before."""
    if request.renewal_reason is not RenewalReason.SIGHT_CHANGE or not before:
        return request.renewal_reason
    return request.renewal_reason if request.prescription_date > max(use.on for use in before) else None


def _of_equipment(line: DecidedLine, request: OpticalRequest, case: Case, spent: Sequence[Use]) -> DecidedLine:
    """What is paid by equipment is paid once for all of its pieces that go by the same benefit, within the period."""
    asked, benefit = line.asked, case.benefits.get(line.asked.benefit)
    if benefit is None or benefit.formula.per is not Per.EQUIPMENT or line.code == reasons.CLASS_A_IN_FULL.code:
        return line
    if (limit := limit_of(benefit)) is None:
        return line
    used: int = sum(use.granted for use in spent if use.benefit == benefit.benefit)
    for use in case.uses:
        months = _months(asked, benefit, case, _reason(request, [use]))
        if use.benefit == benefit.benefit and too_early(months, case.care_date, [use]):
            used += use.granted
    return _cut(line, Cents(limit - used), case, reasons.CEILING_REACHED, limit)


def renewal_months(case: Case, reason: RenewalReason | None) -> int:
    """After how many months an equipment is paid for again (CSS R871-2: 2 years, 1 up to 16, 6 months under 6)."""
    age, tariffs, on = case.age, case.tariffs, case.care_date
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
    suffix = "_under_16" if case.age < 16 else "_from_43" if case.age >= 43 else ""
    months = case.tariffs.at(f"optical_prescription_months{suffix}", case.care_date)
    return months is not None and case.care_date > add_months(prescribed, months)


def _priced(
    asked: AskedLine, case: Case, reason: RenewalReason | None, spent: Sequence[Use], *, is_too_old: bool
) -> DecidedLine:
    benefit = case.benefits.get(asked.benefit)
    if asked.item in LENSES and is_too_old:
        return _nothing(asked, reasons.PRESCRIPTION_TOO_OLD)
    if asked.item in EQUIPMENT and (again := _available_from(asked, benefit, case, reason)) is not None:
        return replace(_nothing(asked, reasons.RENEWAL_TOO_EARLY), available_from=again)
    if asked.price_class is PriceClass.A:
        limit = _class_a_limit(asked, case)
        if limit is None or asked.price > limit:
            return replace(_nothing(asked, reasons.PRICE_ABOVE_CLASS_A), limit=limit)
    if asked.price == asked.amo:
        return _nothing(asked, reasons.NOTHING_LEFT)
    if asked.price_class is PriceClass.A and case.is_responsible:
        # CSS R871-2: a responsible contract pays class A in full, whatever its own lines say.
        return _granted(asked, case, asked.price - asked.amo, reasons.CLASS_A_IN_FULL.code)
    if benefit is None:
        return _nothing(asked, reasons.BENEFIT_NOT_IN_CONTRACT)
    charge = Charge(on=case.care_date, price=asked.price, base=asked.base, amo=asked.amo, units=asked.units)
    found = evaluate(benefit, charge, [*case.uses, *spent] if spent else case.uses)
    return DecidedLine(asked=asked, granted=found.granted, code=found.code, parts=found.parts, limit=found.limit)


def _available_from(
    asked: AskedLine, benefit: BenefitLine | None, case: Case, reason: RenewalReason | None
) -> date | None:
    """The day from which a piece is paid for again; None where it is on the day of care."""
    own = [use for use in case.uses if use.item == asked.item]
    if not own or not too_early(months := _months(asked, benefit, case, reason), case.care_date, own):
        return None
    # On that day the person may be older, and the period longer.
    last, again = max(use.on for use in own), None
    while again is None or add_months(last, months) > again:
        again = add_months(last, months)
        months = _months(asked, benefit, replace(case, care_date=again), reason)
    return again


def _months(asked: AskedLine, benefit: BenefitLine | None, case: Case, reason: RenewalReason | None) -> int:
    """A contract's own period counts for adults without a reason; a responsible one cannot lengthen class A's."""
    national = renewal_months(case, reason)
    is_child = case.age < 16
    if reason is not None or is_child or benefit is None or benefit.renewal_months is None:
        return national
    if case.is_responsible and asked.price_class is PriceClass.A:
        return national
    return max(benefit.renewal_months, national) if case.is_responsible else benefit.renewal_months


def _class_a_limit(asked: AskedLine, case: Case) -> Cents | None:
    """The most that class A may cost; where none is in force, no price is one of class A."""
    kind = f"lens_{asked.correction}" if asked.correction else asked.item.value
    return case.tariffs.cents(f"optical_class_a_{kind}_limit", case.care_date)


def _above_floor(lines: list[DecidedLine], case: Case, before: Sequence[Use]) -> list[DecidedLine]:
    """CSS R871-2: where the contract pays more than the co-payment, a pair of class B comes to the floor at least."""
    of_class_b = [line for line in lines if line.asked.price_class is PriceClass.B]
    lenses = [line for line in of_class_b if line.asked.item in LENSES and line.granted]
    if len(lenses) < 2 or not all(_goes_beyond(case.benefits.get(line.asked.benefit)) for line in lenses):
        return lines
    letter = PAIRS[frozenset(line.asked.correction for line in lenses if line.asked.correction)]
    floor = case.tariffs.at(f"optical_floor_{letter}", case.care_date) or 0
    missing = floor - sum(line.granted + line.asked.amo for line in of_class_b) - _paid_of_class_b(before)
    if missing <= 0:
        return lines
    raised: list[DecidedLine] = []
    for line in lines:
        more = max(0, min(missing, line.patient)) if line in of_class_b and line.granted else 0
        missing -= more
        if more:
            code, limit = reasons.EQUIPMENT_FLOOR.code, Cents(floor)
            raised.append(_granted(line.asked, case, line.granted + more, code, limit))
        else:
            raised.append(line)
    return raised


def _goes_beyond(benefit: BenefitLine | None) -> bool:
    """Whether a line pays more than the co-payment."""
    if benefit is None or benefit.formula.kind is FormulaKind.COPAYMENT:
        return False
    rate = benefit.formula.rate_basis_points
    return benefit.formula.kind is not FormulaKind.PERCENTAGE or (rate or 0) > _WHOLE_BASE


def _under_ceilings(lines: list[DecidedLine], case: Case, before: Sequence[Use]) -> list[DecidedLine]:
    """Class B cut to the frame's ceiling, then to the equipment's; lenses are served before all else."""
    ceiling = _ceiling(lines, case, before)
    left = None if ceiling is None else _left_to_insurer(ceiling, lines, before)
    frame_ceiling = case.tariffs.cents("optical_frame_ceiling", case.care_date)
    served: dict[int, DecidedLine] = {}
    for place, line in sorted(enumerate(lines), key=lambda pair: pair[1].asked.item not in LENSES):
        cut = line
        if line.asked.price_class is PriceClass.B and line.granted:
            if line.asked.item is Item.FRAME and frame_ceiling is not None:
                most = Cents(frame_ceiling - cut.asked.amo)
                cut = _cut(cut, most, case, reasons.FRAME_CEILING, frame_ceiling)
            if left is not None:
                cut = _cut(cut, left, case, reasons.EQUIPMENT_CEILING, ceiling)
                left = Cents(left - cut.granted)
        served[place] = cut
    return [served[place] for place in range(len(lines))]


def above_ceiling(request: OpticalRequest, lines: Sequence[DecidedLine], case: Case) -> tuple[int, str] | None:
    """The first line that grants more than a responsible contract may, by its number, and the ceiling's code."""
    cut = _under_ceilings(list(lines), case, granted_before(request, case))
    for number, (line, under) in enumerate(zip(lines, cut, strict=True), start=1):
        if under.granted < line.granted:
            return number, under.code
    return None


def _ceiling(lines: Sequence[DecidedLine], case: Case, before: Sequence[Use]) -> Cents | None:
    """The pair's, of what is granted now and what was within the period; None where there is no lens.

    A single lens has half of the lenses' part of its pair's ceiling, beside the frame's.
    """
    lenses: dict[str, str] = {use.item: use.benefit.removeprefix("lens_")[:-2] for use in before if use.item in LENSES}
    for line in lines:
        if line.asked.correction is not None and line.granted:
            lenses[line.asked.item] = line.asked.correction
    if not lenses:
        return None
    ceiling = case.tariffs.cents(f"optical_ceiling_{PAIRS[frozenset(lenses.values())]}", case.care_date)
    frame = case.tariffs.cents("optical_frame_ceiling", case.care_date)
    if ceiling is None or frame is None:
        return None
    return Cents((ceiling - frame) // 2 + frame) if len(lenses) == 1 else ceiling


def _left_to_insurer(ceiling: Cents, lines: Sequence[DecidedLine], before: Sequence[Use]) -> Cents:
    """What the ceiling leaves for class B: the AMO's share counts in it."""
    paid = sum(line.asked.amo for line in lines if line.asked.price_class is PriceClass.B and line.granted)
    return Cents(max(ZERO, ceiling - paid - _paid_of_class_b(before)))


def _paid_of_class_b(before: Sequence[Use]) -> int:
    return sum(use.granted + use.amo for use in before if use.benefit.endswith("_b"))


def granted_before(request: OpticalRequest, case: Case) -> list[Use]:
    """What belongs to the same equipment: granted within the period, so that a request may ask for the rest."""
    if not case.uses:
        return []
    own = EQUIPMENT | {Item.SUPPLEMENT}
    return [
        use
        for use in case.uses
        if use.item in own and too_early(renewal_months(case, _reason(request, [use])), case.care_date, [use])
    ]


def _cut(line: DecidedLine, most: Cents, case: Case, reason: Reason, limit: Cents | None) -> DecidedLine:
    """The line with no more than so much granted, of what the limit allows for the whole."""
    granted = Cents(max(ZERO, min(line.granted, most)))
    return line if granted == line.granted else _granted(line.asked, case, granted, reason.code, limit)


def _granted(asked: AskedLine, case: Case, cents: int, code: str, limit: Cents | None = None) -> DecidedLine:
    granted = Cents(cents)
    parts = (Part(case.care_date, asked.units, granted),) if granted else ()
    return DecidedLine(asked=asked, granted=granted, code=code, parts=parts, limit=limit)


def _nothing(asked: AskedLine, reason: Reason) -> DecidedLine:
    return DecidedLine(asked=asked, granted=ZERO, code=reason.code)
