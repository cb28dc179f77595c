"""Shapes of card checks and of imports."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from tpgateway.cards.codec import datamatrix
from tpgateway.cards.codec.nirs import NIR_PURPOSE
from tpgateway.cards.errors import BirthDateInvalid, CareDateOutOfRange, PersonNamedTwice
from tpgateway.cards.model import Ask, Card, ImportMode, Outcome, Reject
from tpgateway.cards.rules.answers import is_care_date_possible
from tpgateway.errors import Fault, FieldMissing, InvalidRequest, Problem
from tpgateway.guarantees.model import Domain
from tpgateway.guarantees.payloads import BenefitView
from tpgateway.practitioners.model import PractitionerId
from tpgateway.vault import Vault
from tpgateway.web.fields import AmcNumberField, NirField
from tpgateway.web.validation import Parameters, Payload, View, fault_error


def _eight_digits(value: str) -> str:
    if len(value) != 8 or not (value.isascii() and value.isdigit()):
        raise fault_error(BirthDateInvalid)
    return value


DATAMATRIX_LENGTH = 1000
_Upper = StringConstraints(to_upper=True)

ConventionTypeField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z]{2}$"), Field(examples=["SP"])]
CsrField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z0-9]{0,8}$")]
MembershipField = Annotated[str, _Upper, StringConstraints(pattern=r"^[A-Za-z0-9]{1,16}$"), Field(examples=["1234567"])]
BirthDateField = Annotated[
    str, StringConstraints(max_length=20), AfterValidator(_eight_digits), Field(examples=["19800229"])
]


class CardCheckRequest(Payload):
    """A card, one of its beneficiaries, the domain of care and its day (today where it is left out).

    The card is typed field by field, or comes as the decoded text of its DataMatrix. The person is named by membership
    number, birth date and rank, or by NIR and birth date. A DataMatrix with several beneficiaries needs the birth date, and
    the rank where two were born on one day.
    """

    datamatrix: Annotated[str, StringConstraints(max_length=DATAMATRIX_LENGTH)] | None = Field(
        default=None, description="see schemas/README.md; in place of the card's fields", examples=[None]
    )
    insurer_number: AmcNumberField | None = None
    convention_type: ConventionTypeField | None = None
    csr: CsrField | None = None
    membership_number: MembershipField | None = None
    nir: NirField | None = Field(default=None, description="in place of the membership number", examples=[None])
    birth_date: BirthDateField | None = None
    birth_rank: int | None = Field(default=None, ge=1, le=9)
    domain: Domain
    care_date: date | None = None

    def ask(
        self,
        practitioner: PractitionerId,
        agent: UUID | None,
        vault: Vault,
        *,
        now: datetime,
        today: date,
        idempotency_key: str | None = None,
    ) -> Ask:
        """The check that is asked for; raises ``InvalidRequest`` with every fault."""
        care_date = self.care_date or today
        if not is_care_date_possible(care_date, today=today):
            raise InvalidRequest(faults=[Fault(pointer="/care_date", problem=CareDateOutOfRange)])
        return Ask(practitioner, agent, self.card(vault), self.domain, care_date, now, idempotency_key)

    def card(self, vault: Vault) -> Card:
        """The card, whichever way it came; raises ``InvalidRequest`` with every fault."""
        if (
            self.membership_number is not None
            and self.birth_rank is not None
            and self.insurer_number is not None
            and self.convention_type is not None
            and self.birth_date is not None
            and self.nir is None
            and self.datamatrix is None
        ):
            return Card(
                self.insurer_number,
                self.convention_type,
                self.csr or "",
                self.membership_number,
                self.birth_date,
                self.birth_rank,
            )
        if self.datamatrix is not None:
            return self._read_card(self.datamatrix)
        return self._card_by_nir(vault)

    def _card_by_nir(self, vault: Vault) -> Card:
        names = ["insurer_number", "convention_type", "birth_date"]
        faults = [Fault(pointer=f"/{name}", problem=FieldMissing) for name in names if getattr(self, name) is None]
        if self.nir is None:
            missing = [name for name in ("membership_number", "birth_rank") if getattr(self, name) is None]
            faults += [Fault(pointer=f"/{name}", problem=FieldMissing) for name in missing]
        elif self.membership_number is not None:
            faults.append(Fault(pointer="/nir", problem=PersonNamedTwice))
        if faults:
            raise InvalidRequest(faults=faults)
        assert self.nir
        assert self.insurer_number
        assert self.convention_type
        assert self.birth_date
        return Card(
            self.insurer_number,
            self.convention_type,
            self.csr or "",
            None,
            self.birth_date,
            self.birth_rank,
            vault.match(self.nir.encode(), purpose=NIR_PURPOSE),
        )

    def _read_card(self, text: str) -> Card:
        twice = [
            name for name in ("insurer_number", "csr", "membership_number", "nir") if getattr(self, name) is not None
        ]
        if twice:
            raise InvalidRequest(faults=[Fault(pointer=f"/{name}", problem=PersonNamedTwice) for name in twice])
        try:
            return datamatrix.parse(text).card_of(
                birth_date=self.birth_date, birth_rank=self.birth_rank, convention_type=self.convention_type
            )
        except Problem as problem:
            raise InvalidRequest(faults=[Fault(pointer="/datamatrix", problem=type(problem))]) from None


BATCH_LINES = 10_000
LONGEST_ID = 100
LONGEST_LINE = 8 * 1024
"""Bytes of a batch's line."""


class BatchLine(CardCheckRequest):
    """A line of a batch."""

    id: Annotated[str, StringConstraints(max_length=LONGEST_ID)] | None = Field(
        default=None, description="yours: the answer's line gives it back as line_id"
    )


class PhotoQuery(Parameters):
    """What the photo does not say: the domain, and whom of the card it is about."""

    domain: Domain
    birth_date: BirthDateField | None = None
    birth_rank: int | None = Field(default=None, ge=1, le=9)
    convention_type: ConventionTypeField | None = None
    care_date: date | None = None


class GuaranteesQuery(Parameters):
    format: Literal["html", "pdf"] = "html"


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
    mode: ImportMode = Field(
        description="full: from today on, what it does not say ends; update touches only what it names"
    )
    confirm_closing: bool = Field(
        default=False, description="that the file may leave more than the usual share of people without rights"
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


REJECTS_HEADER = b"line;column;code;reason\n"


def rejects_as_csv(found: Sequence[Reject], reasons: Mapping[str, str] = REASONS) -> bytes:
    """Lines for below ``REJECTS_HEADER``."""
    page = io.StringIO()
    csv.writer(page, delimiter=";", lineterminator="\n").writerows(
        (each.line, each.column, each.code, reasons[each.code]) for each in found
    )
    return page.getvalue().encode()


class RejectListView(View):
    rejects: list[RejectView]
    after: int | None = Field(description="what to send as after for the next page; null where this is the last")
