"""The gateway as processes that can be killed: PostgreSQL, the service and the worker, each started again at once."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import asyncpg
import psutil

from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, until
from tpgateway.database.embedded import EmbeddedServer
from tpgateway.database.migrations import migrate
from tpgateway.demo.mailbox import Mailbox

VICTIMS = ("service", "worker", "PostgreSQL")
_WORDS = {"service": "serve", "worker": "work"}


@dataclass(slots=True)
class House:
    """What stands for a whole installation. ``killed`` counts who was, and how often.

    ``database`` is the URL of a server that somebody else starts; without it there is one of the house's own. ``settings``
    and ``words`` are more for the service.
    """

    folder: Path
    database: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    killed: Counter[str] = field(default_factory=Counter)
    mailbox: Mailbox = field(default_factory=Mailbox)
    server: EmbeddedServer = field(init=False)
    _listening: socket.socket = field(init=False)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def open(self) -> Gateway:
        """Starts all of it, durable as in production; answers who speaks to it."""
        if not self.database:
            self.server = EmbeddedServer(self.folder)
            await self.server.create_database()
            self.database = self.server.url()
        await migrate(self.database)
        await self.mailbox.open()
        # Kept open here, so that callers wait at the door while a service is started again.
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        for name in _WORDS:
            await self._start(name)
        return Gateway(app=cast(Any, None), url=self.url, database=self.database, mailbox=self.mailbox)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    async def close(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._listening.close()
        await self.mailbox.close()
        if hasattr(self, "server"):
            self.server.stop()

    def process(self, name: str) -> asyncio.subprocess.Process:
        return self._processes[name]

    async def kill(self, name: str) -> None:
        """Ends a process as a power cut would, and starts it again."""
        self.killed[name] += 1
        if name == "PostgreSQL":
            postmaster = psutil.Process(self.server._server.get_pid())
            everybody = [postmaster, *postmaster.children(recursive=True)]
            for each in everybody:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            await asyncio.to_thread(psutil.wait_procs, everybody, 10)
            await asyncio.to_thread(self.server._server.ensure_postgres_running)
        else:
            with suppress(ProcessLookupError):  # it ended by itself, the database being away
                self._processes[name].send_signal(signal.SIGKILL)
            await self._processes[name].wait()
            await self._start(name)

    async def torment(self, seconds: float, chance: random.Random) -> None:
        """Kills whom chance says, when it says, for so long; each comes once at least."""
        due = list(VICTIMS)
        async with asyncio.timeout(seconds * 3 + 60):
            until_ = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < until_ or due:
                await asyncio.sleep(chance.uniform(0.3, 2.5))
                victim = due.pop() if due else chance.choice(VICTIMS)
                await self.kill(victim)
        await until(self._is_up, 60)

    async def _is_up(self) -> bool:
        try:
            connection = await asyncpg.connect(self.database, timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await connection.close()
        return True

    async def _start(self, name: str) -> None:
        fd = self._listening.fileno()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TPG_")},
            "TPG_DATABASE_URL": self.database,
            "TPG_TOKEN_KEYS": TOKEN_KEYS,
            "TPG_VAULT_KEYS": VAULT_KEYS,
            "TPG_BASE_URL": self.url,
            "TPG_ENVIRONMENT": "development",
            "TPG_SOCKET_FD": str(fd),
            "TPG_SMTP_PORT": str(self.mailbox.smtp_port),
            "TPG_SMTP_ENCRYPTION": "none",
            "TPG_WEBHOOK_PRIVATE_TARGETS": "true",
            "TPG_WEBHOOK_TIMEOUT_SECONDS": "1",
            "TPG_CHECK_QUOTAS": '{"default": {"people_per_hour": 1000000, "people_per_day": 1000000}}',
            "TPG_REQUESTS_PER_MINUTE": "10000000",
            **self.settings,
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tpgateway.cli", _WORDS[name], *(self.words if name == "service" else ())),
                env=environment,
                pass_fds=(fd,),
                stdout=log,
                stderr=log,
            )
        # A process that cannot reach the database yet ends; a supervisor would start it again, and so does this.
        asyncio.get_running_loop().create_task(self._supervise(name, self._processes[name]))

    async def _supervise(self, name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        while process is self._processes.get(name) and process.returncode not in {-signal.SIGKILL, 0}:
            await asyncio.sleep(0.5)
            if process is self._processes.get(name):
                await self._start(name)
