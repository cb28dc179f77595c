"""Shapes of what practitioners send and get."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tpgateway.errors import FieldInvalid, SchemeUnknown
from tpgateway.identifiers.bic import Bic
from tpgateway.identifiers.iban import Iban
from tpgateway.members.errors import NameInvalid
from tpgateway.members.model import Method
from tpgateway.members.payloads import Email, LegalName, MemberView, Name, Password, Token, WithNewPassword
from tpgateway.members.rules import is_plain_name
from tpgateway.practitioners.errors import (
    MobileInvalid,
    NameMissing,
    PrivacyNotAccepted,
    TermsNotAccepted,
    TreasuryNeedsEstablishment,
)
from tpgateway.practitioners.model import AccountState, Identifier, Profile, Registration, Scheme, Specialty
from tpgateway.practitioners.rules import bank_problem, parse_identifier, parse_mobile, written_form
from tpgateway.web.callers import Scope
from tpgateway.web.fields import BicField, FinessField, IbanField, PostalCodeField, PublicJwkField, SiretField, parsed
from tpgateway.web.validation import Parameters, Payload, View, fault_error


def _known_scheme(value: Any) -> Any:
    if not isinstance(value, str) or value not in {scheme.value for scheme in Scheme}:
        raise fault_error(SchemeUnknown)
    return value


def _mobile(text: str) -> str:
    if (number := parse_mobile(text)) is None:
        raise fault_error(MobileInvalid)
    return number


SchemeField = Annotated[Scheme, BeforeValidator(_known_scheme)]
NumberField = Annotated[str, StringConstraints(min_length=1, max_length=50)]
MobileField = Annotated[
    str, StringConstraints(max_length=30), AfterValidator(_mobile), Field(examples=["06 12 34 56 78"])
]


def _checked_number(value: str, info: ValidationInfo) -> str:
    """The number by the rule of the scheme beside it; left alone where that scheme is none."""
    if (scheme := info.data.get("scheme")) is None:
        return value
    is_enforced = info.context is None or info.context["settings"].adeli_key == "refuse"
    check = parsed(lambda text: parse_identifier(scheme, text, is_adeli_key_enforced=is_enforced).value, scheme)
    return str(check(value))


class BankFields(Payload):
    """BIC and IBAN must be of one bank, as far as can be told."""

    bic: BicField
    iban: IbanField | None = Field(default=None, description="where transfers are wanted")

    @field_validator("iban")
    @classmethod
    def _one_bank(cls, iban: Iban | None, info: ValidationInfo) -> Iban | None:
        bank: Bic | None = info.data.get("bic")
        if bank is not None and (problem := bank_problem(bank, iban)) is not None:
            raise fault_error(problem)
        return iban


class RegistrationRequest(WithNewPassword, BankFields):
    """A person gives first and last name, a body its legal name."""

    scheme: SchemeField
    value: Annotated[str, StringConstraints(max_length=50)] = Field(examples=["010000024"])
    first_name: Name | None = None
    last_name: Name | None = None
    legal_name: LegalName | None = None
    specialty: Specialty
    postal_code: PostalCodeField = Field(description="or CEDEX code")
    email: Email
    mobile: MobileField | None = None
    finess: FinessField | None = Field(default=None, description="the establishment's, beside a treasury identifier")
    siret: SiretField | None = Field(default=None, description="the establishment's, beside a treasury identifier")
    is_listed: bool = Field(default=False, description="whether other practitioners may find the account")
    terms_accepted: bool = Field(description="the terms of use, GET /v1/terms")
    privacy_accepted: bool = Field(description="the privacy notice, GET /v1/terms")

    _identifier = field_validator("value")(_checked_number)

    @field_validator("terms_accepted")
    @classmethod
    def _accepted(cls, accepted: bool) -> bool:
        if not accepted:
            raise fault_error(TermsNotAccepted)
        return accepted

    @field_validator("privacy_accepted")
    @classmethod
    def _acknowledged(cls, accepted: bool) -> bool:
        if not accepted:
            raise fault_error(PrivacyNotAccepted)
        return accepted

    @model_validator(mode="after")
    def _complete(self) -> "RegistrationRequest":
        is_person = self.first_name is not None and self.last_name is not None
        names = [self.first_name, self.last_name] if self.legal_name else [self.legal_name]
        if is_person == bool(self.legal_name) or any(names):
            raise fault_error(NameMissing)
        if self.scheme is Scheme.TREASURY and not (self.finess or self.siret):
            raise fault_error(TreasuryNeedsEstablishment)
        return self

    def registration(self) -> Registration:
        return Registration(
            identifier=Identifier(scheme=self.scheme, value=self.value),
            first_name=self.first_name,
            last_name=self.last_name,
            legal_name=self.legal_name,
            specialty=self.specialty,
            postal_code=self.postal_code,
            email=self.email,
            mobile=self.mobile,
            bic=self.bic,
            iban=self.iban,
            finess=self.finess,
            siret=self.siret,
            is_listed=self.is_listed,
        )


class AcceptedView(View):
    """Says the same whatever there is behind; a mail says the rest."""

    status: str
    message_fr: str


class ActivationRequest(Payload):
    token: Token


class _ByNumber(Payload):
    scheme: SchemeField
    value: NumberField

    def identifier(self) -> Identifier:
        return written_form(self.scheme, self.value)


class ActivationLinkRequest(_ByNumber):
    """By the number and the address of the registration."""

    email: Email


class LoginRequest(_ByNumber):
    """The account's holder logs in by any of its numbers; its collaborators give their address too."""

    email: Email | None = Field(default=None, description="of a collaborator; the holder leaves it out")
    password: Password
    keep_logged_in: bool = False


