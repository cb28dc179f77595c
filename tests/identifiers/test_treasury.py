"""Treasury identifier: an office serves several bodies, so an office alone names nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.exceptions import InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import digits, treasury_numbers, unhurried
from tpgateway.identifiers import treasury
from tpgateway.identifiers.treasury import Parts


@pytest.mark.parametrize("office", ["033090", " 033 090 ", "033090-"])
def test_an_office_alone_is_refused(office: str) -> None:
    with pytest.raises(InvalidLength):
        treasury.validate(office)
    assert not treasury.is_valid(office)


@pytest.mark.parametrize(
    ("number", "written"),
    [
        ("033090-123", "033090-123"),
        ("033090123", "033090-123"),
        ("033090 123", "033090-123"),
        ("033090-123-01", "033090-123-01"),
        ("03309012301", "033090-123-01"),
        ("033090 123 01", "033090-123-01"),
    ],
)
def test_an_office_with_a_body_and_perhaps_a_budget_is_valid(number: str, written: str) -> None:
    assert treasury.validate(number) == written
    assert treasury.format(number) == written
    assert treasury.is_valid(number)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("03309", InvalidLength),
        ("033090-1", InvalidLength),
        ("033090-12", InvalidLength),
        ("033090-123-0", InvalidLength),
        ("033090-123-011", InvalidLength),
        ("O33090-123", InvalidFormat),
        ("033090-12A", InvalidFormat),
        ("033090-123-0B", InvalidFormat),
        ("2A3090-123", InvalidFormat),
    ],
)
def test_a_wrong_identifier_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        treasury.validate(number)
    assert not treasury.is_valid(number)


def test_the_digits_alone_are_its_compact_form() -> None:
    assert treasury.compact("033090-123-01") == "03309012301"


def test_an_identifier_without_a_budget_splits_into_two() -> None:
    assert treasury.split(treasury.validate("033090123")) == Parts(office="033090", body="123", budget=None)


def test_an_identifier_with_a_budget_splits_into_three() -> None:
    assert treasury.split(treasury.validate("03309012301")) == Parts(office="033090", body="123", budget="01")


@unhurried
@given(treasury_numbers())
def test_the_parts_put_together_are_the_identifier(number: str) -> None:
    parts = treasury.split(treasury.validate(number))
    assert "-".join(part for part in (parts.office, parts.body, parts.budget) if part is not None) == number
    assert [len(parts.office), len(parts.body)] == [6, 3]
    assert parts.budget is None or len(parts.budget) == 2


@unhurried
@given(st.integers(0, 20).filter(lambda length: length not in {9, 11}).flatmap(digits))
def test_any_other_number_of_digits_is_an_invalid_length(number: str) -> None:
    with pytest.raises(InvalidLength):
        treasury.validate(number)
