"""Shapes of what insurers send and get."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tpgateway.errors import FieldInvalid
from tpgateway.insurers import codec
from tpgateway.insurers.endpoints import EndpointChange, NewEndpoint
from tpgateway.insurers.model import (
    ApprovalRules,
    AttachmentRule,
    Attempt,
    BodyFormat,
    Contact,
    Disabled,
    Endpoint,
    Event,
    EventKind,
    Insurer,
    InsurerClient,
    InsurerState,
    Reference,
    ReviewRule,
    TacitOutcome,
)
from tpgateway.members.payloads import Email, Moment, Name, Password
from tpgateway.web.fields import AmcNumberField, PublicJwkField
from tpgateway.web.validation import Parameters, Payload, View, fault_error


class DeskResetRequest(Payload):
    """Who of the insurer's people asks for a new password."""

    number: AmcNumberField
    email: Email


class DeskLoginRequest(DeskResetRequest):
    """What one of the insurer's people types at the door."""

    password: Password


class ReviewRuleShape(Payload):
    """Requests of a domain that the insurer wants to look at: for a benefit or any, from a granted sum on."""

    domain: Literal["OPTI", "HOSP"]
    benefit: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{2,40}$")] | None = None
    from_cents: int = Field(default=0, ge=0, le=100_000_000)


class AttachmentRuleShape(ReviewRuleShape):
    """Requests that come with a document."""

    document: Literal["prescription", "quote"]


