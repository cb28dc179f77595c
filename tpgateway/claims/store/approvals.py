"""SQL of prior approvals: the events, the state projected from them, what they use of benefits, their documents."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from tpgateway.audit import Actor
from tpgateway.cards.codec.rows import check_of
from tpgateway.cards.codec.rows import columns as check_columns
from tpgateway.cards.model import CardCheck, Person
from tpgateway.claims.codec import requests as codec
from tpgateway.claims.model import (
    ApprovalEvent,
    ApprovalId,
    AskedLine,
    Attachment,
    AttachmentId,
    Correction,
    DecidedLine,
    Item,
    Kind,
    Party,
    PriceClass,
    PriorApproval,
    Search,
    State,
)
from tpgateway.database import Connection
from tpgateway.database.ids import first_id
from tpgateway.database.statements import Statement, together
from tpgateway.guarantees.model import Domain, Use
from tpgateway.guarantees.rules.evaluation import Part
from tpgateway.insurers import codec as rules_codec
from tpgateway.insurers.model import ApprovalRules, InsurerId, InsurerState
from tpgateway.money import Cents
from tpgateway.practitioners.model import PractitionerId

_CLOCKS_APART = timedelta(minutes=10)
_SELECT = """
SELECT a.insurer_id, a.id, a.practitioner_id, a.card_check_id, a.domain, a.state, a.version, a.revision, a.care_date,
       a.request, a.membership_number, a.birth_date, a.birth_rank, a.submitted_at, a.valid_until, a.billable_until,
       a.waits_for, a.due_at, a.code, a.comment, a.standing, a.documents, i.number AS insurer_number,
       (SELECT json_agg(l ORDER BY l.line) FROM prior_approval_lines l
        WHERE l.insurer_id = a.insurer_id AND l.approval_id = a.id AND l.revision = a.revision) AS lines
FROM prior_approvals a JOIN insurers i ON i.id = a.insurer_id
"""
# Of one insurer, named for the lines too: on Citus a lock is only taken where one server has all there is to look up.
_SELECT_OF_INSURER = _SELECT.replace("l.insurer_id = a.insurer_id", "l.insurer_id = $1") + "WHERE a.insurer_id = $1"
_FILTER = """
    AND ($2::text[] IS NULL OR a.state = ANY ($2)) AND ($3::text IS NULL OR a.membership_number = $3)
    AND ($4::date IS NULL OR a.care_date = $4) AND ($5::text IS NULL OR a.waits_for = $5)
    AND ($6::uuid IS NULL OR a.id < $6) ORDER BY a.id DESC LIMIT $7
"""


_PROVEN = f"""
SELECT {check_columns("(p.checked)")}, (p.insurer).number, (p.insurer).state, (p.insurer).approval_rules::text,
       p.uses, p.next_id, md5(p.uses::text) AS seen
