"""Decisions about accounts, without I/O."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.exceptions import InvalidChecksum, ValidationError

from tpgateway.identifiers import bic, iban
from tpgateway.practitioners.errors import (
    AccountClosed,
    AccountInReview,
    AccountRefused,
    AccountSuspended,
    BicCountryDiffers,
    IbanOfAnotherBank,
)
from tpgateway.practitioners.model import AccountState, BankDetails, Identifier, Scheme
from tpgateway.practitioners.rules import (
    bank_details_at,
    bank_problem,
    login_problem,
    parse_identifier,
    parse_mobile,
    partly_masked,
    pending_bank_details,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_only_accounts_in_use_let_their_owner_in_and_the_others_are_told_whom_to_ask() -> None:
    problems = {state: login_problem(state, "Vol signalé.", "01 23 45 67 89") for state in AccountState}
    assert {state: type(problem) for state, problem in problems.items() if problem} == {
        AccountState.SUSPENDED: AccountSuspended,
        AccountState.CLOSED: AccountClosed,
        AccountState.IN_REVIEW: AccountInReview,
        AccountState.REFUSED: AccountRefused,
    }
    for problem in filter(None, problems.values()):
        assert "01 23 45 67 89" in str(problem.next_step)
        assert "Vol signalé." in str(problem.next_step)


def test_a_failed_adeli_key_is_a_matter_of_policy() -> None:
    with pytest.raises(InvalidChecksum):
        parse_identifier(Scheme.ADELI, "752800012")
    assert parse_identifier(Scheme.ADELI, "752800012", is_adeli_key_enforced=False).value == "752800012"
    with pytest.raises(ValidationError):
        parse_identifier(Scheme.FINESS, "752800012", is_adeli_key_enforced=False)


@pytest.mark.parametrize(
    ("written", "called"),
    [
        ("06 12 34 56 78", "+33612345678"),
        ("0033 6 12 34 56 78", "+33612345678"),
        ("+33 (0)7.56.78.90.12", "+33756789012"),
        ("0690 12 34 56", "+590690123456"),
        ("0692 12 34 56", "+262692123456"),
        ("+32 470 12 34 56", "+32470123456"),
        ("01 23 45 67 89", None),
        ("06 12 34 56", None),
        ("0612345678; rm", None),
        ("", None),
        ("+999 1", None),
    ],
)
def test_a_mobile_number_is_one_that_can_be_called(written: str, called: str | None) -> None:
    assert parse_mobile(written) == called


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_mobile(text: str) -> None:
    number = parse_mobile(text)
    assert number is None or number.startswith("+")


def a_french_iban(bank: str) -> iban.Iban:
    body = f"{bank}00079" + "41234567890"
    rib = iban.rib_key(bank, "00079", "41234567890")
    digits = f"{body}{rib}152700"
    return iban.validate(f"FR{98 - int(digits) % 97:02d}{body}{rib}")


@pytest.mark.parametrize(
    ("code", "account", "problem"),
    [
        ("BDFEFRPPCCT", "FR7630001007941234567890185", None),
        ("BDFEFRPP", "FR7630001007941234567890185", None),
        ("AGRIFRPP882", "FR7630001007941234567890185", IbanOfAnotherBank),
        ("AGRIFRPP882", a_french_iban("18206"), None),
        ("AGRIFRPPXXX", a_french_iban("18206"), None),
        ("AGRIFRPP825", a_french_iban("18206"), IbanOfAnotherBank),
        ("AGRIRERX", a_french_iban("19906"), None),
        ("AGRIFRPP882", "DE89370400440532013000", BicCountryDiffers),
        ("DEUTDEFF", "FR7630001007941234567890185", BicCountryDiffers),
        ("COBADEFF", "DE89370400440532013000", None),
        ("AGRIFRPP882", a_french_iban("99999"), None),
        ("AGRIFRPP882", None, None),
    ],
)
def test_bic_and_iban_must_be_of_one_bank(code: str, account: str | None, problem: type | None) -> None:
    assert bank_problem(bic.validate(code), iban.validate(account) if account else None) is problem


def details(asked: int, in_force: int, *, is_revoked: bool = False) -> BankDetails:
    return BankDetails(
        id=uuid4(),
        bic="AGRIFRPP882",
        iban_ending=None,
        requested_at=NOW + timedelta(hours=asked),
        in_force_from=NOW + timedelta(hours=in_force),
        revoked_at=NOW + timedelta(hours=asked) if is_revoked else None,
    )


def test_new_bank_details_count_when_their_time_has_come_unless_revoked() -> None:
    first, revoked, waiting = details(-100, -100), details(-90, -18, is_revoked=True), details(-1, 71)
    history = [waiting, revoked, first]
    assert bank_details_at(history, NOW) is first
    assert pending_bank_details(history, NOW) is waiting
    later = NOW + timedelta(hours=71)
    assert bank_details_at(history, later) is waiting
    assert pending_bank_details(history, later) is None
    assert bank_details_at([], NOW) is None


def test_a_reminder_shows_enough_for_the_owner_and_too_little_for_others() -> None:
    assert partly_masked(Identifier(scheme=Scheme.FINESS, value="750000549")) == "FINESS 75••••549"
    assert partly_masked(Identifier(scheme=Scheme.TREASURY, value="033090-123")) == "de trésorerie 03•••••123"
