"""Adeli: out of service, still carried; a failed key can be let through by whoever asks for the form alone."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import adeli_numbers, one_digit_changed, unhurried
from tpgateway.identifiers import adeli


@pytest.mark.parametrize("number", ["752800011", "692800428", "139900070", "974000150"])
def test_a_known_number_is_valid(number: str) -> None:
    assert adeli.validate(number) == number
    assert adeli.validate_form(number) == number


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("752800012", InvalidChecksum),
        ("692800427", InvalidChecksum),
        ("75280001", InvalidLength),
        ("7528000110", InvalidLength),
        ("7528OOO11", InvalidFormat),
        ("2A2800011", InvalidFormat),
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        adeli.validate(number)
    assert not adeli.is_valid(number)


@unhurried
@given(adeli_numbers())
def test_one_wrong_digit_is_caught(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if adeli.is_valid(wrong)] == []


@pytest.mark.parametrize("key", "0234567890")
def test_the_form_alone_lets_a_failed_key_through(key: str) -> None:
    number = f"75280001{key}"
    assert adeli.validate_form(number) == number
    assert not adeli.is_valid(number)


@pytest.mark.parametrize("number", ["75280001", "7528000110", "75280001A", "", "٧٥٢٨٠٠٠١١"])
def test_the_form_alone_still_refuses_what_is_not_nine_digits(number: str) -> None:
    with pytest.raises(ValidationError):
        adeli.validate_form(number)


def test_a_number_is_read_in_groups_of_three() -> None:
    assert adeli.format("752800011") == "752 800 011"
