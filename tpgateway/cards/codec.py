"""Proof numbers: short, readable over the phone, with a check character.

Twelve characters of an alphabet without I, L, O and U: eleven at random (55 bits) and a Luhn check over the same alphabet,
written ``HWYA-H1AG-MHEW``. A reader's I and L count as 1, O as 0.
"""

import secrets

from stdnum import luhn

from tpgateway.cards.errors import ProofMistyped

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CONFUSED = str.maketrans("ILO", "110")
_LENGTH = 12


def new_proof() -> str:
    """A fresh proof number."""
    bits = secrets.randbits(55)
    body = "".join(_ALPHABET[bits >> shift & 31] for shift in range(0, 55, 5))
    return body + str(luhn.calc_check_digit(body, _ALPHABET))


def format_proof(proof: str) -> str:
    """The number as people read it."""
    return "-".join(proof[start : start + 4] for start in range(0, _LENGTH, 4))


def parse_proof(text: str) -> str:
    """The number as it is kept; raises ``ProofMistyped``."""
    proof = text.upper().replace("-", "").replace(" ", "").translate(_CONFUSED)
    if len(proof) != _LENGTH or not set(proof) <= set(_ALPHABET) or not luhn.is_valid(proof, _ALPHABET):
        raise ProofMistyped
    return proof
