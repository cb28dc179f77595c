"""The counter, as a pharmacist with a scanner and no mouse has it."""

import asyncio
import re

from playwright.async_api import Locator, Page, expect

from tests import builders
from tests.browser.looks import look, look_everywhere
from tests.browser.windows import Windows
from tests.driver import Practitioner, mailed_code

YEAR = builders.today().year
CARD = f"tpg1/0099990011/sp//1234567/{YEAR}0101/{YEAR}1231"
ELDER, YOUNGER = "19800229-1", "20100305-1"


async def log_in(page: Page, pharmacist: Practitioner) -> None:
    gateway, form = pharmacist.gateway, pharmacist.form
    before = gateway.mailbox.received
    await page.goto("/connexion")
    await expect(page.get_by_label("Votre numéro")).to_be_focused()
    await page.keyboard.type(form["value"])
    await page.keyboard.press("Tab")
    await page.keyboard.type(form["password"])
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code", exact=True)).to_be_focused()
    await page.keyboard.type(mailed_code(await gateway.letter_about(form["email"], "Votre code", after=before)))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()


async def tab_to(page: Page, target: Locator) -> None:
    """Presses the tab key until the focus is there."""
    for _ in range(50):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"no number of tabs leads to {target}")


async def scan(page: Page, *people: str) -> None:
    """A scanner is a keyboard: it types what the card holds and presses enter, wherever the focus is."""
    await page.keyboard.type("/".join((CARD, *people)))
    await page.keyboard.press("Enter")


async def proof_given(page: Page) -> str:
    """The proof of an answer that says yes, seen without scrolling."""
    answer = page.get_by_role("status").filter(has_text="Oui")
    await expect(answer.get_by_text("Oui", exact=True)).to_be_in_viewport()
    found = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b", await answer.inner_text())
    assert found
    return found[0]


async def test_cards_are_scanned_and_answered_by_keyboard_alone(pharmacist: Practitioner, windows: Windows) -> None:
    page = await windows.open()
    await log_in(page, pharmacist)
    typed_into: set[str] = set()

    def note(name: str) -> None:
        typed_into.add(name)

    await page.expose_function("typedInto", note)
    await page.add_init_script("addEventListener('input', event => typedInto(event.target.name), true)")
    card = page.get_by_label(re.compile("^Carte"))

    await tab_to(page, page.get_by_role("link", name="Comptoir"))
    opened = asyncio.get_running_loop().time()
    await page.keyboard.press("Enter")
    await expect(card).to_be_focused()
    await scan(page, ELDER)
    proof = await proof_given(page)
    assert asyncio.get_running_loop().time() - opened < 5
    assert len(typed_into) == 1
    await look_everywhere(page, "comptoir-oui")

    # The next one, of two people, without a touch in between: which of them it is for is the second field, and the last.
    typed_into.clear()
    await scan(page, ELDER, YOUNGER)
    await expect(page.get_by_text("Pour qui est-ce ?")).to_be_visible()
    await look(page, "comptoir-personne")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    assert await proof_given(page) != proof
    assert len(typed_into) == 2
    await expect(page.get_by_role("row", name=proof)).to_be_visible()
    await expect(card).to_be_focused()

    # What is no card is said to be none, and is not in the way of the next.
    await page.keyboard.type("3400930000011")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("n'est pas reconnu")
    await expect(card).to_be_focused()
    await look(page, "comptoir-faute")
    await scan(page, ELDER)
    await proof_given(page)

    telephone = await windows.logged_in(pharmacist, "/comptoir", width=360)
    await look_everywhere(telephone, "comptoir")
    await scan(telephone, ELDER)
    await proof_given(telephone)
