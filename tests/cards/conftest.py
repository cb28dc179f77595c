"""A pharmacist and an optician under their conventions, and an insurer with one person."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner


@pytest.fixture
async def insurer(gateway: Gateway) -> Insurer:
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    assert (await insurer.load(builders.a_right())).body["loaded"] == 1
    return insurer


@pytest.fixture
async def pharmacist(gateway: Gateway, insurer: Insurer, worker: None, tmp_path: Path) -> Practitioner:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    return pharmacist
