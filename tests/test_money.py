"""Money: whole cents, shares rounded half up, amounts as French readers write them."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tpgateway.money import ZERO, Cents, format_fr, share

unhurried = settings(deadline=None)
amounts = st.integers(0, 10**12).map(Cents)
basis_points = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("amount", "points", "expected"),
    [
        (10_000, 6_500, 6_500),
        (10_000, 10_000, 10_000),
        (12_345, 10_000, 12_345),
        (12_345, 0, 0),
        (0, 6_500, 0),
        (1, 5_000, 1),  # half a cent
        (1, 4_999, 0),
        (3, 5_000, 2),
        (5, 5_000, 3),  # two and a half: up, not to the even neighbour
        (25, 1_000, 3),
        (2_500, 3_000, 750),
        (2_301, 6_500, 1_496),  # 1,495.65
        (333, 3_333, 111),  # 110.9889
        (4, 1_000, 0),
        (10_000, 1, 1),
        (5_000, 1, 1),  # half a cent
        (4_999, 1, 0),
        (10_000, 20_000, 20_000),
    ],
)
def test_a_share_is_rounded_half_up(amount: int, points: int, expected: int) -> None:
    assert share(Cents(amount), points) == expected


@unhurried
@given(amounts, st.integers(0, 50_000))
def test_a_share_is_what_decimal_arithmetic_gives(amount: Cents, points: int) -> None:
    exact = Decimal(amount) * points / 10_000
    part = share(amount, points)
    assert type(part) is int
    assert part == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_a_share_of_an_amount_beyond_what_floats_hold_is_exact() -> None:
    assert share(Cents(2**60 + 1), 10_000) == 2**60 + 1


@unhurried
@given(amounts, basis_points)
def test_a_share_and_its_rest_make_the_amount_to_a_cent(amount: Cents, points: int) -> None:
    assert share(amount, points) + share(amount, 10_000 - points) - amount in {0, 1}


def written(amount: int) -> str:
    return format_fr(Cents(amount)).replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "0,00 €"),
        (5, "0,05 €"),
        (50, "0,50 €"),
        (100, "1,00 €"),
        (2_000, "20,00 €"),
        (99_999, "999,99 €"),
        (100_000, "1 000,00 €"),
        (123_450, "1 234,50 €"),
        (123_456_789, "1 234 567,89 €"),
        (-5, "-0,05 €"),
        (-123_450, "-1 234,50 €"),
    ],
)
def test_an_amount_is_written_as_french_readers_do(amount: int, expected: str) -> None:
    assert written(amount) == expected


@unhurried
@given(st.integers(-(10**12), 10**12).map(Cents))
def test_an_amount_never_breaks_over_two_lines(amount: Cents) -> None:
    assert not set(format_fr(amount)) & set(" \t\n.")


@unhurried
@given(st.integers(-(10**12), 10**12))
def test_a_written_amount_reads_back_as_itself(amount: int) -> None:
    assert written(amount).endswith(" €")
    assert int(written(amount).removesuffix(" €").replace(" ", "").replace(",", "")) == amount


def test_zero_is_no_cents() -> None:
    assert ZERO == 0
    assert format_fr(ZERO) == format_fr(Cents(0))
