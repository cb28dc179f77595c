"""An optician under its convention, an insurer with people, and proofs."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner
from tests.worlds import People, Recipe, World


async def an_insurer(gateway: Gateway, folder: Path) -> People:
    await gateway.publish_conventions(builders.convention_files(folder))
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    await insurer.load(builders.a_right(), builders.a_right("7654321"))
    return People(insurer=insurer)


async def an_optician(gateway: Gateway, folder: Path) -> People:
    insurer = (await an_insurer(gateway, folder)).insurer
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return People(practitioner=optician, insurer=insurer)


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe | None:
    if "optician" in request.fixturenames:
        return an_optician
    return an_insurer if "insurer" in request.fixturenames else None


@pytest.fixture
async def insurer(world: World, gateway: Gateway) -> Insurer:
    return await world.insurer(gateway)


@pytest.fixture
async def optician(world: World, gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    return await world.practitioner(gateway)


@pytest.fixture
async def proof(optician: Practitioner) -> str:
    return str((await optician.check(builders.a_card())).body["proof"])
