"""Shapes of conventions."""

from datetime import date, datetime
from datetime import date as Day  # noqa: N812  # a field is called date

from pydantic import Field

from tpgateway.conventions.model import Convention, Signature
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty
from tpgateway.web.validation import Parameters, Payload, View


class OnDate(Parameters):
    date: Day | None = Field(default=None, description="the day asked about; today where it is left out")


class ConventionPath(Parameters):
    specialty: Specialty


class ConventionSummaryView(View):
    specialty: Specialty
    version: int
    title: str
    valid_from: date
    valid_to: date | None
    domains: list[Domain]
    payment_days: int
    notice_days: int = Field(description="who leaves takes part for so many days more")
    insurers: list[str] | None = Field(description="AMC numbers that take part; null where every insurer does")
    text_sha256: str


class SignatureView(View):
    specialty: Specialty
    version: int
    text_sha256: str
    signed_at: datetime
    left_on: date | None = Field(description="the first day without it, for who has left")

    @classmethod
    def of(cls, specialty: Specialty, signature: Signature) -> "SignatureView":
        return cls(
            specialty=specialty,
            version=signature.version,
            text_sha256=signature.text_hash.hex(),
            signed_at=signature.signed_at,
            left_on=signature.left_on,
        )


class ConventionView(ConventionSummaryView):
    text_markdown: str
    signature: SignatureView | None = Field(description="the caller's own, where it has signed")


class ConventionListView(View):
    conventions: list[ConventionSummaryView]


class SignatureRequest(Payload):
    version: int = Field(ge=1, le=2**31 - 1, description="the version that was read")


def summary(convention: Convention) -> dict[str, object]:
    """The members that all views of a convention share."""
    terms = convention.terms
    return {
        "specialty": terms.specialty,
        "version": convention.version,
        "title": terms.title,
        "valid_from": terms.valid_from,
        "valid_to": terms.valid_to,
        "domains": list(terms.domains),
        "payment_days": terms.payment_days,
        "notice_days": terms.notice_days,
        "insurers": None if terms.participants is None else list(terms.participants),
        "text_sha256": convention.text_hash.hex(),
    }