FROM look_up_proof($1, $2, $3) p
"""  # noqa: S608
_PROVEN_AHEAD = _PROVEN.replace("look_up_proof", "look_up_own_proof")
# Parts of a larger statement, or ones of their own. Rows come as JSON: an array a column costs the driver several times that,
# and each new connection a question for what such arrays are. What is inserted comes back, though nobody looks: on Citus what
# does not is sent by COPY, which row-level security refuses.
_INSERT_LINES = """
    INSERT INTO prior_approval_lines (insurer_id, approval_id, revision, line, item, benefit, price_cents, base_cents,
        amo_cents, granted_cents, patient_cents, not_due_cents, code, units, parts, correction, price_class, lpp, is_optam,
        available_from, limit_cents)
    SELECT $1, {approval}, {revision}, l.*
    FROM {source} json_to_recordset({rows}) AS l (
        line smallint, item text, benefit text, price bigint, base bigint, amo bigint, granted bigint, patient bigint,
        not_due bigint, code text, units smallint, parts jsonb, correction text, class text, lpp text, is_optam boolean,
        available_from date, limit_cents bigint)
    RETURNING 1
    """
_INSERT_EVENTS = """
    INSERT INTO prior_approval_events (insurer_id, approval_id, version, kind, state, actor_kind, actor_id, reason_code,
                                       occurred_at, details)
    SELECT $1, {approval}, e.*
    FROM {source} json_to_recordset({rows}) AS e (
        version integer, kind text, state text, actor_kind text, actor_id uuid, code text, occurred_at timestamptz,
        details jsonb)
    RETURNING 1
    """
_INSERT_USES = """
    INSERT INTO benefit_uses (insurer_id, membership_number, birth_date, birth_rank, approval_id, line, used_on, item,
                              benefit, units, granted_cents, amo_cents, until)
    SELECT $1, {person}, {approval}, u.*
    FROM {source} json_to_recordset({rows}) AS u (
        line smallint, used_on date, item text, benefit text, units smallint, granted bigint, amo bigint, until date)
    RETURNING 1
    """
_ADD = f"""WITH approval AS (
        INSERT INTO prior_approvals (insurer_id, practitioner_id, card_check_id, domain, state, version, revision,
            care_date, request, membership_number, birth_date, birth_rank, submitted_at, valid_until,
            billable_until, waits_for, due_at, code, comment, documents, standing, id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $25)
        RETURNING id
    ), lines AS ({_INSERT_LINES.format(approval="a.id", revision="$7", rows="$22", source="approval a,")}),
    events AS ({_INSERT_EVENTS.format(approval="a.id", rows="$23", source="approval a,")}),
    uses AS ({_INSERT_USES.format(approval="a.id", person="$10, $11, $12", rows="$24", source="approval a,")})
    SELECT id FROM approval
    """  # noqa: S608
_ADD_CLAIMED = re.sub(r"VALUES \(([^)]*)\)", r"SELECT \1 FROM claim_benefits($2, $1, $10, $11, $12, $26)", _ADD)
_ADD_LINES = _INSERT_LINES.format(approval="$2::uuid", revision="$3", rows="$4", source="")
_APPEND_EVENTS = _INSERT_EVENTS.format(approval="$2::uuid", rows="$3", source="")
_ADD_USES = _INSERT_USES.format(approval="$2::uuid", person="$3, $4, $5", rows="$6", source="")


class Proven(NamedTuple):
    """What a request on a proof is decided with; no check where the insurer does not know the proof."""

    state: InsurerState
    rules: ApprovalRules
    check: CardCheck | None
    uses: Sequence[Use]
    """What the check's person has used of the benefits."""
    next_id: ApprovalId
    """For what comes of it."""
    seen: str | None
    """What tells these uses from others."""


