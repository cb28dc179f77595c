"""The pages: activation, log-in, account, and what protects them."""

import re

import pytest

from tests import builders
from tests.driver import Gateway, link_token, mailed_code
from tpgateway.demo.mailbox import Letter

HTML = {"Accept": "text/html"}


async def test_a_practitioner_activates_logs_in_and_creates_an_access_by_pages_alone(
    gateway: Gateway, worker: None
) -> None:
    form = builders.a_registration()
    await gateway.enlist(form)
    path = f"/activation/{await gateway.mailed_token(form)}"
    # Opening the link uses nothing up: mail filters open links too.
    for _ in range(2):
        page = await gateway.call("GET", path, headers=HTML)
        assert (page.status, "Activer mon compte" in page.body.decode()) == (200, True)
    assert "Votre compte est activé" in (await gateway.call("POST", path, headers=HTML)).body.decode()
    used = await gateway.call("POST", path, headers=HTML)
    assert (used.status, "Ce lien a déjà servi" in used.body.decode()) == (410, True)

    browser = gateway.browser()
    login = {name: form[name] for name in ("scheme", "value", "password")}
    before = gateway.mailbox.received
    entered = await gateway.call("POST", "/connexion", data=login, http=browser, headers=HTML)
    assert (entered.status, entered.headers["Location"]) == (303, "/connexion/code")
    # Until the code is given, the account stays closed.
    early = await gateway.call("GET", "/compte", http=browser, headers=HTML)
    assert early.headers["Location"] == "/connexion/code?vers=/compte"
    asks = (await gateway.call("GET", "/connexion/code", http=browser, headers=HTML)).body.decode()
    assert "six chiffres" in asks
    assert form["email"] not in asks
    code = mailed_code(await gateway.letter_to(form["email"], after=before))
    wrong = await gateway.call("POST", "/connexion/code", data={"code": "abcdef"}, http=browser, headers=HTML)
    assert (wrong.status, "pas le bon" in wrong.body.decode()) == (422, True)
    given = {"code": code, "know_device": "true"}
    passed = await gateway.call("POST", "/connexion/code", data=given, http=browser, headers=HTML)
    assert (passed.status, passed.headers["Location"]) == (303, "/comptoir")
    account = (await gateway.call("GET", "/compte", http=browser, headers=HTML)).body.decode()
    assert form["value"] in account
    made = await gateway.call(
        "POST", "/compte/acces", data=[("name", "Comptoir"), ("scopes.cards", "oui")], http=browser, headers=HTML
    )
    client_id, secret = re.findall(r"<dd><code[^>]*>([^<]+)</code>", made.body.decode())
    assert (await gateway.ask_token(basic=(client_id, secret))).body["scope"] == "cards"
    left = await gateway.call("POST", "/deconnexion", http=browser, headers=HTML)
    assert left.status == 303
    assert (await gateway.call("GET", "/compte", http=browser, headers=HTML)).headers[
        "Location"
    ] == "/connexion?vers=/compte"


async def test_a_wrong_password_says_so_and_keeps_what_was_typed_but_the_password(gateway: Gateway) -> None:
    reply = await gateway.call("POST", "/connexion", data=builders.a_login(), headers=HTML)
    page = reply.body.decode()
    assert reply.status == 401
    assert "Identifiant ou mot de passe incorrect." in page
    assert 'value="2B0000020"' in page
    assert "Officine-2026-ok" not in page


@pytest.mark.parametrize("data", [{}, {"scheme": "nonsense"}, {"scheme": "finess", "value": "1"}, b"\xff\xfe"])
async def test_a_form_that_cannot_be_is_refused_politely(gateway: Gateway, data: object) -> None:
    reply = await gateway.call("POST", "/connexion", data=data, headers=HTML)
    assert reply.status in {400, 422}
    assert "<html" in reply.body.decode()


async def test_what_is_typed_is_never_mark_up(gateway: Gateway) -> None:
    data = builders.a_login(value='"><script>alert(1)</script>')
    page = (await gateway.call("POST", "/connexion", data=data, headers=HTML)).body.decode()
    assert "<script>" not in page


async def test_forms_of_other_sites_are_refused(gateway: Gateway, worker: None) -> None:
    practitioner = await gateway.join()
    headers = {**HTML, "Sec-Fetch-Site": "cross-site"}
    for path in ("/connexion", "/deconnexion", "/compte/acces"):
        reply = await practitioner.in_person("POST", path, data={}, headers=headers)
        assert reply.status == 403, path


@pytest.mark.parametrize("path", ["/", "/connexion", "/activation/x", "/nulle-part"])
async def test_pages_run_no_script_but_our_own_file_and_are_not_kept(gateway: Gateway, path: str) -> None:
    reply = await gateway.call("GET", path, headers=HTML)
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert reply.headers["Cache-Control"] == "no-store"
    assert re.findall("<script.*", reply.body.decode()) == ['<script src="/static/portal.js" defer></script>']
    assert " style=" not in reply.body.decode()


