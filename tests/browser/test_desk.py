"""A reviewer's day at an insurer: invited, in by a code, requests decided and asked about, and the rest of the desk."""

import re
from pathlib import Path

from playwright.async_api import Page, expect

from tests import builders
from tests.browser.looks import look, look_everywhere
from tests.browser.windows import Windows
from tests.driver import Gateway, Practitioner, link_token, mailed_code
from tests.insurers.server import Server

EMAIL = "claire@lac.example"
PASSWORD = "Relecture-Velo-7"


async def test_a_reviewer_decides_asks_and_sees_how_all_does(
    gateway: Gateway, worker: None, windows: Windows, theirs: Server, tmp_path: Path
) -> None:
    optician = await a_world(gateway, theirs, tmp_path)
    first, second = [await ask(optician, price) for price in (24_000, 23_000)]
    page = await come_in(gateway, windows)

    await expect(page.get_by_role("row")).to_have_count(3)
    await look_everywhere(page, "bureau-a-examiner")
    await page.goto(f"/assureur/demandes/{first}")
    await page.get_by_text("Décider ligne par ligne").click()
    await look_everywhere(page, "bureau-demande")
    await page.get_by_label("Verre droit, accordé").fill("beaucoup")
    await page.get_by_role("button", name="Accorder ces montants").click()
    await expect(page.get_by_role("alert")).to_contain_text("Écrivez un montant")
    await page.get_by_label("Verre droit, accordé").fill("100")
    await page.get_by_label("Verre droit, motif").select_option("insurer_price_too_high")
    await page.get_by_label("Commentaire").first.fill("Au tarif de notre réseau.")
    await page.get_by_role("button", name="Accorder ces montants").click()
    await expect(page.get_by_text("Accordée en partie").first).to_be_visible()
    assert (await optician.call("GET", f"/v1/prior-approvals/{first}")).body["lines"][0]["granted_cents"] == 10_000

    await page.goto(f"/assureur/demandes/{second}")
    await page.get_by_text("Poser une question").click()
    await page.get_by_label("Votre question").fill("Quel est le motif du renouvellement ?")
    await page.get_by_label("Ordonnance").check()
    await page.get_by_role("button", name="Envoyer la question").click()
    await expect(page.get_by_text("Question de l'organisme").first).to_be_visible()
    await answer(windows, optician, second)
    await page.goto("/assureur")
    await page.get_by_role("link", name="Optique du").click()
    await expect(page.get_by_text("Voici l'ordonnance.")).to_be_visible()
    async with page.expect_download() as given:
        await page.get_by_role("link", name="Ordonnance").click()
    assert Path(await (await given.value).path()).read_bytes().startswith(b"%PDF")
    await page.get_by_text("Refuser", exact=True).click()
    await page.get_by_label("Motif du refus").select_option("insurer_not_justified")
    await page.get_by_role("button", name="Refuser la demande").click()
    await expect(page.get_by_text("Refusée").first).to_be_visible()
    await look_everywhere(page, "bureau-demande-refusee")

    # Contested, and upheld: what was refused stays so, and the practice reads why.
    refused = (await optician.call("GET", f"/v1/prior-approvals/{second}")).body
    arguments = {"version": refused["version"], "arguments": "La vue a baissé depuis mars."}
    assert (await optician.call("POST", f"/v1/prior-approvals/{second}/appeal", arguments)).status == 200
    await page.goto(f"/assureur/demandes/{second}")
    await expect(page.get_by_text("Accorder davantage, ligne par ligne")).to_be_visible()
    await expect(page.get_by_text("Aujourd'hui, les règles donnent").first).to_contain_text("200,00")
    await page.get_by_text("Maintenir la décision").click()
    await look_everywhere(page, "bureau-contestation")
    await page.get_by_label("Commentaire sur la décision maintenue").fill("Rien de nouveau dans l'ordonnance.")
    await page.get_by_role("button", name="Maintenir").click()
    await expect(page.get_by_text("maintient sa décision").first).to_be_visible()
    await expect(page.get_by_text("Rien de nouveau dans l'ordonnance.").first).to_be_visible()

    await page.goto("/assureur")
    await expect(page.get_by_text("Rien n'attend votre décision")).to_be_visible()
    await look(page, "bureau-vide")
    await page.goto("/assureur/demandes")
    await look_everywhere(page, "bureau-demandes")
    await see_the_rest(page)


