"""What every page must be, at every width and in both colour schemes: accessible, no wider than its window, light."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.browser.windows import HEIGHTS

_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
_GRAVE = {"serious", "critical"}
_MOST_BYTES = 100_000
_SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
_IS_DARK = "matchMedia('(prefers-color-scheme: dark)').matches"
# What scripts ask for later is no part of the page.
_SEEN = """async rules => {
  const {violations} = await axe.run({runOnly: rules, resultTypes: ["violations"]})
  const parts = performance.getEntries().filter(
    entry => "decodedBodySize" in entry && !["fetch", "xmlhttprequest"].includes(entry.initiatorType))
  const wide = [...document.body.querySelectorAll("*")].filter(
    element => element.getBoundingClientRect().right > innerWidth)
  return {
    violations,
    excess: document.scrollingElement.scrollWidth - innerWidth,
    wide: wide.map(element => element.cloneNode().outerHTML),
    bytes: parts.reduce((sum, part) => sum + part.decodedBodySize, 0),
  }
}"""


async def look(page: Page, name: str) -> None:
    """Looks at the page as it stands. With ``TPG_SCREENSHOTS`` set, keeps a picture of it in ``screenshots/``."""
    faults = await _faults(page, name)
    assert not faults, "\n".join(faults)


async def look_everywhere(page: Page, name: str) -> None:
    """Looks at each width in both schemes, without loading the page again, and leaves it as it was."""
    size, was_dark = page.viewport_size, await page.evaluate(_IS_DARK)
    assert size is not None
    faults = []
    for width, height in HEIGHTS.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            faults += await _faults(page, name)
    await page.set_viewport_size(size)
    await page.emulate_media(color_scheme="dark" if was_dark else "light")
    assert not faults, "\n".join(faults)


async def _faults(page: Page, name: str) -> list[str]:
    assert page.viewport_size is not None
    await page.wait_for_load_state()
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_AXE)
    scheme = "dark" if await page.evaluate(_IS_DARK) else "light"
    name = f"{name}-{page.viewport_size['width']}-{scheme}"
    if os.environ.get("TPG_SCREENSHOTS"):
        await page.screenshot(path=_SCREENSHOTS / f"{name}.png", full_page=True)
    seen = await page.evaluate(_SEEN, _RULES)
    faults = [fault for each in seen["violations"] if each["impact"] in _GRAVE for fault in _violations(each)]
    if seen["excess"] > 0:
        faults.append(f"{seen['excess']} px too wide: {' '.join(seen['wide'][:5])}")
    if seen["bytes"] >= _MOST_BYTES:
        faults.append(f"{seen['bytes']} bytes")
    return [f"{name}: {fault}" for fault in faults]


def _violations(violation: dict[str, Any]) -> list[str]:
    """Each element that breaks a rule, with what would mend it."""
    return [
        f"{violation['id']} ({violation['impact']}) at {node['target']}: {' '.join(node['failureSummary'].split())}"
        for node in violation["nodes"]
    ]
