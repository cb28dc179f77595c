"""BIC: no key, so its form and its country are all there is to check."""

import pytest
from hypothesis import given
from stdnum.exceptions import InvalidComponent, InvalidFormat, InvalidLength, ValidationError

from tests.identifiers.numbers import bics, unhurried
from tpgateway.identifiers import bic


@pytest.mark.parametrize("code", ["AGRIFRPP882", "BDFEFRPPCCT", "AGRIFRPP", "DEUTDEFF500", "BNPAMCM1"])
def test_a_known_code_is_valid(code: str) -> None:
    assert bic.validate(code) == code
    assert bic.is_valid(code)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AGRIFRP", InvalidLength),
        ("AGRIFRPP8", InvalidLength),
        ("AGRIFRPP88", InvalidLength),
        ("AGRIFRPP8822", InvalidLength),
        ("AGR1FRPP", InvalidFormat),
        ("AGRIF1PP", InvalidFormat),
        ("AGRIFR?P", InvalidFormat),
        ("AGRIFRPP88_", InvalidFormat),
        ("AGRIZZPP", InvalidComponent),
        ("AGRIUKPP", InvalidComponent),
        ("AGRIEUPP882", InvalidComponent),
    ],
)
def test_a_wrong_code_is_refused(code: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        bic.validate(code)
    assert not bic.is_valid(code)


def test_a_bank_of_kosovo_is_known_under_xk() -> None:
    assert bic.country(bic.validate("NLPRXKPR")) == "XK"


def test_a_code_may_come_lower_case() -> None:
    assert bic.validate("agrifrpp882") == "AGRIFRPP882"


@pytest.mark.parametrize("code", ["AGRIFRPP8ß", "ﬁABFRPP", "AGRIFRPP88ı"], ids=ascii)
def test_a_letter_outside_the_alphabet_is_not_read_as_one_within(code: str) -> None:
    assert not bic.is_valid(code)


@unhurried
@given(bics())
def test_the_country_is_the_fifth_and_sixth_letter(code: str) -> None:
    assert bic.country(bic.validate(code)) == code[4:6]


@pytest.mark.parametrize(("code", "read"), [("AGRIFRPP882", "AGRI FR PP 882"), ("AGRIFRPP", "AGRI FR PP")])
def test_a_code_is_read_in_its_parts(code: str, read: str) -> None:
    assert bic.format(code) == read
