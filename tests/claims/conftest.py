"""An optician under its convention, an insurer with people, and proofs."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner


@pytest.fixture
async def insurer(gateway: Gateway, tmp_path: Path) -> Insurer:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    await insurer.load(builders.a_right(), builders.a_right("7654321"))
    return insurer


@pytest.fixture
async def optician(gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


@pytest.fixture
async def proof(optician: Practitioner) -> str:
    return str((await optician.check(builders.a_card())).body["proof"])
