"""Who calls, and which kinds of caller an operation is for."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from tpgateway.audit import Actor, ActorKind


class Access(StrEnum):
    """A way to be known. An operation lists those that it takes; none at all makes it public."""

    SESSION = "session"
    """A practitioner in person, by the session cookie."""
    PRACTITIONER_CLIENT = "practitioner_client"
    """A practitioner's software, by token."""
    INSURER_CLIENT = "insurer_client"
    """An insurer's system, by token."""


PUBLIC: frozenset[Access] = frozenset()
PERSON = frozenset({Access.SESSION})
PRACTITIONER = frozenset({Access.SESSION, Access.PRACTITIONER_CLIENT})
INSURER = frozenset({Access.INSURER_CLIENT})


class Scope(StrEnum):
    """What a practitioner's client may do; an insurer's client has all of the insurer's."""

    CARDS = "cards"
    APPROVALS = "approvals"
    TABLES = "tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A known caller: the account that it speaks for, and for software the client and its scopes."""

    access: Access
    account_id: UUID
    client_id: UUID | None
    scopes: frozenset[str]

    @property
    def kind(self) -> ActorKind:
        """The kind of account, as the audit trail names it."""
        return "insurer" if self.access is Access.INSURER_CLIENT else "practitioner"

    def actor(self, request_id: str) -> Actor:
        """The caller as the audit trail keeps it."""
        return Actor(kind=self.kind, id=self.account_id, request_id=request_id)
