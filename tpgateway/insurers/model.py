"""What an insurer is to the gateway."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

InsurerId = NewType("InsurerId", UUID)
EndpointId = NewType("EndpointId", UUID)
EventId = NewType("EventId", UUID)


class InsurerState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


class EventKind(StrEnum):
    """What insurers are told of, as ``object.happening``."""

    APPROVAL_DECIDED = "prior_approval.decided"
    APPROVAL_PENDING = "prior_approval.pending"
    APPROVAL_AMENDED = "prior_approval.amended"
    APPROVAL_APPEALED = "prior_approval.appealed"
    APPROVAL_CANCELLED = "prior_approval.cancelled"
    APPROVAL_USED = "prior_approval.used"
    APPROVAL_EXPIRED = "prior_approval.expired"
    RIGHTS_IMPORTED = "rights_import.finished"
    TABLES_PUBLISHED = "dre_tables.published"
    CONVENTION_SIGNED = "convention.signed"
    CONVENTION_LEFT = "convention.left"


class TacitOutcome(StrEnum):
    """What an insurer's silence means once its days are over."""

    APPROVE = "approve"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRule:
    """Which requests an insurer wants to look at: of a domain, for a benefit or any, from a granted sum on."""

    domain: str
    benefit: str | None = None
    from_cents: int = 0

    def applies(self, domain: str, benefits: Collection[str], granted: int) -> bool:
        """Whether a request that would be granted this falls under the rule."""
        return (
            domain == self.domain and (self.benefit is None or self.benefit in benefits) and granted >= self.from_cents
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRule(ReviewRule):
    """Which requests come with a document: ``prescription`` or ``quote``."""

    document: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRules:
    """How an insurer takes part in decisions. Without a word of its own, rules decide all."""

    tacit_days: int = 15
    tacit_outcome: TacitOutcome = TacitOutcome.REFUSE
    answer_days: int = 30
    """How long a practitioner has for an answer."""
    reviews: tuple[ReviewRule, ...] = ()
    attachments: tuple[AttachmentRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Whom we write to when something of the insurer's fails."""

    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Insurer:
    """An account; ``number`` is the AMC number padded to ten digits."""

    id: InsurerId
    number: str
    name: str
    state: InsurerState
    convention_types: tuple[str, ...]
    approval_rules: ApprovalRules = ApprovalRules()
    contacts: tuple[Contact, ...] = ()

    @property
    def is_active(self) -> bool:
        return self.state is InsurerState.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How something of an insured person is named outside: the insurer's AMC number, then the thing's own id.

    What is looked up by it is thus looked up within one insurer, which is what keeps it on one shard.
    """

    insurer_number: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.insurer_number}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises ``ValueError``."""
        number, _, rest = text.partition("-")
        if len(number) != 10 or not number.isdecimal():
            raise ValueError("no insurer's number in front")
        return cls(insurer_number=number, id=UUID(rest))


class BodyFormat(StrEnum):
    """How the body of a webhook is written."""

    JSON = "json"
    XML = "xml"


class Disabled(StrEnum):
    """Why nothing is posted to an endpoint any more."""

    GONE = "gone"
    """It answered 410."""
    FAILING = "failing"
    """It took nothing for a week."""
    ASKED = "asked"
    """The insurer wants a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an insurer wants its events posted: those of ``kinds``, of every kind where it is None.

    ``public_key`` verifies the ``v1a`` signatures; ``former_until`` is until when the secret before is signed with too.
    """

    id: EndpointId
    url: str
    created_at: datetime
    kinds: tuple[EventKind, ...] | None
    format: BodyFormat
    public_key: str | None
    former_until: datetime | None
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_for: Disabled | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerClient:
    """A system of the insurer's: its key stands here or is read at an address of its own."""

    id: UUID
    name: str
    jwks_url: str | None
    keys_read_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None
    former_until: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSource:
    """Where an insurer that keeps its rights itself answers checks, and the secret that both sides sign with."""

    insurer_id: InsurerId
    url: str
    secret: str
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that an insurer is told; ``sequence`` counts without gaps within one insurer."""

    id: EventId
    sequence: int
    kind: EventKind
    occurred_at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one try to post an event came to: a status, or the failure where none was got."""

    status: int | None
    failure: str | None
    milliseconds: int

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_refused_for_good(self) -> bool:
        """Whether the endpoint says that it is no more: nothing is posted there again."""
        return self.status == 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What came of posting an event under a lease, and after how long it is tried again: None where it never is."""

    event_id: EventId
    sequence: int
    attempted_at: datetime
    delivery: Delivery
    leased_until: datetime
    was_due_at: datetime
    delay: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One line of the delivery log."""

    event_id: EventId
    sequence: int
    kind: EventKind
    attempt: int
    attempted_at: datetime
    status: int | None
    failure: str | None
    milliseconds: int
