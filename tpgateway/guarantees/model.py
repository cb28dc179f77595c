"""Products, benefit lines and their formulas."""

from dataclasses import dataclass
from datetime import date
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
    """``rate_basis_points`` (10000 is 100 %) goes with percentage, ``amount_cents`` with flat, the ceiling with any."""

    kind: FormulaKind
    per: Per
    rate_basis_points: int | None = None
    amount_cents: Cents | None = None
    ceiling_cents: Cents | None = None

    def insurer_share(self, *, price: Cents, base: Cents, amo: Cents) -> Cents:
        """What the insurer pays of one line, before any rule of its domain; never negative, never more than price - AMO.

        ``price`` is charged, ``base`` is the base de remboursement, ``amo`` what the compulsory insurance pays.

        - percentage: a part of the base, the AMO's own share counted in it, as contracts say ("150 % BR, Sécu comprise");
        - copayment: what the AMO leaves of the base (ticket modérateur);
        - remainder: all that the AMO leaves of the price (frais réels);
        - flat: a fixed sum.
        """
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
                paid = self.amount_cents
        if self.ceiling_cents is not None:
            paid = min(paid, self.ceiling_cents)
        return Cents(max(ZERO, min(paid, price - amo)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitLine:
    """What a product pays for one benefit of a domain."""

    domain: Domain
    benefit: str
    formula: Formula
    approval: Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductTerms:
    """What an insurer states of a product; ``valid_to`` is the last day, None where none is set."""

    code: str
    name: str
    is_responsible: bool
    valid_from: date
    valid_to: date | None
    benefits: tuple[BenefitLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductVersion:
    """Terms as recorded. A version's content never changes; only its end may move when another follows."""

    id: ProductVersionId
    terms: ProductTerms
