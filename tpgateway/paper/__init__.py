"""Documents for people to read and print: one look for all. What writes PDF is imported only where it is asked for."""

from datetime import date


def day_fr(day: date) -> str:
    """A day as French readers write it."""
    return f"{day:%d/%m/%Y}"
