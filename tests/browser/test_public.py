"""The pages that anyone can open, in a browser."""

import re

from playwright.async_api import Page, expect

from tests.browser.looks import look, look_everywhere
from tests.driver import Gateway, link_token, mailed_code

PAGES = {
    "/": ("accueil", "Le tiers payant"),
    "/connexion": ("connexion", "Se connecter"),
    "/mot-de-passe-oublie": ("mot-de-passe-oublie", "Mot de passe oublié"),
    "/identifiant-oublie": ("identifiant-oublie", "Identifiant oublié"),
    "/aide": ("aide", "Je n'arrive pas à entrer"),
    "/etat": ("etat", "Tout fonctionne"),
    "/conditions": ("conditions", "Votre compte"),
    "/confidentialite": ("confidentialite", "données"),
    "/assureur/mot-de-passe-oublie": ("bureau-mot-de-passe-oublie", "Mot de passe oublié"),
    "/nothing-here": ("erreur", "Référence"),
}


async def test_the_public_pages_are_for_everyone_at_every_width_and_in_every_light(page: Page) -> None:
    for path, (name, words) in PAGES.items():
        await page.goto(path)
        await expect(page.get_by_role("main")).to_contain_text(words)
        await look_everywhere(page, name)


async def test_who_has_forgotten_everything_gets_in_again(gateway: Gateway, worker: None, page: Page) -> None:
    form = (await gateway.join()).form
    number, password, code = (
        page.get_by_label(label, exact=True) for label in ("Votre numéro", "Mot de passe", "Code")
    )
    await page.goto("/connexion")
    await page.get_by_role("link", name="Identifiant oublié").click()
    before = gateway.mailbox.received
    await page.get_by_label("Adresse électronique").fill(form["email"])
    await page.get_by_role("button", name="Recevoir le rappel").click()
    await expect(page.get_by_role("status")).to_contain_text("Un message vient de partir")
    assert form["value"][-3:] in (await gateway.letter_to(form["email"], after=before)).text

    await page.get_by_role("link", name="Retour à la connexion").click()
    await page.get_by_role("link", name="Mot de passe oublié").click()
    before = gateway.mailbox.received
    await number.fill(form["value"])
    await page.get_by_role("button", name="Recevoir le lien").click()
    await expect(page.get_by_role("status")).to_contain_text("Si ce compte existe")
    await look(page, "lien-envoye")
    await page.goto(f"/mot-de-passe/{link_token(await gateway.letter_to(form['email'], after=before))}")
    await look_everywhere(page, "nouveau-mot-de-passe")
    await password.fill("Officine-2027-ok")
    await page.get_by_label("encore une fois").fill("Officine-2027-ok")
    await page.get_by_role("button", name="Changer le mot de passe").click()
    await expect(page.get_by_role("status")).to_contain_text("Votre mot de passe est changé")

    await page.get_by_role("main").get_by_role("link", name="Se connecter").click()
    await number.fill(form["value"])
    await password.fill(form["password"])
    await page.get_by_role("button", name="Se connecter").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(number).to_have_value(form["value"])
    await look(page, "connexion-refusee")
    before = gateway.mailbox.received
    await password.fill("Officine-2027-ok")
    await page.get_by_role("button", name="Se connecter").click()
    await expect(code).to_be_focused()
    await look_everywhere(page, "code")

    mailed = mailed_code(await gateway.letter_about(form["email"], "Votre code", after=before))
    await code.fill("abcdef")
    await page.get_by_role("button", name="Valider").click()
    await expect(page.get_by_role("alert")).to_contain_text("pas le bon")
    await code.fill(mailed)
    await page.get_by_role("button", name="Valider").click()
    await expect(page).to_have_url(re.compile("/comptoir$"))
    await expect(page.get_by_role("button", name="Se déconnecter")).to_be_visible()
