"""SIRET: nine digits of SIREN and five of order, each part keyed."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import establishments, luhn_key, one_digit_changed, siret_numbers, unhurried
from tpgateway.identifiers import siret

NOT_A_SIRET = "65552924500128"  # one that the open data has wrong


def given_numbers() -> list[str]:
    """The numbers of fourteen digits; a few establishments give a SIREN alone, one nothing."""
    return [row["siret"] for row in establishments() if len(row["siret"]) == 14]


@pytest.mark.parametrize("number", ["26010004500012", "26010028400017"])
def test_a_known_number_is_valid(number: str) -> None:
    assert siret.validate(number) == number
    assert siret.is_valid(number)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("26010004500013", InvalidChecksum),
        (NOT_A_SIRET, InvalidChecksum),
        ("260100045", InvalidLength),
        ("2601000450001", InvalidLength),
        ("260100045000120", InvalidLength),
        ("2601000450001A", InvalidFormat),
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        siret.validate(number)
    assert not siret.is_valid(number)


def test_every_establishment_with_a_siret_but_one_has_a_valid_one() -> None:
    numbers = given_numbers()
    assert len(numbers) == 1_973
    assert [number for number in numbers if not siret.is_valid(number)] == [NOT_A_SIRET]


def test_a_siren_alone_is_no_siret() -> None:
    sirens = [row["siret"] for row in establishments() if len(row["siret"]) == 9]
    assert len(sirens) == 24
    assert [number for number in sirens if siret.is_valid(number)] == []


@unhurried
@given(siret_numbers())
def test_one_wrong_digit_is_caught(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if siret.is_valid(wrong)] == []


def test_the_siren_within_is_checked_though_the_whole_has_its_key() -> None:
    body = "2601000460001"  # the SIREN 260100045 with its key wrong
    with pytest.raises(InvalidChecksum):
        siret.validate(body + luhn_key(body))


def test_a_post_office_is_known_by_the_sum_of_its_digits() -> None:
    assert siret.is_valid("35600000049837")  # 45, a multiple of 5; no Luhn key
    assert not siret.is_valid("35600000049838")


def test_a_number_is_read_in_groups() -> None:
    assert siret.format("26010004500012") == "260 100 045 00012"
