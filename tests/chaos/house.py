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
import pytest

import tpgateway
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, until
from tpgateway.database.embedded import EmbeddedServer
from tpgateway.database.migrations import migrate
from tpgateway.demo.mailbox import Mailbox

AT_LENGTH = pytest.mark.skipif("CHAOS_SECONDS" not in os.environ, reason="takes its time: make chaos has it")
VICTIMS = ("service", "worker", "PostgreSQL")
_WORDS = {"service": "serve", "worker": "work"}
_PROGRAM = Path(tpgateway.__file__).parents[1]


@dataclass(slots=True)
class House:
    """What stands for a whole installation. ``killed`` counts who was, and how often.

    ``database`` is the URL of a server that somebody else starts; without it there is one of the house's own. ``settings``
    and ``words`` are more for the service. ``program`` is the folder of the program, where another version is to be run.
    """

    folder: Path
    database: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    program: Path = _PROGRAM
    killed: Counter[str] = field(default_factory=Counter)
    mailbox: Mailbox = field(default_factory=Mailbox)
    server: EmbeddedServer = field(init=False)
    _listening: socket.socket = field(init=False)
    _processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _former: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def open(self) -> Gateway:
        """Starts all of it, durable as in production; answers who speaks to it."""
        if not self.database:
            self.server = EmbeddedServer(self.folder)
            await self.server.create_database()
            self.database = self.server.url()
        if self.program == _PROGRAM:
            await migrate(self.database)
        else:
            await self.command("migrate")
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
        for process in (*self._processes.values(), *self._former):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if hasattr(self, "_listening"):
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

    async def command(self, *words: str) -> str:
        """What a command of the house's program printed; it must have gone well."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tpgateway.cli", *words),
            env=self._environment(),
            cwd=self.program,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed.decode()
        return printed.decode()

    async def replace(self, program: Path) -> None:
        """Starts another version on the same socket and, once it serves, lets this one's processes go."""
        self._former, self.program = list(self._processes.values()), program
        before = self._log("service").stat().st_size
        for name in _WORDS:
            await self._start(name)
        count = int(self.words[self.words.index("--workers") + 1]) if "--workers" in self.words else 1

        async def do_serve() -> bool:
            return self._log("service").read_bytes()[before:].count(b'"event":"serving"') == count

        await until(do_serve, 30)
        for process in self._former:
            process.terminate()
        for process in self._former:
            assert await asyncio.wait_for(process.wait(), 40) == 0

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _environment(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("TPG_")},
            "PYTHONPATH": str(self.program),
            "TPG_DATABASE_URL": self.database,
            "TPG_TOKEN_KEYS": TOKEN_KEYS,
            "TPG_VAULT_KEYS": VAULT_KEYS,
            "TPG_ENVIRONMENT": "development",
            "TPG_SMTP_PORT": str(self.mailbox.smtp_port),
            "TPG_SMTP_ENCRYPTION": "none",
            "TPG_WEBHOOK_PRIVATE_TARGETS": "true",
            "TPG_WEBHOOK_TIMEOUT_SECONDS": "1",
            "TPG_CHECK_QUOTAS": '{"default": {"people_per_hour": 1000000, "people_per_day": 1000000}}',
            "TPG_REQUESTS_PER_MINUTE": "10000000",
            **self.settings,
        }

    async def _start(self, name: str) -> None:
        fd = self._listening.fileno()
        with self._log(name).open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tpgateway.cli", _WORDS[name], *(self.words if name == "service" else ())),
                env={**self._environment(), "TPG_BASE_URL": self.url, "TPG_SOCKET_FD": str(fd)},
                cwd=self.program,
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
