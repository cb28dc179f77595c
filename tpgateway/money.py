"""Money is whole cents of euro, in ``int``; no float comes near it."""

from typing import NewType

Cents = NewType("Cents", int)

ZERO = Cents(0)


def share(amount: Cents, basis_points: int) -> Cents:
    """The part of an amount, in hundredths of a percent (``share(10000, 6500)`` is 6500), half a cent rounded up.

    The amount is never negative here; rounding half up is what reimbursement statements do.
    """
    return Cents((amount * basis_points + 5_000) // 10_000)


def format_fr(amount: Cents) -> str:
    """The amount as French readers write it: ``1 234,50 €`` (with no-break spaces)."""
    euros, cents = divmod(abs(amount), 100)
    sign = "-" if amount < 0 else ""
    return f"{sign}{euros:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") + f",{cents:02d}\N{NO-BREAK SPACE}€"
