"""Shapes of what insurers send and get."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from tpgateway.errors import FieldInvalid
from tpgateway.insurers import codec
from tpgateway.insurers.model import (
    ApprovalRules,
    AttachmentRule,
    Event,
    EventKind,
    Insurer,
    InsurerState,
    Reference,
    ReviewRule,
    TacitOutcome,
)
from tpgateway.web.validation import Parameters, Payload, View, fault_error


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


class InsurerChange(Payload):
    approval_rules: ApprovalRulesShape


class InsurerView(View):
    id: UUID
    number: str
    name: str
    state: InsurerState
    convention_types: list[str]
    approval_rules: ApprovalRulesShape

    @classmethod
    def of(cls, insurer: Insurer) -> "InsurerView":
        return cls(
            id=insurer.id,
            number=insurer.number,
            name=insurer.name,
            state=insurer.state,
            convention_types=list(insurer.convention_types),
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


class EndpointRequest(Payload):
    url: Annotated[str, StringConstraints(min_length=10, max_length=2000)] = Field(
        examples=["https://mutuelle.example/tpgateway/events"]
    )


class EndpointView(View):
    id: UUID
    url: str
    created_at: datetime


class NewEndpointView(EndpointView):
    secret: str = Field(description="whsec_…, to verify signatures with (Standard Webhooks); shown this once")


class EndpointListView(View):
    endpoints: list[EndpointView]


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


class EventsQuery(Parameters):
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="sequence of the last event already had")
    limit: int = Field(default=100, ge=1, le=1000)
    wait: int = Field(default=0, ge=0, le=60, description="seconds to wait for an event where there is none yet")


class EventListView(View):
    events: list[EventView]
    after: int = Field(description="what to send as after next time")
