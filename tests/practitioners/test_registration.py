"""From registration to activation: what opens an account, and what does not."""

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, link_token, until


async def mailed_token(gateway: Gateway, form: dict[str, Any]) -> str:
    """A link that the directory would let open the account."""
    await gateway.enlist(form)
    return await gateway.mailed_token(form)


@pytest.mark.parametrize(
    ("scheme", "given", "kept"),
    [
        ("finess", "2a 000001 4", "2A0000014"),
        ("adeli", "752800011", "752800011"),
        ("rpps", "10 999 999 906", "10999999906"),
        ("treasury", "033090/123/01", "033090-123-01"),
    ],
)
async def test_each_scheme_opens_an_account_by_its_mailed_link(
    gateway: Gateway, worker: None, scheme: str, given: str, kept: str
) -> None:
    form = builders.a_registration(scheme=scheme, value=given, siret="26010004500012")
    if scheme in {"adeli", "rpps"}:
        form = builders.a_registration(scheme=scheme, value=given, **builders.an_optician())
    await gateway.enlist({**form, "value": kept})
    token = await gateway.mailed_token(form)
    activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert activated.body["identifiers"] == [{"scheme": scheme, "value": kept}]
    # No directory tells which establishment a public accountant collects for: a person looks.
    assert activated.body["state"] == ("in_review" if scheme == "treasury" else "active")
    if scheme == "treasury":
        await gateway.letter_about(form["email"], "en cours de vérification")
        await gateway.approve()
    entered = await gateway.enter(form)
    assert (await entered.call("GET", "/v1/me")).body["state"] == "active"
    accepted = await gateway.fetchval("SELECT terms_version FROM practitioners WHERE terms_accepted_at IS NOT NULL")
    assert accepted == "2026-11"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"value": "540002699"}, "/value", "identifier_wrong_key"),
        ({"value": "2C0000014"}, "/value", "identifier_wrong_form"),
        ({"value": "12345"}, "/value", "identifier_wrong_length"),
        ({"scheme": "rpps", "value": "540002698"}, "/value", "identifier_wrong_length"),
        ({"scheme": "siren"}, "/scheme", "scheme_unknown"),
        ({"scheme": "treasury", "value": "033090"}, "/value", "identifier_wrong_length"),
        ({"scheme": "treasury", "value": "033090-123"}, "", "treasury_needs_establishment"),
        ({"scheme": "adeli", "value": "752800012"}, "/value", "identifier_wrong_key"),
        ({"password": "Short1aA"}, "/password", "password_too_weak"),
        ({"password": "nouppercase1"}, "/password", "password_too_weak"),
        ({"password": "NoDigitsHere"}, "/password", "password_too_weak"),
        ({"value": "2A0000014", "password": "Xx2A0000014yY"}, "/password", "password_too_weak"),
        ({"bic": "AGRIZZPP"}, "/bic", "identifier_wrong_form"),
        ({"bic": "AGRI"}, "/bic", "identifier_wrong_length"),
        ({"postal_code": "7501"}, "/postal_code", "identifier_wrong_length"),
        ({"email": "nobody"}, "/email", "email_invalid"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "/email", "email_invalid"),
        ({"email": "Pharmacie <a@b.example>"}, "/email", "email_invalid"),
        ({"email": "p\u0430ypal@b.example"}, "/email", "email_invalid"),
        ({"email": "a@b.example,c@d.example"}, "/email", "email_invalid"),
        ({"email": f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.example"}, "/email", "email_invalid"),
        ({"legal_name": "Pharmacie\nBcc: x"}, "/legal_name", "name_invalid"),
        ({"legal_name": "<script>"}, "/legal_name", "name_invalid"),
        ({"legal_name": "http://evil.example/ cliquez"}, "/legal_name", "name_invalid"),
        ({"legal_name": "Pharmacie\u202egro.live"}, "/legal_name", "name_invalid"),
        ({"legal_name": "Ph\u0430rmacie"}, "/legal_name", "name_invalid"),
        ({"legal_name": "x" * 201}, "/legal_name", "field_invalid"),
        ({"password": "Motdepasse2026!"}, "/password", "password_too_common"),
        ({"password_confirmation": "Officine-2026-no"}, "/password_confirmation", "passwords_differ"),
        ({"mobile": "01 23 45 67 89"}, "/mobile", "mobile_invalid"),
        ({"iban": "FR7630001007941234567890185"}, "/iban", "iban_of_another_bank"),
        ({"iban": "DE89370400440532013000"}, "/iban", "bic_country_differs"),
        ({"iban": "FR7630001007941234567890186"}, "/iban", "identifier_wrong_key"),
        ({"privacy_accepted": False}, "/privacy_accepted", "privacy_not_accepted"),
        ({"terms_accepted": False}, "/terms_accepted", "terms_not_accepted"),
        ({"terms_accepted": None}, "/terms_accepted", "field_missing"),
        ({"legal_name": None}, "", "name_missing"),
        ({"first_name": "Camille"}, "", "name_missing"),
        ({"specialty": "magic"}, "/specialty", "field_invalid"),
    ],
)
async def test_a_wrong_registration_says_what_is_wrong_and_writes_nothing(
    gateway: Gateway, changes: dict[str, Any], pointer: str, code: str
) -> None:
    reply = await gateway.call("POST", "/v1/practitioners", builders.a_registration(**changes))
    assert reply.status == 422
    assert reply.faults == {pointer: code}
    assert reply.code == code
    assert await gateway.fetchval("SELECT count(*) FROM practitioners") == 0
    assert await gateway.fetchval("SELECT count(*) FROM mails") == 0


