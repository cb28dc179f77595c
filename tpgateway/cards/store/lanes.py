"""Connections that record card checks and do nothing else."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

import asyncpg

from tpgateway.cards.model import Ask, CardCheck, Found, LiveFinding, LiveRights, LiveSilence
from tpgateway.cards.store.checks import (
    LOOK_UP,
    PROOF,
    RECORD_CHECKS,
    RECORD_CHECKS_OF_ONE,
    RECORD_FOUND,
    RECORD_PLAIN_CHECKS,
)
from tpgateway.cards.store.replica import Replica
from tpgateway.database import Connection, connecting
from tpgateway.database.migrations.distribute import is_distributed

ROLE = "tpgateway_checks"
"""What the lane acts under: it may do what its statement does, for all accounts at once, and nothing else."""

LANE_SETTINGS = {
    "application_name": "tpgateway checks",
    # The plan is the same for every gathering: made anew each time it would take longer than its execution.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # How many lines there are is not known to the planner: it must look each up, and never read a table whole for them.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_memoize": "off",
    "enable_material": "off",
}


SPREAD_SETTINGS = {
    **LANE_SETTINGS,
    # Which server it goes to is only known with the insurer.
    "plan_cache_mode": "force_custom_plan",
}
_AT_ONCE = 4
_Statement: TypeAlias = "asyncpg.prepared_stmt.PreparedStatement[asyncpg.Record]"
_day = lru_cache(1000)(date.isoformat)  # most checks are for a few days
_id: Callable[[UUID], str] = lru_cache(10_000)(str)


class Line(NamedTuple):
    """A check to be recorded, its proof, and how it is written for the statement.

    ``moments`` are how the check's moment and the proof's end are written: the answer says them too.
    """

    ask: Ask
    proof: str
    proof_expires_at: datetime
    moments: tuple[str, str]
    text: str


class Lane(Protocol):
    """What records checks."""

    async def record(self, lines: Sequence[Line]) -> Sequence[asyncpg.Record]:
        """Looks up and records all checks; what was, in any order, is for ``read_checks``."""

    @property
    def is_lost(self) -> bool:
        """Whether the server or the network ended a connection."""

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        """Has ``callback`` called as soon as a connection ends."""

    def terminate(self) -> None:
        """Drops all connections, whatever they were at."""


class CheckLane:
    """A connection that records checks and does nothing else, its statements prepared once.

    ``plain`` is the quicker one, for gatherings of which all checks are plain.
    """

    def __init__(
        self,
        connection: Connection,
        statement: _Statement,
        plain: "_Statement | None" = None,
        replica: Replica | None = None,
    ) -> None:
        self._connection = connection
        self._statement, self._plain = statement, plain or statement
        self._replica = replica

    async def record(self, lines: Sequence[Line]) -> Sequence[asyncpg.Record]:
        """Looks up and records all checks in one statement."""
        return await self._record(lines)

    async def _record(self, lines: Sequence[Line], *more: object) -> Sequence[asyncpg.Record]:
        asks = [line.ask for line in lines]
        if any(ask.idempotency_key for ask in asks):
            # In one order everywhere, so that no two processes wait for each other's keys in a ring.
            lines = sorted(lines, key=lambda line: (line.ask.practitioner_id, line.ask.idempotency_key or ""))
        text = "\n".join([line.text for line in lines])
        statement = self._statement if any(ask.card.nir_hash or ask.live for ask in asks) else self._plain
        if self._replica is None or not (found := await self._replica.look_up(text)):
            return await statement.fetch(text, *more)
        rows = await self._connection.fetch(RECORD_FOUND, *map(list, zip(*found, strict=True)))
        if len(found) == len(lines):
            return rows
        # Of a practice or an insurer that the standby does not know yet, the primary may know.
        known = {row[PROOF] for row in found}
        unknown = [line.text for line in lines if line.proof not in known]
        return [*rows, *await statement.fetch("\n".join(unknown))]

    @property
    def is_lost(self) -> bool:
        """Whether the server or the network ended the connection."""
        return self._connection.is_closed()

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        """Has ``callback`` called as soon as the connection ends."""
        self._connection.add_termination_listener(lambda _: callback())

    def terminate(self) -> None:
        """Drops the connection, whatever it was at."""
        self._connection.terminate()
        if self._replica is not None:
            self._replica.close()


class _InsurersLane(CheckLane):
    """One of several: a statement takes the checks of one insurer."""

    async def record_of(self, insurer: UUID, lines: Sequence[Line]) -> Sequence[asyncpg.Record]:
        return await self._record(lines, insurer)


class SpreadLane:
    """Where insurers' data are on several servers: a statement an insurer, some of them at once.

    Each is recorded or not by itself. Where one fails, all who were gathered hear so.
    """

    def __init__(self, connections: Sequence[Connection], lanes: Sequence["_InsurersLane"]) -> None:
        self._connections = connections
        self._free = list(lanes)
        self._insurers: dict[str, UUID] = {}

    async def record(self, lines: Sequence[Line]) -> Sequence[asyncpg.Record]:
        by_number: dict[str, list[Line]] = {}
        for line in lines:
            by_number.setdefault(line.ask.card.insurer_number, []).append(line)
        if unknown := by_number.keys() - self._insurers.keys():
            rows = await self._connections[0].fetch(
                "SELECT number, id FROM insurers WHERE number = ANY ($1)", list(unknown)
            )
            self._insurers.update((row["number"], row["id"]) for row in rows)
        recorded: list[asyncpg.Record] = []
        todo = [(insurer, some) for number, some in by_number.items() if (insurer := self._insurers.get(number))]
        todo.sort(key=lambda each: len(each[1]))

        async def work(lane: "_InsurersLane") -> None:
            while todo:
                recorded.extend(await lane.record_of(*todo.pop()))

        # All come to their end before the first failure is told: a connection carries one statement at a time.
        done = await asyncio.gather(*(work(lane) for lane in self._free[: len(todo)]), return_exceptions=True)
        for failure in done:
            if failure is not None:
                raise failure
        return recorded

    @property
    def is_lost(self) -> bool:
        return any(connection.is_closed() for connection in self._connections)

    def call_when_lost(self, callback: Callable[[], None]) -> None:
        for connection in self._connections:
            connection.add_termination_listener(lambda _: callback())

    def terminate(self) -> None:
        for connection in self._connections:
            connection.terminate()


async def open_lane(
    url: str,
    *,
    is_limited: bool,
    replica_url: str | None = None,
    replica_lag: float = 0,
    at_once: int = _AT_ONCE,
) -> Lane:
    """A lane of its own connection, or where the data are spread of several; raises what connecting raises.

    With ``replica_url`` people are looked up there, where it is no more than ``replica_lag`` seconds behind; not where the
    data are spread.
    """
    role = {"role": ROLE} if is_limited else {}
    settings = {**LANE_SETTINGS, **role}
    connection = await connecting.connect(url, server_settings=settings)
    if not await is_distributed(connection):
        statements = await connection.prepare(RECORD_CHECKS), await connection.prepare(RECORD_PLAIN_CHECKS)
        # The driver does not end the transaction that this begins. Until a first check came, it would hold a lock on each of
        # the statements' tables: who alters one would wait for it, and everybody else behind that one.
        await connection.execute("SELECT")
        if replica_url is None:
            return CheckLane(connection, *statements)
        replica = Replica(replica_url, settings, LOOK_UP, lag=replica_lag)
        replica.open(await connecting.connect(url, server_settings={"application_name": "tpgateway replica"}))
        return CheckLane(connection, *statements, replica)
    await connection.close()
    connections: list[Connection] = []
    try:
        for _ in range(at_once):
            connections.append(await connecting.connect(url, server_settings={**SPREAD_SETTINGS, **role}))
        lanes = []
        for each in connections:
            lanes.append(_InsurersLane(each, await each.prepare(RECORD_CHECKS_OF_ONE)))
            await each.execute("SELECT")  # as above
        return SpreadLane(connections, lanes)
    except BaseException:
        for each in connections:
            each.terminate()
        raise


def write_line(ask: Ask, proof: str, proof_life: timedelta) -> Line:
    """The check with its proof, which is good for so many whole days."""
    practitioner_id, agent_id, card, domain, care_date, checked_at, key, live = ask
    person = live.rights if live and isinstance(live.rights, LiveRights) else card
    proof_expires_at = checked_at + proof_life
    checked = checked_at.isoformat()
    expires = f"{_day(proof_expires_at.date())}{checked[10:]}"  # the clock time is the same, and long in the writing
    # In the statement's order; no value can hold a tab or a line's end.
    text = (
        f"{_id(practitioner_id)}\t{_id(agent_id) if agent_id else ''}\t{checked}\t{domain}\t{_day(care_date)}"
        f"\t{card.convention_type}\t{card.csr}\t{person.membership_number or ''}\t{card.birth_date}"
        f"\t{person.birth_rank or ''}\t{(card.nir_hash and _bytes(card.nir_hash)) or ''}\t{proof}\t{expires}"
        f"\t{key or ''}\t{card.insurer_number}\t{_live(live) if live else ''}"
    )
    return Line(ask, proof, proof_expires_at, (checked, expires), text)


def read_checks(lines: Sequence[Line], rows: Sequence[asyncpg.Record]) -> list[CardCheck | None]:
    """What was recorded of each line, None where nothing was."""
    by_proof = {row[0]: row for row in rows}
    return [
        CardCheck(row[1], row[2], proof, expires_at, ask, Found._make(row[3:]))
        if (row := by_proof.get(proof))
        else None
        for ask, proof, expires_at, _, _ in lines
    ]


def _bytes(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _live(live: LiveFinding) -> str:
    rights = live.rights
    if isinstance(rights, LiveSilence):
        return f"{rights.value}\t\t\t\t\t\t{live.source_set_at}"
    types = " ".join(rights.convention_types)
    period = f"{rights.valid_from}\t{rights.valid_to}"
    return f"found\t{period}\t{types}\t{rights.csr}\t{rights.product_code}\t{live.source_set_at}"
