"""The demo's house: database, service and worker as processes of their own, mailbox and insurers' servers beside them."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tpgateway.demo import people
from tpgateway.demo.mailbox import Mailbox
from tpgateway.processes import die_with_parent
from tpgateway.sandbox.insurer import Receiver, make_key

_READY_SECONDS = 30
_STOP_SECONDS = 15
DEFAULT_PORT = 8080


class HouseFell(Exception):
    """A process of the demo ended by itself; its log says why."""


@dataclass
class Memory:
    """What the demo keeps between runs, in one file readable by its owner alone: its people's passwords and keys."""

    file: Path
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> "Memory":
        data = json.loads(file.read_text()) if file.exists() else {"runs": 0, "practitioners": {}, "insurers": {}}
        return cls(file=file, data=data)

    def save(self) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self.data, indent=1))
        fresh.replace(self.file)


class House:
    """Everything that runs. ``open`` starts it, ``close`` leaves no process behind."""

    def __init__(
        self, *, folder: Path, database_url: str, port: int | None, more: Mapping[str, str] | None = None
    ) -> None:
        """``more`` are settings beside the demo's own, as environment variables."""
        self.folder = folder
        self.memory = Memory.load(folder / "demo.json")
        # Held from here on, so that no other process can take the port and be mistaken for our service.
        self._listening = _listen(port)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.mailbox = Mailbox()
        self.receivers = {seed.key: Receiver(seed.name) for seed in people.INSURERS}
        self._database_url = database_url
        self._more = dict(more or {})
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self.held = AsyncExitStack()
        """What the insurers' systems hold open for as long as the house stands."""

    @property
    def environment(self) -> dict[str, str]:
        """What commands of the gateway run with: this demo's settings and nobody else's."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("TPG_")}
        return {
            **others,
            "TPG_DATABASE_URL": self._database_url,
            "TPG_SECRETS_DIR": str(self.folder / "secrets"),
            "TPG_BASE_URL": self.url,
            "TPG_SMTP_PORT": str(self.mailbox.smtp_port),
            "TPG_SMTP_ENCRYPTION": "none",
            "TPG_WEBHOOK_PRIVATE_TARGETS": "true",
            "TPG_SANDBOX": "true",
            "TPG_ENVIRONMENT": "development",
            "TPG_GRACEFUL_STOP_SECONDS": "5",
            **self._more,
        }

    def key_files(self, seed: people.InsurerSeed) -> tuple[Path, Path]:
        """Private and public key of an insurer."""
        return self.folder / "insurers" / f"{seed.key}.pem", self.folder / "insurers" / f"{seed.key}.jwk"

    async def open(self) -> None:
        (self.folder / "insurers").mkdir(exist_ok=True)
        for seed in people.INSURERS:
            if not self.key_files(seed)[0].exists():
                make_key(*self.key_files(seed))
        await self.run_command("secrets", "new", str(self.folder / "secrets"))
        await self.mailbox.open()
        for receiver in self.receivers.values():
            await receiver.open()
        fd = self._listening.fileno()
        self._processes["serve"] = await self._start("serve", {"TPG_SOCKET_FD": str(fd)}, pass_fds=(fd,))
        self._processes["work"] = await self._start("work")
        self._listening.close()
        await self._wait_until_ready()

    async def close(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self._processes.values():
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        await self.mailbox.close()
        for receiver in self.receivers.values():
            await receiver.close()
        await self.held.aclose()

    async def run_command(self, *words: str) -> str:
        """An operator's command, by the command line; answers what it printed, raises ``HouseFell`` where it failed."""
        process = await asyncio.create_subprocess_exec(
            *_program(),
            *words,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            printed, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            raise HouseFell(
                f"tpgateway {' '.join(words[:2])}: {complaint.decode().strip() or printed.decode().strip()}"
            )
        return printed.decode()

    async def watch(self) -> None:
        """Returns never; raises ``HouseFell`` as soon as a process ends."""
        waits = {asyncio.create_task(process.wait(), name=name) for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        name = done.pop().get_name()
        raise HouseFell(f"tpgateway {name} ended; see {self._log(name)}")

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    async def _start(
        self, name: str, more: dict[str, str] | None = None, *, pass_fds: tuple[int, ...] = ()
    ) -> asyncio.subprocess.Process:
        with self._log(name).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *_program(),
                name,
                env={**self.environment, **(more or {})},
                pass_fds=pass_fds,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops them in order
                preexec_fn=die_with_parent,
            )

    async def _wait_until_ready(self) -> None:
        async with aiohttp.ClientSession() as http, asyncio.timeout(_READY_SECONDS):
            while True:
                for name, process in self._processes.items():
                    if process.returncode is not None:
                        raise HouseFell(f"tpgateway {name} did not start; see {self._log(name)}")
                try:
                    async with http.get(f"{self.url}/health/ready") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)


def _program() -> tuple[str, ...]:
    return (sys.executable, "-m", "tpgateway.cli")


def _listen(wanted: int | None) -> socket.socket:
    """A socket on the port asked for; else on the usual one where it is free, else on any."""
    if wanted:
        return socket.create_server(("127.0.0.1", wanted))
    try:
        return socket.create_server(("127.0.0.1", DEFAULT_PORT))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))
