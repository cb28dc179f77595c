"""Gathers the checks that wait at this moment: one statement, one commit for all of them.

While statements run (two at most), the checks that arrive wait for the next: the busier, the larger the gathering. No
check is answered before its record is durable, and none is lost when its neighbours are refused.
"""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from tpgateway.cards.model import Ask, CardCheck
from tpgateway.cards.store import CheckStore
from tpgateway.database import Pool
from tpgateway.guarantees.service import BenefitCache

_LARGEST = 500
_AT_ONCE = 2


class Checker:
    """One a process. ``benefits`` are the lines that answers name."""

    def __init__(self, pool: Pool, benefits: BenefitCache) -> None:
        self._pool = pool
        self.benefits = benefits
        self._waiting: list[tuple[Ask, asyncio.Future[CardCheck | None]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def check(self, ask: Ask) -> CardCheck | None:
        """The recorded check; None where no record was made: unknown insurer, key used before, proof taken."""
        future: asyncio.Future[CardCheck | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if len(self._running) < _AT_ONCE:
            task = asyncio.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _work(self) -> None:
        while self._waiting:
            gathered, self._waiting = self._waiting[:_LARGEST], self._waiting[_LARGEST:]
            try:
                recorded = await self._record([ask for ask, _ in gathered])
            except Exception as error:  # each waiting check must hear of it
                for _, future in gathered:
                    if not future.done():
                        future.set_exception(error)
                continue
            for ask, future in gathered:
                if not future.done():
                    future.set_result(recorded.get(ask.proof))

    async def _record(self, asks: Sequence[Ask]) -> dict[str, CardCheck]:
        async with self._pool.acquire(timeout=5) as connection:
            return await CheckStore(connection).record(asks)


CHECKER: web.AppKey[Checker] = web.AppKey("checker", Checker)
