"""Decisions about people and their credentials."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tpgateway.errors import Problem
from tpgateway.members.errors import LoginLocked, LoginSlowed, PasswordTooCommon, PasswordTooWeak
from tpgateway.members.model import Guard

# Seconds to wait after so many failures; below the first nobody waits, past the last the door is locked.
WAITS = {3: 2, 4: 5, 5: 10, 6: 20, 7: 40, 8: 60, 9: 60}
_LONGEST_WAIT = 60
FORGOTTEN_AFTER = timedelta(days=1)
CODE_TRIES = 5
# What French people put where others put "password": the list of the library is of English lists.
_COMMON_IN_FRENCH = frozenset(
    """
    azerty azertyuiop motdepasse bonjour soleil marseille doudou chouchou loulou nicolas france pharmacie opticien optique
    lunettes hopital clinique infirmier infirmiere medecin docteur cabinet officine tierspayant mutuelle sante tpgateway
    janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre printemps automne hiver
    lundi mardi mercredi jeudi vendredi samedi dimanche reseau payant assurance assureur complementaire
    """.split()  # noqa: SIM905  # a list would fill a page
)
# Shorter ones stand within too many others. The longest first: what is left of a word is not one's own.
_WORDS_WITHIN = re.compile(
    "|".join(sorted((each for each in _COMMON_IN_FRENCH if len(each) >= 6), key=len, reverse=True))
)
_OF_ONES_OWN = 6
# By zxcvbn, whose words are English: what repeats, counts on or lies side by side on a keyboard is few in any language.
_FEW_GUESSES, _LOOKED_AT = 1_000_000, 72


def password_fault(password: str, forbidden: Iterable[str] = ()) -> tuple[type[Problem], str | None] | None:
    """Why a password may not be used, with a French sentence where it has one of its own; None where it may.

    ``forbidden`` are the numbers of the account, which a password may not hold.
    """
    lower = password.lower()
    held = [bare for bare in (re.sub(r"[^0-9A-Za-z]", "", each).lower() for each in forbidden) if bare]
    squeezed = re.sub(r"[^0-9a-z]", "", lower)
    checks = [
        (len(password) > 8, "plus de 8 caractères"),
        (any(each.isdigit() for each in password), "un chiffre"),
        (any(each.isupper() for each in password), "une majuscule"),
        (any(each.islower() for each in password), "une minuscule"),
    ]
    lacking = [need for is_met, need in checks if not is_met]
    if lacking:
        return PasswordTooWeak, f"Le mot de passe doit avoir : {', '.join(lacking)}."
    if any(bare in squeezed for bare in held):
        return PasswordTooWeak, "Le mot de passe ne doit pas contenir votre identifiant."
    return (PasswordTooCommon, None) if is_common(password) else None


def is_common(password: str) -> bool:
    """Whether a password is soon guessed: a common word with digits and signs around it, words of the trade and little else,
    or something that repeats or counts on.
    """
    bare = unicodedata.normalize("NFD", password.lower())
    lower = "".join(each for each in bare if not unicodedata.combining(each))
    word = re.sub(r"^[^a-z]+|[^a-z]+$", "", lower)
    from zxcvbn.matching import RANKED_DICTIONARIES  # noqa: PLC0415  # megabytes that few processes need

    common = RANKED_DICTIONARIES["passwords"]
    if any(each in common or each in _COMMON_IN_FRENCH for each in {lower, word} if len(each) >= 4):
        return True
    without = _WORDS_WITHIN.sub("", lower)
    if without != lower and sum(each.isalnum() for each in without) < _OF_ONES_OWN:
        return True
    return _guesses(password[:_LOOKED_AT]) < _FEW_GUESSES


def _guesses(password: str) -> float:
    from zxcvbn import zxcvbn  # noqa: PLC0415  # megabytes that few processes need

    return float(zxcvbn(password)["guesses"])


def guard_problem(guard: Guard | None, now: datetime) -> Problem | None:
    """What keeps somebody from trying at a door now, with the seconds to wait; None where he may try."""
    if guard is None:
        return None
    if guard.locked_until is not None and now < guard.locked_until:
        return LoginLocked(retry_after_seconds=_seconds(guard.locked_until - now))
    wait = wait_after(standing_failures(guard, now))
    ready = guard.failed_at + timedelta(seconds=wait)
    # Of attempts at once, the one that came first may be judged after another: without a wait, there is none for it either.
    return LoginSlowed(retry_after_seconds=_seconds(ready - now)) if wait and now < ready else None


def standing_failures(guard: Guard | None, now: datetime) -> int:
    """How many failures still count; those of long ago do not."""
    return 0 if guard is None or now - guard.failed_at > FORGOTTEN_AFTER else guard.failures


def wait_after(failures: int) -> int:
    """Seconds until the next attempt."""
    return WAITS.get(failures, 0 if failures < min(WAITS) else _LONGEST_WAIT)


def _seconds(span: timedelta) -> int:
    return max(1, -int(-span.total_seconds() // 1))


_PUNCTUATION = frozenset(" '\u2019-.,&()/:;!?+°ºª\"@#*_=%€«»–—·|[]")


def is_plain_name(text: str) -> bool:
    """Whether a name is made of Latin letters, digits and ordinary punctuation, and of nothing that reads as a link.

    Other scripts hold letters that look like Latin ones, and invisible characters turn a name into another.
    """
    if not any(each.isalnum() for each in text):
        return False
    if "//" in text or re.search(r"www\.", text, re.IGNORECASE):
        return False
    return all(
        each in _PUNCTUATION
        or (each.isascii() and each.isalnum())
        or (each.isalpha() and unicodedata.name(each, "").startswith("LATIN "))
        for each in text
    )


def masked(address: str) -> str:
    """An e-mail address that its owner recognises and a stranger cannot use: ``ph…e@pont.example``."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…{local[-1:] if len(local) > 3 else ''}@{domain}"


def methods(*, has_totp: bool) -> Sequence[str]:
    """The ways in which a second factor can be given, the usual one first."""
    return ("totp", "recovery_code") if has_totp else ("email",)
