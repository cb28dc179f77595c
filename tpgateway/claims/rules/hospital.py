"""Pricing of a stay in hospital, line by line."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from tpgateway.claims.model import FULL_STAY, Admission, AskedLine, DecidedLine, Item, Stay
from tpgateway.claims.rules import reasons
from tpgateway.claims.rules.optical import Case
from tpgateway.guarantees.rules.evaluation import Charge, evaluate
from tpgateway.money import ZERO, Cents


def price(stay: Stay, case: Case) -> list[DecidedLine]:
    """Every line priced, fees by the date of each day."""
    return [_priced(asked, stay, case) for asked in stay.lines]


def days_by_year(stay: Stay, units: int) -> tuple[tuple[int, int], ...]:
    """The first days of the stay, so many, counted by calendar year."""
    days = Counter((stay.entry_date + timedelta(days=number)).year for number in range(units))
    return tuple(sorted(days.items()))


def _priced(asked: AskedLine, stay: Stay, case: Case) -> DecidedLine:
    if asked.price == asked.amo:
        return DecidedLine(asked=asked, granted=ZERO, units=0, code=reasons.NOTHING_LEFT.code)
    match asked.item:
        case Item.DAILY_FEE | Item.EMERGENCY_FEE | Item.HIGH_COST_ACT_FEE:
            return _fee(asked, stay, case)
        case Item.COPAYMENT if case.is_responsible:
            # CSS R871-2: a responsible contract pays the co-payment of hospital care in full.
            granted = Cents(max(ZERO, min(asked.price, asked.base) - asked.amo))
            return DecidedLine(asked=asked, granted=granted, units=asked.units, code=reasons.COPAYMENT_IN_FULL.code)
        case Item.EXCESS_FEES:
            return _excess(_by_contract(asked, stay, case), case)
    return _by_contract(asked, stay, case)


def _by_contract(asked: AskedLine, stay: Stay, case: Case) -> DecidedLine:
    benefit = case.benefits.get(asked.benefit)
    if benefit is None:
        return DecidedLine(asked=asked, granted=ZERO, units=0, code=reasons.BENEFIT_NOT_IN_CONTRACT.code)
    is_by_day = asked.item in {Item.DAILY_FEE, Item.SINGLE_ROOM, Item.ACCOMPANYING_BED}
    charge = Charge(
        on=stay.entry_date,
        price=asked.price,
        base=asked.base,
        amo=asked.amo,
        units=asked.units,
        days=days_by_year(stay, asked.units) if is_by_day else (),
    )
    granted, units, code = evaluate(benefit, charge, case.uses)
    return DecidedLine(asked=asked, granted=granted, units=units, code=code)


def _fee(asked: AskedLine, stay: Stay, case: Case) -> DecidedLine:
    """What the law asks of the patient: never more than the national amount, and only where it is due."""
    tariffs, on = case.tariffs, stay.entry_date
    match asked.item:
        case Item.DAILY_FEE:
            # CSS L174-4: due for each day of a full stay, that of exit included.
            is_due = stay.mode == FULL_STAY
            code = "hospital_daily_fee_psychiatry" if stay.is_psychiatry else "hospital_daily_fee"
            national = tariffs.sum(code, on, asked.units)
        case Item.EMERGENCY_FEE:
            # Due for a passage in the emergency ward that no stay follows.
            is_due = stay.admission is Admission.URGENT and stay.mode != FULL_STAY
            national = tariffs.cents("emergency_fee", on)
        case _:
            threshold = tariffs.at("high_cost_act_threshold", on)
            is_due = threshold is not None and asked.base >= threshold
            national = tariffs.cents("high_cost_act_fee", on)
    if not is_due or national is None:
        return DecidedLine(asked=asked, granted=ZERO, units=0, code=reasons.FEE_NOT_DUE.code)
    owed = Cents(min(asked.price, national))
    if case.is_responsible:
        code = reasons.DAILY_FEE_IN_FULL.code if asked.item is Item.DAILY_FEE else reasons.FEE_IN_FULL.code
        line = DecidedLine(asked=asked, granted=Cents(max(ZERO, owed - asked.amo)), units=asked.units, code=code)
    else:
        charged = replace(asked, price=owed, amo=Cents(min(asked.amo, owed)))
        line = replace(_by_contract(charged, stay, case), asked=asked)
    return replace(line, code=reasons.NATIONAL_AMOUNT.code) if line.granted and owed < asked.price else line


def _excess(line: DecidedLine, case: Case) -> DecidedLine:
    """CSS R871-2: outside the controlled-fee option, excess fees are paid up to the base again at most."""
    if not case.is_responsible or line.asked.is_optam or line.granted <= line.asked.base:
        return line
    return replace(line, granted=line.asked.base, code=reasons.EXCESS_CEILING.code)
