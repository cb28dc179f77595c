"""What is wrong with a page does not go unseen."""

import pytest
from playwright.async_api import Route

from tests.browser.looks import look_everywhere
from tests.browser.windows import Windows
from tests.driver import until

WRONG = """() => {
  document.querySelector("h1").style.color = "silver"
  document.querySelector("footer").style.width = "1000px"
  console.error("said aloud")
  setTimeout(() => { throw new Error("let fall") })
  for (const src of ["https://elsewhere.example/a.png", "/static/missing.png"])
    document.body.append(Object.assign(new Image(), {src, alt: ""}))
}"""


async def test_a_page_with_faults_passes_no_look_and_no_test(windows: Windows) -> None:
    async def add_weight(route: Route) -> None:
        style = await route.fetch()
        await route.fulfill(response=style, body=await style.text() + "/* */" * 20_000)

    page = await windows.open()
    await page.route("**/style.css", add_weight)
    await page.goto("/")
    await page.evaluate(WRONG)
    with pytest.raises(AssertionError) as seen:
        await look_everywhere(page, "wrong")
    said = str(seen.value)
    for fault in ("wrong-360-light: color-contrast (serious) at ['h1']", "wrong-360-dark: 640 px too wide: <footer"):
        assert fault in said
    assert "wrong-1280-dark: 1" in said
    assert "wrong-1280-light: 640" not in said

    async def all_heard() -> bool:
        return len(windows.unexpected) >= 5

    await until(all_heard)
    for fault in (
        "console: said aloud",
        "uncaught: let fall",
        "console: .* Content Security Policy",
        "failed: GET https://elsewhere.example/a.png",
        "answered 404: GET .*/static/missing.png",
    ):
        windows.expect(fault)
    assert not windows.unexpected
