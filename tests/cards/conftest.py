"""A pharmacist under his convention, and an insurer with one person."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner
from tests.worlds import People, Recipe, World


async def an_insurer(gateway: Gateway, _: Path) -> People:
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    assert (await insurer.load(builders.a_right())).body["loaded"] == 1
    return People(insurer=insurer)


async def a_pharmacist(gateway: Gateway, folder: Path) -> People:
    insurer = (await an_insurer(gateway, folder)).insurer
    await gateway.publish_conventions(builders.convention_files(folder))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    return People(practitioner=pharmacist, insurer=insurer)


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe | None:
    if "pharmacist" in request.fixturenames:
        return a_pharmacist
    return an_insurer if "insurer" in request.fixturenames else None


@pytest.fixture
async def insurer(world: World, gateway: Gateway) -> Insurer:
    return await world.insurer(gateway)


@pytest.fixture
async def pharmacist(world: World, gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    return await world.practitioner(gateway)
