"""A write sent twice under one key is done once."""

import asyncio

from tests import builders
from tests.driver import Gateway
from tpgateway.web.state import STATE


async def test_a_replay_answers_the_same_and_does_nothing(gateway: Gateway) -> None:
    form = builders.a_registration()
    first = await gateway.call("POST", "/v1/practitioners", form, key="once")
    again = await gateway.call("POST", "/v1/practitioners", form, key="once")
    assert (again.status, again.body) == (first.status, first.body)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await gateway.fetchval("SELECT count(*) FROM practitioners") == 1


async def test_a_key_used_for_another_body_is_refused(gateway: Gateway) -> None:
    await gateway.call("POST", "/v1/practitioners", builders.a_registration(), key="once")
    other = await gateway.call("POST", "/v1/practitioners", builders.a_registration(), key="once")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    assert await gateway.fetchval("SELECT count(*) FROM practitioners") == 1


async def test_of_two_at_the_same_time_one_is_told_to_wait_or_gets_the_others_answer(gateway: Gateway) -> None:
    form = builders.a_registration()
    replies = await asyncio.gather(*(gateway.call("POST", "/v1/practitioners", form, key="once") for _ in range(5)))
    assert {reply.status for reply in replies} <= {202, 409}
    assert [reply.status for reply in replies].count(202) >= 1
    assert all(reply.code == "idempotency_key_in_flight" for reply in replies if reply.status == 409)
    assert await gateway.fetchval("SELECT count(*) FROM practitioners") == 1


async def test_a_refused_write_leaves_its_key_free(gateway: Gateway) -> None:
    bad = await gateway.call("POST", "/v1/practitioners/activation", {"token": "nothing"}, key="k")
    assert bad.code == "link_unknown"
    good = await gateway.call("POST", "/v1/practitioners", builders.a_registration(), key="k")
    assert good.status == 202


async def test_a_key_must_be_printable_and_short(gateway: Gateway) -> None:
    reply = await gateway.call("POST", "/v1/practitioners", builders.a_registration(), key="x" * 201)
    assert (reply.status, reply.code) == (400, "idempotency_key_invalid")


async def test_a_secret_shown_once_is_sealed_in_the_kept_answer(gateway: Gateway, worker: None) -> None:
    practitioner = await gateway.join()
    wanted = {"name": "Comptoir", "scopes": ["cards"]}
    first = await practitioner.in_person("POST", "/v1/me/clients", wanted, key="once")
    again = await practitioner.in_person("POST", "/v1/me/clients", wanted, key="once")
    assert again.body["client_secret"] == first.body["client_secret"]
    kept = await gateway.fetchval("SELECT answer FROM idempotency_keys WHERE key = 'once'")
    assert first.body["client_secret"].encode() not in kept


async def test_an_import_is_replayed_too(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    first = await insurer.load(builders.a_right(), key="once")
    again = await insurer.load(builders.a_right(), key="once")
    other = await insurer.load(builders.a_right("7654321"), key="once")
    assert again.body == first.body
    assert other.code == "idempotency_key_reused"
    assert await gateway.fetchval("SELECT count(*) FROM rights_imports") == 1


async def test_the_vault_that_seals_answers_is_the_gateways(gateway: Gateway) -> None:
    await gateway.call("POST", "/v1/practitioners", builders.a_registration(), key="once")
    kept = await gateway.fetchval("SELECT answer FROM idempotency_keys WHERE key = 'once'")
    opened = gateway.app[STATE].vault.open(kept, purpose="idempotency")
    assert b"confirmation_sent" in opened
