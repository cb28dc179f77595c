"""Databases that hold somebody from the start.

Whoever joins goes through a form, mails, codes and a connection of software: a fifth of a second that most tests need before
they come to what they are about. A world is made once, in just that way, and kept as a template. A test gets a clone of it,
in which people have the cookies of their browsers, and get tokens of their own.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiohttp import web

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, until
from tpgateway.app import create_app
from tpgateway.demo.mailbox import Mailbox
from tpgateway.settings import Settings
from tpgateway.web import logs
from tpgateway.web.server import Runner
from tpgateway.worker import run as run_worker

# A code that was given opens sensitive changes for ten minutes.
_FRESH_SECONDS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who is in a world."""

    practitioner: Practitioner | None = None
    insurer: Insurer | None = None


# Brings people into a network whose database is empty; has a folder for its files.
Recipe = Callable[[Gateway, Path], Awaitable[People]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The name of a database to clone, and who is in it."""

    template: str
    people: People
    made_at: float = field(default_factory=time.monotonic)

    @property
    def is_old(self) -> bool:
        return time.monotonic() - self.made_at > _FRESH_SECONDS

    async def practitioner(self, gateway: Gateway) -> Practitioner:
        """The practitioner, at the gateway of a test."""
        assert self.people.practitioner
        return await self.people.practitioner.at(gateway)

    async def insurer(self, gateway: Gateway) -> Insurer:
        """The insurer, at the gateway of a test."""
        assert self.people.insurer
        return await self.people.insurer.at(gateway)


async def a_pharmacist(gateway: Gateway, _: Path) -> People:
    """A pharmacist who has joined, and nobody else."""
    return People(practitioner=await gateway.join())


async def an_optician(gateway: Gateway, _: Path) -> People:
    """An optician who has joined, and nobody else."""
    return People(practitioner=await gateway.join(**builders.an_optician()))


async def make(
    recipe: Recipe, template: str, settings: Settings, database: str, listening: socket.socket, mailbox: Mailbox
) -> World:
    """Follows a recipe in a database that is empty, through a service and a worker of its own."""
    async with served(settings, database, listening, mailbox) as gateway, worked(settings, database):
        people = await recipe(gateway, settings.data_dir)

        async def is_done() -> bool:
            due = "SELECT count(*) FROM queue.pgqueuer WHERE execute_after <= now()"
            return await gateway.fetchval(due) == 0

        await until(is_done)
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM queue.pgqueuer_schedules")  # the worker of a clone starts as any other
    await connection.close()
    return World(template=template, people=people)


@asynccontextmanager
async def posted() -> AsyncIterator[Mailbox]:
    """A real SMTP server, and what it received."""
    mailbox = Mailbox()
    await mailbox.open()
    yield mailbox
    await mailbox.close()


@asynccontextmanager
async def served(
    settings: Settings, database: str, listening: socket.socket, mailbox: Mailbox
) -> AsyncIterator[Gateway]:
    """The service on a port of its own, and a client that speaks to it as its users do."""
    logs.configure(level="warning", form="json")
    app = await create_app(settings, database)
    runner = Runner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    async with Gateway(app=app, url=settings.base_url, database=database, mailbox=mailbox) as gateway:
        yield gateway
    await runner.cleanup()


@asynccontextmanager
async def worked(settings: Settings, database: str) -> AsyncIterator[None]:
    """The worker, beside the service."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(settings, database, stop))
    yield
    stop.set()
    await asyncio.wait_for(task, 15)
