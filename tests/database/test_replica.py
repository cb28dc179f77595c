"""Card checks that look people up on a standby: what it does not have yet is seen later, and no check fails for it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import psutil
import pytest
import structlog
from pydantic import SecretStr

from tests import builders, postgres
from tests.driver import Gateway, Insurer, Practitioner, until
from tpgateway.cards.store.replica import Replica
from tpgateway.database.migrations import migrate
from tpgateway.settings import Settings

LAG = 4.0


@dataclass
class Pair:
    """A server and its standby."""

    primary: postgres.Server
    standby: postgres.Server

    async def on_standby(self, statement: str, *values: object) -> object:
        return await _asked(self.standby, statement, *values)

    async def catch_up(self) -> None:
        """Lets the standby go on until it is where the primary is now."""
        await self.on_standby("SELECT pg_wal_replay_resume()")
        there = await _asked(self.primary, "SELECT pg_current_wal_lsn()::text")

        async def is_there() -> bool:
            return bool(await self.on_standby("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", there))

        await until(is_there, 30)


async def _asked(server: postgres.Server, statement: str, *values: object) -> object:
    connection = await asyncpg.connect(server.url())
    value: object = await connection.fetchval(statement, *values)
    await connection.close()
    return value


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with postgres.folder() as home:
        primary = await postgres.Server.new(home, "primary")
        standby = await primary.standby(home, "standby", slot="standby")
        yield Pair(primary, standby)
        await standby.stop("immediate")
        await primary.stop("immediate")


@pytest.fixture
async def database(pair: Pair) -> str:
    await migrate(pair.primary.url())
    return pair.primary.url()


@pytest.fixture
def settings(settings: Settings, pair: Pair) -> Settings:
    many = dict.fromkeys(("people_per_hour", "people_per_day", "misses_per_hour", "misses_per_day"), 1_000_000)
    changed = {
        "replica_url": SecretStr(pair.standby.url()),
        "replica_lag_seconds": LAG,
        "check_quotas": {"default": many},
        "requests_per_minute": 1_000_000,
    }
    return settings.model_copy(update=changed)


@pytest.fixture
async def both(gateway: Gateway, worker: None, tmp_path: Path) -> tuple[Insurer, Practitioner]:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    await insurer.put_product()
    await insurer.load(builders.a_right())
    pharmacist = await gateway.join()
    await pharmacist.sign()
    return insurer, pharmacist


async def outcome(pharmacist: Practitioner, membership: str = "1234567") -> str:
    check = await pharmacist.check(builders.a_card(membership_number=membership), "PHAR")
    assert check.status == 200, check.body
    return str(check.body["outcome"])


async def overlooked(pair: Pair, insurer: Insurer, pharmacist: Practitioner) -> str:
    """The number of somebody who is unknown and whom the primary knows: only the standby, paused, can have said so."""
    numbers = count(7_000_000)
    found: list[str] = []

    async def is_overlooked() -> bool:
        await pair.catch_up()
        found.append(str(next(numbers)))
        await pair.on_standby("SELECT pg_wal_replay_pause()")
        await insurer.load(builders.a_right(found[-1]))
        return await outcome(pharmacist, found[-1]) == "unknown_person"

    await until(is_overlooked, 40)
    return found[-1]


async def test_people_are_looked_up_on_the_standby_until_it_is_too_far_behind(
    gateway: Gateway, pair: Pair, both: tuple[Insurer, Practitioner]
) -> None:
    number = await overlooked(pair, *both)
    assert await gateway.fetchval("SELECT count(*) FROM card_checks WHERE membership_number = $1", number) == 1

    async def is_seen() -> bool:
        return await outcome(both[1], number) == "covered"

    await until(is_seen, LAG + 3)  # by the primary
    await pair.on_standby("SELECT pg_wal_replay_resume()")
    assert await is_seen()


async def test_a_practice_that_the_standby_does_not_know_yet_is_served(
    gateway: Gateway, pair: Pair, both: tuple[Insurer, Practitioner]
) -> None:
    assert await outcome(both[1]) == "covered"
    await pair.on_standby("SELECT pg_wal_replay_pause()")
    late = await gateway.join()
    await late.sign()
    assert await outcome(late) == "covered"
    await pair.on_standby("SELECT pg_wal_replay_resume()")


async def test_checks_and_the_watch_do_not_disturb_each_other_on_the_standby(
    pair: Pair, both: tuple[Insurer, Practitioner]
) -> None:
    async def is_connected() -> bool:
        return bool(
            await pair.on_standby("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tpgateway checks'")
        )

    async def ask_until(end: float) -> None:
        while asyncio.get_running_loop().time() < end:
            assert await outcome(both[1]) == "covered"

    await until(is_connected)
    end = asyncio.get_running_loop().time() + 2
    with structlog.testing.capture_logs() as told:
        await asyncio.gather(*[ask_until(end) for _ in range(8)])
    assert "replica_lost" not in [line["event"] for line in told]


async def test_the_watch_goes_on_after_a_look_up_has_left_the_standby(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.primary.url())
    replica = Replica(pair.standby.url(), {}, "SELECT $1::text", lag=LAG)
    replica.open(connection)

    async def is_current() -> bool:
        return replica.is_current

    await until(is_current)
    backend = psutil.Process(connection.get_server_pid())
    backend.suspend()
    await asyncio.sleep(0.5)  # by now the watch waits for the primary
    pair.standby.kill()
    assert await replica.look_up("") is None
    backend.resume()
    (pair.standby.data / "postmaster.pid").unlink(missing_ok=True)
    await pair.standby.start()
    await until(is_current)
    replica.close()


async def test_a_standby_that_goes_away_is_missed_by_nobody_and_asked_again_once_it_is_back(
    pair: Pair, both: tuple[Insurer, Practitioner]
) -> None:
    assert await outcome(both[1]) == "covered"
    pair.standby.kill()
    for _ in range(20):
        assert await outcome(both[1]) == "covered"
    (pair.standby.data / "postmaster.pid").unlink(missing_ok=True)
    await pair.standby.start()
    await overlooked(pair, *both)
