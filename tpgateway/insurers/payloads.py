"""Shapes of what insurers send and get."""

from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from tpgateway.errors import FieldInvalid
from tpgateway.insurers.model import Event, EventKind, InsurerState, Reference
from tpgateway.web.validation import Parameters, Payload, View, fault_error


class InsurerView(View):
    id: UUID
    number: str
    name: str
    state: InsurerState
    convention_types: list[str]


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
