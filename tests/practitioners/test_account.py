"""An account in use: profile, bank details, further numbers, API clients, the listing, its end."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests import builders
from tests.driver import Gateway, Practitioner, link_token, until
from tpgateway.audit import OPERATOR
from tpgateway.mail import Post
from tpgateway.practitioners import oversight
from tpgateway.web.state import STATE, State


async def test_the_profile_changes_only_what_is_sent(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join(mobile="06 12 34 56 78")
    changed = await pharmacist.in_person("PATCH", "/v1/me", {"street": "4 rue du Pont", "town": "Paris"})
    assert changed.status == 200
    assert {name: changed.body[name] for name in ("street", "town", "mobile", "postal_code")} == {
        "street": "4 rue du Pont",
        "town": "Paris",
        "mobile": "+33612345678",
        "postal_code": "75010",
    }
    assert (await pharmacist.in_person("PATCH", "/v1/me", {"mobile": None})).body["mobile"] is None
    wrong = await pharmacist.in_person("PATCH", "/v1/me", {"postal_code": None, "street": "<b>", "mobile": "12"})
    assert wrong.faults == {"/postal_code": "field_invalid", "/street": "name_invalid", "/mobile": "mobile_invalid"}
    assert (await pharmacist.call("PATCH", "/v1/me", {})).code == "caller_not_allowed"


BANK = {"bic": "BDFEFRPPCCT", "iban": "FR7630001007941234567890185"}


async def test_new_bank_details_wait_three_days_and_the_owner_can_take_them_back_by_mail(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    email = pharmacist.form["email"]
    asked = await pharmacist.in_person("PUT", "/v1/me/bank-details", BANK)
    assert asked.status == 202
    assert asked.body["in_force"]["bic"] == "AGRIFRPP882"
    assert (asked.body["pending"]["bic"], asked.body["pending"]["iban_ending"]) == ("BDFEFRPPCCT", "0185")
    waits = datetime.fromisoformat(asked.body["pending"]["in_force_from"]) - datetime.now(UTC)
    assert timedelta(hours=71, minutes=59) < waits <= timedelta(hours=72)
    letter = await gateway.letter_about(email, "coordonnées bancaires vont changer")
    assert BANK["iban"] not in letter.text

    # Before the time, and without a log-in.
    revoked = await gateway.call("POST", "/v1/bank-detail-revocations", {"token": link_token(letter)})
    assert (revoked.status, revoked.body["status"]) == (200, "revoked")
    shown = (await pharmacist.in_person("GET", "/v1/me/bank-details")).body
    assert (shown["pending"], shown["in_force"]["bic"]) == (None, "AGRIFRPP882")
    assert len(shown["history"]) == 2
    await gateway.letter_about(email, "est annulé")

    # Asked for again, and the time passed.
    await pharmacist.in_person("PUT", "/v1/me/bank-details", BANK)
    await gateway.execute(
        "UPDATE bank_details SET requested_at = requested_at - interval '72 hours',"
        " in_force_from = in_force_from - interval '72 hours' WHERE revoked_at IS NULL"
    )
    assert (await pharmacist.in_person("GET", "/v1/me")).body["bic"] == "BDFEFRPPCCT"
    assert (await pharmacist.in_person("DELETE", "/v1/me/bank-details/pending")).code == "no_pending_bank_details"
    # Where there is an IBAN, there stays one.
    assert (await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "AGRIFRPP882"})).code == "iban_missing"


async def test_the_latest_request_counts_and_the_owner_can_take_it_back_himself(pharmacist: Practitioner) -> None:
    await pharmacist.in_person("PUT", "/v1/me/bank-details", BANK)
    second = await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "CMCIFR2A"})
    assert second.body["pending"]["bic"] == "CMCIFR2A"
    assert (await pharmacist.in_person("DELETE", "/v1/me/bank-details/pending")).status == 204
    assert (await pharmacist.in_person("GET", "/v1/me/bank-details")).body["pending"] is None


async def test_the_link_of_an_earlier_mail_takes_back_whatever_waits(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    """A thief who asks twice does not make the owner's first mail say that all is done already."""
    await pharmacist.in_person("PUT", "/v1/me/bank-details", BANK)
    first = await gateway.letter_about(pharmacist.form["email"], "vont changer")
    await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "CMCIFR2A"})
    revoked = await gateway.call("POST", "/v1/bank-detail-revocations", {"token": link_token(first)})
    assert revoked.status == 200
    assert (await pharmacist.in_person("GET", "/v1/me/bank-details")).body["pending"] is None


