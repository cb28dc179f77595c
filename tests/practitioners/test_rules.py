"""Decisions about accounts, without I/O."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from stdnum.exceptions import InvalidChecksum, ValidationError

from tpgateway.practitioners.errors import AccountClosed, AccountSuspended, LinkExpired, LinkUsed
from tpgateway.practitioners.model import AccountState, Link, PractitionerId, Scheme
from tpgateway.practitioners.rules import link_problem, login_problem, parse_identifier, password_weaknesses

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("password", "lacking"),
    [
        ("Officine-2026-ok", 0),
        ("Abcdefg1", 1),
        ("abcdefgh1", 1),
        ("ABCDEFGH1", 1),
        ("Abcdefghi", 1),
        ("a", 3),
        ("Aa1-752800011", 1),
        ("Ünïcodé99É", 0),
    ],
)
def test_each_missing_need_of_a_password_is_named(password: str, lacking: int) -> None:
    assert len(password_weaknesses(password, "752800011")) == lacking


@pytest.mark.parametrize(
    ("expires_in", "used", "problem"),
    [(1, False, None), (0, False, LinkExpired), (-1, False, LinkExpired), (1, True, LinkUsed), (-1, True, LinkUsed)],
)
def test_a_link_is_good_until_it_is_used_or_expires(expires_in: int, used: bool, problem: type | None) -> None:
    link = Link(
        practitioner_id=PractitionerId(uuid4()),
        expires_at=NOW + timedelta(seconds=expires_in),
        used_at=NOW if used else None,
    )
    assert link_problem(link, NOW) is problem


def test_only_accounts_in_use_let_their_owner_in() -> None:
    problems = {state: login_problem(state) for state in AccountState}
    assert problems[AccountState.ACTIVE] is None
    assert problems[AccountState.SUSPENDED] is AccountSuspended
    assert problems[AccountState.CLOSED] is AccountClosed


def test_a_failed_adeli_key_is_a_matter_of_policy() -> None:
    with pytest.raises(InvalidChecksum):
        parse_identifier(Scheme.ADELI, "752800012")
    assert parse_identifier(Scheme.ADELI, "752800012", is_adeli_key_enforced=False).value == "752800012"
    with pytest.raises(ValidationError):
        parse_identifier(Scheme.FINESS, "752800012", is_adeli_key_enforced=False)
