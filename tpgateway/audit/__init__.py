"""The audit trail: who did what to whose data. Append-only, written in the transaction of the act itself.

A card check's own record is its audit entry; nothing is written twice.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

from tpgateway.database import Connection
from tpgateway.database.statements import Statement

ActorKind = Literal["nobody", "practitioner", "insurer", "operator", "system"]


class Action(StrEnum):
    """What was done, as ``subject:object:action``."""

    PRACTITIONER_REGISTERED = "practitioner:account:register"
    PRACTITIONER_CONFIRMED = "practitioner:account:confirm"
    PRACTITIONER_ACTIVATED = "practitioner:account:activate"
    PRACTITIONER_REFUSED = "practitioner:account:refuse"
    PRACTITIONER_SUSPENDED = "practitioner:account:suspend"
    PRACTITIONER_RESTORED = "practitioner:account:restore"
    HOLDER_RECOVERED = "practitioner:holder:recover"
    PRACTITIONER_CLOSED = "practitioner:account:close"
    PROFILE_CHANGED = "practitioner:profile:change"
    IDENTIFIER_ASKED = "practitioner:identifier:ask"
    IDENTIFIER_ADDED = "practitioner:identifier:add"
    IDENTIFIER_REFUSED = "practitioner:identifier:refuse"
    IDENTIFIERS_REMINDED = "practitioner:identifier:remind"
    BANK_DETAILS_ASKED = "practitioner:bank_details:ask"
    BANK_DETAILS_REVOKED = "practitioner:bank_details:revoke"
    CLIENT_CREATED = "practitioner:client:create"
    CLIENT_RENAMED = "practitioner:client:rename"
    CLIENT_ROTATED = "practitioner:client:rotate"
    CLIENT_REVOKED = "practitioner:client:revoke"
    LOGGED_IN = "member:session:open"
    LOGIN_FAILED = "member:session:refuse"
    LOGIN_REFUSED = "member:session:forbid"
    PSC_LINKED = "member:psc:link"
    PSC_REFUSED = "member:psc:refuse"
    PSC_UNLINKED = "member:psc:unlink"
    LOGIN_LOCKED = "member:session:lock"
    LOGGED_OUT = "member:session:close"
    SESSION_ENDED = "member:session:end"
    SECOND_FACTOR_GIVEN = "member:second_factor:give"
    SECOND_FACTOR_FAILED = "member:second_factor:refuse"
    TOTP_ADDED = "member:totp:add"
    TOTP_REMOVED = "member:totp:remove"
    RECOVERY_CODES_MADE = "member:recovery_codes:make"
    RECOVERY_CODE_USED = "member:recovery_codes:use"
    PASSWORD_RESET_ASKED = "member:password:ask"  # noqa: S105  # what was done, not a password
    PASSWORD_CHANGED = "member:password:change"  # noqa: S105
    EMAIL_CHANGE_ASKED = "member:email:ask"
    EMAIL_CHANGED = "member:email:change"
    MEMBER_INVITED = "member:account:invite"
    MEMBER_JOINED = "member:account:join"
    MEMBER_ROLE_CHANGED = "member:role:change"
    MEMBER_REMOVED = "member:account:remove"
    JOURNAL_EXPORTED = "member:journal:export"
    INSURER_ADDED = "insurer:account:add"
    INSURER_KEY_ADDED = "insurer:client:create"
    INSURER_SUSPENDED = "insurer:account:suspend"
    INSURER_RESTORED = "insurer:account:restore"
    INSURER_CONTACTS_SET = "insurer:contacts:set"
    INSURER_KEY_ROTATED = "insurer:client:rotate"
    INSURER_KEY_REVOKED = "insurer:client:revoke"
    ENDPOINT_ADDED = "insurer:endpoint:add"
    ENDPOINT_CHANGED = "insurer:endpoint:change"
    ENDPOINT_ROTATED = "insurer:endpoint:rotate"
    ENDPOINT_DISABLED = "insurer:endpoint:disable"
    EVENTS_ASKED_AGAIN = "insurer:events:ask"
    ENDPOINT_REMOVED = "insurer:endpoint:remove"
    LIVE_SOURCE_SET = "insurer:live_source:set"
    LIVE_SOURCE_REMOVED = "insurer:live_source:remove"
    APPROVAL_RULES_SET = "insurer:approval_rules:set"
    PRODUCT_RECORDED = "insurer:product:record"
    RIGHTS_IMPORTED = "insurer:rights:import"
    TARIFF_SET = "guarantee:tariff:set"
    CONVENTION_PUBLISHED = "convention:version:publish"
    CONVENTION_LEFT = "convention:signature:end"
    CONVENTION_SIGNED = "convention:signature:sign"
    APPROVAL_SUBMITTED = "approval:request:submit"
    APPROVAL_READ = "approval:request:read"
    APPROVALS_LISTED = "approval:request:list"
    APPROVAL_SIMULATED = "approval:request:simulate"
    APPROVAL_CANCELLED = "approval:request:cancel"
    APPROVAL_AMENDED = "approval:request:amend"
    APPROVAL_EXTENDED = "approval:request:extend"
    APPROVAL_APPEALED = "approval:request:appeal"
    APPROVAL_INFORMED = "approval:information:give"
    APPROVAL_QUESTIONED = "approval:information:ask"
    APPROVAL_DECIDED = "approval:request:decide"
    APPROVAL_USED = "approval:request:use"
    APPROVAL_CLOCK_RAN_OUT = "approval:clock:fire"
    APPROVAL_LETTER_READ = "approval:letter:read"
    ATTACHMENT_ADDED = "approval:attachment:add"
    ATTACHMENT_READ = "approval:attachment:read"
    CARD_CHECKED = "card:check:do"
    CARD_CHECK_READ = "card:check:read"
    CHECKS_LOCKED = "card:check:lock"
    CHECKS_UNLOCKED = "card:check:unlock"
    EVENTS_READ = "insurer:events:read"
    PERSON_EXPORTED = "person:data:export"
    PERSON_ERASED = "person:data:erase"
    TABLES_PUBLISHED = "dre:version:publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an account through one of its people or API clients, the operator, or the system's own clock."""

    kind: ActorKind
    id: UUID | None = None
    agent_id: UUID | None = None
    """The member or the API client of the account."""
    request_id: str | None = None


OPERATOR = Actor(kind="operator")
NOBODY = Actor(kind="nobody")
SYSTEM = Actor(kind="system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry to be appended."""

    actor: Actor
    action: Action
    subject_id: UUID | None = None
    insurer_id: UUID | None = None

    def appended(self) -> Statement:
        """What appends it."""
        actor = self.actor
        return Statement(
            "INSERT INTO audit_entries (actor_kind, actor_id, agent_id, action, insurer_id, subject_id, request_id)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            (
                actor.kind,
                actor.id,
                actor.agent_id,
                self.action,
                self.insurer_id,
                self.subject_id,
                actor.request_id,
            ),
        )


async def record(
    connection: Connection,
    *,
    actor: Actor,
    action: Action,
    subject_id: UUID | None = None,
    insurer_id: UUID | None = None,
) -> None:
    """Appends one entry on the caller's connection."""
    entry = Entry(actor=actor, action=action, subject_id=subject_id, insurer_id=insurer_id)
    text, values = entry.appended()
    await connection.execute(text, *values)
