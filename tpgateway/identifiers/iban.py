"""IBAN (ISO 13616): the number of a bank account.

Country, form and modulo 97 are python-stdnum's. A French or Monegasque IBAN also holds the RIB key of its country, which a
valid IBAN can contradict: 97 minus (89 × bank + 15 × branch + 3 × account) modulo 97, letters read as A,J → 1, B,K,S → 2 …
"""

from typing import NewType

from stdnum import iban as _iban
from stdnum.exceptions import InvalidChecksum, InvalidFormat, ValidationError
from stdnum.util import clean

Iban = NewType("Iban", str)

_RIB_COUNTRIES = {"FR", "MC"}
_RIB_LETTERS = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "12345678912345678923456789")


def compact(number: str) -> str:
    """The number without separators, in upper case."""
    return str(_iban.compact(number))


def rib_key(bank: str, branch: str, account: str) -> str:
    """The two-digit RIB key of a French account; ``account`` may hold letters."""
    digits = account.translate(_RIB_LETTERS)
    return f"{97 - (89 * int(bank) + 15 * int(branch) + 3 * int(digits)) % 97:02d}"


def validate(number: str) -> Iban:
    """The number as an Iban; raises a stdnum ``ValidationError`` otherwise, the RIB key included."""
    if not clean(number).isascii():
        raise InvalidFormat  # before upper case turns ß into SS
    # Without its lists of banks, which some countries have and which are not all complete.
    number = _iban.validate(number, check_country=False)
    # Modulo 97 alone lets letters and 00, 01, 99 pass as check digits; ISO 7064 gives 02 to 98.
    if not number[2:4].isdigit():
        raise InvalidFormat
    if not 2 <= int(number[2:4]) <= 98:
        raise InvalidChecksum
    if number[:2] in _RIB_COUNTRIES:
        bank, branch, account, key = number[4:9], number[9:14], number[14:25], number[25:27]
        if not (bank.isdigit() and branch.isdigit() and key.isdigit()):
            raise InvalidFormat
        if rib_key(bank, branch, account) != key:
            raise InvalidChecksum
    return Iban(number)


def is_valid(number: str) -> bool:
    """Whether ``validate`` would accept the number."""
    try:
        validate(number)
    except ValidationError:
        return False
    return True


def country(iban: Iban) -> str:
    """The account's country, two letters."""
    return iban[:2]


def format(number: str) -> str:
    """The number as people read it, in groups of four."""
    return str(_iban.format(number))
