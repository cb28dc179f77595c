"""Postal code: five digits, CEDEX deliveries included, no key."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import establishments, postal_codes, unhurried
from tpgateway.identifiers import postal_code


@pytest.mark.parametrize("code", ["01606", "54511", "20090", "97139", "97600", "98000"])
def test_a_known_code_is_valid(code: str) -> None:
    assert postal_code.validate(code) == code
    assert postal_code.is_valid(code)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1606", InvalidLength),
        ("016060", InvalidLength),
        ("2A000", InvalidFormat),
        ("O1606", InvalidFormat),
        ("F-01606", ValidationError),
        ("٠١٦٠٦", InvalidFormat),
    ],
)
def test_a_wrong_code_is_refused(code: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        postal_code.validate(code)
    assert not postal_code.is_valid(code)


def test_every_establishment_has_a_valid_code() -> None:
    codes = {row["postal_code"] for row in establishments()}
    assert len(codes) > 1_000
    assert [code for code in codes if postal_code.validate(code) != code] == []


@unhurried
@given(postal_codes())
def test_no_key_is_asked(code: str) -> None:
    assert postal_code.validate(code) == code


def test_a_code_is_written_as_five_digits() -> None:
    assert postal_code.format("01606") == "01606"
    assert postal_code.format(" 01 606 ") == "01606"