class ApprovalStore:
    """One method, one statement."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def lock_person(self, insurer: InsurerId, person: Person) -> None:
        """Others who decide on this person's benefits wait until the transaction ends."""
        await self.connection.execute("SELECT lock_benefits($1, $2, $3, $4)", insurer, *person)

    async def proven(self, insurer_number: str, proof: str, *, locks: bool) -> Proven | None:
        """What a request is decided with, locked as by ``lock_person`` where asked; None for an unknown insurer."""
        return _proven(await self.connection.fetchrow(_PROVEN, insurer_number, proof, locks))

    async def proven_ahead(self, practitioner: PractitionerId, insurer_number: str, proof: str) -> Proven | None:
        """The same of a practitioner's own proof, outside of a transaction."""
        return _proven(await self.connection.fetchrow(_PROVEN_AHEAD, practitioner, insurer_number, proof))

    async def uses(self, insurer: InsurerId, person: Person, *, but: ApprovalId | None = None) -> list[Use]:
        """What somebody used of the benefits, but for one approval."""
        rows = await self.connection.fetch(
            "SELECT item, benefit, used_on, units, granted_cents, amo_cents, until FROM benefit_uses WHERE insurer_id = $1"
            " AND membership_number = $2 AND birth_date = $3 AND birth_rank = $4"
            " AND approval_id IS DISTINCT FROM $5 ORDER BY used_on, approval_id, line",
            insurer,
            *person,
            but,
        )
        return [_use(row, row["used_on"], row["until"]) for row in rows]

    async def add(
        self,
        approval: PriorApproval,
        events: Sequence[tuple[ApprovalEvent, Actor]],
        uses: Sequence[tuple[int, Use]],
        *,
        beside: Sequence[Statement] = (),
        claims: Proven | None = None,
    ) -> bool:
        """A new approval with its lines, its events and what it uses of the person's benefits; ``beside`` goes with it.

        Where the person's benefits are not locked, it ``claims`` that what was used of them is still what it was decided
        with; answers False, and keeps nothing, where it is not.
        """
        values: tuple[object, ...] = (
            approval.insurer_id,
            approval.practitioner_id,
            approval.card_check_id,
            approval.domain,
            approval.state,
            approval.version,
            approval.revision,
            approval.care_date,
            codec.as_json(approval.request),
            approval.membership_number,
            approval.birth_date,
            approval.birth_rank,
            approval.submitted_at,
            approval.valid_until,
            approval.billable_until,
            approval.waits_for,
            approval.due_at,
            approval.code,
            approval.comment,
            list(approval.documents),
            codec.standing_as_json(approval.standing),
            _line_rows(approval.lines),
            _event_rows(events),
            _use_rows(uses),
            approval.id,
        )
        main = Statement(_ADD, values) if claims is None else Statement(_ADD_CLAIMED, (*values, claims.seen))
        query = together(main, *beside)
        try:
            await self.connection.execute(query.text, *query.values)
        except asyncpg.SerializationError:
            if claims is None:
                raise
            return False
        return True

    async def project(self, approval: PriorApproval) -> None:
        """What the latest event leads to."""
        await self.connection.execute(
            "UPDATE prior_approvals SET state = $3, version = $4, revision = $5, request = $6, valid_until = $7,"
            " billable_until = $8, waits_for = $9, due_at = $10, code = $11, comment = $12, documents = $13, standing = $14"
            " WHERE insurer_id = $1 AND id = $2",
            approval.insurer_id,
            approval.id,
            approval.state,
            approval.version,
            approval.revision,
            codec.as_json(approval.request),
            approval.valid_until,
            approval.billable_until,
            approval.waits_for,
            approval.due_at,
            approval.code,
            approval.comment,
            list(approval.documents),
            codec.standing_as_json(approval.standing),
        )

    async def add_lines(self, approval: PriorApproval) -> None:
        """The lines of the approval's present revision."""
        await self.connection.execute(
            _ADD_LINES,
            approval.insurer_id,
            approval.id,
            approval.revision,
            _line_rows(approval.lines),
        )

    async def append_events(
        self, insurer: InsurerId, approval: ApprovalId, events: Sequence[tuple[ApprovalEvent, Actor]]
    ) -> None:
        await self.connection.execute(_APPEND_EVENTS, insurer, approval, _event_rows(events))

    async def add_uses(self, approval: PriorApproval, uses: Sequence[tuple[int, Use]]) -> None:
        """What the approval's lines use of the person's benefits."""
        await self.connection.execute(
            _ADD_USES,
            approval.insurer_id,
            approval.id,
            approval.membership_number,
            approval.birth_date,
            approval.birth_rank,
            _use_rows(uses),
        )

    async def lines(self, insurer: InsurerId, approval: ApprovalId, revision: int) -> tuple[DecidedLine, ...]:
        """The lines of a revision."""
        rows = await self.connection.fetchval(
            "SELECT json_agg(l ORDER BY l.line) FROM prior_approval_lines l"
            " WHERE l.insurer_id = $1 AND l.approval_id = $2 AND l.revision = $3",
            insurer,
            approval,
            revision,
        )
        return tuple(_line(row) for row in rows)

    async def give_back(self, insurer: InsurerId, approval: ApprovalId) -> None:
        """The approval uses nothing."""
        await self.connection.execute(
            "DELETE FROM benefit_uses WHERE insurer_id = $1 AND approval_id = $2", insurer, approval
        )

    async def lock(self, insurer: InsurerId, approval: ApprovalId) -> PriorApproval | None:
        """The approval, locked until the transaction ends."""
        row = await self.connection.fetchrow(_SELECT_OF_INSURER + " AND a.id = $2 FOR UPDATE OF a", insurer, approval)
        return None if row is None else _approval(row)

    async def get(self, insurer: InsurerId, approval: ApprovalId) -> PriorApproval | None:
        row = await self.connection.fetchrow(_SELECT_OF_INSURER + " AND a.id = $2", insurer, approval)
        return None if row is None else _approval(row)

    async def due(self, now: datetime, limit: int, skip: int) -> list[tuple[InsurerId, ApprovalId]]:
        """Approvals whose clock ran out, those of longest ago first. It is the worker's question, over all insurers."""
        rows = await self.connection.fetch(
            "SELECT insurer_id, id FROM prior_approvals WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 OFFSET $3",
            now,
            limit,
            skip,
        )
        return [(InsurerId(row["insurer_id"]), ApprovalId(row["id"])) for row in rows]

    async def count_overdue(self) -> int:
        """Approvals whose clock ran out over five minutes ago, over all insurers."""
        count: int = await self.connection.fetchval(
            "SELECT count(*) FROM prior_approvals WHERE due_at < now() - interval '5 minutes'"
        )
        return count

    async def of_practitioner(self, practitioner: PractitionerId, search: Search) -> list[PriorApproval]:
        """A practitioner's approvals with whatever insurer, newest first: the one list that names no insurer."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE a.practitioner_id = $1" + _FILTER, practitioner, *_arguments(search)
        )
        return [_approval(row) for row in rows]

    async def of_insurer(self, insurer: InsurerId, search: Search) -> list[PriorApproval]:
        """An insurer's approvals, newest first."""
        rows = await self.connection.fetch(_SELECT_OF_INSURER + _FILTER, insurer, *_arguments(search))
        return [_approval(row) for row in rows]

    async def waiting_for_practitioner(self, practitioner: PractitionerId, limit: int) -> list[PriorApproval]:
        """What waits for a practitioner, what is due first on top."""
        rows = await self.connection.fetch(
            _SELECT + "WHERE a.practitioner_id = $1 AND a.waits_for = 'practitioner' ORDER BY a.due_at, a.id LIMIT $2",
            practitioner,
            limit,
        )
        return [_approval(row) for row in rows]

    async def waiting_for_insurer(self, insurer: InsurerId, limit: int) -> list[PriorApproval]:
        """What waits for an insurer, what is due first on top."""
        rows = await self.connection.fetch(
            _SELECT_OF_INSURER + " AND a.waits_for = 'insurer' ORDER BY a.due_at, a.id LIMIT $2",
            insurer,
            limit,
        )
        return [_approval(row) for row in rows]

    async def count_waiting(self, insurer: InsurerId) -> int:
        """How many requests wait for an insurer."""
        count: int = await self.connection.fetchval(
            "SELECT count(*) FROM prior_approvals WHERE insurer_id = $1 AND waits_for = 'insurer'", insurer
        )
        return count

    async def figures(self, insurer: InsurerId, since: datetime) -> dict[str, Any]:
        """What became of an insurer's requests since a moment: ``states``, ``delays`` to the first decision by class, and
        ``codes`` of lines for which nothing is granted, each with how many.
        """
        found: dict[str, Any] = await self.connection.fetchval(
            """
            WITH asked AS (
                SELECT id, state, revision, submitted_at FROM prior_approvals
                WHERE insurer_id = $1 AND submitted_at >= $2 AND id >= $5
            ), decided AS (
                SELECT min(e.occurred_at) - a.submitted_at AS delay FROM asked a JOIN prior_approval_events e
                    ON e.insurer_id = $1 AND e.approval_id = a.id AND e.kind = ANY ($3)
                GROUP BY a.id, a.submitted_at
            )
            SELECT jsonb_build_object(
                'states', (SELECT jsonb_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM asked GROUP BY state) s),
                'delays', (SELECT jsonb_object_agg(class, n) FROM (
                    SELECT CASE WHEN delay < interval '1 minute' THEN 'minute' WHEN delay < interval '1 day' THEN 'day'
                                WHEN delay < interval '3 days' THEN 'days' ELSE 'later' END AS class, count(*) AS n
                    FROM decided GROUP BY 1) d),
                'codes', (SELECT jsonb_object_agg(code, n) FROM (
                    SELECT l.code, count(*) AS n FROM asked a JOIN prior_approval_lines l
                        ON l.insurer_id = $1 AND l.approval_id = a.id AND l.revision = a.revision
                    WHERE l.granted_cents = 0 AND a.state = ANY ($4) GROUP BY l.code ORDER BY n DESC LIMIT 12) c))
            """,
            insurer,
            since,
            [Kind.APPROVED, Kind.PARTIALLY_APPROVED, Kind.REFUSED],
            [State.PARTIALLY_APPROVED, State.REFUSED, State.APPEALED, State.USED, State.EXPIRED],
            first_id(since - _CLOCKS_APART),
        )
        return {name: counts or {} for name, counts in found.items()}

    async def events(self, insurer: InsurerId, approval: ApprovalId) -> list[ApprovalEvent]:
        rows = await self.connection.fetch(
            "SELECT version, kind, state, actor_kind, reason_code, occurred_at, details FROM prior_approval_events"
            " WHERE insurer_id = $1 AND approval_id = $2 ORDER BY version",
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
                details=row["details"],
            )
            for row in rows
        ]

    async def add_piece(self, insurer: InsurerId, attachment: AttachmentId, piece: int, sealed: bytes) -> None:
        await self.connection.execute(
            "INSERT INTO prior_approval_attachment_pieces (insurer_id, attachment_id, piece, sealed)"
            " VALUES ($1, $2, $3, $4)",
            insurer,
            attachment,
            piece,
            sealed,
        )

    async def add_attachment(self, insurer: InsurerId, approval: ApprovalId, attachment: Attachment) -> None:
        """What is known of a document whose pieces are there."""
        await self.connection.execute(
            "INSERT INTO prior_approval_attachments (insurer_id, approval_id, id, kind, media_type, size, sha256, added_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            insurer,
            approval,
            attachment.id,
            attachment.kind,
            attachment.media_type,
            attachment.size,
            bytes.fromhex(attachment.sha256),
            attachment.added_at,
        )

    async def attachments(self, insurer: InsurerId, approval: ApprovalId) -> list[Attachment]:
        rows = await self.connection.fetch(
            "SELECT id, kind, media_type, size, sha256, added_at FROM prior_approval_attachments"
            " WHERE insurer_id = $1 AND approval_id = $2 ORDER BY id",
            insurer,
            approval,
        )
        return [
            Attachment(
                id=AttachmentId(row["id"]),
                kind=row["kind"],
                media_type=row["media_type"],
                size=row["size"],
                sha256=row["sha256"].hex(),
                added_at=row["added_at"],
            )
            for row in rows
        ]

    async def piece(self, insurer: InsurerId, attachment: AttachmentId, piece: int) -> bytes | None:
        """A piece of a document, sealed; None past the last."""
        sealed: bytes | None = await self.connection.fetchval(
            "SELECT sealed FROM prior_approval_attachment_pieces"
            " WHERE insurer_id = $1 AND attachment_id = $2 AND piece = $3",
            insurer,
            attachment,
            piece,
        )
        return sealed


