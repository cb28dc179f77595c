"""From registration to activation: what opens an account, and what does not."""

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.driver import Gateway, link_token, until


async def mailed_token(gateway: Gateway, form: dict[str, Any]) -> str:
    assert (await gateway.call("POST", "/v1/practitioners", form)).status == 202
    return link_token(await gateway.letter_to(form["email"]))


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
    token = await mailed_token(gateway, form)
    activated = await gateway.call("POST", "/v1/practitioners/activation", {"token": token})
    assert activated.body["identifiers"] == [{"scheme": scheme, "value": kept}]
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
        ({"email": "nobody"}, "/email", "field_invalid"),
        ({"email": "a@b.example\r\nBcc: c@d.example"}, "/email", "field_invalid"),
        ({"legal_name": "Pharmacie\nBcc: x"}, "/legal_name", "field_invalid"),
        ({"legal_name": "<script>"}, "/legal_name", "field_invalid"),
        ({"legal_name": "http://evil.example/ cliquez"}, "/legal_name", "field_invalid"),
        ({"legal_name": "Pharmacie\u202egro.live"}, "/legal_name", "field_invalid"),
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


async def test_a_second_registration_of_an_identifier_in_use_is_refused(gateway: Gateway, worker: None) -> None:
    first = await gateway.join()
    again = builders.a_registration(value=first.form["value"])
    reply = await gateway.call("POST", "/v1/practitioners", again)
    assert (reply.status, reply.code) == (409, "identifier_taken")
    assert await gateway.fetchval("SELECT count(*) FROM practitioners") == 1


async def test_until_one_confirms_an_identifier_may_be_claimed_by_several(gateway: Gateway, worker: None) -> None:
    stranger = builders.a_registration(value="2A0000014", email="stranger@a.example")
    owner = builders.a_registration(value="2A0000014", email="owner@b.example")
    tokens = [await mailed_token(gateway, form) for form in (stranger, owner)]
    assert (await gateway.call("POST", "/v1/practitioners/activation", {"token": tokens[1]})).status == 200
    late = await gateway.call("POST", "/v1/practitioners/activation", {"token": tokens[0]})
    assert (late.status, late.code) == (409, "identifier_taken")
    states = "SELECT array_agg(state ORDER BY email) FROM practitioners"
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
    await gateway.execute("UPDATE practitioner_links SET expires_at = now()")
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
        "SELECT (SELECT json_agg(p) FROM practitioners p)::text || (SELECT json_agg(l) FROM practitioner_links l)::text"
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


async def test_a_mail_waits_for_the_mail_server_to_return(gateway: Gateway) -> None:
    """No worker runs: the registration is accepted all the same, and its mail waits, unreadable, in the queue."""
    form = builders.a_registration()
    assert (await gateway.call("POST", "/v1/practitioners", form)).status == 202
    sealed = await gateway.fetchval("SELECT sealed FROM mails WHERE sent_at IS NULL")
    assert form["email"].encode() not in sealed
    payload = await gateway.fetchval("SELECT convert_from(payload, 'UTF8') FROM queue.pgqueuer")
    assert form["email"] not in payload
