"""Checks counted by insurer and day, and files seen on their way in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import aiohttp
import pytest

from tests import builders
from tests.driver import Gateway, until
from tpgateway.cards import service, uploads
from tpgateway.cards.model import UploadStage
from tpgateway.database import Pool
from tpgateway.web.routing import PARIS


@pytest.fixture
async def checked(gateway: Gateway, worker: None, tmp_path: Path) -> dict[str, int]:
    """How many checks went to each of two insurers today."""
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    counts = {"0099990011": 3, "0099990029": 1}
    for number, count in counts.items():
        await gateway.admit(number)
        for _ in range(count):
            assert (await pharmacist.check(builders.a_card(number), "PHAR")).status == 200
    return counts


async def test_days_that_are_over_are_counted_once_and_today_as_it_stands(
    gateway: Gateway, checked: dict[str, int], pool: Pool
) -> None:
    now = datetime.now(UTC)
    tomorrow = datetime.combine(builders.today() + timedelta(days=1), time(12), PARIS)
    async with pool.acquire() as connection:
        for number, count in checked.items():
            insurer = await connection.fetchval("SELECT id FROM insurers WHERE number = $1", number)
            today = await service.checks_by_day(connection, insurer, days=30, now=now)
            assert (len(today), today[-1], sum(checks for _, checks in today)) == (30, (builders.today(), count), count)
        while await service.count_days(connection, now=tomorrow):
            pass
        assert await service.count_days(connection, now=tomorrow) == 0
        kept = await connection.fetch("SELECT checks FROM card_check_days ORDER BY checks")
        assert [row["checks"] for row in kept] == [1, 3]  # no row for days without checks
        for number, count in checked.items():
            insurer = await connection.fetchval("SELECT id FROM insurers WHERE number = $1", number)
            later = await service.checks_by_day(connection, insurer, days=2, now=tomorrow)
            assert [checks for _, checks in later] == [count, 0]


async def test_a_file_on_its_way_in_is_seen_until_it_is_in(gateway: Gateway, pool: Pool) -> None:
    insurer = await gateway.admit()
    await insurer.put_product()
    is_seen = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield f"{builders.RIGHTS_HEADER}\n".encode()
        await is_seen.wait()
        yield f"{builders.a_right()}\n".encode()

    async def send() -> int:
        headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {insurer.token}"}
        url = f"{gateway.url}/v1/insurer/rights-imports?mode=update"
        async with aiohttp.ClientSession() as http, http.post(url, data=slowly(), headers=headers) as answer:
            return answer.status

    sending = asyncio.create_task(send())

    async def is_coming() -> bool:
        async with pool.acquire() as connection:
            found = await uploads.under_way(connection, insurer.id)
        return bool(found) and found[0].stage is UploadStage.RECEIVING and found[0].received > 0

    await until(is_coming)
    is_seen.set()
    assert await sending == 201
    async with pool.acquire() as connection:
        assert not await uploads.under_way(connection, insurer.id)
        (done,) = await service.list_imports(connection, insurer.id, limit=5)
    assert (done.lines, done.loaded) == (1, 1)
