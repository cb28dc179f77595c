"""AMC number: eight to ten digits, the same insurer with or without the zeroes before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.exceptions import InvalidFormat, InvalidLength

from tests.identifiers.numbers import amc_numbers, digits, unhurried
from tpgateway.identifiers import amc_number


@pytest.mark.parametrize("number", ["0075004407", "075004407", "75004407"])
def test_a_number_is_one_insurer_however_it_is_padded(number: str) -> None:
    assert amc_number.validate(number) == "0075004407"
    assert amc_number.format(number) == "0075004407"


@pytest.mark.parametrize("number", ["7500440", "00075004407", "5004407", "12345678901"])
def test_a_number_outside_eight_to_ten_digits_is_refused(number: str) -> None:
    with pytest.raises(InvalidLength):
        amc_number.validate(number)
    assert not amc_number.is_valid(number)


@pytest.mark.parametrize("number", ["7500440A", "0075O04407", "+75004407", "7500_4407", "٧٥٠٠٤٤٠٧", "7500/4407"])
def test_a_number_holds_digits_only(number: str) -> None:
    with pytest.raises(InvalidFormat):
        amc_number.validate(number)
    assert not amc_number.is_valid(number)


@unhurried
@given(amc_numbers())
def test_no_key_is_enforced(number: str) -> None:
    assert amc_number.validate(number) == "0" * (10 - len(number)) + number


@unhurried
@given(digits(8).filter(lambda number: int(number) > 0), st.sampled_from(["0", "00"]))
def test_zeroes_before_a_number_do_not_make_another(number: str, zeroes: str) -> None:
    assert amc_number.validate(zeroes + number) == amc_number.validate(number)


@unhurried
@given(amc_numbers(), amc_numbers())
def test_numbers_are_equal_when_they_are_equal_as_counted(one: str, other: str) -> None:
    assert (amc_number.validate(one) == amc_number.validate(other)) is (int(one) == int(other))


def test_its_compact_form_is_as_written() -> None:
    assert amc_number.compact("75 004 407") == "75004407"
