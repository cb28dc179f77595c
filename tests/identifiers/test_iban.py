"""IBAN: modulo 97 for all, and within a French one the RIB key, which the modulo does not vouch for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.exceptions import InvalidChecksum, InvalidComponent, InvalidFormat, ValidationError

from tests.identifiers.numbers import (
    digits,
    french_ibans,
    iban_digits,
    one_digit_changed,
    true_rib_key,
    unhurried,
    whole_iban,
)
from tpgateway.identifiers import iban

KNOWN = "FR7630001007941234567890185"


@pytest.mark.parametrize(
    ("number", "country"),
    [
        (KNOWN, "FR"),
        ("FR1420041010050500013M02606", "FR"),
        ("MC5811222000010123456789030", "MC"),
        ("DE89370400440532013000", "DE"),
        ("NL91ABNA0417164300", "NL"),
        ("ES9121000418450200051332", "ES"),
        ("GB29NWBK60161331926819", "GB"),
    ],
)
def test_a_known_number_is_valid(number: str, country: str) -> None:
    assert iban.validate(number) == number
    assert iban.country(iban.validate(number)) == country


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("FR7630001007941234567890186", InvalidChecksum),
        ("FR7730001007941234567890185", InvalidChecksum),
        ("FR763000100794123456789018", InvalidChecksum),
        (whole_iban("FR", "3000100794123456789018"), InvalidFormat),
        (whole_iban("FR", "300010079412345678901850"), InvalidFormat),
        (whole_iban("FR", "3000A007941234567890185"), InvalidFormat),
        (whole_iban("ZZ", "30001007941234567890185"), InvalidComponent),
        ("30001007941234567890185", ValidationError),
    ],
)
def test_a_wrong_number_is_refused(number: str, error: type[ValidationError]) -> None:
    with pytest.raises(error):
        iban.validate(number)
    assert not iban.is_valid(number)


def test_a_wrong_rib_key_is_refused_though_the_modulo_holds() -> None:
    number = whole_iban("FR", "30001007941234567890186")
    assert int("30001007941234567890186" + "1527" + number[2:4]) % 97 == 1
    with pytest.raises(InvalidChecksum):
        iban.validate(number)
    assert not iban.is_valid(number)


@unhurried
@given(french_ibans())
def test_one_rib_key_in_a_hundred_is_right_whatever_the_modulo(number: str) -> None:
    country, rib = number[:2], number[4:25]
    accepted = [key for key in map("{:02d}".format, range(100)) if iban.is_valid(whole_iban(country, rib + key))]
    assert accepted == [true_rib_key(rib)]


@unhurried
@given(digits(21))
def test_a_french_account_of_digits_alone_has_the_check_digits_76(rib: str) -> None:
    bban = rib + true_rib_key(rib)
    assert [check for check in range(100) if iban.is_valid(f"FR{check:02d}{bban}")] == [76]


@unhurried
@given(digits(5), digits(5), st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=11, max_size=11))
def test_the_rib_key_makes_the_whole_a_multiple_of_97(bank: str, branch: str, account: str) -> None:
    assert iban.rib_key(bank, branch, account) == true_rib_key(bank + branch + account)


@pytest.mark.parametrize(
    ("bank", "branch", "account", "key"),
    [("30001", "00794", "12345678901", "85"), ("20041", "01005", "0500013M026", "06")],
)
def test_a_known_account_has_its_rib_key(bank: str, branch: str, account: str, key: str) -> None:
    assert iban.rib_key(bank, branch, account) == key


def test_the_rib_key_of_a_german_account_is_nobodys_business() -> None:
    number = whole_iban("DE", "370400440532013001")
    assert iban.validate(number) == number


@unhurried
@given(french_ibans())
def test_one_wrong_digit_is_caught(number: str) -> None:
    assert [wrong for wrong in one_digit_changed(number) if iban.is_valid(wrong)] == []


@pytest.mark.parametrize("wrong", ["٧٦", "7٦", "٧6", "G9", "Q6", "XU", "ZO"], ids=ascii)
def test_check_digits_are_ascii_digits(wrong: str) -> None:
    with pytest.raises(ValidationError):
        iban.validate(f"FR{wrong}{KNOWN[4:]}")


def account_with(check_digits: str) -> str:
    """A French account whose IBAN has these check digits; it holds a letter, for all of digits alone have 76."""
    ribs = (f"3000100794{account:010d}M" for account in range(10_000))
    bbans = (rib + true_rib_key(rib) for rib in ribs)
    return next(bban for bban in bbans if iban_digits("FR", bban) == check_digits)


@pytest.mark.parametrize(("true", "false"), [("97", "00"), ("98", "01"), ("02", "99")])
def test_check_digits_run_from_02_to_98(true: str, false: str) -> None:
    bban = account_with(true)
    assert iban.is_valid(f"FR{true}{bban}")
    assert not iban.is_valid(f"FR{false}{bban}")


def test_a_number_may_come_lower_case_and_in_groups() -> None:
    assert iban.validate("fr14 2004 1010 0505 0001 3m02 606") == "FR1420041010050500013M02606"


def test_a_number_is_read_in_groups_of_four() -> None:
    assert iban.format(KNOWN) == "FR76 3000 1007 9412 3456 7890 185"


def test_an_account_at_a_bank_that_no_list_names_is_read() -> None:
    assert iban.validate("BE68 5390 0754 7034") == "BE68539007547034"


@pytest.mark.parametrize("letter", ["ß", "ﬁ", "ı"])
def test_a_letter_outside_the_alphabet_is_not_read_as_one_within(letter: str) -> None:
    with pytest.raises(ValidationError):
        iban.validate(f"FR36300010079412345{letter}890139")
