"""Shapes of products."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from tpgateway.guarantees.errors import BenefitRepeated, ValidityReversed
from tpgateway.guarantees.model import (
    Approval,
    BenefitLine,
    Domain,
    Formula,
    FormulaKind,
    Per,
    ProductTerms,
    ProductVersion,
    Unit,
)
from tpgateway.web.fields import Line
from tpgateway.web.validation import Parameters, Payload, View, fault_error

MAX_CENTS = 100_000_000
Amount = Annotated[int, Field(ge=0, le=MAX_CENTS)]


class FlatRequest(Payload):
    kind: Literal["flat", "daily_share"]
    amount_cents: Amount
    per: Per
    ceiling_cents: Amount | None = None


class PercentageRequest(Payload):
    kind: Literal["percentage"]
    rate_basis_points: int = Field(ge=1, le=100_000, description="10000 is 100 % of the base, AMO included")
    per: Per
    ceiling_cents: Amount | None = None


class ShareRequest(Payload):
    kind: Literal["share"]
    rate_basis_points: int = Field(ge=1, le=10_000, description="10000 is all that the AMO leaves of the price")
    per: Per
    ceiling_cents: Amount | None = None


class OpenRequest(Payload):
    kind: Literal["copayment", "remainder"]
    per: Per
    ceiling_cents: Amount | None = None


FormulaRequest = Annotated[FlatRequest | PercentageRequest | ShareRequest | OpenRequest, Field(discriminator="kind")]


class BenefitRequest(Payload):
    domain: Domain
    benefit: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{2,40}$")] = Field(examples=["lens_complex_b"])
    formula: FormulaRequest
    approval: Approval
    waiting_days: int = Field(default=0, ge=0, le=365, description="of a stay, the first days that are not paid")
    days_covered: int | None = Field(default=None, ge=1, le=366, description="at most so many days in a calendar year")
    renewal_months: int | None = Field(
        default=None, ge=0, le=120, description="in place of the national period; 0: at any time"
    )

    def line(self) -> BenefitLine:
        given = self.formula.model_dump(exclude_none=True)
        return BenefitLine(
            domain=self.domain,
            benefit=self.benefit,
            formula=Formula(**{**given, "kind": FormulaKind(self.formula.kind)}),
            approval=self.approval,
            waiting_days=self.waiting_days,
            days_covered=self.days_covered,
            renewal_months=self.renewal_months,
        )


class ProductPath(Parameters):
    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9_-]{1,20}$")]


class ProductRequest(Payload):
    name: Annotated[str, Line, StringConstraints(max_length=200)]
    is_responsible: bool = Field(description="whether the product keeps the rules of a contrat responsable")
    valid_from: date
    valid_to: date | None = Field(default=None, description="last day in force")
    benefits: list[BenefitRequest] = Field(min_length=1, max_length=500)

    @field_validator("valid_to")
    @classmethod
    def _in_order(cls, valid_to: date | None, info: ValidationInfo) -> date | None:
        valid_from = info.data.get("valid_from")
        if valid_to is not None and valid_from is not None and valid_to < valid_from:
            raise fault_error(ValidityReversed)
        return valid_to

    @field_validator("benefits")
    @classmethod
    def _once_each(cls, benefits: list[BenefitRequest]) -> list[BenefitRequest]:
        if len({(each.domain, each.benefit) for each in benefits}) != len(benefits):
            raise fault_error(BenefitRepeated)
        return benefits

    def terms(self, code: str) -> ProductTerms:
        return ProductTerms(
            code=code,
            name=self.name,
            is_responsible=self.is_responsible,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            benefits=tuple(each.line() for each in self.benefits),
        )


class FormulaView(View):
    kind: FormulaKind
    per: Per
    rate_basis_points: int | None = None
    amount_cents: int | None = None
    ceiling_cents: int | None = None


class BenefitView(View):
    benefit: str
    formula: FormulaView
    approval: Approval
    waiting_days: int = 0
    days_covered: int | None = None
    renewal_months: int | None = None


class TariffsQuery(Parameters):
    on: date | None = Field(default=None, description="the day they are in force; all that ever were if left out")


class TariffView(View):
    code: str
    valid_from: date
    value: int
    unit: Unit
    source: str


class TariffListView(View):
    tariffs: list[TariffView]


class ProductView(View):
    id: UUID = Field(description="of this version")
    code: str
    name: str
    is_responsible: bool
    valid_from: date
    valid_to: date | None
    benefits: int = Field(description="how many benefit lines it holds")

    @classmethod
    def of(cls, version: ProductVersion) -> "ProductView":
        terms = version.terms
        return cls(
            id=version.id,
            code=terms.code,
            name=terms.name,
            is_responsible=terms.is_responsible,
            valid_from=terms.valid_from,
            valid_to=terms.valid_to,
            benefits=len(terms.benefits),
        )
