"""SQL of prior approvals: the events, and the state projected from them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from tpgateway.audit import Actor
from tpgateway.cards.model import CardCheck
from tpgateway.claims.model import (
    ApprovalEvent,
    ApprovalId,
    DecidedLine,
    Decision,
    Item,
    Kind,
    PriorApproval,
    Request,
    State,
)
from tpgateway.database import Connection
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import InsurerId
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId

_SELECT = """
SELECT a.*, i.number AS insurer_number,
       (SELECT e.reason_code FROM prior_approval_events e
        WHERE e.insurer_id = a.insurer_id AND e.approval_id = a.id ORDER BY e.version DESC LIMIT 1) AS code,
       (SELECT json_agg(l ORDER BY l.line) FROM prior_approval_lines l
        WHERE l.insurer_id = a.insurer_id AND l.approval_id = a.id) AS lines
FROM prior_approvals a JOIN insurers i ON i.id = a.insurer_id
"""


class ApprovalStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def add(
        self, check: CardCheck, request: Request, decision: Decision, *, state: State, now: datetime
    ) -> ApprovalId:
        """A new approval in its decided state; its events follow."""
        added: UUID = await self.connection.fetchval(
            "INSERT INTO prior_approvals (insurer_id, practitioner_id, card_check_id, domain, state, version, care_date,"
            " prescription_date, prescriber_rpps, membership_number, birth_date, birth_rank, valid_until, submitted_at)"
            " VALUES ($1, $2, $3, $4, $5, 2, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
            check.insurer_id,
            check.ask.practitioner_id,
            check.id,
            check.ask.domain,
            state,
            check.ask.care_date,
            request.prescription_date,
            request.prescriber_rpps,
            check.person.membership_number,
            check.person.birth_date,
            check.person.birth_rank,
            decision.valid_until,
            now,
        )
        return ApprovalId(added)

    async def add_lines(self, insurer: InsurerId, approval: ApprovalId, lines: Sequence[DecidedLine]) -> None:
        await self.connection.execute(
            """
            INSERT INTO prior_approval_lines (insurer_id, approval_id, line, item, benefit, price_cents, base_cents,
                                              amo_cents, granted_cents, patient_cents, code)
            SELECT $1, $2, n, item, benefit, price, base, amo, granted, patient, code
            FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                        $10::text[])
                 WITH ORDINALITY AS l (item, benefit, price, base, amo, granted, patient, code, n)
            """,
            insurer,
            approval,
            [line.item for line in lines],
            [line.benefit for line in lines],
            [line.price for line in lines],
            [line.base for line in lines],
            [line.amo for line in lines],
            [line.granted for line in lines],
            [line.patient for line in lines],
            [line.code for line in lines],
        )

    async def append_event(
        self,
        insurer: InsurerId,
        approval: ApprovalId,
        event: ApprovalEvent,
        *,
        actor: Actor,
    ) -> None:
        await self.connection.execute(
            "INSERT INTO prior_approval_events (insurer_id, approval_id, version, kind, state, actor_kind, actor_id,"
            " reason_code, occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            insurer,
            approval,
            event.version,
            event.kind,
            event.state,
            event.actor_kind,
            actor.id,
            event.reason_code,
            event.occurred_at,
        )

    async def project(self, insurer: InsurerId, approval: ApprovalId, *, state: State, version: int) -> None:
        """The state that the latest event leads to."""
        await self.connection.execute(
            "UPDATE prior_approvals SET state = $3, version = $4 WHERE insurer_id = $1 AND id = $2",
            insurer,
            approval,
            state,
            version,
        )

    async def lock(self, insurer: InsurerId, approval: ApprovalId) -> PriorApproval | None:
        """The approval, locked until the transaction ends."""
        row = await self.connection.fetchrow(
            _SELECT + "WHERE a.insurer_id = $1 AND a.id = $2 FOR UPDATE OF a", insurer, approval
        )
        return None if row is None else _approval(row)

    async def get(self, insurer: InsurerId, approval: ApprovalId) -> PriorApproval | None:
        row = await self.connection.fetchrow(_SELECT + "WHERE a.insurer_id = $1 AND a.id = $2", insurer, approval)
        return None if row is None else _approval(row)

    async def of_practitioner(
        self, practitioner: PractitionerId, state: State | None, after: ApprovalId | None, limit: int
    ) -> list[PriorApproval]:
        """A practitioner's approvals with whatever insurer, newest first: the one list that names no insurer."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE a.practitioner_id = $1 AND ($2::text IS NULL OR a.state = $2)"
            " AND ($3::uuid IS NULL OR a.id < $3) ORDER BY a.id DESC LIMIT $4",
            practitioner,
            state,
            after,
            limit,
        )
        return [_approval(row) for row in rows]

    async def of_insurer(
        self, insurer: InsurerId, state: State | None, after: ApprovalId | None, limit: int
    ) -> list[PriorApproval]:
        """An insurer's approvals, newest first."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE a.insurer_id = $1 AND ($2::text IS NULL OR a.state = $2)"
            " AND ($3::uuid IS NULL OR a.id < $3) ORDER BY a.id DESC LIMIT $4",
            insurer,
            state,
            after,
            limit,
        )
        return [_approval(row) for row in rows]

    async def events(self, insurer: InsurerId, approval: ApprovalId) -> list[ApprovalEvent]:
        rows = await self.connection.fetch(
            "SELECT * FROM prior_approval_events WHERE insurer_id = $1 AND approval_id = $2 ORDER BY version",
            insurer,
            approval,
        )
        return [
            ApprovalEvent(
                version=row["version"],
                kind=Kind(row["kind"]),
                state=State(row["state"]),
                actor_kind=row["actor_kind"],
                reason_code=row["reason_code"],
                occurred_at=row["occurred_at"],
            )
            for row in rows
        ]


def _approval(row: asyncpg.Record) -> PriorApproval:
    return PriorApproval(
        insurer_id=InsurerId(row["insurer_id"]),
        insurer_number=row["insurer_number"],
        id=ApprovalId(row["id"]),
        practitioner_id=PractitionerId(row["practitioner_id"]),
        domain=Domain(row["domain"]),
        state=State(row["state"]),
        version=row["version"],
        care_date=row["care_date"],
        prescription_date=row["prescription_date"],
        membership_number=row["membership_number"],
        birth_date=row["birth_date"],
        birth_rank=row["birth_rank"],
        submitted_at=row["submitted_at"],
        valid_until=row["valid_until"],
        code=row["code"],
        lines=tuple(_line(line) for line in row["lines"]),
    )


def _line(kept: dict[str, Any]) -> DecidedLine:
    return DecidedLine(
        item=Item(kept["item"]),
        benefit=kept["benefit"],
        price=Cents(kept["price_cents"]),
        base=Cents(kept["base_cents"]),
        amo=Cents(kept["amo_cents"]),
        granted=Cents(kept["granted_cents"]),
        code=kept["code"],
    )
