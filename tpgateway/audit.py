"""The audit trail: who did what to whose data. Append-only, written in the transaction of the act itself.

A card check's own record is its audit entry; nothing is written twice.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from uuid import UUID

from tpgateway.database import Connection

ActorKind = Literal["nobody", "practitioner", "insurer", "operator", "system"]


class Action(StrEnum):
    """What was done, as ``subject:object:action``."""

    PRACTITIONER_REGISTERED = "practitioner:account:register"
    PRACTITIONER_ACTIVATED = "practitioner:account:activate"
    PRACTITIONER_LOGGED_IN = "practitioner:session:open"
    PRACTITIONER_LOGIN_FAILED = "practitioner:session:refuse"
    PRACTITIONER_LOGGED_OUT = "practitioner:session:close"
    CLIENT_CREATED = "practitioner:client:create"
    CLIENT_REVOKED = "practitioner:client:revoke"
    INSURER_ADDED = "insurer:account:add"
    INSURER_KEY_ADDED = "insurer:client:create"
    ENDPOINT_ADDED = "insurer:endpoint:add"
    ENDPOINT_REMOVED = "insurer:endpoint:remove"
    PRODUCT_RECORDED = "insurer:product:record"
    RIGHTS_IMPORTED = "insurer:rights:import"
    CONVENTION_PUBLISHED = "convention:version:publish"
    CONVENTION_SIGNED = "convention:signature:sign"
    APPROVAL_SUBMITTED = "approval:request:submit"
    APPROVAL_READ = "approval:request:read"
    APPROVAL_CANCELLED = "approval:request:cancel"
    CARD_CHECK_READ = "card:check:read"
    TABLES_PUBLISHED = "dre:version:publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: an account, the operator at the command line, or the system's own clock."""

    kind: ActorKind
    id: UUID | None = None
    request_id: str | None = None


OPERATOR = Actor(kind="operator")
NOBODY = Actor(kind="nobody")


async def record(
    connection: Connection,
    *,
    actor: Actor,
    action: Action,
    subject_id: UUID | None = None,
    insurer_id: UUID | None = None,
) -> None:
    """Appends one entry on the caller's connection."""
    await connection.execute(
        "INSERT INTO audit_entries (actor_kind, actor_id, action, insurer_id, subject_id, request_id)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        actor.kind,
        actor.id,
        action,
        insurer_id,
        subject_id,
        actor.request_id,
    )