async def test_the_style_is_served(gateway: Gateway) -> None:
    reply = await gateway.call("GET", "/static/style.css")
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (200, "text/css")
    for wrong in ("../handlers.py", "nothing.css"):
        assert (await gateway.call("GET", f"/static/{wrong}")).status == 404


async def test_a_lost_password_is_replaced_by_pages_alone(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join()
    before = gateway.mailbox.received
    asked = {"scheme": "finess", "value": pharmacist.form["value"], "email": ""}
    sent = await gateway.call("POST", "/mot-de-passe-oublie", data=asked, headers=HTML)
    assert (sent.status, "un message vient de partir" in sent.body.decode()) == (200, True)
    path = f"/mot-de-passe/{link_token(await gateway.letter_to(pharmacist.form['email'], after=before))}"
    assert (await gateway.call("GET", path, headers=HTML)).status == 200
    typed = {"password": "Nouveau-Velo-42", "password_confirmation": "Nouveau-Velo-43"}
    differ = await gateway.call("POST", path, data=typed, headers=HTML)
    assert (differ.status, "sont différents" in differ.body.decode()) == (422, True)
    weak = await gateway.call("POST", path, data=dict.fromkeys(typed, "court"), headers=HTML)
    assert "plus de 8 caractères" in weak.body.decode()
    right = dict.fromkeys(typed, "Nouveau-Velo-42")
    done = await gateway.call("POST", path, data=right, headers=HTML)
    assert (done.status, "mot de passe est changé" in done.body.decode()) == (200, True)
    again = await gateway.call("POST", path, data=right, headers=HTML)
    assert (again.status, "a déjà servi" in again.body.decode()) == (410, True)
    login = {**pharmacist.login, "password": "Nouveau-Velo-42"}
    assert (await gateway.call("POST", "/v1/sessions", login)).status == 201


async def test_a_lost_number_is_asked_for_by_a_page(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join()
    before = gateway.mailbox.received
    data = {"email": pharmacist.form["email"]}
    sent = await gateway.call("POST", "/identifiant-oublie", data=data, headers=HTML)
    assert "vient de partir" in sent.body.decode()
    assert "75••••" in (await gateway.letter_to(pharmacist.form["email"], after=before)).text
    wrong = await gateway.call("POST", "/identifiant-oublie", data={"email": "personne"}, headers=HTML)
    assert (wrong.status, "pas valable" in wrong.body.decode()) == (422, True)


async def test_links_of_mails_lead_to_pages_that_do_what_they_say(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join()
    await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "CMCIFR2A"})
    path = link_path(await gateway.letter_about(pharmacist.form["email"], "vont changer"))
    assert "Annuler le changement" in (await gateway.call("GET", path, headers=HTML)).body.decode()
    assert "est annulé" in (await gateway.call("POST", path, headers=HTML)).body.decode()

    await pharmacist.in_person("PUT", "/v1/me/email", {"email": "neuve@a.example"})
    path = link_path(await gateway.letter_to("neuve@a.example"))
    assert "Confirmer" in (await gateway.call("GET", path, headers=HTML)).body.decode()
    assert "est en place" in (await gateway.call("POST", path, headers=HTML)).body.decode()

    invited = {"email": "ines@a.example", "role": "staff"}
    await pharmacist.in_person("POST", "/v1/me/members", invited)
    path = link_path(await gateway.letter_to("ines@a.example"))
    typed = {"name": "Inès Comptoir", "password": "Comptoir-Velo-7", "password_confirmation": "Comptoir-Velo-7"}
    assert "Bienvenue" in (await gateway.call("POST", path, data=typed, headers=HTML)).body.decode()
    browser = gateway.browser()
    login = {**pharmacist.login, "email": "ines@a.example", "password": "Comptoir-Velo-7"}
    entered = await gateway.call("POST", "/connexion", data=login, http=browser, headers=HTML)
    assert entered.headers["Location"] == "/connexion/code"


async def test_a_page_asks_for_a_code_before_a_sensitive_change(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join()
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour'")
    before = gateway.mailbox.received
    data = [("name", "Comptoir"), ("scopes.cards", "oui")]
    asked = await gateway.call("POST", "/compte/acces", data=data, http=pharmacist.browser, headers=HTML)
    assert (asked.status, asked.headers["Location"]) == (303, "/connexion/code?vers=/compte/acces?reprise%3D1")
    code = {"code": mailed_code(await gateway.letter_to(pharmacist.form["email"], after=before))}
    given = await gateway.call("POST", "/connexion/code", data=code, http=pharmacist.browser, headers=HTML)
    assert given.headers["Location"] == "/comptoir"
    made = await gateway.call("POST", "/compte/acces", data=data, http=pharmacist.browser, headers=HTML)
    assert (made.status, "client_secret" in made.body.decode()) == (200, True)


def link_path(letter: Letter) -> str:
    found = re.search(r"http://[^/]+(/[a-z-]+/\S{43})", letter.text)
    assert found, letter.text
    return found[1]
