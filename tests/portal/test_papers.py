"""The convention and the tables, by pages alone."""

from datetime import timedelta
from pathlib import Path

from tests import builders
from tests.dre.test_tables import publish
from tests.driver import Gateway, Practitioner, mailed_code

HTML = {"Accept": "text/html"}


async def see(practitioner: Practitioner, path: str) -> str:
    reply = await practitioner.in_person("GET", path, headers=HTML)
    assert reply.status == 200, reply.body
    return str(reply.body.decode())


async def test_the_convention_is_read_signed_with_a_code_and_left(
    gateway: Gateway, worker: None, tmp_path: Path
) -> None:
    pharmacist = await gateway.join()
    assert "Aucune convention" in await see(pharmacist, "/convention")
    text = "# Convention pharmacy\n\n## Paiement\n\nCinq jours.\n"
    tariffs = '[{code = "GARDE", label = "Garde de nuit", amount_cents = 800}]'
    await gateway.publish_conventions(builders.convention_files(tmp_path, text=text, tariffs=tariffs))
    page = await see(pharmacist, "/convention")
    assert "8,00\N{NO-BREAK SPACE}€" in page
    assert "pas encore signée" in page
    assert "<h2>Paiement</h2>" in page
    assert "<script>" not in page
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour'")
    before = gateway.mailbox.received
    asked = await pharmacist.in_person("POST", "/convention/signature", data={"version": "1"}, headers=HTML)
    assert (asked.status, asked.headers["Location"]) == (303, "/connexion/code?vers=/convention?reprise%3D1")
    letter = await gateway.letter_about(pharmacist.form["email"], "Votre code", after=before)
    given = {"code": mailed_code(letter)}
    assert (await pharmacist.in_person("POST", "/connexion/code", data=given, headers=HTML)).status == 303
    for version, status in (("9", 409), ("x", 409), ("1", 303)):
        signed = await pharmacist.in_person("POST", "/convention/signature", data={"version": version}, headers=HTML)
        assert signed.status == status
    page = await see(pharmacist, "/convention")
    assert "Vous l'avez signée" in page
    assert "Signer la convention" not in page
    hurried = await pharmacist.in_person("POST", "/convention/depart", data={}, headers=HTML)
    assert hurried.status == 303
    assert "Vous la quittez" not in await see(pharmacist, "/convention")
    left = await pharmacist.in_person("POST", "/convention/depart", data={"sure": "oui"}, headers=HTML)
    assert left.status == 303
    last = builders.today() + timedelta(days=30)
    assert f"{last:%d/%m/%Y}" in await see(pharmacist, "/convention")


async def test_the_tables_are_listed_with_all_their_forms(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    await (await gateway.admit()).put_product()
    pharmacist = await gateway.join()
    assert "Aucune version" in await see(pharmacist, "/tables")
    await publish(gateway, note="Premières <tables>.")
    await pharmacist.in_person("GET", "/v1/dre/tables?wait=10")
    page = await see(pharmacist, "/tables")
    assert "en vigueur" in page
    assert "Premières &lt;tables&gt;." in page
    for kind in ("json", "csv", "xml", "pdf", "html"):
        assert f'href="/v1/dre/tables/1?format={kind}"' in page
    told = await pharmacist.in_person("POST", "/tables/avis", data={"mail": "oui"}, headers=HTML)
    assert (told.status, "Ne plus être prévenu" in await see(pharmacist, "/tables")) == (303, True)
    await pharmacist.in_person("POST", "/tables/avis", data={"mail": "non"}, headers=HTML)
    assert "Me prévenir" in await see(pharmacist, "/tables")
