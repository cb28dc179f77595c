"""A hospital's day: a stay asked for on a card, and made longer."""

import re
from datetime import timedelta
from pathlib import Path

from playwright.async_api import expect

from tests import builders
from tests.browser.looks import look, look_everywhere
from tests.browser.windows import Windows
from tests.driver import Gateway

TODAY = builders.today()
CARD = f"tpg1/0099990011/sp//1234567/{TODAY.year}0101/{TODAY.year}1231/19800229-1"


async def test_a_hospital_asks_for_a_stay_and_makes_it_longer(
    gateway: Gateway, worker: None, windows: Windows, tmp_path: Path
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    room = {"kind": "flat", "amount_cents": 6_000, "per": "day"}
    benefits = [builders.a_benefit("single_room", domain="HOSP", formula=room)]
    assert (await insurer.put_product(benefits=benefits)).status == 200
    await insurer.load(builders.a_right())
    hospital = await gateway.join(specialty="hospital", legal_name="Hôpital des Essais")
    await hospital.sign()

    page = await windows.logged_in(hospital, "/comptoir")
    await page.keyboard.type(CARD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Hospitalisation")
    await page.get_by_role("link", name="Demander une prise en charge").click()
    await expect(page.get_by_label("FINESS de l'établissement")).to_have_value(hospital.form["value"])
    await page.get_by_label("Date de sortie prévue").fill((TODAY + timedelta(days=2)).isoformat())
    await page.get_by_label("Discipline (DMT)").fill("223")
    for item, amount in (("Forfait journalier", "69"), ("Chambre particulière", "240")):
        group = page.get_by_role("group", name=item)
        await group.get_by_label("Montant").fill(amount)  # without a number of days it is for all
    await expect(page.locator("#simulation")).to_contain_text("Chambre particulière ×\xa03")
    copayment = page.get_by_role("group", name="Ticket modérateur")
    await copayment.get_by_label("Montant").fill("100")
    await expect(page.locator("#simulation")).to_contain_text("base")
    await copayment.get_by_label("Montant").press("Enter")  # as a scanner ends what it read: nothing is sent
    await expect(page.get_by_role("alert")).to_have_count(0)
    await copayment.get_by_label("Montant").fill("")
    await expect(page.locator("#simulation")).to_contain_text(re.compile(r"Total\s*249,00\s€"))
    await look_everywhere(page, "demande-hospitalisation")
    await page.get_by_role("button", name="Envoyer la demande").click()
    await expect(page.get_by_role("status")).to_contain_text(re.compile(r"249,00\s€"))

    await page.get_by_role("link", name="Prolonger le séjour").click()
    await page.get_by_label("Date de sortie prévue").fill((TODAY + timedelta(days=1)).isoformat())
    await page.get_by_role("button", name="Demander la prolongation").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Date de sortie prévue").fill((TODAY + timedelta(days=3)).isoformat())
    for item, amount in (("Forfait journalier", "92"), ("Chambre particulière", "320")):
        group = page.get_by_role("group", name=item)
        await group.get_by_label("Jours").fill("4")
        await group.get_by_label("Montant").fill(amount)
    await look(page, "prolongation")
    await page.get_by_role("button", name="Demander la prolongation").click()
    await expect(page.get_by_role("status")).to_contain_text(re.compile(r"332,00\s€"))
    await page.get_by_text("Signaler la facturation").click()
    await look_everywhere(page, "sejour")