def _use(row: asyncpg.Record | dict[str, Any], on: date, until: date | None) -> Use:
    return Use(
        item=row["item"],
        benefit=row["benefit"],
        on=on,
        units=row["units"],
        granted=Cents(row["granted_cents"]),
        amo=Cents(row["amo_cents"]),
        until=until,
    )


def _line_rows(lines: Sequence[DecidedLine]) -> list[dict[str, Any]]:
    return [
        {
            "line": number,
            "item": str(line.asked.item),
            "benefit": line.asked.benefit,
            "price": line.asked.price,
            "base": line.asked.base,
            "amo": line.asked.amo,
            "granted": line.granted,
            "patient": line.patient,
            "not_due": line.not_due,
            "code": line.code,
            "units": line.asked.units,
            "parts": [(part.on.isoformat(), part.units, part.granted) for part in line.parts],
            "correction": line.asked.correction and str(line.asked.correction),
            "class": line.asked.price_class and str(line.asked.price_class),
            "lpp": line.asked.lpp,
            "is_optam": line.asked.is_optam,
            "available_from": line.available_from and line.available_from.isoformat(),
            "limit_cents": line.limit,
        }
        for number, line in enumerate(lines, start=1)
    ]


def _event_rows(events: Sequence[tuple[ApprovalEvent, Actor]]) -> list[dict[str, Any]]:
    return [
        {
            "version": event.version,
            "kind": str(event.kind),
            "state": str(event.state),
            "actor_kind": event.actor_kind,
            "actor_id": actor.id and str(actor.id),
            "code": event.reason_code,
            "occurred_at": event.occurred_at.isoformat(),
            "details": dict(event.details),
        }
        for event, actor in events
    ]


