"""Pricing and life of approvals, without I/O."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.claims.errors import StateForbids
from tpgateway.claims.model import AskedLine, Correction, Item, Kind, PriceClass, Request, State
from tpgateway.claims.rules import life, optical
from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per
from tpgateway.money import Cents

DAY = date(2026, 11, 21)
SIMPLE, COMPLEX, VERY = Correction.SIMPLE, Correction.COMPLEX, Correction.VERY_COMPLEX


def asked(
    item: Item,
    correction: Correction | None = None,
    price: int = 20_000,
    *,
    kind: PriceClass = PriceClass.B,
    amo: int = 3,
) -> AskedLine:
    return AskedLine(
        item=item,
        correction=correction,
        price_class=kind,
        lpp="2210546",
        price=Cents(price),
        base=Cents(max(5, amo)),
        amo=Cents(amo),
    )


def pays(benefit: str, amount: int) -> BenefitLine:
    formula = Formula(kind=FormulaKind.FLAT, per=Per.ACT, amount_cents=Cents(amount))
    return BenefitLine(domain=Domain.OPTI, benefit=benefit, formula=formula, approval=Approval.REQUIRED)


GENEROUS = tuple(
    pays(name, 90_000) for name in ("lens_simple_b", "lens_complex_b", "lens_very_complex_b", "frame_b", "frame_a")
)


def request(*lines: AskedLine) -> Request:
    return Request(prescription_date=DAY, prescriber_rpps="10999999906", lines=lines)


@pytest.mark.parametrize(
    ("right", "left", "ceiling"),
    [
        (SIMPLE, SIMPLE, 42_000),
        (SIMPLE, COMPLEX, 56_000),
        (COMPLEX, SIMPLE, 56_000),
        (COMPLEX, COMPLEX, 70_000),
        (SIMPLE, VERY, 61_000),
        (COMPLEX, VERY, 75_000),
        (VERY, VERY, 80_000),
    ],
)
def test_a_responsible_contract_stops_at_the_ceiling_of_the_pair(
    right: Correction, left: Correction, ceiling: int
) -> None:
    """Pairs a to f, AMO included: domain facts of the contrat responsable."""
    lines = (
        asked(Item.RIGHT_LENS, right, 50_000),
        asked(Item.LEFT_LENS, left, 50_000),
        asked(Item.FRAME, None, 30_000),
    )
    decision = optical.decide(request(*lines), benefits=GENEROUS, is_responsible=True, care_date=DAY)
    assert sum(line.granted + line.amo for line in decision.lines) == ceiling
    assert sum(line.granted for line in decision.lines[:2]) == ceiling - 9  # three AMO shares; the frame comes last
    free = optical.decide(request(*lines), benefits=GENEROUS, is_responsible=False, care_date=DAY)
    assert [line.granted for line in free.lines] == [49_997, 49_997, 29_997]


def test_the_frame_counts_for_at_most_a_hundred_euros() -> None:
    lines = (asked(Item.RIGHT_LENS, VERY, 10_000), asked(Item.FRAME, None, 30_000))
    decision = optical.decide(request(*lines), benefits=GENEROUS, is_responsible=True, care_date=DAY)
    frame = decision.lines[1]
    assert (frame.granted + frame.amo, frame.code) == (10_000, "frame_ceiling")


def test_class_a_is_paid_in_full_by_a_responsible_contract_and_by_its_lines_otherwise() -> None:
    frame = asked(Item.FRAME, None, 3_000, kind=PriceClass.A, amo=540)
    lens = asked(Item.RIGHT_LENS, SIMPLE, 9_500, kind=PriceClass.A, amo=1_710)
    full = optical.decide(request(lens, frame), benefits=(), is_responsible=True, care_date=DAY)
    assert [(line.granted, line.code) for line in full.lines] == [
        (7_790, "class_a_in_full"),
        (2_460, "class_a_in_full"),
    ]
    assert full.kind is Kind.APPROVED
    other = optical.decide(request(lens, frame), benefits=GENEROUS, is_responsible=False, care_date=DAY)
    assert [line.code for line in other.lines] == ["benefit_not_in_contract", "formula_applied"]
    assert other.kind is Kind.PARTIALLY_APPROVED


def test_a_frame_above_thirty_euros_is_no_class_a() -> None:
    frame = asked(Item.FRAME, None, 3_001, kind=PriceClass.A)
    decision = optical.decide(request(frame), benefits=GENEROUS, is_responsible=True, care_date=DAY)
    assert (decision.lines[0].granted, decision.lines[0].code) == (0, "price_above_class_a")


def test_what_no_line_pays_is_refused() -> None:
    lens = asked(Item.RIGHT_LENS, SIMPLE)
    decision = optical.decide(request(lens), benefits=(), is_responsible=True, care_date=DAY)
    assert (decision.kind, decision.code, decision.valid_until) == (Kind.REFUSED, "nothing_granted", None)


amounts = st.integers(0, 100_000)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    lines = []
    for item in draw(st.lists(st.sampled_from(Item), min_size=1, max_size=3, unique=True)):
        price = draw(amounts)
        correction = None if item is Item.FRAME else draw(st.sampled_from(Correction))
        kind = draw(st.sampled_from(PriceClass))
        lines.append(asked(item, correction, price, kind=kind, amo=draw(st.integers(0, price))))
    return request(*lines)


@given(requests(), st.lists(st.tuples(st.sampled_from(GENEROUS), amounts), max_size=5), st.booleans())
def test_amounts_always_add_up_and_nothing_is_paid_twice(
    wanted: Request, contract: list[tuple[BenefitLine, int]], is_responsible: bool
) -> None:
    benefits = [pays(line.benefit, amount) for line, amount in contract]
    decision = optical.decide(wanted, benefits=benefits, is_responsible=is_responsible, care_date=DAY)
    assert [line.item for line in decision.lines] == [line.item for line in wanted.lines]
    for line in decision.lines:
        assert 0 <= line.granted <= line.price - line.amo
        assert line.granted + line.amo + line.patient == line.price
        assert line.code in optical.MESSAGES
    assert decision.code in optical.MESSAGES
    assert (decision.valid_until is None) == (decision.kind is Kind.REFUSED)


@given(st.sampled_from([None, *State]), st.sampled_from(Kind))
def test_what_the_table_does_not_hold_cannot_happen(state: State | None, kind: Kind) -> None:
    if kind in life.TRANSITIONS[state]:
        assert life.after(state, kind) is life.TRANSITIONS[state][kind]
    else:
        with pytest.raises(StateForbids):
            life.after(state, kind)


def test_every_state_can_be_reached_and_has_a_row() -> None:
    assert set(life.TRANSITIONS) == {None, *State}
    assert {state for row in life.TRANSITIONS.values() for state in row.values()} == set(State)
