"""Shapes of conventions."""

from dataclasses import asdict
from datetime import date, datetime
from datetime import date as Day  # noqa: N812  # a field is called date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from tpgateway.conventions.model import Convention, Difference, Signature
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import Specialty
from tpgateway.web.validation import Parameters, Payload, View

VersionNumber = Annotated[int, Field(ge=1, le=2**31 - 1)]


class OnDate(Parameters):
    date: Day | None = Field(default=None, description="the day asked about; today where it is left out")


class ConventionPath(Parameters):
    specialty: Specialty


class ConventionChangesPath(ConventionPath):
    version: VersionNumber
    older: VersionNumber


class TextFormat(StrEnum):
    HTML = "html"
    PDF = "pdf"
    MARKDOWN = "markdown"


class TextQuery(OnDate):
    version: VersionNumber | None = Field(default=None, description="in place of the date")
    format: TextFormat = TextFormat.HTML


class AskedDocumentView(View):
    kind: str
    label: str = Field(description="in French")
    domain: Domain | None = Field(description="null: in all of the convention's domains")


class AgreedTariffView(View):
    code: str
    label: str = Field(description="in French")
    amount_cents: int
    domain: Domain | None


class ConventionSummaryView(View):
    specialty: Specialty
    version: int
    title: str
    valid_from: date
    valid_to: date | None
    domains: list[Domain]
    approval_domains: list[Domain] = Field(description="an approval comes first there, whatever the product says")
    documents: list[AskedDocumentView] = Field(description="what the insurer may ask to see")
    tariffs: list[AgreedTariffView] = Field(description="prices agreed on")
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


class ConventionVersionsView(View):
    specialty: Specialty
    versions: list[ConventionSummaryView]


class TermChangeView(View):
    term: str = Field(description="named as in the convention's view")
    before: Any
    after: Any


class PassageView(View):
    heading: str = Field(description="what it stands under")
    removed: list[str] = Field(description="lines of Markdown")
    added: list[str]


class ConventionChangesView(View):
    specialty: Specialty
    from_version: int
    to_version: int
    terms: list[TermChangeView]
    text: list[PassageView]

    @classmethod
    def of(cls, older: Convention, newer: Convention, difference: Difference) -> "ConventionChangesView":
        before, after = summary(older), summary(newer)
        names = {"participants": "insurers"}
        changed = [names.get(name, name) for name in difference.terms]
        return cls(
            specialty=newer.terms.specialty,
            from_version=older.version,
            to_version=newer.version,
            terms=[TermChangeView(term=name, before=before[name], after=after[name]) for name in changed],
            text=[
                PassageView(heading=each.heading, removed=list(each.removed), added=list(each.added))
                for each in difference.text
            ],
        )


class ConventionListView(View):
    conventions: list[ConventionSummaryView]


class SignatureRequest(Payload):
    version: VersionNumber = Field(description="the version that was read")


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
        "approval_domains": list(terms.approval_domains),
        "documents": [asdict(each) for each in terms.documents],
        "tariffs": [asdict(each) for each in terms.tariffs],
        "payment_days": terms.payment_days,
        "notice_days": terms.notice_days,
        "insurers": None if terms.participants is None else list(terms.participants),
        "text_sha256": convention.text_hash.hex(),
    }
