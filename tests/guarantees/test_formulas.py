"""What a formula pays, without I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.guarantees.model import Formula, FormulaKind, Per
from tpgateway.money import Cents

FLAT, PERCENTAGE = FormulaKind.FLAT, FormulaKind.PERCENTAGE
SHARE, DAILY = FormulaKind.SHARE, FormulaKind.DAILY_SHARE
COPAYMENT, REMAINDER = FormulaKind.COPAYMENT, FormulaKind.REMAINDER


def a_formula(
    kind: FormulaKind, *, rate: int | None = None, amount: int | None = None, ceiling: int | None = None
) -> Formula:
    return Formula(
        kind=kind,
        per=Per.ACT,
        rate_basis_points=rate,
        amount_cents=None if amount is None else Cents(amount),
        ceiling_cents=None if ceiling is None else Cents(ceiling),
    )


@pytest.mark.parametrize(
    ("formula", "price", "base", "amo", "paid"),
    [
        # A consultation of 26.50 on a base of 26.50, AMO 70 %: 18.55; the co-payment is the rest of the base.
        (a_formula(COPAYMENT), 2_650, 2_650, 1_855, 795),
        (a_formula(COPAYMENT), 5_000, 2_650, 1_855, 795),
        (a_formula(PERCENTAGE, rate=10_000), 5_000, 2_650, 1_855, 795),
        (a_formula(PERCENTAGE, rate=15_000), 5_000, 2_650, 1_855, 2_120),
        (a_formula(PERCENTAGE, rate=20_000), 5_000, 2_650, 1_855, 3_145),
        (a_formula(PERCENTAGE, rate=5_000), 5_000, 2_650, 1_855, 0),
        (a_formula(PERCENTAGE, rate=12_550), 10_000, 333, 0, 418),
        (a_formula(REMAINDER), 5_000, 2_650, 1_855, 3_145),
        (a_formula(REMAINDER, ceiling=1_000), 5_000, 2_650, 1_855, 1_000),
        (a_formula(FLAT, amount=20_000), 24_000, 5, 3, 20_000),
        (a_formula(FLAT, amount=20_000), 15_000, 5, 3, 14_997),
        (a_formula(FLAT, amount=0), 15_000, 5, 3, 0),
        (a_formula(SHARE, rate=5_000), 10_001, 5, 1, 5_000),
        (a_formula(DAILY, amount=4_000), 15_000, 0, 0, 4_000),
    ],
)
def test_each_kind_pays_what_its_rule_says(formula: Formula, price: int, base: int, amo: int, paid: int) -> None:
    assert formula.insurer_share(price=Cents(price), base=Cents(base), amo=Cents(amo)) == paid


amounts = st.integers(0, 1_000_000)


@given(st.sampled_from(FormulaKind), amounts, amounts, st.data(), st.integers(1, 100_000), st.none() | amounts, amounts)
def test_nobody_is_ever_paid_more_than_is_left_of_the_price(
    kind: FormulaKind, price: int, base: int, data: st.DataObject, rate: int, ceiling: int | None, amount: int
) -> None:
    amo = data.draw(st.integers(0, min(price, base)))
    formula = a_formula(kind, rate=rate, amount=amount, ceiling=ceiling)
    paid = formula.insurer_share(price=Cents(price), base=Cents(base), amo=Cents(amo))
    assert 0 <= paid <= price - amo
    assert ceiling is None or paid <= ceiling
