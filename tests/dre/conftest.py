"""An optician in a network with conventions and an insurer's product."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway
from tests.worlds import People, Recipe


async def an_optician(gateway: Gateway, folder: Path) -> People:
    await gateway.publish_conventions(builders.convention_files(folder))
    await (await gateway.admit()).put_product()
    return People(practitioner=await gateway.join(**builders.an_optician()))


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe | None:
    return an_optician if "optician" in request.fixturenames else None
