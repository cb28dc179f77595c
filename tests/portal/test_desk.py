"""The insurers' desk: who may come in, and what each may do there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, Reply, link_token, mailed_code, run_command
from tpgateway.web.callers import Role

HTML = {"Accept": "text/html"}
PASSWORD = "Relecture-Velo-7"


@dataclass
class Reviewer:
    """One of an insurer's people, logged in."""

    gateway: Gateway
    email: str
    number: str
    browser: aiohttp.ClientSession

    async def call(self, method: str, path: str, **typed: Any) -> Reply:
        data = typed or None
        return await self.gateway.call(method, path, data=data, http=self.browser, headers=HTML)

    async def knock(self, *, number: str | None = None, password: str = PASSWORD) -> Reply:
        return await self.call(
            "POST", "/assureur/connexion", number=number or self.number, email=self.email, password=password
        )

    async def enter(self) -> None:
        before = self.gateway.mailbox.received
        assert (await self.knock()).headers["Location"] == "/connexion/code"
        code = mailed_code(await self.gateway.letter_about(self.email, "Votre code", after=before))
        given = await self.call("POST", "/connexion/code", code=code, know_device="true")
        assert given.headers["Location"] == "/assureur"


async def join(gateway: Gateway, number: str, email: str, role: Role = Role.OWNER) -> Reviewer:
    await gateway.invite_to_desk(number, email, "Claire Martin", role)
    token = link_token(await gateway.letter_to(email))
    typed = {"name": "Claire Martin", "password": PASSWORD, "password_confirmation": PASSWORD}
    joined = await gateway.call("POST", f"/invitation/{token}", data=typed, headers=HTML)
    assert "numéro de l&#39;organisme" in joined.body.decode() or "numéro de l'organisme" in joined.body.decode()
    reviewer = Reviewer(gateway, email, number, gateway.browser())
    await reviewer.enter()
    return reviewer


@pytest.fixture
async def optician(gateway: Gateway, worker: None, tmp_path: Path) -> Practitioner:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    insurer = await gateway.admit()
    assert (await insurer.put_product()).status == 200
    rules = {"approval_rules": {"reviews": [{"domain": "OPTI"}]}}
    assert (await insurer.call("PATCH", "/v1/insurer", rules)).status == 200
    await insurer.load(builders.a_right())
    optician = await gateway.join(**builders.an_optician())
    await optician.sign()
    return optician


async def ask(optician: Practitioner) -> str:
    proof = (await optician.check(builders.a_card())).body["proof"]
    made = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    assert made.body["state"] == "under_review"
    return str(made.body["id"])


async def test_a_code_is_asked_for_each_time_and_strangers_learn_nothing(gateway: Gateway, worker: None) -> None:
    await gateway.admit()
    reviewer = await join(gateway, "0099990011", "claire@lac.example")
    await reviewer.call("POST", "/deconnexion", x="")
    assert (await reviewer.knock()).headers["Location"] == "/connexion/code"
    # Halfway in, nothing is open.
    halfway = await reviewer.call("GET", "/assureur")
    assert (halfway.status, halfway.headers["Location"]) == (303, "/connexion/code?vers=/assureur")
    assert (await reviewer.call("GET", "/comptoir")).headers["Location"].startswith("/connexion")

    stranger = Reviewer(gateway, "nobody@lac.example", "0099990011", gateway.browser())
    refused = [await stranger.knock(), await stranger.knock(number="0088880012"), await reviewer.knock(password="x")]
    assert {(each.status, "incorrect" in each.body.decode()) for each in refused} == {(401, True)}

    await gateway.execute("UPDATE insurers SET state = 'suspended'")
    assert (await reviewer.knock()).status == 401


async def test_a_suspension_ends_the_sessions_of_an_insurers_people_for_good(gateway: Gateway, worker: None) -> None:
    await gateway.admit()
    reviewer = await join(gateway, "0099990011", "claire@lac.example")
    assert (await reviewer.call("GET", "/assureur")).status == 200
    for words in (("suspend", "0099990011", "--why", "essai"), ("restore", "0099990011")):
        assert (await run_command("insurers", *words, database=gateway.database))[0] == 0
    assert (await reviewer.call("GET", "/assureur")).status == 303
    assert (await reviewer.knock()).status == 303


