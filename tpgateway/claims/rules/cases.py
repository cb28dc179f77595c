"""What a request is decided on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from tpgateway.guarantees.model import BenefitLine, Tariffs, Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The contract, the person, the day, the law, and what the person used before."""

    benefits: Mapping[str, BenefitLine]
    is_responsible: bool
    birth_date: str
    care_date: date
    tariffs: Tariffs
    uses: Sequence[Use]
