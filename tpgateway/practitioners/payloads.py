"""Shapes of what practitioners send and get."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tpgateway.errors import FieldInvalid, SchemeUnknown
from tpgateway.practitioners.errors import NameMissing, PasswordTooWeak, TermsNotAccepted, TreasuryNeedsEstablishment
from tpgateway.practitioners.model import AccountState, Identifier, Registration, Scheme, Specialty
from tpgateway.practitioners.rules import parse_identifier, password_weaknesses
from tpgateway.web.callers import Scope
from tpgateway.web.fields import BicField, FinessField, Line, PostalCodeField, PublicJwkField, SiretField, parsed
from tpgateway.web.validation import Parameters, Payload, View, fault_error


def _known_scheme(value: Any) -> Any:
    if not isinstance(value, str) or value not in {scheme.value for scheme in Scheme}:
        raise fault_error(SchemeUnknown)
    return value


SchemeField = Annotated[Scheme, BeforeValidator(_known_scheme)]


def _no_link(name: str) -> str:
    """Names stand in our own mails, where they must not become somebody's link."""
    if "//" in name:
        raise fault_error(FieldInvalid)
    return name


Name = Annotated[str, Line, StringConstraints(max_length=100), AfterValidator(_no_link)]
LegalName = Annotated[str, Line, StringConstraints(max_length=200), AfterValidator(_no_link)]
Password = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=200), Field(repr=False)]


class RegistrationRequest(Payload):
    """A person gives first and last name, a body its legal name."""

    scheme: SchemeField
    value: Annotated[str, StringConstraints(max_length=50)] = Field(examples=["010000024"])
    first_name: Name | None = None
    last_name: Name | None = None
    legal_name: LegalName | None = None
    specialty: Specialty
    postal_code: PostalCodeField
    email: Annotated[EmailStr, Field(max_length=254)]
    bic: BicField
    finess: FinessField | None = Field(default=None, description="the establishment's, beside a treasury identifier")
    siret: SiretField | None = Field(default=None, description="the establishment's, beside a treasury identifier")
    password: Password
    terms_accepted: bool

    @field_validator("value")
    @classmethod
    def _identifier(cls, value: str, info: ValidationInfo) -> str:
        if (scheme := info.data.get("scheme")) is None:
            return value
        is_enforced = info.context is None or info.context["settings"].adeli_key == "refuse"
        check = parsed(lambda text: parse_identifier(scheme, text, is_adeli_key_enforced=is_enforced).value, scheme)
        return str(check(value))

    @field_validator("password")
    @classmethod
    def _strong(cls, password: str, info: ValidationInfo) -> str:
        if lacking := password_weaknesses(password, info.data.get("value", "")):
            raise fault_error(PasswordTooWeak, f"Le mot de passe doit avoir : {', '.join(lacking)}.")
        return password

    @field_validator("terms_accepted")
    @classmethod
    def _accepted(cls, accepted: bool) -> bool:
        if not accepted:
            raise fault_error(TermsNotAccepted)
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
            bic=self.bic,
            finess=self.finess,
            siret=self.siret,
        )


class RegistrationView(View):
    status: str
    message_fr: str


class ActivationRequest(Payload):
    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class LoginRequest(Payload):
    scheme: SchemeField
    value: Annotated[str, StringConstraints(min_length=1, max_length=50)]
    password: Password


class IdentifierView(View):
    scheme: Scheme
    value: str


class PractitionerView(View):
    id: UUID
    state: AccountState
    name: str
    specialty: Specialty
    postal_code: str
    email: str
    bic: str
    identifiers: list[IdentifierView]
    registered_at: datetime
    activated_at: datetime | None


class ClientRequest(Payload):
    """A client gets a secret, unless it brings a public key for private_key_jwt."""

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=3)
    public_jwk: PublicJwkField | None = None


class ClientView(View):
    client_id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


class NewClientView(ClientView):
    client_secret: str | None = Field(description="shown this once; null where the client brought its own key")


class ClientListView(View):
    clients: list[ClientView]


class ClientPath(Parameters):
    id: UUID


class SessionView(View):
    practitioner: PractitionerView
