"""Whether what somebody says of himself agrees with what a directory says."""

import re
import unicodedata
from collections.abc import Iterable

from rapidfuzz import fuzz

from tpgateway.directory.model import Claim, Disagreement, Entry

# How close two names of a body must be, of 100: one slip of the keyboard in a name of usual length.
_ALIKE = 90
# Words that directories shorten, and people write out.
_WRITTEN_OUT = {
    "CH": "CENTRE HOSPITALIER",
    "CHU": "CENTRE HOSPITALIER UNIVERSITAIRE",
    "CHR": "CENTRE HOSPITALIER REGIONAL",
    "CHI": "CENTRE HOSPITALIER INTERCOMMUNAL",
    "CHS": "CENTRE HOSPITALIER SPECIALISE",
    "HL": "HOPITAL LOCAL",
    "HOP": "HOPITAL",
    "PHIE": "PHARMACIE",
    "CLIN": "CLINIQUE",
    "POLYCLIN": "POLYCLINIQUE",
    "CTRE": "CENTRE",
    "LABO": "LABORATOIRE",
    "RES": "RESIDENCE",
    "ST": "SAINT",
    "STE": "SAINTE",
    "DR": "DOCTEUR",
    "GAL": "GENERAL",
    "MED": "MEDICAL",
    "REG": "REGIONAL",
    "UNIV": "UNIVERSITAIRE",
    "SSR": "SOINS DE SUITE ET READAPTATION",
}
_SILENT = frozenset(
    "A AU AUX D DE DES DU EI EIRL ET EURL L LA LE LES SA SARL SAS SCM SELARL SELAS SELASU SELEURL SNC".split()  # noqa: SIM905
)


def disagreement(claim: Claim, entries: Iterable[Entry]) -> tuple[Disagreement | None, Entry | None]:
    """Why the claim does not stand, None with the entry that it agrees with where it does."""
    found = list(entries)
    if not found:
        return Disagreement.NOT_FOUND, None
    named = [entry for entry in found if is_same_name(claim, entry)]
    if not named:
        return Disagreement.NAME_DIFFERS, None
    for entry in named:
        if is_same_place(claim.postal_code, entry):
            return None, entry
    return Disagreement.PLACE_DIFFERS, None


def is_same_name(claim: Claim, entry: Entry) -> bool:
    """A body's name may be written out or differ by a slip; a person's names may only differ in accents and marks."""
    if entry.last_name is not None:
        if claim.last_name is None or claim.first_name is None:
            return False
        same_last = _plain(claim.last_name) == _plain(entry.last_name)
        return same_last and _plain(claim.first_name) == _plain(entry.first_name or "")
    if claim.legal_name is None:
        return False
    ours = _words(claim.legal_name)
    names = [name for name in (entry.legal_name, entry.long_name) if name]
    return bool(ours) and any(_alike(ours, _words(name)) for name in names)


def is_same_place(postal_code: str, entry: Entry) -> bool:
    """The same postal code, or the ordinary code of the place whose CEDEX code the directory gives."""
    if entry.postal_code is None:
        return False
    if postal_code == entry.postal_code:
        return True
    # A CEDEX code shares its first three digits with the delivery office's ordinary codes.
    return entry.is_cedex and postal_code[:3] == entry.postal_code[:3]


def _alike(ours: list[str], theirs: list[str]) -> bool:
    return fuzz.ratio(" ".join(sorted(ours)), " ".join(sorted(theirs))) >= _ALIKE


def _words(name: str) -> list[str]:
    """The words of a body's name that tell it from others, written out."""
    words = [each for word in _plain(name).split() for each in _WRITTEN_OUT.get(word, word).split()]
    telling = [word for word in words if word not in _SILENT]
    return telling or words


def _plain(name: str) -> str:
    """Upper case without accents; whatever is no letter or digit parts words."""
    ligatures = name.upper().replace("Œ", "OE").replace("Æ", "AE")
    bare = "".join(each for each in unicodedata.normalize("NFD", ligatures) if not unicodedata.combining(each))
    return " ".join(re.findall(r"[A-Z0-9]+", bare))
