"""RPPS: eleven digits, the first is 1, the last a Luhn key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import digits, luhn_key, one_digit_changed, rpps_numbers, unhurried
from tpgateway.identifiers import rpps


@pytest.mark.parametrize("number", ["10999999906", "10999999914", "10888888806"])
def test_a_known_number_is_valid(number: str) -> None:
    assert rpps.validate(number) == number
    assert rpps.is_valid(number)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("10999999907", InvalidChecksum),
        ("10888888805", InvalidChecksum),
        ("1099999990", InvalidLength),
        ("109999999060", InvalidLength),
        ("1099999990A", InvalidFormat),
        ("1٠٩٩٩٩٩٩٩٠٦", InvalidFormat),
        ("810999999906", ValidationError),  # with the 8 that other files put before it
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        rpps.validate(number)
    assert not rpps.is_valid(number)


@unhurried
@given(first=st.sampled_from("023456789"), order=digits(9))
def test_a_number_opens_with_1_whatever_its_key(first: str, order: str) -> None:
    with pytest.raises(InvalidComponent):
        rpps.validate(first + order + luhn_key(first + order))


@unhurried
@given(rpps_numbers())
def test_one_wrong_digit_is_caught(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if rpps.is_valid(wrong)] == []


def test_a_number_is_read_in_groups() -> None:
    assert rpps.format("10999999906") == "10 999 999 906"
