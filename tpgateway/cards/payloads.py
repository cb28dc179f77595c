"""Shapes of card checks and of imports."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from tpgateway.cards.errors import BirthDateInvalid
from tpgateway.cards.model import Card, ImportMode, Outcome, Reject
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.payloads import BenefitView
from tpgateway.web.fields import AmcNumberField
from tpgateway.web.validation import Parameters, Payload, View, fault_error


def _eight_digits(value: str) -> str:
    if len(value) != 8 or not (value.isascii() and value.isdigit()):
        raise fault_error(BirthDateInvalid)
    return value


_Upper = StringConstraints(to_upper=True)

ConventionTypeField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z]{2}$"), Field(examples=["SP"])]
CsrField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z0-9]{0,8}$")]
MembershipField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z0-9]{1,16}$"), Field(examples=["1234567"])]
BirthDateField = Annotated[
    str, StringConstraints(max_length=20), AfterValidator(_eight_digits), Field(examples=["19800229"])
]


class CardCheckRequest(Payload):
    """What the card says of one beneficiary, the domain of care and its day (today where it is left out)."""

    insurer_number: AmcNumberField
    convention_type: ConventionTypeField
    csr: CsrField | None = None
    membership_number: MembershipField
    birth_date: BirthDateField
    birth_rank: int = Field(ge=1, le=9)
    domain: Domain
    care_date: date | None = None

    def card(self) -> Card:
        return Card(
            self.insurer_number,
            self.convention_type,
            self.csr or "",
            self.membership_number,
            self.birth_date,
            self.birth_rank,
        )


class RightsView(View):
    """The period, named ``from`` and ``to`` (its last day)."""

    begin: date = Field(serialization_alias="from")
    end: date = Field(serialization_alias="to")


class CardCheckView(View):
    id: str
    outcome: Outcome
    code: str
    message_fr: str
    next_step_fr: str | None
    checked_at: datetime
    domain: Domain
    care_date: date
    proof: str | None = Field(description="opens prior approvals until proof_expires_at; null unless covered")
    proof_expires_at: datetime | None
    rights: RightsView | None
    benefits: list[BenefitView]


class ImportQuery(Parameters):
    mode: ImportMode = Field(description="full closes whoever is missing; update touches only whom it names")
    confirm_closing: bool = Field(
        default=False, description="that a full file may close more than the usual share of rights"
    )


class ImportPath(Parameters):
    id: UUID


class RightsImportView(View):
    id: UUID
    mode: ImportMode
    lines: int = Field(description="without the header; of an XML file, its right elements")
    loaded: int
    unchanged: int = Field(description="of those loaded: what was so already")
    rejected: int
    closed: int = Field(description="periods of people missing from a full file")
    started_at: datetime
    finished_at: datetime


class RejectsQuery(Parameters):
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="the last line already had")
    limit: int = Field(default=100, ge=1, le=1000)
    format: Literal["json", "csv"] = Field(default="json", description="csv: all of them at once, as a file")


class RejectView(View):
    line: int = Field(description="from 1, the header being the first; of an XML file, the how-manieth right element")
    column: str = Field(description="empty where the line as a whole is wrong")
    code: str
    reason: str

    @classmethod
    def of(cls, reject: Reject) -> "RejectView":
        return cls(line=reject.line, column=reject.column, code=reject.code, reason=REASONS[reject.code])


REASONS = {
    "wrong_column_count": "The line does not have the columns of its header; or the element is not as rights.xsd has it.",
    "wrong_key": "The check digits of the number do not fit.",
    "wrong_form": "The value does not have the form of its column; see schemas/README.md.",
    "no_date": "The value is no calendar date written YYYY-MM-DD.",
    "before_valid_from": "The period ends before it begins.",
    "overlaps": "Another line of the file states a period of the same person that runs into this one.",
    "line_too_long": "The line is longer than 1,000 bytes.",
}


class RejectListView(View):
    rejects: list[RejectView]
    after: int | None = Field(description="what to send as after for the next page; null where this is the last")