class PasswordResetRequest(_ByNumber):
    email: Email | None = Field(default=None, description="of a collaborator; the holder leaves it out")


class NewPasswordRequest(WithNewPassword):
    """The new password, under the token of the mail."""


class ReminderRequest(Payload):
    email: Email


class IdentifierView(View):
    scheme: Scheme
    value: str


class PractitionerView(View):
    id: UUID
    state: AccountState
    state_reason: str | None
    name: str
    specialty: Specialty
    street: str | None
    postal_code: str
    town: str | None
    mobile: str | None
    email: str
    bic: str
    is_listed: bool
    identifiers: list[IdentifierView]
    registered_at: datetime
    activated_at: datetime | None


class ActivatedView(PractitionerView):
    message_fr: str


class SessionView(View):
    """``open``, or ``second_factor_needed`` where the browser is not known."""

    status: Literal["open", "second_factor_needed"]
    methods: list[Method] = Field(description="how the second factor can be given")
    sent_to: str | None = Field(description="where a code was mailed, masked")
    practitioner: PractitionerView | None = Field(description="once the session is open")
    member: MemberView | None


class ProfileRequest(Payload):
    """Only what is sent is changed; null empties the mobile, the street or the town."""

    mobile: MobileField | None = None
    street: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    postal_code: PostalCodeField | None = None
    town: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    is_listed: bool | None = None

    @field_validator("street", "town")
    @classmethod
    def _plain(cls, text: str | None) -> str | None:
        if text is not None and not is_plain_name(text):
            raise fault_error(NameInvalid)
        return text

    @field_validator("postal_code", "is_listed")
    @classmethod
    def _present(cls, value: Any) -> Any:
        if value is None:
            raise fault_error(FieldInvalid)
        return value

    def profile(self, now: Profile) -> Profile:
        """The profile as it is now with what was sent."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        present = {name: getattr(now, name) for name in ("mobile", "street", "postal_code", "town", "is_listed")}
        return Profile(**{**present, **sent})


class BankDetailsRequest(BankFields):
    """Counts after a waiting time, during which it can be taken back."""


class BankDetailsItem(View):
    id: UUID
    bic: str
    iban_ending: str | None
    requested_at: datetime
    in_force_from: datetime
    revoked_at: datetime | None


class BankDetailsView(View):
    in_force: BankDetailsItem | None
    pending: BankDetailsItem | None
    history: list[BankDetailsItem] = Field(description="newest first")


class RevocationRequest(Payload):
    token: Token


class NewIdentifierRequest(Payload):
    scheme: SchemeField
    value: Annotated[str, StringConstraints(max_length=50)]

    _identifier = field_validator("value")(_checked_number)


class NewIdentifierView(View):
    status: Literal["added", "in_review"]
    message_fr: str
    identifiers: list[IdentifierView]


class ClosureRequest(Payload):
    """The account's number once more, so that nobody closes it by a slip."""

    value: NumberField


class ClientRequest(Payload):
    """A client gets a secret, unless it brings a public key for private_key_jwt."""

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=3)
    public_jwk: PublicJwkField | None = None


class ClientNameRequest(Payload):
    name: Name


class RotationRequest(Payload):
    """Another secret, or another public key."""

    public_jwk: PublicJwkField | None = None
    overlap_hours: int = Field(default=24, ge=0, le=168, description="how long the former credential still works")


class ClientView(View):
    client_id: UUID
    name: str
    scopes: list[str]
    authentication: Literal["client_secret", "private_key_jwt"]
    created_at: datetime
    last_used_at: datetime | None
    former_until: datetime | None = Field(description="until when the credential before the last rotation works")
    revoked_at: datetime | None


class NewClientView(ClientView):
    client_secret: str | None = Field(description="shown this once; null where the client brought its own key")


class ClientListView(View):
    clients: list[ClientView]


class ClientPath(Parameters):
    id: UUID


class TermsText(View):
    version: str
    markdown: str
    sha256: str


class TermsView(View):
    """What is accepted at registration."""

    terms: TermsText
    privacy: TermsText


class DirectoryQuery(Parameters):
    specialty: Specialty
    near: PostalCodeField
    after: Annotated[str, StringConstraints(pattern=r"^\d{1,9}-[0-9a-f-]{36}$")] | None = Field(
        default=None, description="next_after of the page before"
    )
    limit: int = Field(default=20, ge=1, le=100)

    @field_validator("after")
    @classmethod
    def _place(cls, after: str | None) -> str | None:
        try:
            UUID(after.partition("-")[2]) if after else None
        except ValueError:
            raise fault_error(FieldInvalid) from None
        return after

    def place(self) -> tuple[int | None, UUID | None]:
        """Where the page before ended: metres and id."""
        if self.after is None:
            return None, None
        metres, _, last = self.after.partition("-")
        return int(metres), UUID(last)


class ListedView(View):
    id: UUID
    name: str
    specialty: Specialty
    street: str | None
    postal_code: str
    town: str | None
    mobile: str | None
    identifiers: list[IdentifierView]
    distance_km: float = Field(description="as the crow flies, from the middle of the postal code's area")


class DirectoryView(View):
    practitioners: list[ListedView] = Field(description="nearest first")
    next_after: str | None