async def see_the_rest(page: Page) -> None:
    await page.goto("/assureur/livraisons")
    await look_everywhere(page, "bureau-livraisons")
    await page.get_by_role("button", name="Renvoyer").first.click()
    await expect(page.get_by_role("status")).to_contain_text("repart")
    await page.get_by_role("button", name="Mettre en pause").click()
    await expect(page.get_by_text("arrêté")).to_be_visible()

    await page.goto("/assureur/droits")
    lines = [builders.RIGHTS_HEADER, builders.a_right("7777777"), builders.a_right("8888888", valid_from="demain")]
    file = {"name": "droits.csv", "mimeType": "text/csv", "buffer": "\n".join([*lines, ""]).encode()}
    await page.get_by_label("Fichier CSV ou XML").set_input_files([file])
    await page.get_by_role("button", name="Envoyer").click()
    await expect(page.get_by_role("row")).to_have_count(3)
    await look_everywhere(page, "bureau-droits")
    await page.get_by_role("link", name="1", exact=True).click()
    await expect(page.get_by_text("AAAA-MM-JJ")).to_be_visible()
    await look_everywhere(page, "bureau-rejets")

    for path, name, words in (
        ("/assureur/produits", "bureau-produits", "Confort"),
        ("/assureur/chiffres", "bureau-chiffres", "décidées tout de suite"),
        ("/compte/securite", "bureau-securite", "Sessions ouvertes"),
        ("/compte/journal", "bureau-journal", "Connexion"),
    ):
        await page.goto(path)
        await expect(page.get_by_role("main")).to_contain_text(words)
        await look_everywhere(page, name)
    await page.goto("/assureur/equipe")
    await page.get_by_label("Adresse électronique").fill("paul@lac.example")
    await page.get_by_label("Prénom et nom").fill("Paul Renfort")
    await page.get_by_role("button", name="Inviter").click()
    await expect(page.get_by_role("row")).to_have_count(3)
    await look_everywhere(page, "bureau-equipe")
    # The pages of practices are not the desk's.
    await page.goto("/comptoir")
    await expect(page).to_have_url(re.compile("/connexion"))


async def a_world(gateway: Gateway, theirs: Server, folder: Path) -> Practitioner:
    """An insurer that wants to see every optical request, and an optician."""
    await gateway.publish_conventions(builders.convention_files(folder))
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    rules = {"approval_rules": {"reviews": [{"domain": "OPTI"}]}}
    assert (await insurer.call("PATCH", "/v1/insurer", rules)).status == 200
    assert (await insurer.call("POST", "/v1/insurer/endpoints", {"url": theirs.url})).status == 201
    await insurer.load(builders.a_right(), builders.a_right("7654321"))
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def ask(optician: Practitioner, price: int) -> str:
    membership = "1234567" if price == 24_000 else "7654321"
    proof = (await optician.check(builders.a_card(membership_number=membership))).body["proof"]
    request = builders.a_request(proof, right_lens=builders.a_lens(price_cents=price))
    made = await optician.call("POST", "/v1/prior-approvals", request)
    assert made.body["state"] == "under_review", made.body
    return str(made.body["id"])


async def come_in(gateway: Gateway, windows: Windows) -> Page:
    """By an invitation that an operator sends, and a code that is asked for each time."""
    await gateway.invite_to_desk("0099990011", EMAIL, "Claire Martin")
    page = await windows.open(f"/invitation/{link_token(await gateway.letter_to(EMAIL))}")
    await look_everywhere(page, "invitation")
    await page.get_by_label("Vos prénom et nom").fill("Claire Martin")
    await page.get_by_label("Mot de passe", exact=True).fill(PASSWORD)
    await expect(page.locator(".rules .met")).to_have_count(4)
    await page.get_by_label("Mot de passe, encore une fois").fill(PASSWORD)
    await page.get_by_role("button", name="Accepter l'invitation").click()
    await page.get_by_role("main").get_by_role("link", name="Se connecter").click()
    await look_everywhere(page, "bureau-connexion")
    before = gateway.mailbox.received
    for label, value in (
        ("Numéro de l'organisme", "99990011"),
        ("Adresse électronique", EMAIL),
        ("Mot de passe", PASSWORD),
    ):
        await page.get_by_label(label).fill(value)
    await page.get_by_role("button", name="Se connecter").click()
    await page.get_by_label("Code", exact=True).fill(
        mailed_code(await gateway.letter_about(EMAIL, "Votre code", after=before))
    )
    await page.get_by_role("button", name="Valider").click()
    await expect(page).to_have_url(re.compile("/assureur$"))
    return page


async def answer(windows: Windows, optician: Practitioner, approval: str) -> None:
    """What the practitioner does about the question: found on top of the list, the document attached, the answer sent."""
    page = await windows.logged_in(optician, "/demandes")
    await expect(page.get_by_text("1 demande attend votre réponse")).to_be_visible()
    await look_everywhere(page, "demandes-a-repondre")
    await page.goto(f"/demandes/{approval}")
    await look_everywhere(page, "demande-question")
    document = {"name": "ordonnance.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4\n" + b"x" * 2_000}
    # What is wrong with the document costs nothing of the answer.
    await page.get_by_label("Votre réponse").fill("Voici l'ordonnance.")
    await page.get_by_label("Ordonnance").set_input_files([{**document, "buffer": b"no document"}])
    await page.get_by_role("button", name="Envoyer la réponse").click()
    await expect(page.get_by_role("alert")).to_contain_text("PDF")
    await expect(page.get_by_label("Votre réponse")).to_have_value("Voici l'ordonnance.")
    await page.get_by_label("Ordonnance").set_input_files([document])
    await page.get_by_role("button", name="Envoyer la réponse").click()
    await expect(page.get_by_role("status")).to_contain_text("En examen")
