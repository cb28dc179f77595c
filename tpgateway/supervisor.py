"""Processes that share one listening socket: who dies is replaced, and SIGHUP puts new ones in place of all, one by one.

For the latter this process becomes the program as it is installed now, with the settings of now, and keeps its number, the
socket and its children: nobody who calls notices. A program that could not start is not become.
"""

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import structlog

from tpgateway.processes import die_with_parent
from tpgateway.web import logs, metrics

_RESTART_SECONDS = 1.0
_SHORT_LIVED = "/tmp"  # noqa: S108  # the folder made in it has a name of chance, and is ours alone
_CHECK_SECONDS = 60.0
# What is left to the program that this process becomes: its children, and the folder that they keep their metrics in.
_LEGACY = "_TPG_LEGACY"
_SOCKET = "TPG_SOCKET_FD"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_log = structlog.get_logger(__name__)

# What a child does until it is asked to stop; it calls what it is given as soon as it serves.
Run = Callable[[Callable[[], None]], None]


def supervise(run: Run, listening: socket.socket, *, count: int, is_renewable: bool) -> None:
    """Keeps ``count`` children that ``run`` until SIGTERM or SIGINT, which each of them gets then.

    ``is_renewable``: whether this process holds nothing but the socket that the program after it would need.
    """
    legacy = json.loads(os.environ.pop(_LEGACY, "{}"))
    # Not where large files are spooled, which outlives a container: what a killed process leaves should go with it.
    folder = tempfile.mkdtemp(
        prefix="tpgateway-metrics-", dir=_SHORT_LIVED if os.access(_SHORT_LIVED, os.W_OK) else None
    )
    try:
        metrics.share_between_processes(folder)
        _Supervisor(run, listening, count, folder if is_renewable else None, deque(legacy.get("children", ()))).keep()
    finally:
        for each in (folder, legacy.get("folder")):
            if each is not None:
                shutil.rmtree(each, ignore_errors=True)


class _Supervisor:
    def __init__(
        self, run: Run, listening: socket.socket, count: int, folder: str | None, former: "deque[int]"
    ) -> None:
        self._run, self._listening, self._count, self._folder = run, listening, count, folder
        self._children: dict[int, bool] = {}  # whether each serves
        self._former = former  # of before this program, each stopped when one of ours serves in its place
        self._relieved = 0
        self._leaving: set[int] = set()
        self._is_stopping = False
        self._ready, self._tell = os.pipe()

    def keep(self) -> None:
        with _heard() as hears:
            for _ in range(self._count):
                self._start()
            watched = selectors.DefaultSelector()
            watched.register(hears, selectors.EVENT_READ)
            watched.register(self._ready, selectors.EVENT_READ)
            while self._children or self._former or self._leaving:
                for key, _ in watched.select():
                    if key.fileobj is hears:
                        for number in hears.recv(64):
                            self._hear(number)
                    else:
                        self._children.update(
                            (int(pid), True) for pid in os.read(self._ready, 4096).split() if int(pid) in self._children
                        )
                self._relieve()

    def _hear(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            self._renew()
        else:
            self._is_stopping = True
            for child in (*self._children, *self._former, *self._leaving):
                _stop(child)

    def _start(self) -> None:
        child = os.fork()
        if child:
            self._children[child] = False
            return
        die_with_parent()
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # What a shell that hangs up, or somebody who means the parent, sends to all.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        status = 1
        try:
            self._run(self._tell_ready)
            status = 0
        except Exception as error:  # the parent starts another; this one must not run its exit hooks
            _log.error("worker_failed", failure=type(error).__name__, where=logs.where(error))
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _tell_ready(self) -> None:
        os.write(self._tell, b"%d " % os.getpid())

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                child, status = ended
                self._leaving.discard(child)
                if child in self._former:
                    self._former.remove(child)
                if self._children.pop(child, None) is None:
                    continue  # one that was asked to go, or not of ours: an embedded server's
                if not self._is_stopping:
                    _log.error("worker_died", pid=child, status=status)
                    time.sleep(_RESTART_SECONDS)  # what fails at once must not be started without end
                    self._start()

    def _relieve(self) -> None:
        """Lets as many of the former go as there are of ours in their place."""
        if self._is_stopping:
            return
        serving = sum(self._children.values())
        while self._former and (self._relieved < serving or serving == self._count):
            child = self._former.popleft()
            self._relieved += 1
            self._leaving.add(child)
            _stop(child)

    def _renew(self) -> None:
        if self._folder is None or self._is_stopping or self._former or self._leaving:
            return  # one after the other
        program = [sys.executable, "-m", "tpgateway.cli", *sys.argv[1:]]
        environment = {name: value for name, value in os.environ.items() if name != metrics.SHARED}
        try:
            # What it complains of goes where our log goes.
            subprocess.run([*program, "--check"], check=True, timeout=_CHECK_SECONDS, env=environment)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            _log.error("renewal_refused", failure=type(error).__name__)
            return
        _log.info("renewing", pid=os.getpid())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the new program listens for it
        self._listening.set_inheritable(True)
        legacy = {"children": list(self._children), "folder": self._folder}
        environment |= {_SOCKET: str(self._listening.fileno()), _LEGACY: json.dumps(legacy)}
        sys.stderr.flush()
        os.execve(sys.executable, program, environment)  # noqa: S606


@contextmanager
def _heard() -> Iterator[socket.socket]:
    """What gives the numbers of the signals that came, so that each is dealt with when nothing else is under way."""
    hears, tells = socket.socketpair()
    tells.setblocking(False)
    signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    try:
        yield hears
    finally:
        signal.set_wakeup_fd(-1)
        hears.close()
        tells.close()


def _stop(child: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)
