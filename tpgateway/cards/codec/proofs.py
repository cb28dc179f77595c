"""Proof numbers: short, readable over the phone, with a check character.

Twelve characters of an alphabet without I, L, O and U: eleven at random (55 bits) and a Luhn check over the same alphabet,
written ``HWYA-H1AG-MHEW``. A reader's I and L count as 1, O as 0.
"""

import os
from collections.abc import Iterator

from stdnum import luhn

from tpgateway.cards.errors import ProofMistyped

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CONFUSED = str.maketrans("ILO", "110")
_LENGTH = 12
_AT_ONCE = 64
# Luhn over pairs, since a proof is made at each check: what two neighbours write and add to the sum, the second doubled.
_PAIRS = [
    (one + two, _ALPHABET.index(one) + luhn.checksum(two + "0", _ALPHABET)) for two in _ALPHABET for one in _ALPHABET
]
_LAST = [(one, luhn.checksum(one + "0", _ALPHABET)) for one in _ALPHABET]
_DOUBLED, _SINGLE = dict(_LAST), {one: number for number, one in enumerate(_ALPHABET)}


def new_proofs(count: int) -> list[str]:
    """So many fresh proof numbers."""
    bits = os.urandom(7 * count)
    return [_proof(int.from_bytes(bits[start : start + 7]) & (1 << 55) - 1) for start in range(0, len(bits), 7)]


def endless_proofs() -> Iterator[str]:
    """One fresh proof number after the other."""
    while True:
        yield from new_proofs(_AT_ONCE)


def _proof(bits: int) -> str:
    (a, first), (b, second), (c, third) = _PAIRS[bits & 1023], _PAIRS[bits >> 10 & 1023], _PAIRS[bits >> 20 & 1023]
    (d, fourth), (e, fifth), (f, sixth) = _PAIRS[bits >> 30 & 1023], _PAIRS[bits >> 40 & 1023], _LAST[bits >> 50]
    total = first + second + third + fourth + fifth + sixth
    return f"{f}{a}{b}{c}{d}{e}{_ALPHABET[-total % 32]}"


def format_proof(proof: str) -> str:
    """The number as people read it."""
    return f"{proof[:4]}-{proof[4:8]}-{proof[8:]}"


def parse_proof(text: str) -> str:
    """The number as it is kept; raises ``ProofMistyped``."""
    proof = text.upper().replace("-", "").replace(" ", "").translate(_CONFUSED)
    try:
        total = sum(map(_DOUBLED.__getitem__, proof[::2])) + sum(map(_SINGLE.__getitem__, proof[1::2]))
    except KeyError:
        raise ProofMistyped from None
    if len(proof) != _LENGTH or total % 32:
        raise ProofMistyped
    return proof