async def test_many_changes_of_bank_details_at_once_leave_one_waiting(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    before = gateway.mailbox.received
    banks = ("CMCIFR2A", "AGRIFRPP825", "BDFEFRPP", "SOGEFRPP", "CRLYFRPP")
    asked = await asyncio.gather(*(pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": bank}) for bank in banks))
    assert {reply.status for reply in asked} == {202}
    waiting = "SELECT count(*) FROM bank_details WHERE revoked_at IS NULL AND in_force_from > now()"
    assert await gateway.fetchval(waiting) == 1
    await until_letters(gateway, before + len(banks))
    letters = [each for each in gateway.mailbox.letters if "vont changer" in each.subject]
    revoked = await asyncio.gather(
        *(
            gateway.call("POST", "/v1/bank-detail-revocations", {"token": link_token(letter)})
            for letter in [*letters, *letters]
        )
    )
    assert sorted({reply.status for reply in revoked}) == [200, 410]
    assert sum(reply.status == 200 for reply in revoked) == 1
    assert await gateway.fetchval(waiting) == 0


async def until_letters(gateway: Gateway, count: int) -> None:
    async def have_come() -> bool:
        return gateway.mailbox.received >= count

    await until(have_come)


async def test_parallel_changes_of_the_profile_do_not_undo_each_other(pharmacist: Practitioner) -> None:
    changes = [{"street": "4 rue du Pont"}, {"town": "Paris"}, {"mobile": "06 12 34 56 78"}]
    for _ in range(5):
        await pharmacist.in_person("PATCH", "/v1/me", {"street": None, "town": None, "mobile": None})
        await asyncio.gather(*(pharmacist.in_person("PATCH", "/v1/me", change) for change in changes))
        me = (await pharmacist.in_person("GET", "/v1/me")).body
        assert (me["street"], me["town"], me["mobile"]) == ("4 rue du Pont", "Paris", "+33612345678")


async def test_a_claim_in_review_holds_nothing_and_opens_nothing(gateway: Gateway, worker: None) -> None:
    optician = await gateway.join(scheme="adeli", value="752800011", **builders.an_optician())
    foreign, own = {"scheme": "rpps", "value": "10999999914"}, {"scheme": "rpps", "value": "10999999906"}
    assert (await optician.in_person("POST", "/v1/me/identifiers", foreign)).status == 202
    assert (await gateway.call("POST", "/v1/sessions", {**optician.login, **foreign})).code == "login_refused"
    # One claim at a time: the second must not carry the first in.
    await gateway.enlist({**optician.form, **own})
    second = await optician.in_person("POST", "/v1/me/identifiers", own)
    assert (second.status, second.code) == (409, "identifier_in_review")
    # What is merely claimed is not reminded either.
    await gateway.call("POST", "/v1/identifier-reminders", {"email": optician.form["email"]})
    letter = await gateway.letter_about(optician.form["email"], "Vos numéros")
    assert ("Adeli" in letter.text, "RPPS" in letter.text) == (True, False)
    owner = await gateway.join(**{**builders.an_optician(first_name="Alix"), **foreign})
    assert (await owner.in_person("GET", "/v1/me")).body["identifiers"] == [foreign]


async def test_a_review_of_an_account_that_was_closed_meanwhile_is_over(gateway: Gateway, worker: None) -> None:
    optician = await gateway.join(scheme="adeli", value="752800011", **builders.an_optician())
    await optician.in_person("POST", "/v1/me/identifiers", {"scheme": "rpps", "value": "10999999914"})
    assert await gateway.fetchval("SELECT count(*) FROM practitioner_reviews WHERE decided_at IS NULL") == 1
    await optician.in_person("POST", "/v1/me/closure", {"value": "752800011"})
    assert await gateway.fetchval("SELECT count(*) FROM practitioner_reviews WHERE decided_at IS NULL") == 0
    # What it merely claimed was never its own, and its true owner is not held up.
    assert await gateway.fetchval("SELECT array_agg(value) FROM practitioner_identifiers") == ["752800011"]
    owner = await gateway.join(scheme="rpps", value="10999999914", **builders.an_optician())
    assert (await owner.in_person("GET", "/v1/me")).body["state"] == "active"


async def test_a_number_of_a_closed_account_goes_to_a_person_by_whatever_way(gateway: Gateway, worker: None) -> None:
    rpps = {"scheme": "rpps", "value": "10999999906"}
    former = await gateway.join(**{**builders.an_optician(), **rpps})
    await former.in_person("POST", "/v1/me/closure", {"value": rpps["value"]})
    by_adeli = await gateway.join(scheme="adeli", value="752800011", **builders.an_optician())
    added = await by_adeli.in_person("POST", "/v1/me/identifiers", rpps)
    assert (added.status, added.body["status"]) == (202, "in_review")
    # And the reason says so, though the name differs as well.
    form = builders.a_registration(**{**builders.an_optician(last_name="Autre"), **rpps})
    await gateway.call("POST", "/v1/practitioners/activation", {"token": await gateway.mailed_token(form)})
    reasons = "SELECT array_agg(reason) FROM practitioner_reviews WHERE decided_at IS NULL"
    assert await gateway.fetchval(reasons) == ["was_held", "was_held"]


async def test_deciding_and_closing_at_once_do_not_wait_for_each_other(gateway: Gateway, worker: None) -> None:
    for number in range(5):
        optician = await gateway.join(
            scheme="adeli", value="752800011", email=f"{number}@a.example", **builders.an_optician()
        )
        await gateway.execute("DELETE FROM practitioner_reviews")
        await optician.in_person("POST", "/v1/me/identifiers", {"scheme": "rpps", "value": "10999999914"})
        review = await gateway.fetchval("SELECT id FROM practitioner_reviews WHERE decided_at IS NULL")
        state = gateway.app[STATE]

        async def refuse(review: UUID = review, state: State = state) -> None:
            async with state.pool.acquire() as connection, connection.transaction():
                post = Post.of(state.settings, state.vault)
                await oversight.refuse(connection, post, review, "Non.", now=datetime.now(UTC), actor=OPERATOR)

        closing = optician.in_person("POST", "/v1/me/closure", {"value": "752800011"})
        closed, _ = await asyncio.gather(closing, refuse())
        assert closed.status == 204
        await gateway.execute("DELETE FROM practitioner_identifiers")


async def test_whoever_changes_the_address_first_is_still_seen(gateway: Gateway, pharmacist: Practitioner) -> None:
    old, new = pharmacist.form["email"], "voleur@a.example"
    await pharmacist.in_person("PUT", "/v1/me/email", {"email": new})
    token = link_token(await gateway.letter_to(new))
    await gateway.call("POST", "/v1/email-confirmations", {"token": token})
    await pharmacist.in_person("PUT", "/v1/me/bank-details", BANK)
    letter = await gateway.letter_about(old, "vont changer")
    assert (await gateway.call("POST", "/v1/bank-detail-revocations", {"token": link_token(letter)})).status == 200


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({**BANK, "bic": "AGRIFRPP882"}, "/iban", "iban_of_another_bank"),
        ({**BANK, "bic": "COBADEFF"}, "/iban", "bic_country_differs"),
        ({**BANK, "bic": "BDFEZZPP"}, "/bic", "identifier_wrong_form"),
        ({**BANK, "iban": "FR7630001007941234567890186"}, "/iban", "identifier_wrong_key"),
        ({}, "/bic", "field_missing"),
    ],
)
async def test_wrong_bank_details_are_refused_and_change_nothing(
    gateway: Gateway, pharmacist: Practitioner, body: dict[str, str], pointer: str, code: str
) -> None:
    reply = await pharmacist.in_person("PUT", "/v1/me/bank-details", body)
    assert (reply.status, reply.faults) == (422, {pointer: code})
    assert await gateway.fetchval("SELECT count(*) FROM bank_details") == 1


async def test_an_adeli_account_gains_its_rpps_and_keeps_both_ways_in(gateway: Gateway, worker: None) -> None:
    optician = await gateway.join(scheme="adeli", value="752800011", **builders.an_optician())
    rpps = {"scheme": "rpps", "value": "10999999906"}
    await gateway.enlist({**optician.form, **rpps})
    added = await optician.in_person("POST", "/v1/me/identifiers", rpps)
    assert (added.status, added.body["status"]) == (201, "added")
    for login in (optician.login, {**optician.login, **rpps}):
        assert (await gateway.call("POST", "/v1/sessions", login)).status == 201
    again = await optician.in_person("POST", "/v1/me/identifiers", {**rpps, "value": "10999999914"})
    assert again.code == "identifier_not_for_this_account"


async def test_a_number_that_the_directory_does_not_confirm_waits_and_one_in_use_is_refused(
    gateway: Gateway, worker: None
) -> None:
    optician = await gateway.join(scheme="adeli", value="752800011", **builders.an_optician())
    other = await gateway.join(scheme="rpps", value="10999999914", **builders.an_optician())
    taken = await optician.in_person("POST", "/v1/me/identifiers", {"scheme": "rpps", "value": other.form["value"]})
    assert taken.code == "identifier_taken"
    waits = await optician.in_person("POST", "/v1/me/identifiers", {"scheme": "rpps", "value": "10999999906"})
    assert (waits.status, waits.body["status"]) == (202, "in_review")
    assert [each["scheme"] for each in waits.body["identifiers"]] == ["adeli"]
    assert await gateway.fetchval("SELECT reason FROM practitioner_reviews") == "not_found"
    pharmacist = await gateway.join()
    body = await pharmacist.in_person("POST", "/v1/me/identifiers", {"scheme": "rpps", "value": "10888888806"})
    assert body.code == "identifier_not_for_this_account"


async def test_a_closed_account_is_out_everywhere_and_its_number_free(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    slip = await pharmacist.in_person("POST", "/v1/me/closure", {"value": "2B0000020"})
    assert slip.faults == {"/value": "field_invalid"}
    assert (await pharmacist.in_person("POST", "/v1/me/closure", {"value": pharmacist.form["value"]})).status == 204
    assert (await pharmacist.in_person("GET", "/v1/me")).code == "authentication_required"
    basic = (pharmacist.client_id, pharmacist.client_secret)
    assert (await gateway.ask_token(basic=basic)).code == "invalid_client"
    assert (await gateway.call("POST", "/v1/sessions", pharmacist.login)).code == "account_closed"
    await gateway.letter_about(pharmacist.form["email"], "Votre compte est fermé")
    # Whoever registers with it again is looked at by a person first.
    form = builders.a_registration(value=pharmacist.form["value"])
    await gateway.enlist(form)
    token = await gateway.mailed_token(form)
    activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert activated.body["state"] == "in_review"
    assert await gateway.fetchval("SELECT reason FROM practitioner_reviews") == "was_held"
    await gateway.approve()
    fresh = await gateway.enter(form)
    assert (await fresh.in_person("GET", "/v1/me")).body["state"] == "active"


# API clients -----------------------------------------------------------------------------------------------------------


async def test_a_secret_is_replaced_without_a_standstill(gateway: Gateway, pharmacist: Practitioner) -> None:
    path = f"/v1/me/clients/{pharmacist.client_id}"
    rotated = await pharmacist.in_person("POST", f"{path}/rotation", {})
    old, new = pharmacist.client_secret, rotated.body["client_secret"]
    for secret in (old, new):
        assert (await gateway.ask_token(basic=(pharmacist.client_id, secret))).status == 200
    await gateway.execute("UPDATE practitioner_clients SET former_until = now()")
    assert (await gateway.ask_token(basic=(pharmacist.client_id, old))).code == "invalid_client"
    assert (await gateway.ask_token(basic=(pharmacist.client_id, new))).status == 200
    at_once = (await pharmacist.in_person("POST", f"{path}/rotation", {"overlap_hours": 0})).body
    assert at_once["former_until"] is None
    assert (await gateway.ask_token(basic=(pharmacist.client_id, new))).code == "invalid_client"


async def test_a_client_is_renamed_and_says_when_it_was_last_used(gateway: Gateway, pharmacist: Practitioner) -> None:
    path = f"/v1/me/clients/{pharmacist.client_id}"
    renamed = (await pharmacist.in_person("PATCH", path, {"name": "Comptoir 2"})).body
    assert renamed["name"] == "Comptoir 2"
    assert datetime.now(UTC) - datetime.fromisoformat(renamed["last_used_at"]) < timedelta(minutes=1)
    other = await gateway.join()
    for method, suffix, body in (("PATCH", "", {"name": "x"}), ("POST", "/rotation", {}), ("DELETE", "", None)):
        assert (await other.in_person(method, path + suffix, body)).code == "not_found"


async def test_a_client_with_a_key_does_not_fall_back_to_a_secret_and_no_promise_is_broken(
    pharmacist: Practitioner,
) -> None:
    public = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    wanted = {"name": "Clé", "scopes": ["cards"], "public_jwk": public}
    keyed = (await pharmacist.in_person("POST", "/v1/me/clients", wanted)).body
    path = f"/v1/me/clients/{keyed['client_id']}/rotation"
    assert (await pharmacist.in_person("POST", path, {})).faults == {"/public_jwk": "field_missing"}
    assert (await pharmacist.in_person("POST", path, {"public_jwk": public})).status == 200
    again = await pharmacist.in_person("POST", path, {"public_jwk": public})
    assert (again.status, again.code) == (409, "rotation_under_way")
    now = await pharmacist.in_person("POST", path, {"public_jwk": public, "overlap_hours": 0})
    assert (now.status, now.body["former_until"]) == (200, None)


# The listing -----------------------------------------------------------------------------------------------------------


PLACES = {"75010": (48.876, 2.36), "75011": (48.859, 2.38), "69001": (45.77, 4.83), "97110": (16.24, -61.53)}


async def place_postal_codes(gateway: Gateway) -> None:
    for code, (latitude, longitude) in PLACES.items():
        for prefix in (code, code[:3]):
            await gateway.execute(
                "INSERT INTO directory_places VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", prefix, latitude, longitude
            )


async def test_who_agreed_to_be_listed_is_found_nearest_first(gateway: Gateway, worker: None) -> None:
    await place_postal_codes(gateway)
    names = {}
    for code in PLACES:
        member = await gateway.join(postal_code=code, legal_name=f"Pharmacie {code}", is_listed=True)
        names[code] = member
    hidden = await gateway.join(legal_name="Pharmacie Discrète")
    await gateway.join(is_listed=True, specialty="optics", legal_name="Optique")
    found = (await hidden.call("GET", "/v1/directory?specialty=pharmacy&near=75011")).body["practitioners"]
    assert [each["postal_code"] for each in found] == ["75011", "75010", "69001", "97110"]
    assert [round(each["distance_km"]) for each in found][:3] == [0, 2, 390]
    assert found[0]["identifiers"] == [{"scheme": "finess", "value": names["75011"].form["value"]}]
    assert "email" not in found[0]

    first = (await hidden.call("GET", "/v1/directory?specialty=pharmacy&near=75011&limit=3")).body
    rest = (
        await hidden.call("GET", f"/v1/directory?specialty=pharmacy&near=75011&limit=3&after={first['next_after']}")
    ).body
    assert [each["id"] for each in first["practitioners"] + rest["practitioners"]] == [each["id"] for each in found]
    assert rest["next_after"] is None

    # A code that no establishment has lies where those lie that begin like it.
    near = (await hidden.call("GET", "/v1/directory?specialty=pharmacy&near=69099")).body["practitioners"]
    assert near[0]["postal_code"] == "69001"
    assert (await names["75010"].in_person("PATCH", "/v1/me", {"is_listed": False})).status == 200
    assert (await names["69001"].in_person("PATCH", "/v1/me", {"postal_code": "75011"})).status == 200
    found = (await hidden.call("GET", "/v1/directory?specialty=pharmacy&near=75011")).body["practitioners"]
    assert [each["distance_km"] for each in found][:2] == [0.0, 0.0]
    assert "75010" not in [each["postal_code"] for each in found]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("specialty=pharmacy&near=20000", "postal_code_unknown"),
        ("specialty=magic&near=75011", "field_invalid"),
        ("specialty=pharmacy&near=7501", "identifier_wrong_length"),
        ("specialty=pharmacy&near=75011&after=1-x", "field_invalid"),
        ("specialty=pharmacy&near=75011&after=1-000000000000000000000000000000000000", "field_invalid"),
        ("specialty=pharmacy", "field_missing"),
    ],
)
async def test_a_wrong_search_of_the_listing_says_what_is_wrong(
    gateway: Gateway, worker: None, query: str, code: str
) -> None:
    await place_postal_codes(gateway)
    pharmacist = await gateway.join()
    reply = await pharmacist.call("GET", f"/v1/directory?{query}")
    assert (reply.status, reply.code) == (422, code)
