"""Who calls, and which kinds of caller an operation is for."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tpgateway.audit import Actor, ActorKind


class Access(StrEnum):
    """A way to be known. An operation lists those that it takes; none at all makes it public."""

    SESSION = "session"
    """A practitioner in person, by the session cookie."""
    PENDING_SESSION = "pending_session"
    """One who gave the password and still owes the second factor."""
    PRACTITIONER_CLIENT = "practitioner_client"
    """A practitioner's software, by token."""
    INSURER_CLIENT = "insurer_client"
    """An insurer's system, by token."""
    INSURER_SESSION = "insurer_session"
    """One of an insurer's people, by the session cookie: on pages alone."""
    PENDING_INSURER_SESSION = "pending_insurer_session"
    """One of an insurer's people who still owes the second factor."""


PUBLIC: frozenset[Access] = frozenset()
PERSON = frozenset({Access.SESSION})
HALF_LOGGED_IN = frozenset({Access.SESSION, Access.PENDING_SESSION})
PRACTITIONER = frozenset({Access.SESSION, Access.PRACTITIONER_CLIENT})
INSURER = frozenset({Access.INSURER_CLIENT})
_OF_INSURERS = frozenset({Access.INSURER_CLIENT, Access.INSURER_SESSION, Access.PENDING_INSURER_SESSION})
_PENDING = frozenset({Access.PENDING_SESSION, Access.PENDING_INSURER_SESSION})


class Role(StrEnum):
    """What one of the people of a practice or an insurer may do."""

    OWNER = "owner"
    """Everything, the account itself included."""
    STAFF = "staff"
    """The daily work: cards, approvals, tables; of an insurer, decisions and deliveries."""
    READ_ONLY = "read_only"
    """Looks, changes nothing and checks no card."""

    def covers(self, least: "Role") -> bool:
        """Whether this role may do what needs at least that one."""
        return _RANKS.index(self) >= _RANKS.index(least)


_RANKS = (Role.READ_ONLY, Role.STAFF, Role.OWNER)


class Scope(StrEnum):
    """What a practitioner's client may do; an insurer's client has all of the insurer's."""

    CARDS = "cards"
    APPROVALS = "approvals"
    TABLES = "tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A known caller: the account that it speaks for; for software the client and its scopes, for people who and how."""

    access: Access
    account_id: UUID
    client_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    member_id: UUID | None = None
    role: Role | None = None
    session_id: UUID | None = None
    second_factor_at: datetime | None = None
    certificate: str | None = None
    """The thumbprint of the client certificate that its token is bound to."""
    owner: str = field(init=False)
    """Whose requests these are counted as: what people do must not stop their practice's software."""

    def __post_init__(self) -> None:
        owner = f"member {self.member_id}" if self.member_id else f"{self.kind} {self.account_id}"
        object.__setattr__(self, "owner", owner)

    @property
    def agent_id(self) -> UUID | None:
        """Who of the account acts: one of its people or of its API clients."""
        return self.member_id or self.client_id

    @property
    def kind(self) -> ActorKind:
        """The kind of account, as the audit trail names it."""
        return "insurer" if self.access in _OF_INSURERS else "practitioner"

    @property
    def is_pending(self) -> bool:
        """Whether a second factor is still owed."""
        return self.access in _PENDING

    def covers(self, scope: Scope | None) -> bool:
        """Whether what needs a scope is the caller's to do: it binds a practitioner's software alone."""
        return scope is None or self.access is not Access.PRACTITIONER_CLIENT or scope in self.scopes

    def actor(self, request_id: str) -> Actor:
        """The caller as the audit trail keeps it."""
        return Actor(kind=self.kind, id=self.account_id, agent_id=self.agent_id, request_id=request_id)
