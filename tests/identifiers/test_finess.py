"""FINESS: the key holds for every establishment of the open data, and catches every wrong digit."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import establishments, finess_numbers, luhn_key, one_digit_changed, unhurried
from tpgateway.identifiers import finess

VALID = ["2A0000014", "2B0000020", "970302022", "980500763", "540002698"]


@pytest.mark.parametrize("number", VALID)
def test_a_known_number_is_valid(number: str) -> None:
    assert finess.validate(number) == number
    assert finess.is_valid(number)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("540002699", InvalidChecksum),
        ("2A0000013", InvalidChecksum),
        ("2C0000014", InvalidFormat),
        ("458174839", InvalidChecksum),
        ("54000269", InvalidLength),
        ("5400026980", InvalidLength),
        ("A20000014", InvalidFormat),
        ("2A000001A", InvalidFormat),
        ("02A000014", InvalidFormat),
        ("٥٤٠٠٠٢٦٩٨", InvalidFormat),
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        finess.validate(number)
    assert not finess.is_valid(number)


def test_every_establishment_is_there() -> None:
    assert len({row["finess"] for row in establishments()}) == 1_998


@pytest.mark.parametrize("column", ["finess", "finess_legal_entity"])
def test_every_establishment_has_a_valid_number(column: str) -> None:
    assert [row[column] for row in establishments() if finess.validate(row[column]) != row[column]] == []


@pytest.mark.parametrize("column", ["finess", "finess_legal_entity"])
def test_one_wrong_digit_is_caught_in_every_establishment(column: str) -> None:
    numbers = {row[column] for row in establishments()}
    missed = [(number, wrong) for number in numbers for wrong in one_digit_changed(number) if finess.is_valid(wrong)]
    assert missed == []


@unhurried
@given(finess_numbers())
def test_one_wrong_digit_is_caught_in_any_number(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if finess.is_valid(wrong)] == []


@pytest.mark.parametrize(("letters", "keyed_as"), [("2A", "21"), ("2B", "22")])
def test_a_corsican_number_is_keyed_as_21_or_22(letters: str, keyed_as: str) -> None:
    for order in range(0, 1_000_000, 12_345):
        accepted = [key for key in "0123456789" if finess.is_valid(f"{letters}{order:06d}{key}")]
        assert accepted == [luhn_key(f"{keyed_as}{order:06d}")]


def test_the_two_halves_of_corsica_are_not_taken_for_each_other() -> None:
    corsican = [row["finess"] for row in establishments() if row["finess"].startswith(("2A", "2B"))]
    assert len(corsican) == 18
    for number in corsican:
        assert not finess.is_valid(number.translate(str.maketrans("AB", "BA")))


@pytest.mark.parametrize("number", ["2a0000014", "2b0000020"])
def test_the_letter_of_corsica_may_come_lower_case(number: str) -> None:
    assert finess.compact(number) == number.upper()
    assert finess.validate(number) == number.upper()


def test_overseas_numbers_open_with_9701_to_9704_and_98() -> None:
    overseas = {row["finess"] for row in establishments() if row["finess"].startswith(("97", "98"))}
    assert {number[:4] for number in overseas if number.startswith("97")} == {"9701", "9702", "9703", "9704"}
    assert any(number.startswith("98") for number in overseas)
    assert [number for number in overseas if not finess.is_valid(number)] == []


def test_a_number_is_read_in_three_groups() -> None:
    assert finess.format("010000024") == "01 000002 4"
    assert finess.validate("01 000002 4") == "010000024"
