"""CIP13: an EAN-13 that opens with 34009."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import cip13_codes, digits, ean_key, one_digit_changed, unhurried
from tpgateway.identifiers import cip13


def test_a_known_code_is_valid() -> None:
    assert cip13.validate("3400935955838") == "3400935955838"
    assert cip13.is_valid("3400935955838")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("3400935955839", InvalidChecksum),
        ("340093595583", InvalidLength),
        ("34009359558380", InvalidLength),
        ("036000291452", InvalidLength),  # a UPC, twelve digits
        ("3400935", InvalidLength),  # a CIP7
        ("34009359558A8", InvalidFormat),
        ("4006381333931", InvalidComponent),  # a pen
    ],
)
def test_a_wrong_code_is_refused(code: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        cip13.validate(code)
    assert not cip13.is_valid(code)


@unhurried
@given(digits(12).filter(lambda body: not body.startswith("34009")))
def test_an_article_that_is_no_medicine_is_refused(body: str) -> None:
    with pytest.raises(InvalidComponent):
        cip13.validate(body + ean_key(body))


@pytest.mark.parametrize("opening", ["34000", "34008", "34019", "33009", "24009"])
def test_an_opening_one_digit_off_is_refused_whatever_its_key(opening: str) -> None:
    with pytest.raises(InvalidComponent):
        cip13.validate(f"{opening}3595583{ean_key(opening + '3595583')}")


@unhurried
@given(cip13_codes())
def test_one_key_in_ten_is_right(code: str) -> None:
    assert [key for key in "0123456789" if cip13.is_valid(code[:12] + key)] == [code[12]]


@unhurried
@given(cip13_codes())
def test_one_wrong_digit_is_caught(code: str) -> None:
    assert [wrong for wrong in one_digit_changed(code) if cip13.is_valid(wrong)] == []


def test_a_code_is_read_as_boxes_print_it() -> None:
    assert cip13.format("3400935955838") == "34009 359 558 3 8"
