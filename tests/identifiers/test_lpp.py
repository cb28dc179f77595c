"""LPP: weights 2 to 7, modulo 11, 10 written 0; that 0 stands for two remainders is the key's one blind spot."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidChecksum, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import digits, lpp_codes, lpp_remainder, one_digit_changed, unhurried
from tpgateway.identifiers import lpp


@pytest.mark.parametrize("code", ["2210546", "2248320"])
def test_a_known_code_is_valid(code: str) -> None:
    assert lpp.validate(code) == code
    assert lpp.is_valid(code)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("2210547", InvalidChecksum),
        ("2248321", InvalidChecksum),
        ("2120546", InvalidChecksum),
        ("221054", InvalidLength),
        ("22105460", InvalidLength),
        ("22105A6", InvalidFormat),
        ("221054X", InvalidFormat),
    ],
)
def test_a_wrong_code_is_refused(code: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        lpp.validate(code)
    assert not lpp.is_valid(code)


@unhurried
@given(digits(6))
def test_one_key_in_ten_is_right(body: str) -> None:
    remainder = lpp_remainder(body)
    assert [key for key in "0123456789" if lpp.is_valid(body + key)] == ["0" if remainder == 10 else str(remainder)]


@pytest.mark.parametrize(("body", "key"), [("221054", "6"), ("224832", "0"), ("000000", "0"), ("500000", "0")])
def test_the_key_is_the_remainder_with_10_written_0(body: str, key: str) -> None:
    assert lpp.key(body) == key


@unhurried
@given(lpp_codes())
def test_one_wrong_digit_is_caught_unless_the_remainders_are_0_and_10(code: str) -> None:
    """Both are keyed 0: between two such codes, and only there, a wrong digit goes unseen; a wrong key never does."""
    for wrong in one_digit_changed(code):
        unseen = wrong[6] == code[6] and {lpp_remainder(code), lpp_remainder(wrong)} == {0, 10}
        assert lpp.is_valid(wrong) is unseen


def test_a_wrong_digit_between_remainders_0_and_10_goes_unseen() -> None:
    assert [lpp_remainder("000000"), lpp_remainder("500000")] == [0, 10]
    assert lpp.is_valid("0000000")
    assert lpp.is_valid("5000000")


def test_a_code_is_written_as_seven_digits() -> None:
    assert lpp.format("2210546") == "2210546"
    assert lpp.format(" 22 10 546 ") == "2210546"
