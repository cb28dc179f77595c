"""Chromium before the running service: one a test, as it is spoken to in the test's own event loop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests import builders
from tests.browser.windows import Windows
from tests.driver import Gateway, Practitioner

CHROMIUM = Path("/usr/bin/chromium")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session", autouse=True)
def _chromium_is_here() -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        await browser.close()


@pytest.fixture
async def windows(gateway: Gateway, chromium: Browser) -> AsyncIterator[Windows]:
    """Opens pages; the test fails on whatever goes wrong in one, if it did not ``expect`` it."""
    windows = Windows(chromium, gateway.url)
    yield windows
    await windows.close()
    assert not windows.unexpected, "\n".join(windows.unexpected)


@pytest.fixture
async def page(windows: Windows) -> Page:
    """A stranger's page on a desk, nothing opened in it yet."""
    return await windows.open()


@pytest.fixture
async def pharmacist(gateway: Gateway, worker: None, tmp_path: Path) -> Practitioner:
    """Under her convention, with an insurer that has two people on one card."""
    insurer = await gateway.admit()
    await insurer.put_product()
    await insurer.load(builders.a_right(), builders.a_right(birth_date="20100305"))
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    return pharmacist