async def test_a_registration_of_a_number_in_use_is_answered_alike_and_the_mail_says_so(
    gateway: Gateway, worker: None
) -> None:
    first = await gateway.join()
    for email, says in ((first.form["email"], "à cette même adresse"), ("other@a.example", "une autre adresse")):
        before = gateway.mailbox.received
        again = builders.a_registration(value=first.form["value"], email=email)
        fresh = builders.a_registration()
        known, unknown = [await gateway.call("POST", "/v1/practitioners", form) for form in (again, fresh)]
        assert (known.status, known.body) == (unknown.status, unknown.body)
        letter = await gateway.letter_to(email, after=before)
        assert letter.subject == "Un compte existe déjà pour ce numéro"
        assert says in letter.text
        assert "/activation/" not in letter.text
    # What was registered in vain is not kept.
    assert (
        await gateway.fetchval("SELECT count(*) FROM practitioner_identifiers WHERE value = $1", first.form["value"])
        == 1
    )


async def test_until_one_confirms_an_identifier_may_be_claimed_by_several(gateway: Gateway, worker: None) -> None:
    stranger = builders.a_registration(value="2A0000014", email="stranger@a.example")
    owner = builders.a_registration(value="2A0000014", email="owner@b.example")
    tokens = [await mailed_token(gateway, form) for form in (stranger, owner)]
    assert (await gateway.call("POST", "/v1/practitioners/activation", {"token": tokens[1]})).status == 200
    late = await gateway.call("POST", "/v1/practitioners/activation", {"token": tokens[0]})
    assert (late.status, late.code) == (409, "identifier_taken")
    states = (
        "SELECT array_agg(p.state ORDER BY m.email) FROM practitioners p"
        " JOIN practitioner_members m ON m.is_holder AND m.practitioner_id = p.id"
    )
    assert await gateway.fetchval(states) == ["active", "unconfirmed"]


async def test_of_two_links_used_at_the_same_time_one_wins(gateway: Gateway, worker: None) -> None:
    forms = [builders.a_registration(value="2A0000014", email=f"x{n}@a.example") for n in range(4)]
    tokens = [await mailed_token(gateway, form) for form in forms]
    calls = (gateway.call("POST", "/v1/practitioners/activation", {"token": token}) for token in tokens)
    statuses = sorted([reply.status for reply in await asyncio.gather(*calls)])
    assert statuses == [200, 409, 409, 409]


async def test_a_link_is_good_once(gateway: Gateway, worker: None) -> None:
    token = await mailed_token(gateway, builders.a_registration())
    assert (await gateway.call("POST", "/v1/practitioners/activation", {"token": token})).status == 200
    again = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert (again.status, again.code) == (410, "link_used")


async def test_a_link_expires(gateway: Gateway, worker: None) -> None:
    token = await mailed_token(gateway, builders.a_registration())
    await gateway.execute("UPDATE links SET expires_at = now()")
    reply = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert (reply.status, reply.code) == (410, "link_expired")
    assert await gateway.fetchval("SELECT state FROM practitioners") == "unconfirmed"


async def test_a_link_that_is_not_ours_opens_nothing(gateway: Gateway) -> None:
    reply = await gateway.call("POST", "/v1/practitioners/activation", {"token": "x" * 43})
    assert (reply.status, reply.code) == (404, "link_unknown")


async def test_nobody_logs_in_before_activation(gateway: Gateway) -> None:
    form = builders.a_registration()
    await gateway.call("POST", "/v1/practitioners", form)
    login = {name: form[name] for name in ("scheme", "value", "password")}
    reply = await gateway.call("POST", "/v1/sessions", login)
    assert (reply.status, reply.code) == (401, "login_refused")


