"""Reading the trail: what an account's people and software did, and what was done to the account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from tpgateway.audit import Action, ActorKind
from tpgateway.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the trail."""

    id: UUID
    occurred_at: datetime
    actor_kind: ActorKind
    agent_id: UUID | None
    action: Action
    subject_id: UUID | None
    insurer_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which entries of an account are looked for; None asks for all."""

    actions: Sequence[Action] | None = None
    agent_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    subject_id: UUID | None = None


# An id is older the smaller it is, so that one order and one place to go on from serve both ways.
_OF_ACCOUNT = """
SELECT id, occurred_at, actor_kind, agent_id, action, subject_id, insurer_id
FROM audit_trail
WHERE (actor_id = $1 OR subject_id = $1)
  AND ($2::text[] IS NULL OR action = ANY ($2))
  AND ($3::uuid IS NULL OR agent_id = $3)
  AND ($4::timestamptz IS NULL OR occurred_at >= $4)
  AND ($5::timestamptz IS NULL OR occurred_at < $5)
  AND ($6::uuid IS NULL OR subject_id = $6)
"""
_NEWEST_FIRST = _OF_ACCOUNT + "  AND ($7::uuid IS NULL OR id < $7) ORDER BY id DESC LIMIT $8"
_OLDEST_FIRST = _OF_ACCOUNT + "  AND ($7::uuid IS NULL OR id > $7) ORDER BY id LIMIT $8"


async def of_account(
    connection: Connection,
    account_id: UUID,
    search: Search,
    *,
    is_newest_first: bool = True,
    after: UUID | None = None,
    limit: int,
) -> list[Entry]:
    """An account's entries, past ``after`` in the order asked."""
    rows = await connection.fetch(
        _NEWEST_FIRST if is_newest_first else _OLDEST_FIRST,
        account_id,
        None if search.actions is None else [action.value for action in search.actions],
        search.agent_id,
        search.since,
        search.until,
        search.subject_id,
        after,
        limit,
    )
    return [_entry(row) for row in rows]


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(
        id=row["id"],
        occurred_at=row["occurred_at"],
        actor_kind=row["actor_kind"],
        agent_id=row["agent_id"],
        action=Action(row["action"]),
        subject_id=row["subject_id"],
        insurer_id=row["insurer_id"],
    )