def _use_rows(uses: Sequence[tuple[int, Use]]) -> list[dict[str, Any]]:
    return [
        {
            "line": line,
            "used_on": use.on.isoformat(),
            "item": use.item,
            "benefit": use.benefit,
            "units": use.units,
            "granted": use.granted,
            "amo": use.amo,
            "until": use.until and use.until.isoformat(),
        }
        for line, use in uses
    ]


def _arguments(search: Search) -> tuple[Any, ...]:
    states = None if search.state is None else [search.state.value]
    return states, search.membership_number, search.care_date, search.waits_for, search.after, search.limit


def _approval(row: asyncpg.Record) -> PriorApproval:
    lines = tuple(_line(line) for line in row["lines"])
    return PriorApproval(
        insurer_id=InsurerId(row["insurer_id"]),
        insurer_number=row["insurer_number"],
        id=ApprovalId(row["id"]),
        practitioner_id=PractitionerId(row["practitioner_id"]),
        card_check_id=row["card_check_id"],
        domain=Domain(row["domain"]),
        state=State(row["state"]),
        version=row["version"],
        revision=row["revision"],
        care_date=row["care_date"],
        request=codec.from_json(row["request"], tuple(line.asked for line in lines)),
        membership_number=row["membership_number"],
        birth_date=row["birth_date"],
        birth_rank=row["birth_rank"],
        submitted_at=row["submitted_at"],
        valid_until=row["valid_until"],
        billable_until=row["billable_until"],
        waits_for=Party(row["waits_for"]) if row["waits_for"] else None,
        due_at=row["due_at"],
        code=row["code"],
        comment=row["comment"],
        standing=codec.standing_from_json(row["standing"]),
        documents=tuple(row["documents"]),
        lines=lines,
    )


