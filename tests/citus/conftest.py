"""Every test of this folder has a database that is spread over a Citus cluster."""

from collections.abc import AsyncIterator

import pytest

from tests.citus import cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/citus/" in str(item.path):
            item.add_marker(pytest.mark.citus)
            if not cluster.URL:
                item.add_marker(pytest.mark.skip(reason="TPG_TEST_CITUS_URL names no coordinator of a Citus cluster"))


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """In place of a clone of the migrated template."""
    url = await cluster.create()
    yield url
    await cluster.drop(url)
