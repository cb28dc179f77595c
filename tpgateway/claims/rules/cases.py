"""What a request is decided on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from tpgateway.claims.rules import people
from tpgateway.guarantees.model import BenefitLine, Per, Tariffs, Use


@dataclass(frozen=True, kw_only=True)
class Case:
    """The contract, the person, the day, the law, and what the person used before."""

    benefits: Mapping[str, BenefitLine]
    is_responsible: bool
    birth_date: str
    care_date: date
    tariffs: Tariffs
    uses: Sequence[Use]

    @cached_property
    def counts_together(self) -> bool:
        """Whether a line of the contract counts by year or equipment: then lines of one request count against each other."""
        return any(
            line.formula.per in {Per.YEAR, Per.EQUIPMENT} or line.days_covered is not None
            for line in self.benefits.values()
        )

    @cached_property
    def age(self) -> int:
        """The person's, on the day of care."""
        return people.age(self.birth_date, self.care_date)
