"""What was being typed when a session ended comes back to the same person, and to nobody else."""

import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, mailed_code

HTML = {"Accept": "text/html"}
PATH = "/demandes/nouvelle/optique"
TYPED = {"frame.price": "140,00", "prescriber_rpps": "10999999906", "proof": "7KQ2-AAAA-BBBB", "key": "abc"}


async def post(practitioner: Practitioner, path: str = PATH, **more: str) -> tuple[int, str]:
    """As a browser does from the page of the form."""
    headers = {**HTML, "Referer": f"{practitioner.gateway.url}{path}", "Sec-Fetch-Site": "same-origin", **more}
    reply = await practitioner.in_person("POST", path, data=TYPED, headers=headers)
    return reply.status, reply.headers.get("Location", "")


async def shown(practitioner: Practitioner) -> str:
    return (await practitioner.in_person("GET", f"{PATH}?reprise=1", headers=HTML)).body.decode()


async def enter(gateway: Gateway, form: dict[str, str], practitioner: Practitioner) -> None:
    """Logs in by the page, in the same browser."""
    login = {name: form[name] for name in ("scheme", "value", "password")}
    before = gateway.mailbox.received
    http = practitioner.browser
    reply = await gateway.call("POST", "/connexion", data=login, http=http, headers=HTML)
    if reply.headers["Location"] == "/connexion/code":
        letter = await gateway.letter_about(form["email"], "Votre code", after=before)
        await gateway.call("POST", "/connexion/code", data={"code": mailed_code(letter)}, http=http, headers=HTML)


async def test_what_was_typed_is_given_back_once_to_the_same_person_alone(gateway: Gateway, worker: None) -> None:
    optician = await gateway.join(**builders.an_optician())
    other = await gateway.join(**builders.an_optician())
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '2 hours'")
    assert await post(optician) == (303, f"/connexion?vers={PATH}?reprise%3D1")
    assert b"140" not in await gateway.fetchval("SELECT sealed FROM member_drafts")

    # At the same counter somebody else comes first.
    await enter(gateway, other.form, optician)
    assert 'value="140,00"' not in await shown(optician)
    await enter(gateway, optician.form, optician)
    page = await shown(optician)
    assert all(f'value="{each}"' in page for each in ("140,00", "10999999906", "7KQ2-AAAA-BBBB"))
    assert 'value="140,00"' not in await shown(optician)


async def test_what_was_typed_outlasts_the_question_for_a_code(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join()
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '1 hour'")
    headers = {**HTML, "Referer": f"{gateway.url}/compte/banque"}
    typed = {"bic": "BNPAFRPP", "password": "Secret-Velo-7"}
    asked = await pharmacist.in_person("POST", "/compte/banque", data=typed, headers=headers)
    assert (asked.status, asked.headers["Location"]) == (303, "/connexion/code?vers=/compte/banque?reprise%3D1")
    page = (await pharmacist.in_person("GET", "/compte/banque?reprise=1", headers=HTML)).body.decode()
    assert 'value="BNPAFRPP"' in page
    assert "Secret-Velo-7" not in page


async def test_nothing_is_kept_of_strangers_nor_sent_from_elsewhere(gateway: Gateway, worker: None) -> None:
    optician = await gateway.join(**builders.an_optician())
    await gateway.execute("DELETE FROM sessions")
    assert await post(optician) == (303, f"/connexion?vers={PATH}")
    status, _ = await post(optician, **{"Sec-Fetch-Site": "cross-site"})
    assert status == 403
    assert await gateway.fetchval("SELECT count(*) FROM member_drafts") == 0


@pytest.mark.parametrize(
    "way",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "javascript:alert(1)", "/%0d%0aX: y"],
)
async def test_the_log_in_leads_to_our_own_pages_alone(gateway: Gateway, worker: None, way: str) -> None:
    pharmacist = await gateway.join()
    http = pharmacist.browser
    reply = await gateway.call("POST", f"/connexion?vers={way}", data=pharmacist.login, http=http, headers=HTML)
    assert reply.status == 303
    assert reply.headers["Location"] in {"/comptoir", "/%0D%0AX:%20y"}
    assert "X" not in reply.headers
