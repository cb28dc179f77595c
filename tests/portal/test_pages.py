"""The pages: activation, log-in, account, and what protects them."""

import re

import pytest

from tests import builders
from tests.driver import Gateway, mailed_code

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
    assert early.headers["Location"] == "/connexion/code"
    asks = (await gateway.call("GET", "/connexion/code", http=browser, headers=HTML)).body.decode()
    assert "six chiffres" in asks
    assert form["email"] not in asks
    code = mailed_code(await gateway.letter_to(form["email"], after=before))
    wrong = await gateway.call("POST", "/connexion/code", data={"code": "abcdef"}, http=browser, headers=HTML)
    assert (wrong.status, "pas le bon" in wrong.body.decode()) == (422, True)
    given = {"code": code, "know_device": "true"}
    passed = await gateway.call("POST", "/connexion/code", data=given, http=browser, headers=HTML)
    assert (passed.status, passed.headers["Location"]) == (303, "/compte")
    account = (await gateway.call("GET", "/compte", http=browser, headers=HTML)).body.decode()
    assert form["value"] in account
    made = await gateway.call(
        "POST", "/compte/acces", data=[("name", "Comptoir"), ("scopes", "cards")], http=browser, headers=HTML
    )
    client_id, secret = re.findall(r"<dd><code>([^<]+)</code></dd>", made.body.decode())
    assert (await gateway.ask_token(basic=(client_id, secret))).body["scope"] == "cards"
    left = await gateway.call("POST", "/deconnexion", http=browser, headers=HTML)
    assert left.status == 303
    assert (await gateway.call("GET", "/compte", http=browser, headers=HTML)).headers["Location"] == "/connexion"


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
    assert "<script" not in page


async def test_forms_of_other_sites_are_refused(gateway: Gateway, worker: None) -> None:
    practitioner = await gateway.join()
    headers = {**HTML, "Sec-Fetch-Site": "cross-site"}
    for path in ("/connexion", "/deconnexion", "/compte/acces"):
        reply = await practitioner.in_person("POST", path, data={}, headers=headers)
        assert reply.status == 403, path


@pytest.mark.parametrize("path", ["/", "/connexion", "/activation/x", "/nulle-part"])
async def test_pages_run_no_script_and_are_not_kept(gateway: Gateway, path: str) -> None:
    reply = await gateway.call("GET", path, headers=HTML)
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert reply.headers["Cache-Control"] == "no-store"
    assert "<script" not in reply.body.decode()
    assert " style=" not in reply.body.decode()


async def test_the_style_is_served(gateway: Gateway) -> None:
    reply = await gateway.call("GET", "/static/style.css")
    assert (reply.status, reply.headers["Content-Type"].split(";")[0]) == (200, "text/css")
    for wrong in ("../handlers.py", "nothing.css"):
        assert (await gateway.call("GET", f"/static/{wrong}")).status == 404
