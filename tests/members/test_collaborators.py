"""Collaborators: invited by mail, each with a log-in and a role of his own, all in the practice's journal."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, Practitioner, link_token
from tpgateway.web.limits import Limiter
from tpgateway.web.state import STATE

PASSWORD = "Comptoir-Velo-7"


@pytest.fixture
def owner(pharmacist: Practitioner) -> Practitioner:
    return pharmacist


async def invite(owner: Practitioner, email: str, role: str) -> Practitioner:
    """Somebody who was invited, accepted by the mailed link, and logged in."""
    gateway = owner.gateway
    before = gateway.mailbox.received
    invited = await owner.in_person("POST", "/v1/me/members", {"email": email, "role": role, "name": "Inès Comptoir"})
    assert (invited.status, invited.body["state"]) == (201, "invited"), invited.body
    token = link_token(await gateway.letter_about(email, "Invitation", after=before))
    accepted = await gateway.call("POST", "/v1/invitations/acceptance", {"token": token, "password": PASSWORD})
    assert (accepted.status, accepted.body["state"]) == (200, "active")
    colleague = Practitioner(gateway, {**owner.form, "email": email, "password": PASSWORD}, gateway.browser())
    before = gateway.mailbox.received
    login = {**colleague.login, "email": email}
    assert (await colleague.in_person("POST", "/v1/sessions", login)).status == 201
    await colleague.type_code(await gateway.letter_to(email, after=before))
    return colleague


async def test_a_collaborator_has_a_log_in_of_his_own_within_the_practice(
    gateway: Gateway, owner: Practitioner
) -> None:
    colleague = await invite(owner, "ines@pont.example", "staff")
    assert (await colleague.in_person("GET", "/v1/me")).body["name"] == owner.form["legal_name"]
    # The practice's number opens the holder's door with the holder's password alone.
    mixed = {**owner.login, "password": PASSWORD}
    assert (await gateway.call("POST", "/v1/sessions", mixed)).code == "login_refused"
    members = (await owner.in_person("GET", "/v1/me/members")).body["members"]
    assert [(each["role"], each["is_holder"]) for each in members] == [("owner", True), ("staff", False)]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("owner", {"read": 200, "cards": 200, "members": 200, "clients": 200, "journal": 200}),
        ("staff", {"read": 200, "cards": 200, "members": 403, "clients": 403, "journal": 403}),
        ("read_only", {"read": 200, "cards": 403, "members": 403, "clients": 403, "journal": 403}),
    ],
)
async def test_each_role_does_what_it_may(
    gateway: Gateway, worker: None, role: str, allowed: dict[str, int], tmp_path: Any
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    await gateway.admit()
    owner = await gateway.join()
    colleague = await invite(owner, "ines@pont.example", role)
    card = {**builders.a_card(), "domain": "PHAR"}
    replies = {
        "read": await colleague.in_person("GET", "/v1/me"),
        "cards": await colleague.in_person("POST", "/v1/card-checks", card),
        "members": await colleague.in_person("GET", "/v1/me/members"),
        "clients": await colleague.in_person("GET", "/v1/me/clients"),
        "journal": await colleague.in_person("GET", "/v1/me/journal"),
    }
    assert {name: reply.status for name, reply in replies.items()} == allowed
    assert {reply.code for reply in replies.values() if reply.status == 403} <= {"role_not_allowed"}


async def test_a_collaborator_who_is_removed_is_out_at_once(gateway: Gateway, owner: Practitioner) -> None:
    colleague = await invite(owner, "ines@pont.example", "owner")
    members = (await owner.in_person("GET", "/v1/me/members")).body["members"]
    ids = {each["is_holder"]: each["id"] for each in members}
    # A second owner cannot put the holder out, nor make him less.
    assert (await colleague.in_person("DELETE", f"/v1/me/members/{ids[True]}")).code == "holder_stays"
    assert (await colleague.in_person("PATCH", f"/v1/me/members/{ids[True]}", {"role": "staff"})).code == "holder_stays"
    lowered = await owner.in_person("PATCH", f"/v1/me/members/{ids[False]}", {"role": "staff"})
    assert lowered.body["role"] == "staff"
    assert (await colleague.in_person("GET", "/v1/me/members")).code == "role_not_allowed"
    assert (await owner.in_person("DELETE", f"/v1/me/members/{ids[False]}")).status == 204
    assert (await colleague.in_person("GET", "/v1/me")).code == "authentication_required"
    login = {**colleague.login, "email": "ines@pont.example"}
    assert (await gateway.call("POST", "/v1/sessions", login)).code == "login_refused"
    # The address may be invited again.
    await invite(owner, "ines@pont.example", "staff")


async def test_an_invitation_is_for_one_address_once_and_can_be_taken_back(
    gateway: Gateway, owner: Practitioner
) -> None:
    wanted = {"email": "ines@pont.example", "role": "staff"}
    member = (await owner.in_person("POST", "/v1/me/members", wanted)).body
    again = await owner.in_person("POST", "/v1/me/members", {**wanted, "email": "INES@pont.example"})
    assert (again.status, again.code) == (409, "member_already_there")
    token = link_token(await gateway.letter_about("ines@pont.example", "Invitation"))
    assert (await owner.in_person("DELETE", f"/v1/me/members/{member['id']}")).status == 204
    accepted = {"token": token, "password": PASSWORD}
    assert (await gateway.call("POST", "/v1/invitations/acceptance", accepted)).code == "link_used"


async def test_other_practices_people_are_out_of_reach(gateway: Gateway, worker: None) -> None:
    owner, other = await gateway.join(), await gateway.join()
    await invite(owner, "ines@pont.example", "staff")
    theirs = [each["id"] for each in (await owner.in_person("GET", "/v1/me/members")).body["members"]]
    for each in theirs:
        assert (await other.in_person("DELETE", f"/v1/me/members/{each}")).code == "not_found"
        assert (await other.in_person("PATCH", f"/v1/me/members/{each}", {"role": "staff"})).code == "not_found"


async def test_a_collaborator_resets_his_own_password_and_no_other(gateway: Gateway, owner: Practitioner) -> None:
    colleague = await invite(owner, "ines@pont.example", "staff")
    asked = {"scheme": "finess", "value": owner.form["value"], "email": "ines@pont.example"}
    await gateway.call("POST", "/v1/password-resets", asked)
    letter = await gateway.letter_about("ines@pont.example", "nouveau mot de passe")
    changed = await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": "Nouveau-Velo-42"})
    assert changed.status == 204
    assert (await colleague.in_person("GET", "/v1/me")).code == "authentication_required"
    assert (await owner.in_person("GET", "/v1/me")).status == 200


async def test_the_journal_says_who_did_what_and_can_be_searched_sorted_and_exported(
    gateway: Gateway, worker: None, tmp_path: Any
) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    await gateway.admit()
    owner = await gateway.join()
    colleague = await invite(owner, "ines@pont.example", "staff")
    card = {**builders.a_card(), "domain": "PHAR"}
    assert (await colleague.in_person("POST", "/v1/card-checks", card)).status == 200
    assert (await owner.call("POST", "/v1/card-checks", card)).status == 200

    journal = (await owner.in_person("GET", "/v1/me/journal")).body
    by_action = {entry["action"]: entry for entry in reversed(journal["entries"])}
    assert by_action["member:account:invite"]["who"] == owner.form["email"]
    assert by_action["member:account:join"]["who"] == "Inès Comptoir"
    assert by_action["practitioner:client:create"]["what_fr"] == "Accès logiciel créé"
    times = [entry["occurred_at"] for entry in journal["entries"]]
    assert times == sorted(times, reverse=True)

    checks = (await owner.in_person("GET", "/v1/me/journal?action=card:&order=oldest")).body["entries"]
    assert [entry["who"] for entry in checks] == ["Inès Comptoir", "Logiciel"]
    hers = (await owner.in_person("GET", f"/v1/me/journal?agent={checks[0]['agent_id']}")).body["entries"]
    assert {"card:check:do", "member:session:open"} <= {entry["action"] for entry in hers}
    assert {entry["who"] for entry in hers} == {"Inès Comptoir"}
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (await owner.in_person("GET", f"/v1/me/journal?since={tomorrow}")).body["entries"] == []

    seen, after = [], ""
    while True:
        page = (await owner.in_person("GET", f"/v1/me/journal?limit=3{after}")).body
        seen += [entry["id"] for entry in page["entries"]]
        if page["next_after"] is None:
            break
        after = f"&after={page['next_after']}"
    assert seen == [entry["id"] for entry in journal["entries"]]

    exported = await owner.in_person("GET", "/v1/me/journal.csv?order=oldest")
    assert exported.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(exported.body.decode("utf-8-sig")), delimiter=";"))
    assert rows[0][:4] == ["date", "heure", "qui", "quoi"]
    assert "Inès Comptoir" in [row[2] for row in rows]
    assert len(rows) == len(seen) + 2  # the header, and the export itself


async def test_the_journal_of_another_practice_is_not_to_be_seen(gateway: Gateway, worker: None) -> None:
    owner, other = await gateway.join(), await gateway.join()
    agent = (await owner.in_person("GET", "/v1/me/members")).body["members"][0]["id"]
    assert (await other.in_person("GET", f"/v1/me/journal?agent={agent}")).body["entries"] == []


@pytest.mark.parametrize(
    "query",
    [
        "action=nothing",
        "agent=x",
        "since=yesterday",
        "since=0001-01-01T00:00:00%2B14:00",
        "order=up",
        "limit=0",
        "after=1",
    ],
)
async def test_a_wrong_search_is_refused(owner: Practitioner, query: str) -> None:
    reply = await owner.in_person("GET", f"/v1/me/journal?{query}")
    assert (reply.status, reply.code) == (422, "field_invalid")


async def test_a_cell_that_a_spreadsheet_would_run_is_only_text(gateway: Gateway, owner: Practitioner) -> None:
    wanted = {"name": '=HYPERLINK("x")', "scopes": ["cards"]}
    made = await owner.in_person("POST", "/v1/me/clients", wanted)
    assert made.status == 201
    basic = (made.body["client_id"], made.body["client_secret"])
    token = (await gateway.ask_token(basic=basic)).body["access_token"]
    await gateway.admit()
    await gateway.call("POST", "/v1/card-checks", {**builders.a_card(), "domain": "PHAR"}, token=token)
    exported = (await owner.in_person("GET", "/v1/me/journal.csv")).body.decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(exported), delimiter=";"))
    assert '\'=HYPERLINK("x")' in [row[2] for row in rows]


async def test_a_practice_cannot_mail_strangers_without_end(gateway: Gateway, owner: Practitioner) -> None:
    await gateway.execute(
        "INSERT INTO rate_windows (key, minute, used) SELECT '86400 practice mail ' || id,"
        " date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 39 FROM practitioners"
    )
    replies = [
        await owner.in_person("POST", "/v1/me/members", {"email": f"x{number}@a.example", "role": "staff"})
        for number in range(2)
    ]
    assert [reply.status for reply in replies] == [201, 429]
    assert replies[1].code == "mails_too_many"
    assert (await owner.in_person("PUT", "/v1/me/email", {"email": "y@a.example"})).code == "mails_too_many"


async def test_the_same_key_of_two_colleagues_is_two_keys(owner: Practitioner) -> None:
    colleague = await invite(owner, "ines@pont.example", "owner")
    wanted = {"name": "Poste", "scopes": ["cards"]}
    one, other = [await who.in_person("POST", "/v1/me/clients", wanted, key="same") for who in (owner, colleague)]
    assert one.body["client_secret"] != other.body["client_secret"]
    assert "Idempotency-Replayed" not in other.headers
    again = await owner.in_person("POST", "/v1/me/clients", wanted, key="same")
    assert again.body == one.body


async def test_another_owner_cannot_close_the_account_and_its_holder_hears_of_him(
    gateway: Gateway, owner: Practitioner
) -> None:
    colleague = await invite(owner, "ines@pont.example", "owner")
    assert "i…s@pont.example" in (await gateway.letter_about(owner.form["email"], "gestionnaire")).text
    refused = await colleague.in_person("POST", "/v1/me/closure", {"value": owner.form["value"]})
    assert (refused.status, refused.code) == (403, "holder_needed")


async def test_what_one_does_in_person_does_not_stop_the_software(gateway: Gateway, owner: Practitioner) -> None:
    gateway.app[STATE].limiter = Limiter(120)
    change = {"current_password": "Faux-Velo-1", "password": "Nouveau-Velo-42"}
    codes = [(await owner.in_person("PUT", "/v1/me/password", change)).code for _ in range(3)]
    assert codes[-1] == "rate_limited"
    assert (await owner.call("GET", "/v1/me")).status == 200


async def test_a_signature_binds_the_practice_and_is_its_owners(gateway: Gateway, worker: None, tmp_path: Any) -> None:
    await gateway.publish_conventions(builders.convention_files(tmp_path))
    owner = await gateway.join()
    colleague = await invite(owner, "ines@pont.example", "staff")
    refused = await colleague.in_person("POST", "/v1/conventions/pharmacy/signature", {"version": 1})
    assert refused.code == "role_not_allowed"


async def test_a_page_shows_staff_no_more_than_the_api(owner: Practitioner) -> None:
    colleague = await invite(owner, "ines@pont.example", "staff")
    html = {"Accept": "text/html"}
    assert owner.client_id in (await owner.in_person("GET", "/compte/acces", headers=html)).body.decode()
    assert "/compte/acces" not in (await colleague.in_person("GET", "/compte", headers=html)).body.decode()
    for path in ("/compte/banque", "/compte/equipe", "/compte/acces", "/compte/journal"):
        assert (await colleague.in_person("GET", path, headers=html)).status == 403, path


async def test_a_look_at_the_export_alone_sends_and_records_nothing(gateway: Gateway, owner: Practitioner) -> None:
    async with owner.browser.head(f"{gateway.url}/v1/me/journal.csv") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    exports = "SELECT count(*) FROM audit_entries WHERE action = 'member:journal:export'"
    assert await gateway.fetchval(exports) == 0
    assert (await owner.in_person("GET", "/v1/me")).status == 200
