"""Decisions about accounts."""

import re
from collections.abc import Sequence
from datetime import datetime

from tpgateway.errors import Problem
from tpgateway.identifiers import adeli, finess, rpps, treasury
from tpgateway.practitioners.errors import AccountClosed, AccountSuspended, LinkExpired, LinkUsed
from tpgateway.practitioners.model import AccountState, Identifier, Link, Scheme

_VALIDATE = {
    Scheme.FINESS: finess.validate,
    Scheme.ADELI: adeli.validate,
    Scheme.RPPS: rpps.validate,
    Scheme.TREASURY: treasury.validate,
}
_COMPACT = {
    Scheme.FINESS: finess.compact,
    Scheme.ADELI: adeli.compact,
    Scheme.RPPS: rpps.compact,
    Scheme.TREASURY: treasury.format,
}


def parse_identifier(scheme: Scheme, value: str, *, is_adeli_key_enforced: bool = True) -> Identifier:
    """The identifier; raises stdnum's ``ValidationError``."""
    if scheme is Scheme.ADELI and not is_adeli_key_enforced:
        return Identifier(scheme=scheme, value=adeli.validate_form(value))
    return Identifier(scheme=scheme, value=_VALIDATE[scheme](value))


def written_form(scheme: Scheme, value: str) -> Identifier:
    """The identifier as it is kept, without judging it: what a log-in is compared by."""
    return Identifier(scheme=scheme, value=_COMPACT[scheme](value))


def password_weaknesses(password: str, identifier: str) -> Sequence[str]:
    """What a password lacks, as French sentences; none where it may be used."""
    bare = re.sub(r"[^0-9A-Za-z]", "", identifier).lower()
    checks = [
        (len(password) > 8, "plus de 8 caractères"),
        (any(each.isdigit() for each in password), "un chiffre"),
        (any(each.isupper() for each in password), "une majuscule"),
        (any(each.islower() for each in password), "une minuscule"),
        (not bare or bare not in password.lower(), "ne pas contenir votre identifiant"),
    ]
    return [need for is_met, need in checks if not is_met]


def link_problem(link: Link, now: datetime) -> type[Problem] | None:
    """Why a link can no longer be used, None where it can."""
    if link.used_at is not None:
        return LinkUsed
    return LinkExpired if now >= link.expires_at else None


def login_problem(state: AccountState) -> type[Problem] | None:
    """Why somebody who knows the password may still not come in."""
    return {AccountState.SUSPENDED: AccountSuspended, AccountState.CLOSED: AccountClosed}.get(state)
