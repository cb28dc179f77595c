"""Who the people of a practice, or of an insurer, are."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from tpgateway.audit import ActorKind
from tpgateway.web.callers import Role

MemberId = NewType("MemberId", UUID)
SessionId = NewType("SessionId", UUID)


class MemberState(StrEnum):
    INVITED = "invited"
    """The link in the mail was not used yet."""
    ACTIVE = "active"
    REMOVED = "removed"


class Method(StrEnum):
    """The ways to give a second factor."""

    TOTP = "totp"
    """A code of an authenticator application (RFC 6238)."""
    RECOVERY_CODE = "recovery_code"
    """One of the ten codes kept on paper."""
    EMAIL = "email"
    """A code by mail, for those who have no application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One of the people of a practice, whose holder opened the account, or of an insurer, which has no holder."""

    id: MemberId
    account_id: UUID
    account_kind: ActorKind
    role: Role
    is_holder: bool
    state: MemberState
    name: str | None
    email: str
    has_totp: bool
    invited_at: datetime
    joined_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What a member proves himself with, as it is kept."""

    password_hash: str | None
    totp_secret: bytes | None
    totp_since: datetime | None
    totp_last_step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What happened at a door of late."""

    failures: int
    failed_at: datetime
    locked_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedCode:
    """The code that was mailed for a session, as it is kept."""

    hash: bytes | None
    expires_at: datetime | None
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """A session, as its owner sees it."""

    id: SessionId
    agent: str | None
    address: str | None
    is_kept: bool
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
