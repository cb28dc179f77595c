"""Decisions about people, without I/O."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpgateway.members.errors import LoginLocked, LoginSlowed, PasswordTooCommon, PasswordTooWeak
from tpgateway.members.model import Guard
from tpgateway.members.rules import (
    guard_problem,
    is_plain_name,
    masked,
    password_fault,
    standing_failures,
    wait_after,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("password", "problem", "named"),
    [
        ("Officine-2026-ok", None, ()),
        ("Ünïcodé99É", None, ()),
        ("Abcdefg1", PasswordTooWeak, ("8 caractères",)),
        ("abcdefgh1", PasswordTooWeak, ("majuscule",)),
        ("ABCDEFGH1", PasswordTooWeak, ("minuscule",)),
        ("Abcdefghi", PasswordTooWeak, ("chiffre",)),
        ("a", PasswordTooWeak, ("8 caractères", "chiffre", "majuscule")),
        ("Aa1-752800011", PasswordTooWeak, ("identifiant",)),
        ("Aa1-752 800.011", PasswordTooWeak, ("identifiant",)),
        ("Password1", PasswordTooCommon, ()),
        ("Password2026!", PasswordTooCommon, ()),
        ("2026Motdepasse", PasswordTooCommon, ()),
        ("Pharmacie75!", PasswordTooCommon, ()),
        ("Été-Août2026", None, ()),
        ("Août123456", PasswordTooCommon, ()),
        ("Azertyuiop1", PasswordTooCommon, ()),
        ("Reseautierspayant1", PasswordTooCommon, ()),
        ("Réseau-Tiers-Payant-26", None, ()),
        ("1Pharmacie2Pharmacie3", PasswordTooCommon, ()),
        ("Ma-Mutuelle-26", PasswordTooCommon, ()),
        ("Aa1111111111", PasswordTooCommon, ()),
        ("Un mot de passe de soixante-quatre signs, avec des espaces, 2026 !", None, ()),
    ],
)
def test_a_password_that_may_not_be_used_says_why(password: str, problem: type | None, named: tuple[str, ...]) -> None:
    fault = password_fault(password, ["752800011"])
    assert (fault and fault[0]) is problem
    for word in named:
        assert fault is not None
        assert word in str(fault[1])


@pytest.mark.parametrize(
    "name",
    ["Pharmacie de l'Œil", "S.A.R.L. « Optique 2000 »", "Nguyễn Thị Ánh", "Zoë O’Brien-Müller", "PHARMACIE N°1 & FILS"],
)
def test_names_of_here_are_plain(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "Рharmacie",  # Cyrillic Er
        "Pharma\u200bcie",
        "Pharmacie\u202egro",
        "Ｐharmacie",
        "𝐏harmacie",
        "Pharmacie\nBcc: x",
        "<b>Pharmacie</b>",
        "http://evil.example",
        "www.evil.example",
        "Pharmacie\u0301\u0301\u0301",
        "Α Ω",
        "💊",
    ],
)
def test_names_that_are_not_what_they_seem_are_refused(name: str) -> None:
    assert not is_plain_name(name)


@given(st.text())
def test_a_plain_name_holds_no_control_no_mark_up_and_no_line(name: str) -> None:
    assert not is_plain_name(name) or not any(each in "<>\n\r\t\0" or not each.isprintable() for each in name)


def test_failures_slow_down_then_lock() -> None:
    assert guard_problem(None, NOW) is None
    assert guard_problem(Guard(failures=2, failed_at=NOW, locked_until=None), NOW) is None
    assert guard_problem(Guard(failures=2, failed_at=NOW, locked_until=None), NOW - timedelta(seconds=1)) is None
    slowed = guard_problem(Guard(failures=5, failed_at=NOW, locked_until=None), NOW + timedelta(seconds=4))
    assert isinstance(slowed, LoginSlowed)
    assert slowed.retry_after_seconds == 6
    assert guard_problem(Guard(failures=5, failed_at=NOW, locked_until=None), NOW + timedelta(seconds=10)) is None
    locked = Guard(failures=5, failed_at=NOW, locked_until=NOW + timedelta(minutes=30))
    assert isinstance(guard_problem(locked, NOW + timedelta(minutes=29)), LoginLocked)
    assert guard_problem(locked, NOW + timedelta(minutes=30)) is None


@given(st.integers(0, 100))
def test_the_wait_never_shrinks_with_failures(failures: int) -> None:
    assert wait_after(failures + 1) >= wait_after(failures)


def test_failures_of_yesterday_are_forgotten() -> None:
    guard = Guard(failures=9, failed_at=NOW, locked_until=None)
    assert standing_failures(guard, NOW + timedelta(hours=23)) == 9
    assert standing_failures(guard, NOW + timedelta(hours=25)) == 0


def test_an_address_is_shown_to_its_owner_alone() -> None:
    assert masked("pharmacie@pont.example") == "p…e@pont.example"
    assert masked("abc@x.example") == "a…@x.example"
