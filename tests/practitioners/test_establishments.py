"""A quarter of the real public establishments at hand registers by FINESS, each with a mail of its own, in one run."""

import asyncio
import csv
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, run_command
from tpgateway.settings import Settings

ESTABLISHMENTS = Path(__file__).parents[1] / "data" / "establishments.csv"
AT_ONCE = 16


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "requests_per_minute": 1_000_000})


async def test_a_quarter_of_the_establishments_registers_by_finess(
    gateway: Gateway, database: str, worker: None
) -> None:
    status, said, _ = await run_command("directory", "import", str(ESTABLISHMENTS), database=database)
    assert (status, "1998 entries" in said) == (0, True)
    with ESTABLISHMENTS.open(encoding="utf-8") as file:
        sites = list(csv.DictReader(file))[::4]
    places = asyncio.Semaphore(AT_ONCE)

    async def register(site: dict[str, Any]) -> str:
        form = builders.a_registration(
            value=site["finess"], legal_name=site["name"], postal_code=site["postal_code"], specialty="hospital"
        )
        async with places:
            token = await gateway.mailed_token(form)
            activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
            assert activated.status == 200, activated.body
            assert activated.body["identifiers"] == [{"scheme": "finess", "value": site["finess"]}]
            return str(activated.body["state"])

    states = await asyncio.gather(*(register(site) for site in sites))
    assert len(states) == 500
    assert set(states) == {"active"}
    assert await gateway.fetchval("SELECT count(*) FROM practitioner_identifiers WHERE is_held") == 500
