"""The main story on a database spread over several servers."""

from pathlib import Path

import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner

NUMBERS = tuple(f"00999900{number}" for number in ("11", "29", "37", "45"))


@pytest.fixture
async def insurers(gateway: Gateway, worker: None, tmp_path: Path) -> list[Insurer]:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    found = []
    for number in NUMBERS:
        insurer = await gateway.admit(number)
        assert (await insurer.put_product()).status == 200
        loaded = await insurer.load(*(builders.a_right(str(member)) for member in range(1000, 1100)))
        assert loaded.body["loaded"] == 100, loaded.body
        found.append(insurer)
    return found


@pytest.fixture
async def optician(gateway: Gateway, insurers: list[Insurer]) -> Practitioner:
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def test_checks_and_approvals(gateway: Gateway, insurers: list[Insurer], optician: Practitioner) -> None:
    for number in NUMBERS:
        card = builders.a_card(number, membership_number="1001")
        check = await optician.check(card)
        assert (check.status, check.body["outcome"]) == (200, "covered"), check.body
        made = await optician.call("POST", "/v1/prior-approvals", builders.a_request(check.body["proof"], number))
        assert (made.status, made.body["state"]) == (201, "approved"), made.body
