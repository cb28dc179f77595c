"""Registering in steps, and the account's pages."""

import re
from pathlib import Path

import pyotp
from playwright.async_api import Page, expect

from tests import builders
from tests.browser.looks import look, look_everywhere
from tests.browser.windows import Windows
from tests.driver import Gateway, Practitioner, link_token, mailed_code


async def test_a_pharmacist_registers_step_by_step_and_is_in(gateway: Gateway, worker: None, page: Page) -> None:
    form = builders.a_registration()
    await gateway.enlist(form)
    await page.goto("/inscription")
    await look_everywhere(page, "inscription-1")
    # A slip in the number is told while one types.
    await page.get_by_label("Votre numéro").fill(form["value"][:-1] + str((int(form["value"][-1]) + 1) % 10))
    await page.keyboard.press("Tab")
    await page.get_by_label("Spécialité").select_option("pharmacy")
    await expect(page.locator("#value-faute")).to_contain_text("clé de contrôle")
    await page.get_by_role("button", name="Continuer").click()
    await expect(page.get_by_role("alert")).to_contain_text("clé de contrôle")
    await look(page, "inscription-faute")
    await page.get_by_label("Votre numéro").fill(form["value"])
    await page.get_by_role("button", name="Continuer").click()

    await page.get_by_label("Raison sociale").fill(form["legal_name"])
    await page.get_by_label("Code postal").fill(form["postal_code"])
    await page.get_by_label("Adresse électronique").fill(form["email"])
    await look_everywhere(page, "inscription-2")
    await page.get_by_role("button", name="Continuer").click()
    await page.get_by_label("BIC de la banque").fill(form["bic"])
    await page.get_by_label("Mot de passe", exact=True).fill("Offi")
    await expect(page.locator(".rules .met")).to_have_count(2)
    await look_everywhere(page, "inscription-3")
    await page.get_by_label("Mot de passe", exact=True).fill(form["password"])
    await page.get_by_label("Mot de passe, encore").fill(form["password"])
    await page.get_by_label("J'accepte les conditions").check()
    await page.get_by_role("button", name="S'inscrire").click()
    await expect(page.get_by_role("alert")).to_contain_text("données personnelles")
    await page.get_by_label("Mot de passe", exact=True).fill(form["password"])
    await page.get_by_label("Mot de passe, encore").fill(form["password"])
    await page.get_by_label("J'ai lu").check()
    await page.get_by_role("button", name="S'inscrire").click()
    await expect(page.get_by_role("status")).to_contain_text(form["email"])

    await page.goto(f"/activation/{link_token(await gateway.letter_to(form['email']))}")
    await page.get_by_role("button", name="Activer mon compte").click()
    await page.get_by_role("main").get_by_role("link", name="Se connecter").click()
    await page.get_by_label("Votre numéro").fill(form["value"])
    await page.get_by_label("Mot de passe", exact=True).fill(form["password"])
    await page.get_by_role("button", name="Se connecter").click()
    await expect(page).to_have_url(re.compile("/comptoir$"))


async def test_the_account_is_kept_by_its_own_pages(
    gateway: Gateway, windows: Windows, pharmacist: Practitioner
) -> None:
    page = await windows.logged_in(pharmacist, "/compte")
    await page.get_by_label("Adresse", exact=True).fill("3 rue du Pont")
    await page.get_by_label("Ville").fill("Paris")
    await page.get_by_label("Code postal").fill("7501")
    await page.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_label("Ville")).to_have_value("Paris")
    await page.get_by_label("Code postal").fill("75010")
    await page.get_by_role("button", name="Enregistrer").click()
    await expect(page.get_by_label("Adresse", exact=True)).to_have_value("3 rue du Pont")
    await look_everywhere(page, "compte")

    # New bank details ask for a code; what was typed is there again after it.
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour'")
    await page.get_by_role("link", name="Banque").click()
    await page.get_by_label("BIC").fill("BNPAFRPP")
    await page.get_by_label("IBAN").fill("FR7630004000031234567890143")
    before = gateway.mailbox.received
    await page.get_by_role("button", name="Demander le changement").click()
    email = pharmacist.form["email"]
    await page.get_by_label("Code", exact=True).fill(
        mailed_code(await gateway.letter_about(email, "Votre code", after=before))
    )
    await page.get_by_role("button", name="Valider").click()
    await expect(page.get_by_label("BIC")).to_have_value("BNPAFRPP")
    await page.get_by_role("button", name="Demander le changement").click()
    await expect(page.get_by_role("status")).to_contain_text("Un changement attend")
    await look_everywhere(page, "banque")
    await page.get_by_role("button", name="Annuler ce changement").click()
    await expect(page.get_by_text("annulé le")).to_be_visible()

    await page.get_by_role("link", name="Équipe").click()
    await page.get_by_label("Adresse électronique").fill("ines@a.example")
    await page.get_by_role("button", name="Inviter").click()
    await expect(page.get_by_text("ines@a.example", exact=True)).to_be_visible()
    await page.get_by_text("Changer", exact=True).click()
    await look_everywhere(page, "equipe")
    await page.get_by_role("button", name="Retirer ines@a.example").click()
    await expect(page.get_by_text("ines@a.example")).to_have_count(0)

    await page.get_by_role("link", name="Logiciels", exact=True).click()
    await page.get_by_label("Nom du logiciel").fill("Comptoir 2")
    await page.get_by_role("button", name="Créer l'accès").click()
    await expect(page.get_by_role("status")).to_contain_text("client_secret")
    await look_everywhere(page, "logiciels")
    await page.get_by_text("Changer", exact=True).last.click()
    await page.get_by_role("button", name="Révoquer Comptoir 2").click()
    await expect(page.get_by_text("révoqué")).to_be_visible()

    await page.get_by_role("link", name="Ma sécurité").click()
    await page.get_by_role("button", name="Ajouter une application").click()
    await look_everywhere(page, "application")
    secret = await page.locator("code").inner_text()
    await page.get_by_label("Code affiché").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Mettre en service").click()
    await expect(page.locator(".codes li")).to_have_count(10)
    await look_everywhere(page, "codes-de-secours")
    await page.get_by_text("Changer de mot de passe").click()
    await look_everywhere(page, "securite")

    await page.get_by_role("link", name="Journal").click()
    await page.get_by_label("Quoi").select_option("practitioner:,insurer:")
    await page.get_by_label("Ordre").select_option("oldest")
    await page.get_by_role("button", name="Chercher").click()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("Inscription demandée")
    await look_everywhere(page, "journal")


async def test_convention_and_tables(
    gateway: Gateway, windows: Windows, pharmacist: Practitioner, tmp_path: Path
) -> None:
    page = await windows.logged_in(pharmacist, "/convention")
    await look_everywhere(page, "convention")
    await page.goto("/tables")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Tables DRE")
    await look_everywhere(page, "tables-vide")
