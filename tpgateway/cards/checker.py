"""Gathers the checks that wait at this moment: one statement, one commit for all of them.

A connection of its own carries the statements, one after the other: while one runs, the checks that arrive wait for the
next, so that the busier it is, the larger the gathering. (A second connection made more and smaller gatherings, and what a
statement costs this process, whatever its size, is as much as two whole requests.) Accounts take turns within a gathering, so
that a burst from one does not hold up the others. No check is answered before its record is durable, none is lost when its
neighbours are refused, and none waits for long where the database does not answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import asyncpg
import structlog
from aiohttp import web

from tpgateway.cards.codec.answers import write_check
from tpgateway.cards.codec.proofs import endless_proofs
from tpgateway.cards.model import Ask, CardCheck, Verdict
from tpgateway.cards.store.lanes import Lane, Line, open_lane, read_checks, write_line
from tpgateway.cards.verdicts import Verdicts
from tpgateway.database import faults
from tpgateway.web.logs import where
from tpgateway.web.problems import DatabaseUnavailable, Overloaded

_LARGEST = 500
# Who would wait for longer than that for its turn is refused at once.
_LONGEST_WAIT = 0.25
_SMOOTHED = 0.1
_RETRY_SECONDS = 0.25
_LOST = (*faults.LOST, asyncpg.OperatorInterventionError)
_log = structlog.get_logger(__name__)


class Answered(NamedTuple):
    """A check as recorded, what it comes to and how that is written; no verdict where it takes a look into the database."""

    check: CardCheck
    verdict: Verdict | None
    body: bytes
    tag: str

    @classmethod
    def of(cls, check: CardCheck, verdict: Verdict | None, moments: tuple[str, str] | None = None) -> "Answered":
        """``moments`` as ``write_check`` takes them."""
        return cls(check, verdict, *(write_check(check, verdict, moments) if verdict else (b"", "")))


Heard = Callable[["Answered | Exception | None"], None]
_Waiting = tuple[Line, Heard]


class Checker:
    """One a process. ``is_limited``: acts under the role of card checks, not as the login.

    ``patience`` is how many seconds a check may wait for the database. ``replica_url`` is a standby to look people up in.
    """

    def __init__(
        self,
        url: str,
        *,
        is_limited: bool,
        verdicts: Verdicts,
        proof_life: timedelta,
        patience: float,
        replica_url: str | None = None,
        replica_lag: float = 0,
    ) -> None:
        self.verdicts = verdicts
        self._url, self._is_limited = url, is_limited
        self._proof_life, self._patience = proof_life, patience
        self._proofs = endless_proofs()
        self._replica_url, self._replica_lag = replica_url, replica_lag
        self._queues: dict[UUID, deque[_Waiting]] = {}
        self._size = 0
        self._per_second = 0.0  # how many are recorded, while there are any
        self._arrived = asyncio.Event()
        self._is_serving = False
        self._task: asyncio.Task[None] | None = None
        self._lane: Lane | None = None

    async def open(self) -> None:
        """Begins to serve. The connection is made again whenever it is lost; until it is, checks are refused."""
        lane = await self._open_lane()
        self._is_serving = True
        self._task = asyncio.create_task(self._keep_serving(lane))

    async def close(self) -> None:
        """Gives the connection back; whoever still waits is told that the database is away."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def leave(self) -> None:
        """Drops the connection, which may be to a machine that is gone, for a new one."""
        if self._lane is not None:
            self._lane.terminate()

    async def check(self, ask: Ask) -> Answered | None:
        """The recorded check; raises what ``begin`` raises and what it tells."""
        future: asyncio.Future[Answered | None] = asyncio.get_running_loop().create_future()
        self.begin(ask, partial(_settle, future))
        return await future

    def begin(self, ask: Ask, tell: Heard) -> None:
        """Has a check recorded: ``tell`` hears, later, what it came to, or the problem; None where no record was made.

        That is so where the insurer is unknown, the caller locked, the idempotency key used before or the proof taken, or
        where the insurer is asked live and was not, or the other way round.

        Raises ``Overloaded`` where too many wait already, and ``DatabaseUnavailable`` where the database is away; tells this
        where it does not answer in time: whether the check was recorded is then not known, as with any answer that is lost on
        its way.
        """
        if not self._is_serving:
            raise DatabaseUnavailable(retry_after_seconds=1)
        if self._size >= max(_LARGEST, self._per_second * _LONGEST_WAIT):
            raise Overloaded(retry_after_seconds=1)
        queue = self._queues.get(ask.practitioner_id)
        if queue is None:
            queue = self._queues[ask.practitioner_id] = deque()
        queue.append((write_line(ask, next(self._proofs), self._proof_life), tell))
        self._size += 1
        self._arrived.set()

    async def _open_lane(self) -> Lane:
        async with asyncio.timeout(self._patience):
            return await open_lane(
                self._url,
                is_limited=self._is_limited,
                replica_url=self._replica_url,
                replica_lag=self._replica_lag,
            )

    async def _keep_serving(self, lane: Lane) -> None:
        while True:
            try:
                await self._serve(lane)
            finally:
                self._is_serving = False
                lane.terminate()
                while gathered := self._gather():
                    _refuse(gathered)
            lane = await self._reopen()
            self._is_serving = True

    async def _reopen(self) -> Lane:
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                return await self._open_lane()
            except Exception as error:  # whatever it is, the next try may do
                _log.warning("check_lane_lost", failure=type(error).__name__)

    async def _serve(self, lane: Lane) -> None:
        """Records what is gathered, again and again, until the connection is lost.

        What was recorded is answered once the next are on their way: the database need not wait for that, nor this process
        for it.
        """
        self._lane = lane
        lane.call_when_lost(self._arrived.set)
        loop = asyncio.get_running_loop()
        while True:
            if not self._size:
                await self._arrived.wait()
                await asyncio.sleep(0)  # whoever else is about to arrive in this turn of the loop comes along
            if lane.is_lost:  # while it had nothing to do
                return
            if not (gathered := self._gather()):
                continue
            began = time.perf_counter()
            try:
                async with asyncio.timeout(self._patience):
                    rows = await lane.record([line for line, _ in gathered])
            except _LOST as error:
                _log.warning("check_lane_lost", failure=type(error).__name__, rows=len(gathered))
                _refuse(gathered)
                return
            except Exception as error:
                _fail(gathered, error)
                continue
            except BaseException:
                _refuse(gathered)
                raise
            speed = len(gathered) / (time.perf_counter() - began)
            self._per_second += (speed - self._per_second) * _SMOOTHED
            if self._size:
                loop.call_soon(self._answer, gathered, rows)
            else:
                self._answer(gathered, rows)

    def _answer(self, gathered: Sequence[_Waiting], rows: Sequence[asyncpg.Record]) -> None:
        """All answers are written first, since the same few lines over and over are quick; then whoever waits goes on."""
        known = self.verdicts.remembered
        try:
            lines = [line for line, _ in gathered]
            answers = [
                check and Answered.of(check, known(check), line.moments)
                for line, check in zip(lines, read_checks(lines, rows), strict=True)
            ]
        except Exception as error:
            _fail(gathered, error)
            return
        for (_, tell), answer in zip(gathered, answers, strict=True):
            _tell(tell, answer)

    def _gather(self) -> list[_Waiting]:
        """The next to go: all who wait, or where these are too many one of each account in turn."""
        gathered: list[_Waiting] = []
        if self._size <= _LARGEST:
            for queue in self._queues.values():
                gathered.extend(queue)
            self._queues.clear()
        while self._queues and len(gathered) < _LARGEST:
            owner, queue = next(iter(self._queues.items()))
            gathered.append(queue.popleft())
            del self._queues[owner]
            if queue:
                self._queues[owner] = queue  # behind all others
        self._size -= len(gathered)
        if not self._size:
            self._arrived.clear()
        return gathered


def _refuse(gathered: Sequence[_Waiting]) -> None:
    _fail(gathered, DatabaseUnavailable(retry_after_seconds=1))


def _fail(gathered: Sequence[_Waiting], error: Exception) -> None:
    for _, tell in gathered:
        _tell(tell, error)


def _tell(tell: Heard, told: Answered | Exception | None) -> None:
    """One who cannot take what it hears must not keep it from the others."""
    try:
        tell(told)
    except Exception as error:
        _log.error("check_not_told", failure=type(error).__name__, where=where(error))


def _settle(future: "asyncio.Future[Answered | None]", told: Answered | Exception | None) -> None:
    if future.done():  # whoever waited is gone
        return
    if isinstance(told, Exception):
        future.set_exception(told)
    else:
        future.set_result(told)


CHECKER: web.AppKey[Checker] = web.AppKey("checker", Checker)
