"""Valid numbers of each scheme. Keys are computed here from the published rules, never by the modules under test."""

import csv
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tpgateway.identifiers import (
    adeli,
    amc_number,
    bic,
    cip13,
    finess,
    iban,
    lpp,
    nir,
    postal_code,
    rpps,
    siret,
    treasury,
)

ESTABLISHMENTS = Path(__file__).parents[1] / "data" / "establishments.csv"

unhurried = settings(deadline=None)  # a busy machine is no fault of the code

DEPARTMENTS = [f"{number:02d}" for number in range(1, 96) if number != 20]
CAPITALS_AND_DIGITS = string.ascii_uppercase + string.digits


@cache
def establishments() -> list[dict[str, str]]:
    """1,998 public establishments, as the open data gives them."""
    with ESTABLISHMENTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digits(count: int) -> SearchStrategy[str]:
    return st.text(string.digits, min_size=count, max_size=count)


def one_digit_changed(number: str) -> Iterator[str]:
    """The number with one digit changed to another, every digit in every way."""
    for place, old in enumerate(number):
        if old in string.digits:
            for new in string.digits.replace(old, ""):
                yield f"{number[:place]}{new}{number[place + 1 :]}"


def luhn_key(body: str) -> str:
    """The digit to put behind ``body``: every second digit from the right is doubled, its digits added up."""
    doubled = [int(digit) * 2 for digit in body[::-2]]
    single = [int(digit) for digit in body[-2::-2]]
    return str(-(sum(value // 10 + value % 10 for value in doubled) + sum(single)) % 10)


def ean_key(body: str) -> str:
    """Weights 3 and 1 in turn from the right."""
    return str(-(3 * sum(map(int, body[::-2])) + sum(map(int, body[-2::-2]))) % 10)


def nir_key(body: str) -> str:
    """97 less the remainder of the thirteen, where 2A counts as 19 and 2B as 18."""
    department = {"2A": "19", "2B": "18"}.get(body[5:7], body[5:7])
    return f"{97 - int(body[:5] + department + body[7:]) % 97:02d}"


def lpp_remainder(body: str) -> int:
    """Weights 2 to 7 from the left, modulo 11; the key is this, 10 written 0."""
    return sum(weight * int(digit) for weight, digit in zip(range(2, 8), body[:6], strict=True)) % 11


def iban_digits(country: str, bban: str) -> str:
    """The two check digits: 98 less the remainder by 97, letters counted from A = 10."""
    spelt = "".join(str(int(character, 36)) for character in f"{bban}{country}00")
    return f"{98 - int(spelt) % 97:02d}"


def whole_iban(country: str, bban: str) -> str:
    return f"{country}{iban_digits(country, bban)}{bban}"


def true_rib_key(bank_branch_account: str) -> str:
    """The key that makes the whole RIB, read as one number, a multiple of 97; A and J are 1, B, K and S are 2…"""
    letters = {
        letter: str(value)
        for value, group in enumerate(["AJ", "BKS", "CLT", "DMU", "ENV", "FOW", "GPX", "HQY", "IRZ"], start=1)
        for letter in group
    }
    number = int("".join(letters.get(character, character) for character in bank_branch_account) + "00")
    return f"{97 - number % 97:02d}"


@st.composite
def finess_numbers(draw: st.DrawFn) -> str:
    department = draw(st.sampled_from([*DEPARTMENTS, "2A", "2B", "9701", "9702", "9703", "9704", "98"]))
    body = department + draw(digits(8 - len(department)))
    return body + luhn_key(body.replace("2A", "21", 1).replace("2B", "22", 1))


@st.composite
def adeli_numbers(draw: st.DrawFn) -> str:
    body = draw(st.sampled_from([*DEPARTMENTS, "97"])) + draw(digits(6))
    return body + luhn_key(body)


def rpps_numbers() -> SearchStrategy[str]:
    return digits(9).map(lambda order: f"1{order}{luhn_key('1' + order)}")


@st.composite
def treasury_numbers(draw: st.DrawFn) -> str:
    office = f"{draw(st.integers(1, 976)):03d}{draw(digits(3))}"
    return "-".join([office, draw(digits(3)), *draw(st.lists(digits(2), max_size=1))])


@st.composite
def nir_numbers(draw: st.DrawFn, departments: tuple[str, ...] = (*DEPARTMENTS, "2A", "2B", "97", "99")) -> str:
    sex, year, month = draw(st.sampled_from("12")), draw(digits(2)), draw(st.integers(1, 12))
    department = draw(st.sampled_from(departments))
    body = f"{sex}{year}{month:02d}{department}{draw(digits(6))}"
    return body + nir_key(body)


def amc_numbers() -> SearchStrategy[str]:
    return st.integers(8, 10).flatmap(digits).filter(lambda number: int(number) > 0)


@st.composite
def bics(draw: st.DrawFn) -> str:
    bank = draw(st.text(string.ascii_uppercase, min_size=4, max_size=4))
    place = draw(st.text(CAPITALS_AND_DIGITS, min_size=2, max_size=2))
    branch = draw(st.just("") | st.text(CAPITALS_AND_DIGITS, min_size=3, max_size=3))
    return bank + draw(st.sampled_from(["FR", "MC", "BE", "DE", "LU", "GP", "XK"])) + place + branch


@st.composite
def french_ibans(draw: st.DrawFn) -> str:
    account = draw(st.text(CAPITALS_AND_DIGITS, min_size=11, max_size=11) | digits(11))
    rib = draw(digits(10)) + account
    return whole_iban(draw(st.sampled_from(["FR", "MC"])), rib + true_rib_key(rib))


def lpp_codes() -> SearchStrategy[str]:
    return digits(6).map(lambda body: f"{body}{lpp_remainder(body) % 10}")


def cip13_codes() -> SearchStrategy[str]:
    return digits(7).map(lambda order: f"34009{order}{ean_key('34009' + order)}")


@st.composite
def siret_numbers(draw: st.DrawFn) -> str:
    siren = draw(digits(8).filter(lambda body: body != "35600000"))  # La Poste has a rule of its own
    body = siren + luhn_key(siren) + draw(digits(4))
    return body + luhn_key(body)


def postal_codes() -> SearchStrategy[str]:
    return st.integers(1_000, 98_999).map("{:05d}".format)


@dataclass(frozen=True, kw_only=True)
class Scheme:
    module: ModuleType
    known: tuple[str, ...]
    """Published examples."""
    numbers: SearchStrategy[str]
    """Made-up numbers that are valid, in compact or written form."""

    def __str__(self) -> str:
        return self.module.__name__.rpartition(".")[2]


SCHEMES = (
    Scheme(
        module=finess,
        known=("2A0000014", "2B0000020", "970302022", "980500763", "540002698"),
        numbers=finess_numbers(),
    ),
    Scheme(module=adeli, known=("752800011", "692800428", "139900070", "974000150"), numbers=adeli_numbers()),
    Scheme(module=rpps, known=("10999999906", "10999999914", "10888888806"), numbers=rpps_numbers()),
    Scheme(module=treasury, known=("033090-123", "033090-123-01"), numbers=treasury_numbers()),
    Scheme(module=nir, known=("295109912611193", "253072B07300470", "253072A07300443"), numbers=nir_numbers()),
    Scheme(module=amc_number, known=("0075004407", "75004407"), numbers=amc_numbers()),
    Scheme(module=bic, known=("AGRIFRPP882", "BDFEFRPPCCT", "AGRIFRPP"), numbers=bics()),
    Scheme(module=iban, known=("FR7630001007941234567890185",), numbers=french_ibans()),
    Scheme(module=lpp, known=("2210546", "2248320"), numbers=lpp_codes()),
    Scheme(module=cip13, known=("3400935955838",), numbers=cip13_codes()),
    Scheme(module=siret, known=("26010004500012", "26010028400017"), numbers=siret_numbers()),
    Scheme(module=postal_code, known=("01606", "54511"), numbers=postal_codes()),
)
