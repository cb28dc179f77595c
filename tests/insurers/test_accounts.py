"""Insurers' accounts."""

from tests.driver import Gateway


async def test_an_insurer_reads_its_own_account(gateway: Gateway) -> None:
    insurer = await gateway.admit("99990011")
    account = (await insurer.call("GET", "/v1/insurer")).body
    assert (account["number"], account["convention_types"], account["state"]) == ("0099990011", ["SP"], "active")


async def test_an_endpoint_must_be_a_url_that_events_may_go_to(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    reply = await insurer.call("POST", "/v1/insurer/endpoints", {"url": "ftp://mutuelle.example/"})
    assert (reply.status, reply.code) == (422, "endpoint_refused")


async def test_a_webhook_secret_is_sealed(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    made = await insurer.call("POST", "/v1/insurer/endpoints", {"url": "https://mutuelle.example/events"})
    assert made.body["secret"].startswith("whsec_")
    kept = await gateway.fetchval("SELECT secret FROM insurer_endpoints")
    assert made.body["secret"].encode() not in kept


async def test_a_suspended_insurer_gets_no_token(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    await gateway.execute("UPDATE insurers SET state = 'suspended'")
    reply = await gateway.ask_token(
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion=insurer.assertion(),
    )
    assert reply.code == "invalid_client"