async def test_a_lost_password_is_replaced_by_mail(gateway: Gateway, worker: None) -> None:
    await gateway.admit()
    reviewer = await join(gateway, "0099990011", "claire@lac.example")
    before = gateway.mailbox.received
    for email in ("nobody@lac.example", reviewer.email):
        asked = await reviewer.call("POST", "/assureur/mot-de-passe-oublie", number="99990011", email=email)
        assert (asked.status, "Si ces informations sont connues" in asked.body.decode()) == (200, True)
    letter = await gateway.letter_about(reviewer.email, "nouveau mot de passe", after=before)
    assert "/assureur/mot-de-passe/" in letter.text
    typed = {"password": "Autre-Velo-88", "password_confirmation": "Autre-Velo-88"}
    # The practices' page is not its place.
    elsewhere = await gateway.call("POST", f"/mot-de-passe/{link_token(letter)}", data=typed, headers=HTML)
    assert elsewhere.status == 404
    done = await gateway.call("POST", f"/assureur/mot-de-passe/{link_token(letter)}", data=typed, headers=HTML)
    assert "Votre mot de passe est changé" in done.body.decode()
    assert (await reviewer.call("GET", "/assureur")).status == 303  # every session ended
    assert (await reviewer.knock()).status == 401
    assert (await reviewer.knock(password="Autre-Velo-88")).status == 303


async def test_each_does_what_the_role_allows_with_the_own_insurers_things(
    gateway: Gateway, optician: Practitioner
) -> None:
    approval = await ask(optician)
    await gateway.admit("0099990029")
    owner = await join(gateway, "0099990011", "claire@lac.example")
    reader = await join(gateway, "0099990011", "lit@lac.example", Role.READ_ONLY)
    staff = await join(gateway, "0099990011", "decide@lac.example", Role.STAFF)
    other = await join(gateway, "0099990029", "claire@marais.example")
    page, decision = f"/assureur/demandes/{approval}", f"/assureur/demandes/{approval}/decision"
    accord = {"version": "2", "decision": "approved"}

    assert (await other.call("GET", page)).status == 404
    assert (await other.call("POST", decision, **accord)).status == 404
    for path in (page, f"{page}/lettre", f"{page}/pieces/{approval[11:]}", "/assureur/demandes/garbage"):
        assert (await other.call("GET", path)).status == 404, path
    assert (await reader.call("GET", page)).status == 200
    assert (await reader.call("POST", decision, **accord)).status == 403
    stale = await staff.call("POST", decision, version="1", decision="approved")
    assert stale.status == 409
    assert (await staff.call("POST", decision, version="2", decision="refused")).status == 422
    decided = await staff.call("POST", decision, key="once", **accord)
    again = await staff.call("POST", decision, key="once", **accord)
    assert [each.headers["Location"] for each in (decided, again)] == [page, page]
    assert (await optician.call("GET", f"/v1/prior-approvals/{approval}")).body["version"] == 3

    assert (await staff.call("GET", "/compte/journal")).status == 403
    assert (await staff.call("POST", "/assureur/equipe", email="x@lac.example", role="owner")).status == 403
    people = "SELECT id FROM practitioner_members WHERE email = $1"
    mine, theirs = [await gateway.fetchval(people, each) for each in (owner.email, other.email)]
    assert (await owner.call("POST", f"/assureur/equipe/{mine}/retrait", x="")).status == 409
    assert (await owner.call("POST", f"/assureur/equipe/{theirs}/retrait", x="")).status == 404
    gone = await gateway.fetchval(people, staff.email)
    assert (await owner.call("POST", f"/assureur/equipe/{gone}/retrait", x="")).status == 303
    assert (await staff.call("GET", "/assureur")).status == 303

    # The journal says who decided.
    journal = (await owner.call("GET", "/compte/journal?action=approval:")).body.decode()
    assert "Claire Martin" in journal


async def test_the_desk_is_not_the_practices_nor_the_api(gateway: Gateway, optician: Practitioner) -> None:
    reviewer = await join(gateway, "0099990011", "claire@lac.example")
    for path in ("/v1/me", "/v1/prior-approvals", "/v1/insurer", "/v1/insurer/events", "/v1/sessions"):
        assert (await gateway.call("GET", path, http=reviewer.browser)).status == 403, path
    for path in ("/comptoir", "/compte", "/demandes", "/convention", "/tables"):
        assert (await reviewer.call("GET", path)).headers["Location"].startswith("/connexion?"), path
    for path in ("/assureur", "/assureur/droits", "/assureur/chiffres", "/assureur/equipe"):
        reply = await optician.in_person("GET", path, headers=HTML)
        assert reply.headers["Location"].startswith("/assureur/connexion"), path
    elsewhere = {**HTML, "Sec-Fetch-Site": "cross-site"}
    for path in ("/assureur/droits", "/assureur/equipe", "/assureur/connexion", "/assureur/demandes"):
        reply = await gateway.call("POST", path, data={"x": "y"}, http=reviewer.browser, headers=elsewhere)
        assert reply.status == 403, path
