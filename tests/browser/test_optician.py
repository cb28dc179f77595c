"""An optician's day: a card, a request with what is granted beside it, its life; nothing lost where the session ends."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests import builders
from tests.browser.looks import look_everywhere
from tests.browser.windows import Windows
from tests.driver import Gateway, Insurer, Practitioner

TODAY = builders.today()
CARD = f"tpg1/0099990011/sp//1234567/{TODAY.year}0101/{TODAY.year}1231/19800229-1"
LENS = {"Code LPP": "2210546", "Prix": "240", "Base AMO": "0,05", "Part AMO": "0,03", "Sphère": "-4,25"}
FRAME = {"Code LPP": "2248320", "Prix": "140,00", "Base AMO": "0,05", "Part AMO": "0,03"}


@pytest.fixture
async def insurer(gateway: Gateway, tmp_path: Path) -> Insurer:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    await insurer.load(builders.a_right())
    return insurer


@pytest.fixture
async def optician(gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def test_an_optician_asks_sees_what_is_granted_while_typing_and_changes_it(
    gateway: Gateway, windows: Windows, optician: Practitioner
) -> None:
    page = await windows.logged_in(optician, "/demandes")
    await look_everywhere(page, "demandes-vide")
    await page.goto("/comptoir")
    await page.keyboard.type(CARD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("Oui")
    await page.get_by_role("link", name="Demander une prise en charge").click()
    await expect(page.get_by_text("Carte vérifiée")).to_contain_text("1234567")

    await fill_glasses(page)
    simulation = page.locator("#simulation")
    await expect(simulation).to_contain_text("La demande serait accordée.")
    await expect(simulation).to_contain_text("Verre droit")
    await expect(simulation).to_contain_text(re.compile(r"Total\s*419,91\s€"))
    await look_everywhere(page, "demande-optique")

    # What is wrong is told beside its field, and what was typed stands.
    await page.get_by_role("group", name="Monture").get_by_label("Prix").fill("cent")
    await page.get_by_role("button", name="Envoyer la demande").click()
    await expect(page.get_by_role("alert")).to_contain_text("Écrivez un montant en euros")
    await expect(page.get_by_role("group", name="Monture").get_by_label("Prix")).to_have_value("cent")
    await look_everywhere(page, "demande-optique-fautes")
    await page.get_by_role("group", name="Monture").get_by_label("Prix").fill("140")
    await page.get_by_role("button", name="Envoyer la demande").click()

    await expect(page.get_by_role("status")).to_contain_text("La prise en charge est accordée.")
    await expect(page.get_by_role("status")).to_contain_text(re.compile(r"419,91\s€"))
    await look_everywhere(page, "demande-accordee")
    await page.get_by_role("link", name="Modifier").click()
    await expect(page.get_by_role("group", name="Verre droit").get_by_label("Prix")).to_have_value("240,00")
    await page.get_by_role("group", name="Monture").get_by_label("Classe").select_option("a")
    await expect(page.locator("#simulation")).to_contain_text("La demande serait accordée en partie.")
    await expect(page.locator("#simulation")).to_contain_text("ce n'est pas un équipement 100 % Santé")
    await look_everywhere(page, "demande-modification")
    await page.get_by_role("button", name="Demander la modification").click()
    await expect(page.get_by_role("status")).to_contain_text("Accordée en partie")
    await expect(page.get_by_text("ce n'est pas un équipement 100 % Santé")).to_be_visible()

    await page.get_by_text("Contester la décision").click()
    await page.get_by_label("Pourquoi l'organisme").fill("La monture est adaptée à un enfant.")
    await page.get_by_role("button", name="Envoyer la contestation").click()
    await expect(page.get_by_role("status")).to_contain_text("Contestée")
    await page.get_by_role("link", name="Prises en charge").click()
    await expect(page.get_by_role("row")).to_have_count(2)
    await look_everywhere(page, "demandes")
    await page.get_by_label("Numéro d'adhérent").fill("999")
    await page.get_by_role("button", name="Chercher").click()
    await expect(page.get_by_text("Aucune demande ne correspond")).to_be_visible()

    # A second button of the same form, sent twice by the browser's own going back, makes no second request.
    await page.goto("/demandes")
    await page.get_by_role("link", name="Optique du").click()
    await page.get_by_text("Annuler", exact=True).click()
    await page.get_by_label("Oui, annuler cette demande").check()
    await page.get_by_role("button", name="Annuler la demande").click()
    await expect(page.get_by_role("status")).to_contain_text("Annulée")


async def test_what_was_typed_when_the_session_ended_is_there_after_the_log_in(
    gateway: Gateway, windows: Windows, optician: Practitioner
) -> None:
    check = (await optician.check(builders.a_card())).body
    page = await windows.logged_in(optician, f"/demandes/nouvelle/optique?verification={check['id']}")
    # The check was the software's, but the practice's own.
    await fill_glasses(page)
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '2 hours'")
    await page.get_by_role("button", name="Envoyer la demande").click()
    await expect(page).to_have_url(re.compile("/connexion"))
    await page.get_by_label("Votre numéro").fill(optician.form["value"])
    await page.get_by_label("Mot de passe", exact=True).fill(optician.form["password"])
    await page.get_by_role("button", name="Se connecter").click()
    await expect(page.get_by_role("group", name="Monture").get_by_label("Prix")).to_have_value("140,00")
    await page.get_by_role("button", name="Envoyer la demande").click()
    await expect(page.get_by_role("status")).to_contain_text("Accordée")


async def test_all_of_it_goes_without_script(windows: Windows, optician: Practitioner) -> None:
    page = await windows.logged_in(optician, "/comptoir", runs_script=False)
    await expect(page.locator("#card")).to_be_focused()
    await page.keyboard.type(CARD)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Demander une prise en charge").click()
    await fill_glasses(page, runs_script=False)
    await page.get_by_role("button", name="Calculer sans envoyer").click()
    await expect(page.locator("#simulation")).to_contain_text(re.compile(r"Total\s*419,91\s€"))
    await page.get_by_role("button", name="Envoyer la demande").click()
    await expect(page.get_by_role("status")).to_contain_text("La prise en charge est accordée.")


async def fill_glasses(page: Page, *, runs_script: bool = True) -> None:
    await page.get_by_label("Date de l'ordonnance").fill((TODAY - timedelta(days=20)).isoformat())
    await page.get_by_label("RPPS du prescripteur").fill("10999999906")
    for name, value in LENS.items():
        await page.get_by_role("group", name="Verre droit").get_by_label(name).fill(value)
    await page.get_by_label("Verre gauche identique").check()
    if runs_script:
        await expect(page.get_by_role("group", name="Verre gauche")).to_be_hidden()
    for name, value in FRAME.items():
        await page.get_by_role("group", name="Monture").get_by_label(name).fill(value)