class ApprovalRulesShape(Payload):
    """How the insurer takes part in decisions: rules decide all that no rule of its own leaves to it."""

    tacit_days: int = Field(default=15, ge=1, le=90, description="after so many days without an answer it is decided")
    tacit_outcome: TacitOutcome = Field(default=TacitOutcome.REFUSE, description="what the silence then means")
    answer_days: int = Field(default=30, ge=1, le=180, description="how long a practitioner has for an answer")
    reviews: list[ReviewRuleShape] = Field(default=[], max_length=50)
    attachments: list[AttachmentRuleShape] = Field(default=[], max_length=50)

    def change(self, rules: ApprovalRules) -> ApprovalRules:
        """The rules with what was named; what was not stays as it is."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "reviews" in named:
            named["reviews"] = tuple(ReviewRule(**each.model_dump()) for each in self.reviews)
        if "attachments" in named:
            named["attachments"] = tuple(AttachmentRule(**each.model_dump()) for each in self.attachments)
        return replace(rules, **named)


class ContactShape(Payload):
    """Whom to write to when something fails: an endpoint that takes nothing any more, say."""

    name: Name
    email: Email


class InsurerChange(Payload):
    """What is named is replaced: rules each by itself, contacts as a whole."""

    approval_rules: ApprovalRulesShape | None = None
    contacts: Annotated[list[ContactShape], Field(max_length=10)] | None = None

    @property
    def new_contacts(self) -> list[Contact] | None:
        return None if self.contacts is None else [Contact(**each.model_dump()) for each in self.contacts]


class InsurerView(View):
    id: UUID
    number: str
    name: str
    state: InsurerState
    convention_types: list[str]
    contacts: list[ContactShape]
    approval_rules: ApprovalRulesShape

    @classmethod
    def of(cls, insurer: Insurer) -> "InsurerView":
        return cls(
            id=insurer.id,
            number=insurer.number,
            name=insurer.name,
            state=insurer.state,
            convention_types=list(insurer.convention_types),
            contacts=[ContactShape(name=each.name, email=each.email) for each in insurer.contacts],
            approval_rules=ApprovalRulesShape.model_validate_json(json.dumps(codec.as_json(insurer.approval_rules))),
        )


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ValueError:
        raise fault_error(FieldInvalid) from None


class ReferencePath(Parameters):
    """A check's or an approval's id, as it was answered."""

    id: Annotated[str, AfterValidator(_reference)] = Field(examples=["0075004407-0199e2a4-6f6e-7c1a-9d0e-3f5b8c2d1a40"])

    @property
    def reference(self) -> Reference:
        return cast(Reference, self.id)


UrlField = Annotated[
    str,
    StringConstraints(min_length=10, max_length=2000),
    Field(examples=["https://mutuelle.example/tpgateway/events"]),
]
Kinds = Annotated[list[EventKind], Field(max_length=len(EventKind), description="none: every kind, those to come too")]


class AddressRequest(Payload):
    url: UrlField


class EndpointRequest(Payload):
    url: UrlField
    kinds: Kinds = Field(default=[])
    format: BodyFormat = BodyFormat.JSON


class EndpointChangeRequest(Payload):
    """What is named is replaced."""

    kinds: Kinds | None = None
    format: BodyFormat | None = None
    enabled: bool | None = Field(
        default=None, description="false pauses; true starts again, whatever it was stopped for"
    )

    def change(self) -> EndpointChange:
        return EndpointChange(
            kinds=None if self.kinds is None else tuple(dict.fromkeys(self.kinds)),
            format=self.format,
            is_enabled=self.enabled,
        )


class EndpointView(View):
    id: UUID
    url: str
    created_at: datetime
    kinds: list[EventKind] = Field(description="none: every kind")
    format: BodyFormat
    public_key: str | None = Field(description="whpk_…, verifies the v1a signatures (Ed25519)")
    former_until: datetime | None = Field(description="until when the secret before the last exchange signs too")
    failing_since: datetime | None = Field(
        description="nothing was taken since; after a week nothing is posted any more"
    )
    disabled_at: datetime | None
    disabled_for: Disabled | None = Field(description="gone: it answered 410; failing: for a week; asked: by PATCH")

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        return cls.model_validate({**asdict(endpoint), "kinds": list(endpoint.kinds or ())})


class NewEndpointView(EndpointView):
    secret: str = Field(description="whsec_…, to verify signatures with (Standard Webhooks); shown this once")

    @classmethod
    def made(cls, made: NewEndpoint) -> Self:
        kinds = list(made.endpoint.kinds or ())
        return cls.model_validate({**asdict(made.endpoint), "kinds": kinds, "secret": made.secret})


class EndpointListView(View):
    endpoints: list[EndpointView]


class OverlapRequest(Payload):
    """Another secret and key."""

    overlap_hours: int = Field(default=24, ge=0, le=168, description="how long the former ones sign too")


class AttemptView(View):
    """One try to post an event: a status, or the failure where none came."""

    event_id: UUID
    sequence: int
    kind: EventKind
    attempt: int
    attempted_at: datetime
    status: int | None
    failure: str | None
    milliseconds: int


class AttemptsQuery(Parameters):
    event: UUID | None = None
    before: Moment | None = Field(default=None, description="attempted_at of the last one already had")
    limit: int = Field(default=100, ge=1, le=1000)


class AttemptListView(View):
    attempts: list[AttemptView]

    @classmethod
    def of(cls, attempts: Sequence[Attempt]) -> Self:
        return cls(attempts=[AttemptView.showing(each) for each in attempts])


class EventPath(Parameters):
    id: UUID


class RedeliveryRequest(Payload):
    endpoint_id: UUID | None = Field(default=None, description="null: every endpoint in use")


class PeriodRequest(Payload):
    """A period, its end not included."""

    start: Moment = Field(alias="from", examples=["2026-11-21T08:00:00Z"])
    end: Moment = Field(alias="to", examples=["2026-11-22T08:00:00Z"])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end <= self.start:
            raise fault_error(FieldInvalid, detail="to must be after from")
        return self


class RedeliveryView(View):
    events: int = Field(description="how many are posted again")
    endpoints: list[UUID]


class KeyShape(Payload):
    """A public key, or the address of a JWK Set in which keys are exchanged without telling us."""

    public_jwk: PublicJwkField | None = None
    jwks_url: UrlField | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.public_jwk is None) == (self.jwks_url is None):
            raise fault_error(FieldInvalid, detail="public_jwk or jwks_url, one of both")
        return self


class InsurerClientRequest(KeyShape):
    name: Name


class KeyRotationRequest(KeyShape):
    overlap_hours: int = Field(default=24, ge=0, le=168, description="how long the former key still works")


class InsurerClientView(View):
    client_id: UUID
    name: str
    jwks_url: str | None
    keys_read_at: datetime | None = Field(description="when keys were last read at that address; null where never")
    created_at: datetime
    last_used_at: datetime | None
    former_until: datetime | None = Field(description="until when the key before the last exchange works")
    revoked_at: datetime | None

    @classmethod
    def of(cls, client: InsurerClient) -> Self:
        return cls.model_validate({**asdict(client), "client_id": client.id})


class InsurerClientListView(View):
    clients: list[InsurerClientView]


class LiveSourceView(View):
    url: str
    set_at: datetime


class NewLiveSourceView(LiveSourceView):
    secret: str = Field(description="whsec_…: signs our questions, and must sign your answers; shown this once")


class EndpointPath(Parameters):
    id: UUID


class EventView(View):
    """An event, the same in the feed and in a webhook's body."""

    id: UUID = Field(description="also the webhook-id header")
    sequence: int = Field(description="counts within the insurer, without gaps")
    type: EventKind
    timestamp: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: Event) -> "EventView":
        return cls(
            id=event.id,
            sequence=event.sequence,
            type=event.kind,
            timestamp=event.occurred_at,
            data=dict(event.data),
        )


def event_body(event: Event, form: BodyFormat) -> str:
    """The event as it is posted."""
    view = EventView.of(event)
    if form is BodyFormat.JSON:
        return view.model_dump_json()
    return codec.EVENT.write(view.model_copy(update={"data": _in_order(view.data)})).decode()


def _in_order(value: Any) -> Any:
    """The same with names in alphabetical order: a schema wants one, and what is kept of an event has none."""
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


class EventsQuery(Parameters):
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="sequence of the last event already had")
    limit: int = Field(default=100, ge=1, le=1000)
    wait: int = Field(default=0, ge=0, le=60, description="seconds to wait for an event where there is none yet")


class EventListView(View):
    events: list[EventView]
    after: int = Field(description="what to send as after next time")
