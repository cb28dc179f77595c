"""Numbers soon after their commit the events that were told without it: once for all that came meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog
from aiohttp import web

from tpgateway.database import Connection, faults
from tpgateway.insurers import service
from tpgateway.insurers.model import InsurerId

_APART_SECONDS = 0.02
_log = structlog.get_logger(__name__)


class Numbering:
    """One a process that serves; ``keep_numbering`` runs beside everything else. ``connect`` lends a connection.

    What it does not come to (the database went away, the process ended) is numbered by who reads, or by the courier.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[Connection]]) -> None:
        self._connect = connect
        self._asked: set[InsurerId] = set()
        self._wanted = asyncio.Event()

    def ask(self, insurer: InsurerId) -> None:
        """Something was told to the insurer, and committed."""
        self._asked.add(insurer)
        self._wanted.set()

    async def keep_numbering(self) -> None:
        """Numbers what is asked for until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            asked, self._asked = self._asked, set()
            try:
                async with self._connect() as connection:
                    await service.number(connection, asked)
            except faults.ANY as error:
                _log.warning("events_not_numbered", failure=type(error).__name__)
            await asyncio.sleep(_APART_SECONDS)


NUMBERING: web.AppKey[Numbering] = web.AppKey("numbering", Numbering)
