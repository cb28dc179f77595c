"""NIR: thirteen characters and two of key, with a rule of its own for Corsica. Every number here is made up."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import nir_key, nir_numbers, one_digit_changed, unhurried
from tpgateway.identifiers import nir


@pytest.mark.parametrize("number", ["295109912611193", "253072B07300470", "253072A07300443"])
def test_a_known_number_is_valid(number: str) -> None:
    assert nir.validate(number) == number
    assert nir.is_valid(number)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("295109912611199", InvalidChecksum),
        ("253072B07300443", InvalidChecksum),
        ("253072A07300470", InvalidChecksum),
        ("2951099126111", InvalidLength),
        ("29510991261119", InvalidLength),
        ("2951099126111930", InvalidLength),
        ("253072C07300443", InvalidFormat),
        ("2530722A7300443", InvalidFormat),
        ("A95109912611193", InvalidFormat),
        ("2951099126111AB", InvalidFormat),
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        nir.validate(number)
    assert not nir.is_valid(number)


@pytest.mark.parametrize(
    "number",
    ["2951\n9912611193", "295109\n12611193", "2951\r9912611193", "2951\n2A07300443", "253072A\n7300443"],
    ids=ascii,
)
def test_a_line_break_within_a_number_is_refused_as_any_other_fault(number: str) -> None:
    with pytest.raises(ValidationError):
        nir.validate(number)
    assert nir.is_valid(number) is False


@unhurried
@given(nir_numbers())
def test_one_key_in_a_hundred_is_right(number: str) -> None:
    assert [key for key in map("{:02d}".format, range(100)) if nir.is_valid(number[:13] + key)] == [number[13:]]


@unhurried
@given(nir_numbers())
def test_one_wrong_digit_is_caught(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if nir.is_valid(wrong)] == []


@pytest.mark.parametrize(
    ("letters", "counts_as", "finess_way"), [("2A", "19", "21"), ("2B", "18", "22")], ids=["2A", "2B"]
)
def test_a_corsican_number_is_keyed_as_19_or_18_and_not_as_a_finess(
    letters: str, counts_as: str, finess_way: str
) -> None:
    assert nir.is_valid(f"25307{letters}073004{nir_key(f'25307{counts_as}073004')}")
    assert not nir.is_valid(f"25307{letters}073004{nir_key(f'25307{finess_way}073004')}")


@unhurried
@given(nir_numbers(departments=("2A", "2B")))
def test_the_two_halves_of_corsica_are_not_taken_for_each_other(number: str) -> None:
    other = number.translate(str.maketrans("AB", "BA"))
    assert nir.is_valid(number)
    assert not nir.is_valid(other)


def test_the_letter_of_corsica_may_come_lower_case() -> None:
    assert nir.validate("253072a07300443") == "253072A07300443"


def test_a_number_is_read_in_groups() -> None:
    assert nir.format("295109912611193") == "2 95 10 99 126 111 93"