async def test_neither_token_nor_password_is_kept_readable(gateway: Gateway, worker: None) -> None:
    form = builders.a_registration()
    token = await mailed_token(gateway, form)
    dump = await gateway.fetchval(
        "SELECT (SELECT json_agg(p) FROM practitioner_members p)::text || (SELECT json_agg(l) FROM links l)::text"
    )
    assert form["password"] not in dump
    assert token not in dump
    assert "$argon2id$" in dump


async def test_a_sent_mail_is_emptied(gateway: Gateway, worker: None) -> None:
    await mailed_token(gateway, builders.a_registration())

    async def is_recorded() -> bool:
        return bool(await gateway.fetchval("SELECT sent_at IS NOT NULL FROM mails"))

    await until(is_recorded)
    assert await gateway.fetchval("SELECT sealed FROM mails") is None


async def test_a_mail_waits_for_the_mail_server_to_return(gateway: Gateway, worker: None) -> None:
    """The mail server is away: the registration is accepted all the same, and its mail waits, unreadable, in the queue."""
    await gateway.mailbox.close()
    form = builders.a_registration()
    assert (await gateway.call("POST", "/v1/practitioners", form)).status == 202

    async def is_tried() -> bool:
        return bool(await gateway.fetchval("SELECT attempts > 0 FROM queue.pgqueuer WHERE entrypoint = 'send_mail'"))

    await until(is_tried)
    sealed = await gateway.fetchval("SELECT sealed FROM mails WHERE sent_at IS NULL")
    assert form["email"].encode() not in sealed
    payload = await gateway.fetchval("SELECT string_agg(convert_from(payload, 'UTF8'), ' ') FROM queue.pgqueuer")
    assert form["email"] not in payload


async def test_bank_details_and_mobile_are_kept_the_iban_sealed(gateway: Gateway, worker: None) -> None:
    pharmacist = await gateway.join(iban="FR7630001007941234567890185", bic="BDFEFRPPCCT", mobile="06 12 34 56 78")
    me = (await pharmacist.in_person("GET", "/v1/me")).body
    assert (me["bic"], me["mobile"]) == ("BDFEFRPPCCT", "+33612345678")
    assert b"FR7630001007941234567890185" not in await gateway.fetchval("SELECT iban FROM bank_details")


async def test_the_texts_that_were_accepted_are_kept_by_version(gateway: Gateway, worker: None) -> None:
    await gateway.join()
    texts = (await gateway.call("GET", "/v1/terms")).body
    kept = await gateway.fetchval(
        "SELECT array_agg(terms_version || ' ' || privacy_version) FROM practitioners"
        " WHERE terms_accepted_at IS NOT NULL AND privacy_accepted_at IS NOT NULL"
    )
    assert kept == [f"{texts['terms']['version']} {texts['privacy']['version']}"]
    assert "Conditions d'utilisation" in texts["terms"]["markdown"]


async def test_the_link_can_be_asked_for_again_and_the_former_is_void(gateway: Gateway, worker: None) -> None:
    form = builders.a_registration()
    await gateway.enlist(form)
    first = await gateway.mailed_token(form)
    asked = {name: form[name] for name in ("scheme", "value", "email")}
    before = gateway.mailbox.received
    again = await gateway.call("POST", "/v1/practitioners/activation-links", asked)
    second = link_token(await gateway.letter_to(form["email"], after=before))
    stranger = {**asked, "email": "stranger@a.example"}
    wrong = await gateway.call("POST", "/v1/practitioners/activation-links", stranger)
    assert (again.status, again.body) == (wrong.status, wrong.body)
    assert (await gateway.letter_to("stranger@a.example")).subject == "Aucune inscription en attente"
    late = await gateway.call("POST", "/v1/practitioners/activation", {"token": first})
    assert (late.status, late.code) == (410, "link_used")
    assert (await gateway.call("POST", "/v1/practitioners/activation", {"token": second})).status == 200


async def test_nobody_can_have_an_address_flooded(gateway: Gateway, worker: None) -> None:
    for _ in range(9):
        await gateway.call("POST", "/v1/identifier-reminders", {"email": "victim@a.example"})

    async def is_done() -> bool:
        return bool(await gateway.fetchval("SELECT count(*) = 0 FROM practitioner_requests"))

    await until(is_done)
    assert await gateway.fetchval("SELECT count(*) FROM mails") == 6


async def test_no_word_of_a_stranger_stands_in_a_mail_to_an_address_that_is_not_confirmed(
    gateway: Gateway, worker: None
) -> None:
    form = builders.a_registration(legal_name="Gagnez sur evil.example")
    await gateway.mailed_token(form)
    assert "evil" not in (await gateway.letter_to(form["email"])).text
