"""All connections are in use: who comes then is told so at once, and checks of cards go on."""

import asyncio
import time

import pytest

from tests import builders
from tests.cards.conftest import a_pharmacist
from tests.driver import Gateway, Practitioner
from tests.worlds import Recipe, World
from tpgateway.settings import Settings

SIZE = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"database_pool_size": SIZE})


@pytest.fixture
def recipe() -> Recipe:
    return a_pharmacist


@pytest.fixture
async def pharmacist(world: World, gateway: Gateway) -> Practitioner:
    return await world.practitioner(gateway)


async def test_who_finds_no_connection_is_refused_within_a_second_and_checks_go_on(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 200  # from here on the practice is known
    holder = await gateway.connect()
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE bank_details")  # whoever reads them waits, with a connection in hand
    held = [asyncio.create_task(pharmacist.call("GET", "/v1/me")) for _ in range(SIZE)]
    await asyncio.sleep(0.2)

    began = time.monotonic()
    refused = await asyncio.gather(*(pharmacist.call("GET", "/v1/conventions") for _ in range(20)))
    assert {(reply.status, reply.code, reply.headers["Retry-After"]) for reply in refused} == {
        (503, "database_unavailable", "1")
    }
    assert time.monotonic() - began < 2  # the service promises 1; the rest is this machine's
    checks = await asyncio.gather(*(pharmacist.check(builders.a_card(), "PHAR") for _ in range(20)))
    assert {(check.status, check.body["outcome"]) for check in checks} == {(200, "covered")}

    await transaction.rollback()
    await holder.close()
    assert {reply.status for reply in await asyncio.gather(*held)} == {200}
    assert (await pharmacist.call("GET", "/v1/conventions")).status == 200
