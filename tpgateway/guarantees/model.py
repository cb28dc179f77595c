"""Products, benefit lines and their formulas."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from tpgateway.money import ZERO, Cents, share

ProductVersionId = NewType("ProductVersionId", UUID)


class Domain(StrEnum):
    """The domains of care, as cards print them."""

    PHAR = "PHAR"
    MED = "MED"
    AUXM = "AUXM"
    LABO = "LABO"
    RADL = "RADL"
    SAGE = "SAGE"
    SVIL = "SVIL"
    CSTE = "CSTE"
    EXTE = "EXTE"
    OPTI = "OPTI"
    AUDI = "AUDI"
    DENT = "DENT"
    HOSP = "HOSP"
    TRAN = "TRAN"


class FormulaKind(StrEnum):
    """How the insurer's share is computed; each kind is explained where it is evaluated."""

    PERCENTAGE = "percentage"
    COPAYMENT = "copayment"
    REMAINDER = "remainder"
    FLAT = "flat"
    SHARE = "share"
    DAILY_SHARE = "daily_share"


class Per(StrEnum):
    """What an amount is granted for."""

    ACT = "act"
    EQUIPMENT = "equipment"
    DAY = "day"
    STAY = "stay"
    YEAR = "year"


class Approval(StrEnum):
    """Whether a prior approval must come first."""

    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """``rate_basis_points`` (10000 is 100 %) goes with percentage and share, ``amount_cents`` with flat and daily share.

    What is granted per act or day is granted for each of them, and so is the ceiling, which goes with any kind. What is
    granted per equipment or year is granted once for all that goes by the benefit.
    """

    kind: FormulaKind
    per: Per
    rate_basis_points: int | None = None
    amount_cents: Cents | None = None
    ceiling_cents: Cents | None = None

    def insurer_share(self, *, price: Cents, base: Cents, amo: Cents, units: int = 1) -> Cents:
        """What the insurer pays of one line, before any rule of its domain; never negative, never more than price - AMO.

        ``price`` is charged, ``base`` is the base de remboursement, ``amo`` what the compulsory insurance pays, each for
        all ``units`` (acts, days) together.

        - percentage: a part of the base, the AMO's own share counted in it, as contracts say ("150 % BR, Sécu comprise");
        - copayment: what the AMO leaves of the base (ticket modérateur);
        - remainder: all that the AMO leaves of the price (frais réels);
        - flat: a fixed sum;
        - share: a part of what the AMO leaves of the price;
        - daily share: a fixed sum for each day.
        """
        times = units if self.per in {Per.ACT, Per.DAY} else 1
        match self.kind:
            case FormulaKind.PERCENTAGE:
                assert self.rate_basis_points is not None
                paid = share(base, self.rate_basis_points) - amo
            case FormulaKind.COPAYMENT:
                paid = base - amo
            case FormulaKind.REMAINDER:
                paid = price - amo
            case FormulaKind.FLAT:
                assert self.amount_cents is not None
                paid = self.amount_cents * times
            case FormulaKind.SHARE:
                assert self.rate_basis_points is not None
                paid = share(Cents(price - amo), self.rate_basis_points)
            case FormulaKind.DAILY_SHARE:
                assert self.amount_cents is not None
                paid = self.amount_cents * units
        if self.ceiling_cents is not None:
            paid = min(paid, self.ceiling_cents * times)
        return Cents(max(ZERO, min(paid, price - amo)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitLine:
    """What a product pays for one benefit of a domain.

    Of a stay, the first ``waiting_days`` are not paid, and of a calendar year no more than ``days_covered``. A benefit is
    paid again ``renewal_months`` after it was used, where the product says so itself.
    """

    domain: Domain
    benefit: str
    formula: Formula
    approval: Approval
    waiting_days: int = 0
    days_covered: int | None = None
    renewal_months: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductTerms:
    """What an insurer states of a product; ``valid_to`` is the last day, None where none is set."""

    code: str
    name: str
    is_responsible: bool
    valid_from: date
    valid_to: date | None
    benefits: tuple[BenefitLine, ...]


class Unit(StrEnum):
    """What a tariff's value counts."""

    CENTS = "cents"
    MONTHS = "months"
    DAYS = "days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A national amount or period, in force from a day until the next of its code; ``source`` says who set it."""

    code: str
    valid_from: date
    value: int
    unit: Unit
    source: str


class Tariffs:
    """All tariffs, asked for by code and day."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self._by_code: dict[str, list[Tariff]] = {}
        for tariff in sorted(tariffs, key=lambda each: each.valid_from, reverse=True):
            self._by_code.setdefault(tariff.code, []).append(tariff)

    def at(self, code: str, on: date) -> int | None:
        """The value in force on a day; None where none is."""
        for tariff in self._by_code.get(code, ()):
            if tariff.valid_from <= on:
                return tariff.value
        return None

    def cents(self, code: str, on: date) -> Cents | None:
        """The amount in force on a day; None where none is."""
        value = self.at(code, on)
        return None if value is None else Cents(value)

    def each_day(self, code: str, first: date, days: int) -> Sequence[Cents] | None:
        """The amounts of so many days, each by its own date; None where one of them has none."""
        amounts = [self.cents(code, first + timedelta(days=number)) for number in range(days)]
        found = [amount for amount in amounts if amount is not None]
        return found if len(found) == days else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What somebody used of a benefit: days or pieces, and what the insurer paid. A use lies within one calendar year.

    ``until`` is the stay's last day, where the use is one of a stay as a whole; ``amo`` is what the AMO paid beside.
    """

    item: str
    benefit: str
    on: date
    units: int
    granted: Cents
    amo: Cents = ZERO
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductVersion:
    """Terms as recorded. A version's content never changes; only its end may move when another follows."""

    id: ProductVersionId
    terms: ProductTerms