def _line(kept: dict[str, Any]) -> DecidedLine:
    asked = AskedLine(
        item=Item(kept["item"]),
        price=Cents(kept["price_cents"]),
        base=Cents(kept["base_cents"]),
        amo=Cents(kept["amo_cents"]),
        units=kept["units"],
        correction=Correction(kept["correction"]) if kept["correction"] else None,
        price_class=PriceClass(kept["price_class"]) if kept["price_class"] else None,
        lpp=kept["lpp"],
        is_optam=kept["is_optam"],
    )
    return DecidedLine(
        asked=asked,
        granted=Cents(kept["granted_cents"]),
        code=kept["code"],
        parts=tuple(Part(date.fromisoformat(on), units, Cents(granted)) for on, units, granted in kept["parts"]),
        not_due=Cents(kept["not_due_cents"]),
        available_from=date.fromisoformat(kept["available_from"]) if kept["available_from"] else None,
        limit=None if kept["limit_cents"] is None else Cents(kept["limit_cents"]),
    )


def _proven(row: asyncpg.Record | None) -> Proven | None:
    if row is None:
        return None
    return Proven(
        state=InsurerState(row["state"]),
        rules=rules_codec.from_text(row["approval_rules"]),
        check=None if row["id"] is None else check_of(row),
        uses=[
            _use(use, date.fromisoformat(use["used_on"]), use["until"] and date.fromisoformat(use["until"]))
            for use in row["uses"] or ()
        ],
        next_id=ApprovalId(row["next_id"]),
        seen=row["seen"],
    )
