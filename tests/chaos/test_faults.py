"""Machines fail while practitioners check cards: the database moves, its disk is full, clocks jump, processes are replaced.

Nothing that was accepted is lost, whoever is refused is told so at once, and all goes on by itself. ``make chaos`` goes on
for longer, has some more, and prints what was measured.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from tests import builders, postgres
from tests.chaos.house import AT_LENGTH, House
from tests.driver import Gateway, Practitioner, until
from tests.web.test_renewal import children
from tpgateway.demo.mailbox import Mailbox

LONG = min(10, float(os.environ.get("CHAOS_SECONDS", "4")) / 4)
FAKE_TIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
CALLERS = 6
PEOPLE = int(6_000 * max(1, LONG))


@dataclass
class Load:
    """Callers who check card after card, none of them twice: what was answered when, and what was recorded."""

    url: str
    practitioner: Practitioner
    proofs: set[str] = field(default_factory=set)
    answers: Counter[int | str] = field(default_factory=Counter)
    slowest: dict[int | str, float] = field(default_factory=dict)
    good_at: list[float] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        yield self
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended

    async def _call(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                card = {**builders.a_card(membership_number=str(next(self._numbers))), "domain": "OPTI"}
                headers = {"Authorization": f"Bearer {self.practitioner.token}"}
                began = time.monotonic()
                said: int | str
                try:
                    async with http.post(f"{self.url}/v1/card-checks", json=card, headers=headers) as answer:
                        body = await answer.json()
                        said = answer.status
                        if said == 200:
                            self.proofs.add(body["proof"])
                            self.good_at.append(time.monotonic())
                        elif said == 503:
                            assert answer.headers["Retry-After"]
                            await asyncio.sleep(0.02)
                        elif said == 401:
                            with suppress(aiohttp.ClientError, AssertionError):
                                await self.practitioner.fetch_token()
                except aiohttp.ClientError as error:
                    said = type(error).__name__
                self.answers[said] += 1
                self.slowest[said] = max(self.slowest.get(said, 0), time.monotonic() - began)

    async def goes_on(self, times: int = 200) -> None:
        """So many more good answers."""
        more = len(self.good_at) + times

        async def has() -> bool:
            return len(self.good_at) >= more

        await until(has, 30)

    def gap(self) -> float:
        """The longest time without a good answer, in seconds."""
        return max(after - before for before, after in zip(self.good_at, self.good_at[1:], strict=False))

    async def lost(self, database: str) -> int:
        """How many of the answered checks are not on record."""
        connection = await asyncpg.connect(database)
        kept = {row["proof"] for row in await connection.fetch("SELECT proof FROM card_checks")}
        await connection.close()
        return len({proof.replace("-", "") for proof in self.proofs} - {proof.replace("-", "") for proof in kept})


@asynccontextmanager
async def opened(folder: Path, **of_house: Any) -> AsyncIterator[tuple[House, Gateway, Load]]:
    """A whole installation with an optician under convention, an insurer, and who will load it."""
    house = House(folder, **of_house)
    try:
        async with await house.open() as gateway:
            terms = folder / "conventions"
            terms.mkdir()
            await gateway.publish_conventions(builders.convention_files(terms))
            insurer = await gateway.admit()
            await insurer.put_product()
            await insurer.load(*(builders.a_right(str(number)) for number in range(1, PEOPLE)))
            optician = await gateway.join(**builders.an_optician())
            await optician.sign()
            yield house, gateway, Load(gateway.url, optician)
    finally:
        await house.close()


def say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nchaos: {line}\n")


@pytest.mark.parametrize("fault", ["frozen", pytest.param("killed", marks=AT_LENGTH)])
async def test_a_standby_takes_over_and_no_answered_check_is_lost(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgres.folder() as home:
        primary = await postgres.Server.new(home, "primary")
        standby = await primary.standby(home, "standby", slot="standby")
        try:
            both = f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/tpgateway"
            connection = await asyncpg.connect(primary.url())
            await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.close()
            async with opened(tmp_path, database=both) as (_, _, load):
                async with load.running():
                    await load.goes_on()
                    primary.kill() if fault == "killed" else primary.freeze()
                    await asyncio.sleep(0.5 + LONG / 2)
                    before = len(load.good_at)
                    connection = await asyncpg.connect(standby.url())
                    await connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
                    await connection.execute("SELECT pg_reload_conf()")
                    await connection.close()
                    await standby.promote()
                    promoted = time.monotonic()
                    await load.goes_on(400)
                back = load.good_at[before] - promoted
                assert set(load.answers) <= {200, 503}, load.answers
                assert load.slowest[503] < 2.5, load.slowest  # the service promises 1; the rest is this machine's
                lost = await load.lost(standby.url())
                say(capsys, f"primary {fault}, standby promoted: checks again {back:.2f} s after,"
                            f" {load.answers[503]:,} refused, slowest {load.slowest[503]:.2f} s;"
                            f" {lost} of {len(load.proofs):,} answered lost")  # fmt: skip
                assert lost == 0
                assert back < 5
        finally:
            primary.kill()
            await standby.stop("immediate")
            standby.kill()


@AT_LENGTH
async def test_processes_are_replaced_under_load_and_no_check_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with opened(tmp_path, words=("--workers", "2")) as (house, gateway, load):
        service = house.process("service")
        async with load.running():
            for _ in range(max(2, int(LONG))):
                await load.goes_on()
                before = children(service)
                service.send_signal(signal.SIGHUP)

                async def is_renewed(before: set[int] = before) -> bool:
                    now = children(service)
                    return len(now) == 2 and not now & before

                await until(is_renewed, 30)
            await load.goes_on()
        say(capsys, f"two workers replaced {max(2, int(LONG))} times: {load.answers.total():,} checks,"
                    f" {load.answers.total() - load.answers[200]} failed, longest pause {load.gap():.2f} s")  # fmt: skip
        assert set(load.answers) == {200}, load.answers
        assert await load.lost(gateway.database) == 0


async def test_a_full_disk_is_told_as_such_and_forgotten_once_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with postgres.folder() as home:
        disk = home / "disk"
        disk.mkdir()
        mounted = await asyncio.to_thread(
            subprocess.run, ["mount", "-t", "tmpfs", "-o", "size=180m,mode=755", "tmpfs", str(disk)], check=False,
            capture_output=True,
        )  # fmt: skip
        if mounted.returncode:
            pytest.skip("a small disk can be had by root alone, where mounting is allowed")
        try:
            # The journal elsewhere: where that cannot be written PostgreSQL stops, as the killed server above does.
            server = await postgres.Server.new(disk, "server", journal=home / "journal")
            try:
                async with opened(tmp_path, database=server.url()) as (_, gateway, load):
                    async with load.running():
                        await load.goes_on()
                        ballast = disk / "ballast"
                        room = shutil.disk_usage(disk).free
                        ballast.write_bytes(b"\0" * (room - 300_000))

                        async def is_full() -> bool:
                            return load.answers[503] > 50

                        await until(is_full, 40)
                        ballast.unlink()
                        await load.goes_on()
                    lost = await load.lost(server.url())
                    say(capsys, f"disk full: {load.answers[503]:,} refused, slowest {load.slowest[503]:.2f} s;"
                                f" {lost} of {len(load.proofs):,} answered lost")  # fmt: skip
                    assert set(load.answers) <= {200, 503}, load.answers
                    assert lost == 0
                    assert (await gateway.call("GET", "/health/ready")).status == 200
            finally:
                await server.stop("immediate")
        finally:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(disk)], check=True)


async def test_clocks_that_jump_refuse_nobody_for_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not FAKE_TIME.exists():
        pytest.skip("the clocks of processes are moved by libfaketime (Debian: faketime)")
    moved = tmp_path / "clock"
    moved.write_text("+0")
    settings = {
        "LD_PRELOAD": str(FAKE_TIME),
        "FAKETIME_TIMESTAMP_FILE": str(moved),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with opened(tmp_path, settings=settings) as (_, gateway, load):
        jumps = ("+3h", "-2h", "+2d", "+0")
        async with load.running():
            for jump in jumps:
                moved.write_text(jump)
                await load.goes_on()
        say(capsys, f"the service's clock jumped {', '.join(jumps)}: answers {dict(load.answers)},"
                    f" longest pause {load.gap():.2f} s")  # fmt: skip
        # Tokens end earlier or later than they would: who has one asks for another.
        assert set(load.answers) <= {200, 401}, load.answers
        assert load.answers[401] < load.answers[200] / 4
        assert await load.lost(gateway.database) == 0


@AT_LENGTH
async def test_mails_wait_for_a_server_that_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path) as (house, gateway, _):
        port = house.mailbox.smtp_port
        await house.mailbox.close()
        forms = [builders.a_registration() for _ in range(int(5 * max(1, LONG)))]
        for form in forms:
            assert (await gateway.call("POST", "/v1/practitioners", form)).status == 202
        waiting = "SELECT count(*) FROM mails WHERE sent_at IS NULL"

        async def all_wait() -> bool:
            return int(await gateway.fetchval(waiting)) >= len(forms)

        await until(all_wait, 20)
        await asyncio.sleep(2)  # tried in vain
        house.mailbox = gateway.mailbox = Mailbox(smtp_port=port)
        began = time.monotonic()
        await house.mailbox.open()
        letters = [await house.mailbox.wait_for(form["email"], after=0, seconds=60) for form in forms]
        say(
            capsys, f"SMTP away: {len(forms)} mails waited, all there {time.monotonic() - began:.1f} s after its return"
        )
        assert len(letters) == len(forms)

        async def none_waits() -> bool:
            return await gateway.fetchval(waiting) == 0

        await until(none_waits, 60)


@AT_LENGTH
async def test_half_open_connections_are_let_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with opened(tmp_path, settings={"TPG_SLOW_CLIENT_SECONDS": "1"}) as (house, _, load):
        process = psutil.Process(house.process("service").pid)
        host, port = re.fullmatch(r"http://(.+):(\d+)", load.url).groups()  # type: ignore[union-attr]

        def held() -> int:
            return sum(
                each.laddr.port == int(port) and each.status == "ESTABLISHED" for each in process.net_connections()
            )

        silent = [await asyncio.open_connection(host, int(port)) for _ in range(200)]
        for _, writer in silent:
            writer.write(b"POST /v1/card-checks HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
        assert held() >= 200
        async with load.running():
            await load.goes_on()

            async def are_gone() -> bool:
                return held() < 50

            await until(are_gone, 20)
        say(
            capsys,
            f"200 callers fell silent: all let go, {load.answers[200]:,} checks meanwhile, longest pause {load.gap():.2f} s",
        )
        assert set(load.answers) == {200}, load.answers
        for _, writer in silent:
            writer.close()
