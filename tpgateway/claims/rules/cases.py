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
    def counted_together(self) -> frozenset[str]:
        """The contract's benefits that are counted by year or equipment: lines of one request count against each other."""
        return frozenset(
            name
            for name, line in self.benefits.items()
            if line.formula.per in {Per.YEAR, Per.EQUIPMENT} or line.days_covered is not None
        )

    @cached_property
    def age(self) -> int:
        """The person's, on the day of care."""
        return people.age(self.birth_date, self.care_date)
