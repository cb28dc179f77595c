"""Pricing of a stay in hospital, line by line."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta

from tpgateway.claims.model import BY_DAY, FULL_STAY, Admission, AskedLine, DecidedLine, Item, Stay
from tpgateway.claims.rules import reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.consumption import spans_asked, uses_of_line
from tpgateway.errors import Reason
from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per, Use
from tpgateway.guarantees.rules.evaluation import Charge, days_in_a_row, evaluate, spread
from tpgateway.money import ZERO, Cents, share

_WHOLE_BASE = 10_000
# CSS R871-2: a responsible contract pays what the law asks of the patient, whatever its own lines say.
_IN_FULL = BenefitLine(
    domain=Domain.HOSP,
    benefit="in_full",
    formula=Formula(kind=FormulaKind.REMAINDER, per=Per.STAY),
    approval=Approval.NONE,
)


def price(stay: Stay, case: Case) -> list[DecidedLine]:
    """Every line priced, fees by the date of each day; what one line uses, the next finds used."""
    lines: list[DecidedLine] = []
    spent: list[Use] = []
    for asked in stay.lines:
        line = _priced(asked, stay, case, spent)
        if asked.benefit in case.counted_together:
            spent += uses_of_line(line, stay)
        lines.append(line)
    return lines


def _priced(asked: AskedLine, stay: Stay, case: Case, spent: list[Use]) -> DecidedLine:
    if asked.price == asked.amo:
        return _nothing(asked, reasons.NOTHING_LEFT)
    own = _of_same(asked, case)
    taken = frozenset(_days(own))
    if asked.item in BY_DAY:
        overlaps = not days_in_a_row(stay.entry_date, asked.units, taken)
    else:
        overlaps = any(_is_of(use, stay) for use in own)
    if overlaps:
        return _nothing(asked, reasons.STAY_OVERLAPS)
    match asked.item:
        case Item.DAILY_FEE | Item.EMERGENCY_FEE | Item.HIGH_COST_ACT_FEE:
            return _fee(asked, stay, case, spent, taken)
        case Item.COPAYMENT if case.is_responsible:
            # CSS R871-2: a responsible contract pays the co-payment of hospital care in full.
            return _granted(asked, stay, min(asked.price, asked.base) - asked.amo, reasons.COPAYMENT_IN_FULL)
        case Item.EXCESS_FEES:
            return _excess(_by_contract(asked, _charge(asked, stay), case, spent), stay, case)
    return _by_contract(asked, _charge(asked, stay, taken=taken), case, spent)


def is_taken(line: DecidedLine, stay: Stay, case: Case) -> bool:
    """Whether another stay has got one of the line's days already, or the same item at the same time."""
    own = _of_same(line.asked, case)
    if line.asked.item in BY_DAY:
        return not set(_days(uses_of_line(line, stay))).isdisjoint(_days(own))
    return any(_is_of(use, stay) for use in own)


def _of_same(asked: AskedLine, case: Case) -> list[Use]:
    return [use for use in case.uses if use.item == asked.item and use.benefit == asked.benefit]


def _days(uses: Sequence[Use]) -> Iterator[date]:
    """Each day that uses by the day are for."""
    for use in uses:
        for number in range(use.units):
            yield use.on + timedelta(days=number)


def _is_of(use: Use, stay: Stay) -> bool:
    """Whether a use is of a stay at the same time. One may begin on the day when another ends: that is a transfer."""
    last = use.until or use.on
    start, end = max(use.on, stay.entry_date), min(last, stay.exit_date)
    return start < end or (start == end and use.on == stay.entry_date and last == stay.exit_date)


def _by_contract(asked: AskedLine, charge: Charge, case: Case, spent: list[Use]) -> DecidedLine:
    benefit = case.benefits.get(asked.benefit)
    if benefit is None:
        return _nothing(asked, reasons.BENEFIT_NOT_IN_CONTRACT)
    found = evaluate(_above_base(benefit, asked), charge, [*case.uses, *spent] if spent else case.uses)
    return DecidedLine(asked=asked, granted=found.granted, code=found.code, parts=found.parts, limit=found.limit)


