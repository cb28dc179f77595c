"""Shapes of what people send and get."""

import unicodedata
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    EmailStr,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from tpgateway.audit import Action
from tpgateway.errors import FieldInvalid
from tpgateway.members import rules
from tpgateway.members.errors import EmailInvalid, NameInvalid, PasswordsDiffer
from tpgateway.members.model import MemberState, Method
from tpgateway.web.callers import Role
from tpgateway.web.validation import Parameters, Payload, View, fault_error

_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailStr)


def _address(value: Any) -> Any:
    """Plain addresses alone: a local part of other scripts would be read as one that it is not."""
    if not isinstance(value, str):
        return value
    try:
        address = _ADDRESS.validate_python(value.strip())
    except ValidationError:
        raise fault_error(EmailInvalid) from None
    has_name = any(each in value for each in '<>"')
    if has_name or not address.rpartition("@")[0].isascii() or len(address) > 254:
        raise fault_error(EmailInvalid)
    return address


def _plain_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if not name or not rules.is_plain_name(name):
        raise fault_error(NameInvalid)
    return name


def _within_our_time(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2200:
        raise fault_error(FieldInvalid)
    return moment


Email = Annotated[str, BeforeValidator(_address), Field(examples=["pharmacie@pont.example"], max_length=254)]
Name = Annotated[str, StringConstraints(max_length=100), AfterValidator(_plain_name)]
LegalName = Annotated[str, StringConstraints(max_length=200), AfterValidator(_plain_name)]
Moment = Annotated[AwareDatetime, AfterValidator(_within_our_time)]
Password = Annotated[str, StringConstraints(strip_whitespace=False, min_length=1, max_length=200)]
Code = Annotated[str, StringConstraints(min_length=6, max_length=40, pattern=r"^[0-9A-Za-z -]+$")]
Token = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _strong(password: str) -> str:
    if (fault := rules.password_fault(password)) is not None:
        raise fault_error(*fault)
    return password


NewPassword = Annotated[Password, AfterValidator(_strong)]


class WithNewPassword(Payload):
    """A password, sent twice where somebody typed it."""

    password: NewPassword
    password_confirmation: Password | None = Field(
        default=None, description="where a person typed the password twice; must then be the same"
    )

    @field_validator("password_confirmation")
    @classmethod
    def _same(cls, confirmation: str | None, info: ValidationInfo) -> str | None:
        if confirmation is not None and confirmation != info.data.get("password", confirmation):
            raise fault_error(PasswordsDiffer)
        return confirmation


class FactorRequest(Payload):
    code: Code = Field(description="six digits by mail or application, or a recovery code")
    know_device: bool = Field(default=True, description="whether this browser need not be asked again at log-in")


class CodeRequest(Payload):
    code: Code


class CodeSentView(View):
    status: str
    sent_to: str = Field(description="the address, masked")
    message_fr: str


class SessionItemView(View):
    id: UUID
    agent: str | None = Field(description="the browser, as its owner knows it")
    address: str | None
    is_current: bool
    is_kept: bool
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class SessionListView(View):
    sessions: list[SessionItemView]


class SessionPath(Parameters):
    id: UUID


class EndedView(View):
    ended: int


class FactorsView(View):
    """How the member gives a second factor."""

    methods: list[Method]
    totp_is_in_use: bool
    recovery_codes_left: int
    given_at: datetime | None = Field(description="when one was last given in this session")


class EnrolmentView(View):
    secret: str = Field(description="to type where the application cannot scan")
    uri: str = Field(description="otpauth URI")
    qr_svg: str = Field(description="the same as a picture")


class RecoveryCodesView(View):
    recovery_codes: list[str] = Field(description="shown this once; each is good for one use")


class InvitationRequest(Payload):
    email: Email
    name: Name | None = None
    role: Role


class InvitationAcceptance(WithNewPassword):
    token: Token
    name: Name | None = None


class RoleRequest(Payload):
    role: Role


class MemberPath(Parameters):
    id: UUID


class MemberView(View):
    id: UUID
    role: Role
    is_holder: bool
    state: MemberState
    name: str | None
    email: str
    has_totp: bool
    invited_at: datetime
    joined_at: datetime | None


class MemberListView(View):
    members: list[MemberView]


class PasswordRequest(WithNewPassword):
    current_password: Password


class EmailRequest(Payload):
    email: Email


class TokenRequest(Payload):
    token: Token


class EmailConfirmedView(View):
    email: str


class TokenPath(Parameters):
    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class StatusView(View):
    status: str
    message_fr: str


def _actions(value: Any) -> Any:
    """Actions by commas, whole or by their beginning: ``member:session:open,card:``."""
    if not isinstance(value, str):
        return value
    asked = [each.strip() for each in value.split(",") if each.strip()]
    found = [action for action in Action if any(action.value.startswith(each) for each in asked)]
    if not found:
        raise fault_error(FieldInvalid, "Aucune action connue ne commence ainsi.", "no action begins like this")
    return found


class JournalSearch(Parameters):
    """What is looked for in the journal."""

    action: Annotated[
        list[Action] | None,
        BeforeValidator(_actions),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ] = Field(default=None, description="actions or their beginnings, by commas: member:session:,card:")
    agent: UUID | None = Field(default=None, description="the member or API client who acted")
    subject: UUID | None = Field(default=None, description="what was acted upon")
    since: Moment | None = None
    until: Moment | None = None
    order: Annotated[str, StringConstraints(pattern="^(newest|oldest)$")] = "newest"


class JournalQuery(JournalSearch):
    after: UUID | None = Field(default=None, description="the last entry's id, to go on")
    limit: int = Field(default=50, ge=1, le=500)


class JournalEntryView(View):
    id: UUID
    occurred_at: datetime
    action: Action
    what_fr: str
    who: str | None = Field(description="the member's or client's name; null where nobody of the practice acted")
    agent_id: UUID | None
    subject_id: UUID | None


class JournalView(View):
    entries: list[JournalEntryView]
    next_after: UUID | None
