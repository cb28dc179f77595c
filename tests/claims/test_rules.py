"""Decisions, consumption and life of approvals, without I/O. Worked cases stand in tests/data/approval_cases.json."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tpgateway.claims.errors import StateForbids
from tpgateway.claims.model import (
    Admission,
    AskedLine,
    Correction,
    DecidedLine,
    Item,
    Kind,
    OpticalRequest,
    PriceClass,
    RenewalReason,
    State,
    Stay,
)
from tpgateway.claims.rules import life
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.consumption import regranted, uses_of
from tpgateway.claims.rules.corrections import correction_of
from tpgateway.claims.rules.decisions import decide
from tpgateway.claims.rules.people import age
from tpgateway.database import migrations
from tpgateway.errors import REASONS
from tpgateway.guarantees.model import (
    Approval,
    BenefitLine,
    Domain,
    Formula,
    FormulaKind,
    Per,
    Tariff,
    Tariffs,
    Unit,
    Use,
)
from tpgateway.insurers.model import ApprovalRules, AttachmentRule, ReviewRule
from tpgateway.money import Cents

DAY = date(2026, 11, 21)
CASES = json.loads((Path(__file__).parent.parent / "data" / "approval_cases.json").read_text())
SIMPLE, COMPLEX, VERY = Correction.SIMPLE, Correction.COMPLEX, Correction.VERY_COMPLEX
NO_RULES = ApprovalRules()


def _national() -> Tariffs:
    """The amounts that a new database is given."""
    text = (Path(migrations.__file__).parent / "versions" / "0005_approvals.sql").read_text()
    block = text[text.index("VALUES") : text.index(";", text.index("VALUES"))]
    found = []
    for line in block.splitlines()[1:]:
        code, day, value, unit, _ = [part.strip(" ('),") for part in line.strip().rstrip(",;").split(", ", 4)]
        found.append(
            Tariff(code=code, valid_from=date.fromisoformat(day), value=int(value), unit=Unit(unit), source="seed")
        )
    return Tariffs(found)


TARIFFS = _national()


def benefit(name: str, kind: str, formula: dict[str, Any], more: dict[str, Any] | None = None) -> BenefitLine:
    terms = {"per": "act", **formula}
    return BenefitLine(
        domain=Domain.OPTI if name.startswith(("lens", "frame", "supplement")) else Domain.HOSP,
        benefit=name,
        formula=Formula(kind=FormulaKind(kind), **{**terms, "per": Per(terms["per"])}),
        approval=Approval.REQUIRED,
        **(more or {}),
    )


def a_case(contract: str, *, birth: str = "19800229", on: date = DAY, uses: Sequence[Any] = ()) -> Case:
    terms = CASES["contracts"][contract]
    return Case(
        benefits={name: benefit(name, *rest) for name, *rest in terms["lines"]},
        is_responsible=terms["is_responsible"],
        birth_date=birth,
        care_date=on,
        tariffs=TARIFFS,
        uses=[
            Use(
                item=item,
                benefit=name,
                on=date.fromisoformat(day),
                units=units,
                granted=Cents(granted),
                amo=Cents(rest[0] if rest else 0),
                until=date.fromisoformat(rest[1]) if len(rest) > 1 else None,
            )
            for item, name, day, units, granted, *rest in uses
        ],
    )


def glasses(lines: Sequence[Any], *, prescribed: date = DAY, reason: str | None = None) -> OpticalRequest:
    return OpticalRequest(
        prescription_date=prescribed,
        prescriber_rpps="10999999906",
        renewal_reason=RenewalReason(reason) if reason else None,
        lines=tuple(
            AskedLine(
                item=Item(item),
                correction=Correction(correction) if correction else None,
                price_class=PriceClass(kind),
                lpp="2210546",
                price=Cents(price),
                base=Cents(base),
                amo=Cents(amo),
            )
            for item, correction, kind, price, base, amo in lines
        ),
    )


def a_stay(lines: Sequence[Any], first: date, last: date, **changes: Any) -> Stay:
    return Stay(
        finess="750000549",
        treasury_office=None,
        treasury_body=None,
        admission=Admission(changes.get("admission", "planned")),
        entry_date=first,
        exit_date=last,
        dmt="223",
        mode=changes.get("mode", "03"),
        is_psychiatry=changes.get("psychiatry", False),
        lines=tuple(
            AskedLine(
                item=Item(item),
                units=units,
                price=Cents(price),
                base=Cents(base),
                amo=Cents(amo),
                is_optam=rest[0] if rest else True,
            )
            for item, units, price, base, amo, *rest in lines
        ),
    )


def check(request: OpticalRequest | Stay, case: Case, told: dict[str, Any]) -> None:
    decision = decide(request, case, NO_RULES, today=case.care_date)
    # A third number of what is expected is the limit told.
    found = [[line.granted, line.code, line.limit] for line in decision.lines]
    assert [each[: len(hand)] for each, hand in zip(found, told["expect"], strict=True)] == told["expect"]
    assert decision.kind == told["outcome"]
    for line in decision.lines:
        assert line.granted + line.asked.amo + line.patient + line.not_due == line.asked.price
        assert line.patient >= 0
        assert line.code in REASONS
        assert sum(part.granted for part in line.parts) == line.granted


@pytest.mark.parametrize("told", CASES["optical"], ids=lambda told: told["name"])
def test_glasses_as_worked_by_hand(told: dict[str, Any]) -> None:
    case = a_case(told["contract"], birth=told.get("birth", "19800229"), uses=told.get("uses", ()))
    prescribed = date.fromisoformat(told.get("prescribed", "2026-11-01"))
    check(glasses(told["lines"], prescribed=prescribed, reason=told.get("reason")), case, told)


@pytest.mark.parametrize("told", CASES["stays"], ids=lambda told: told["name"])
def test_stays_as_worked_by_hand(told: dict[str, Any]) -> None:
    entry, leave = date.fromisoformat(told["entry"]), date.fromisoformat(told["exit"])
    case = a_case(told["contract"], on=entry, uses=told.get("uses", ()))
    check(a_stay(told["lines"], entry, leave, **{name: told[name] for name in told if name != "lines"}), case, told)


def test_each_worked_case_says_where_its_rule_comes_from() -> None:
    told = CASES["optical"] + CASES["stays"]
    assert len(told) >= 60
    assert len({each["name"] for each in told}) == len(told)
    assert all(each["source"] for each in told)


@pytest.mark.parametrize(
    ("sphere", "cylinder", "addition", "correction"),
    [
        ("-6", "0", "0", SIMPLE),
        ("6", "4", "0", SIMPLE),
        ("-6.25", "0", "0", COMPLEX),
        ("0", "4.25", "0", COMPLEX),
        ("0", "-4.25", "0", COMPLEX),
        ("0", "0", "2", COMPLEX),
        ("-4", "0", "1", COMPLEX),
        ("4.25", "0", "1", VERY),
        ("8", "0.5", "1", COMPLEX),
        ("-8.25", "0.5", "1", VERY),
    ],
)
def test_the_class_of_a_lens(sphere: str, cylinder: str, addition: str, correction: Correction) -> None:
    values = {"sphere": Decimal(sphere), "cylinder": Decimal(cylinder), "addition": Decimal(addition)}
    assert correction_of(**values) is correction


def test_ages_of_people_whose_birth_date_is_none() -> None:
    assert age("20101121", DAY) == 16
    assert age("20101122", DAY) == 15
    assert age("19451300", date(2026, 12, 31)) == 80
    assert age("19450000", date(2026, 1, 1)) == 81


REVIEW = ReviewRule(domain="OPTI", from_cents=40_000)
PRESCRIPTION = AttachmentRule(domain="OPTI", benefit="frame_b", document="prescription")
LENS, FRAME = ["right_lens", "complex", "b", 24_000, 5, 3], ["frame", None, "b", 8_000, 5, 3]
LEFT = ["left_lens", *LENS[1:]]


@pytest.mark.parametrize(
    ("lines", "rules", "kind", "documents"),
    [
        ([LENS], ApprovalRules(reviews=(REVIEW,)), Kind.APPROVED, ()),
        ([LENS, LEFT], ApprovalRules(reviews=(REVIEW,)), Kind.REVIEW_STARTED, ()),
        ([LENS, LEFT], ApprovalRules(reviews=(ReviewRule(domain="HOSP"),)), Kind.APPROVED, ()),
        ([LENS], ApprovalRules(attachments=(PRESCRIPTION,)), Kind.APPROVED, ()),
        ([LENS, FRAME], ApprovalRules(attachments=(PRESCRIPTION,)), Kind.INFORMATION_REQUESTED, ("prescription",)),
        (
            [["right_lens", "very_complex", "a", 16_999, 5, 3]],
            ApprovalRules(reviews=(ReviewRule(domain="OPTI", from_cents=0),)),
            Kind.REVIEW_STARTED,
            (),
        ),
    ],
)
def test_an_insurer_looks_at_what_its_rules_say(
    lines: Any, rules: ApprovalRules, kind: Kind, documents: tuple[str, ...]
) -> None:
    decision = decide(glasses(lines), a_case("confort"), rules, today=DAY)
    assert (decision.kind, decision.asks_for) == (kind, documents)


def test_days_that_the_insurer_grants_after_all_count_in_their_own_years() -> None:
    stay = a_stay([["single_room", 5, 40_000, 0, 0]], date(2026, 12, 30), date(2027, 1, 3))
    refused = DecidedLine(asked=stay.lines[0], granted=Cents(0), code="insurer_not_justified")
    line = regranted(refused, Cents(10_000), "granted_by_insurer", stay, stay.entry_date)
    assert [tuple(part) for part in line.parts] == [(date(2026, 12, 30), 2, 4_000), (date(2027, 1, 1), 3, 6_000)]


@pytest.mark.parametrize(
    ("birth", "granted", "asked", "again"),
    [
        ("20220615", date(2027, 12, 15), date(2028, 6, 14), date(2028, 12, 15)),  # six on the day when it would be
        ("20120615", date(2027, 6, 15), date(2028, 6, 14), date(2029, 6, 15)),  # sixteen
        ("19800229", date(2027, 6, 15), date(2028, 6, 14), date(2029, 6, 15)),
    ],
)
def test_the_day_from_which_glasses_are_paid_again_goes_by_the_age_on_it(
    birth: str, granted: date, asked: date, again: date
) -> None:
    uses = [["frame", "frame_b", granted.isoformat(), 1, 9_000]]
    case = a_case("confort", birth=birth, on=asked, uses=uses)
    [line] = decide(glasses([FRAME], prescribed=asked), case, NO_RULES, today=asked).lines
    assert (line.code, line.available_from) == ("renewal_too_early", again)
    for day, is_granted in ((again - timedelta(days=1), False), (again, True)):
        case = a_case("confort", birth=birth, on=day, uses=uses)
        assert bool(decide(glasses([FRAME], prescribed=day), case, NO_RULES, today=day).lines[0].granted) is is_granted


def test_what_nothing_is_granted_of_needs_nobody_to_look() -> None:
    rules = ApprovalRules(reviews=(ReviewRule(domain="OPTI"),), attachments=(PRESCRIPTION,))
    assert decide(glasses([LENS]), a_case("strict"), rules, today=DAY).kind is Kind.REFUSED


def test_a_stay_over_the_new_year_uses_days_of_both() -> None:
    stay = a_stay([["single_room", 32, 256_000, 0, 0]], date(2026, 12, 20), date(2027, 1, 20))
    case = a_case("confort", on=stay.entry_date)
    decision = decide(stay, case, NO_RULES, today=DAY)
    uses = [use for _, use in uses_of(decision.lines, stay)]
    assert [(use.on, use.units) for use in uses] == [(date(2026, 12, 20), 12), (date(2027, 1, 1), 20)]
    assert sum(use.granted for use in uses) == decision.lines[0].granted


amounts = st.integers(0, 100_000)
CONTRACTS = st.sampled_from(list(CASES["contracts"]))


@st.composite
def optical_lines(draw: st.DrawFn) -> list[list[Any]]:
    lines = []
    for item in draw(st.lists(st.sampled_from(["right_lens", "left_lens", "frame"]), min_size=1, unique=True)):
        price = draw(amounts)
        base = draw(st.integers(0, price))
        correction = None if item == "frame" else draw(st.sampled_from(["simple", "complex", "very_complex"]))
        lines.append([item, correction, draw(st.sampled_from("ab")), price, base, draw(st.integers(0, base))])
    if any(line[0] != "frame" for line in lines) and draw(st.booleans()):
        lines.append(["supplement", None, draw(st.sampled_from("ab")), draw(amounts), 0, 0])
    return lines


@given(optical_lines(), CONTRACTS, st.sampled_from([None, *RenewalReason]), st.booleans())
def test_glasses_are_never_granted_more_than_is_left_or_the_law_allows(
    lines: list[list[Any]], contract: str, reason: str | None, was_served: bool
) -> None:
    uses = [["right_lens", "lens_simple_b", "2026-01-01", 1, 100]] if was_served else []
    case, request = a_case(contract, uses=uses), glasses(lines, reason=reason)
    decision = decide(request, case, NO_RULES, today=case.care_date)
    assert tuple(line.asked for line in decision.lines) == request.lines
    for line in decision.lines:
        assert 0 <= line.granted <= line.asked.price - line.asked.amo
        assert line.granted + line.asked.amo + line.patient + line.not_due == line.asked.price
        assert line.code in REASONS
    of_b = [line for line in decision.lines if line.asked.price_class is PriceClass.B and line.granted]
    if case.is_responsible:
        lenses = {line.asked.correction for line in of_b if line.asked.correction}
        most = {frozenset({SIMPLE}): 42_000, frozenset({COMPLEX}): 70_000, frozenset({SIMPLE, COMPLEX}): 56_000}
        if not any(line.asked.price_class is PriceClass.A and line.granted for line in decision.lines) and not uses:
            paid = sum(line.granted + line.asked.amo for line in of_b)
            assert paid <= max(most.get(frozenset(lenses), 80_000), sum(line.asked.amo for line in of_b))
        assert all(line.granted + line.asked.amo <= 10_000 for line in of_b if line.asked.item is Item.FRAME)


@st.composite
def stay_lines(draw: st.DrawFn) -> list[list[Any]]:
    items = draw(st.lists(st.sampled_from([item.value for item in list(Item)[4:]]), min_size=1, unique=True))
    lines = []
    for item in items:
        price = draw(amounts)
        lines.append(
            [item, draw(st.integers(1, 20)), price, draw(amounts), draw(st.integers(0, price)), draw(st.booleans())]
        )
    return lines


@example([["daily_fee", 7, 1, 0, 0, False]], "confort", date(2025, 12, 26), "03", "planned", 0)
@given(
    stay_lines(),
    CONTRACTS,
    st.dates(date(2025, 12, 1), date(2026, 12, 31)),
    st.sampled_from(["03", "04", "07"]),
    st.sampled_from(["planned", "urgent"]),
    st.integers(0, 40),
)
def test_stays_are_never_granted_more_than_is_left_and_use_what_they_are_granted(
    lines: list[list[Any]], contract: str, entry: date, mode: str, admission: str, used: int
) -> None:
    uses = [["single_room", "single_room", "2026-01-01", used, used * 100]] if used else []
    stay = a_stay(lines, entry, date.fromordinal(entry.toordinal() + 19), mode=mode, admission=admission)
    case = a_case(contract, on=entry, uses=uses)
    decision = decide(stay, case, NO_RULES, today=entry)
    for line in decision.lines:
        assert 0 <= line.granted <= line.asked.price - line.asked.amo
        assert 0 <= line.units <= line.asked.units
        assert line.code in REASONS
    found = uses_of(decision.lines, stay)
    for number, line in enumerate(decision.lines, start=1):
        assert sum(use.granted for at, use in found if at == number) == line.granted
        assert sum(use.units for at, use in found if at == number) == line.units
        assert line.patient >= 0
        assert line.not_due >= 0
    # What is decided next finds it used: no more days of a year than the contract covers, and no day twice.
    after = Case(**{**_fields(case), "uses": [*case.uses, *(use for _, use in found)]})
    again = decide(stay, after, NO_RULES, today=entry)
    granted = [one.granted for one in decision.lines]
    assert all(not one.granted for one, before in zip(again.lines, granted, strict=True) if before)
    later = a_stay(lines, entry + timedelta(days=20), entry + timedelta(days=39), mode=mode, admission=admission)
    next_uses = uses_of(decide(later, after, NO_RULES, today=entry).lines, later)
    if contract == "confort":
        for year in (entry.year, entry.year + 1):
            every = [*case.uses, *(use for _, use in found), *(use for _, use in next_uses)]
            rooms = [use.units for use in every if use.item == "single_room" and use.on.year == year]
            assert sum(rooms) <= max(30, used)


def _fields(case: Case) -> dict[str, Any]:
    return {each.name: getattr(case, each.name) for each in fields(case)}


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
    assert {kind for row in life.TRANSITIONS.values() for kind in row} == set(Kind)
    assert all(life.WAITS_FOR.get(state) is None for state, row in life.TRANSITIONS.items() if state and not row)