def _above_base(benefit: BenefitLine, asked: AskedLine) -> BenefitLine:
    """Excess fees are what is charged above the base: of a part of the base, the base itself is paid elsewhere."""
    formula = benefit.formula
    if asked.item is not Item.EXCESS_FEES or formula.kind is not FormulaKind.PERCENTAGE:
        return benefit
    above = share(asked.base, max(0, (formula.rate_basis_points or 0) - _WHOLE_BASE))
    ceiling = above if formula.ceiling_cents is None else Cents(min(above, formula.ceiling_cents))
    return replace(
        benefit,
        formula=replace(
            formula, kind=FormulaKind.FLAT, rate_basis_points=None, amount_cents=ceiling, ceiling_cents=None
        ),
    )


def _charge(
    asked: AskedLine, stay: Stay, *, prices: Sequence[Cents] = (), taken: Collection[date] = frozenset()
) -> Charge:
    return Charge(
        on=stay.entry_date,
        price=asked.price,
        base=asked.base,
        amo=asked.amo,
        units=asked.units,
        is_by_day=asked.item in BY_DAY,
        prices=prices,
        taken=taken,
    )


def _fee(asked: AskedLine, stay: Stay, case: Case, spent: list[Use], taken: Collection[date]) -> DecidedLine:
    """What the law asks of the patient: never more than the national amount, and only where it is due."""
    tariffs, on = case.tariffs, stay.entry_date
    days: Sequence[Cents] | None = ()
    match asked.item:
        case Item.DAILY_FEE:
            # CSS L174-4: due for each day of a full stay, that of exit included.
            is_due = stay.mode == FULL_STAY
            code = "hospital_daily_fee_psychiatry" if stay.is_psychiatry else "hospital_daily_fee"
            days = tariffs.each_day(code, on, asked.units)
            national = None if days is None else Cents(sum(days))
        case Item.EMERGENCY_FEE:
            # Due for a passage in the emergency ward that no stay follows.
            is_due = stay.admission is Admission.URGENT and stay.mode != FULL_STAY
            national = tariffs.cents("emergency_fee", on)
        case _:
            threshold = tariffs.at("high_cost_act_threshold", on)
            is_due = threshold is not None and asked.base >= threshold
            national = tariffs.cents("high_cost_act_fee", on)
    if not is_due or national is None:
        not_due = Cents(asked.price - asked.amo)
        return DecidedLine(asked=asked, granted=ZERO, code=reasons.FEE_NOT_DUE.code, not_due=not_due)
    owed = Cents(max(asked.amo, min(asked.price, national)))
    # Of days that cost less than the law asks, nobody knows which does.
    prices = days if days and owed == national else ()
    charge = _charge(replace(asked, price=owed), stay, prices=prices, taken=taken)
    if case.is_responsible:
        found = evaluate(_IN_FULL, charge, ())
        reason = reasons.DAILY_FEE_IN_FULL if asked.item is Item.DAILY_FEE else reasons.FEE_IN_FULL
        code = reason.code if found.code == reasons.FORMULA_APPLIED.code else found.code
        line = DecidedLine(asked=asked, granted=found.granted, code=code, parts=found.parts)
    else:
        line = _by_contract(asked, charge, case, spent)
    too_much = Cents(asked.price - owed)
    if too_much and line.granted:
        line = replace(line, code=reasons.NATIONAL_AMOUNT.code, limit=national)
    return replace(line, not_due=too_much)


def _excess(line: DecidedLine, stay: Stay, case: Case) -> DecidedLine:
    """CSS R871-2: outside the controlled-fee option, excess fees are paid up to the base again at most."""
    if not case.is_responsible or line.asked.is_optam or line.granted <= line.asked.base:
        return line
    return replace(_granted(line.asked, stay, line.asked.base, reasons.EXCESS_CEILING), limit=line.asked.base)


def above_ceiling(stay: Stay, lines: Sequence[DecidedLine], case: Case) -> tuple[int, str] | None:
    """The first line that grants more than a responsible contract may, by its number, and the ceiling's code."""
    for number, line in enumerate(lines, start=1):
        if line.asked.item is Item.EXCESS_FEES and (under := _excess(line, stay, case)).granted < line.granted:
            return number, under.code
    return None


def _granted(asked: AskedLine, stay: Stay, cents: int, reason: Reason) -> DecidedLine:
    """A sum for all units; days go to the calendar years that they lie in."""
    if cents <= 0:
        return _nothing(asked, reasons.FORMULA_GIVES_NOTHING)
    parts = spread(Cents(cents), spans_asked(asked, stay, stay.entry_date))
    return DecidedLine(asked=asked, granted=Cents(cents), code=reason.code, parts=parts)


def _nothing(asked: AskedLine, reason: Reason) -> DecidedLine:
    return DecidedLine(asked=asked, granted=ZERO, code=reason.code)
