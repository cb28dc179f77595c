"""The answer to a check, without I/O."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.cards.codec.proofs import format_proof, new_proofs, parse_proof
from tpgateway.cards.errors import ProofMistyped
from tpgateway.cards.model import Ask, Card, CardCheck, CardCheckId, Found, Outcome
from tpgateway.cards.rules.answers import REFUSALS, answer, cover
from tpgateway.conventions.model import ConventionId
from tpgateway.guarantees.model import Approval, BenefitLine, Domain, Formula, FormulaKind, Per, ProductVersionId
from tpgateway.insurers.model import InsurerId
from tpgateway.practitioners.model import PractitionerId

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TODAY = NOW.date()
CARD = Card(
    insurer_number="0099990011",
    convention_type="SP",
    csr="",
    membership_number="1",
    birth_date="19800229",
    birth_rank=1,
)
ASK = Ask(
    practitioner_id=PractitionerId(uuid4()),
    agent_id=None,
    card=CARD,
    domain=Domain.OPTI,
    care_date=TODAY,
    checked_at=NOW,
    idempotency_key=None,
)
FOUND = Found(
    membership_number="1",
    birth_rank=1,
    convention_id=ConventionId(uuid4()),
    is_domain_agreed=True,
    has_signed=True,
    participates=True,
    is_silent=False,
    is_ambiguous=False,
    holds_type=True,
    holds_csr=True,
    rights_from=date(2026, 1, 1),
    rights_to=date(2026, 12, 31),
    product_version_id=ProductVersionId(uuid4()),
)


def a_check(*, domain: Domain = Domain.OPTI, care_date: date = TODAY, **found: Any) -> CardCheck:
    return CardCheck(
        insurer_id=InsurerId(uuid4()),
        id=CardCheckId(uuid4()),
        proof="0" * 12,
        proof_expires_at=NOW + timedelta(days=30),
        ask=ASK._replace(domain=domain, care_date=care_date),
        found=FOUND._replace(**found),
    )


def line(domain: Domain) -> BenefitLine:
    formula = Formula(kind=FormulaKind.REMAINDER, per=Per.ACT)
    return BenefitLine(domain=domain, benefit="x", formula=formula, approval=Approval.NONE)


LINES = (line(Domain.OPTI), line(Domain.PHAR))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "covered"),
        ({"convention_id": None}, "no_convention"),
        ({"is_domain_agreed": False}, "domain_outside_convention"),
        ({"has_signed": False}, "convention_not_signed"),
        ({"participates": False}, "insurer_outside_convention"),
        ({"rights_from": None, "rights_to": None}, "unknown_person"),
        ({"care_date": date(2025, 12, 31)}, "rights_closed"),
        ({"care_date": date(2026, 1, 1)}, "covered"),
        ({"care_date": date(2026, 12, 31)}, "covered"),
        ({"care_date": date(2027, 1, 1)}, "rights_closed"),
        ({"holds_type": False}, "convention_type_not_held"),
        ({"holds_csr": False}, "csr_not_held"),
        ({"is_silent": True, "rights_from": None, "rights_to": None}, "insurer_silent"),
        ({"is_ambiguous": True, "rights_from": None, "rights_to": None}, "ambiguous"),
        ({"is_silent": True, "participates": False}, "insurer_outside_convention"),
        ({"domain": Domain.DENT}, "domain_not_covered"),
        ({"has_signed": False, "rights_from": None, "rights_to": None}, "convention_not_signed"),
        ({"care_date": date(2027, 1, 1), "holds_type": False}, "rights_closed"),
    ],
)
def test_the_first_thing_that_stands_in_the_way_is_the_answer(changes: dict[str, Any], code: str) -> None:
    verdict = answer(a_check(**changes), LINES)
    assert verdict.code == code
    assert (verdict.outcome is Outcome.COVERED) == (code == "covered")


def test_benefits_are_those_of_the_domain() -> None:
    assert answer(a_check(), LINES).benefits == (LINES[0],)
    assert answer(a_check(), ()).outcome is Outcome.NOT_COVERED


def test_where_the_convention_asks_first_every_benefit_needs_an_approval() -> None:
    domain = LINES[0].domain
    asked = cover(domain, LINES, asks_first=True).benefits
    assert asked
    assert {line.approval for line in asked} == {Approval.REQUIRED}
    assert cover(domain, LINES).benefits == tuple(line for line in LINES if line.domain is domain)


def test_every_refusal_says_what_to_do() -> None:
    for refusal in REFUSALS.values():
        assert refusal.message_fr.endswith(".")
        assert refusal.next_step_fr
        assert refusal.next_step_fr.endswith(".")
    assert {refusal.outcome for refusal in REFUSALS.values()} == set(Outcome) - {Outcome.COVERED}


def test_proofs_are_all_different_and_read_back() -> None:
    proofs = set(new_proofs(2_000))
    assert len(proofs) == 2_000
    for proof in proofs:
        assert parse_proof(format_proof(proof).lower()) == proof


@given(st.integers(0, 11), st.integers(1, 31))
def test_one_mistyped_character_is_noticed(place: int, shift: int) -> None:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    [proof] = new_proofs(1)
    wrong = alphabet[(alphabet.index(proof[place]) + shift) % 32]
    with pytest.raises(ProofMistyped):
        parse_proof(proof[:place] + wrong + proof[place + 1 :])


@given(st.text(max_size=40))
def test_no_text_makes_the_reading_of_a_proof_fail_otherwise(text: str) -> None:
    with suppress(ProofMistyped):
        assert len(parse_proof(text)) == 12
