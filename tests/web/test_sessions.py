"""Sessions of people."""

from datetime import timedelta

from tests import builders
from tests.driver import Gateway, Practitioner
from tpgateway.web.sessions import Lives, PostgresStorage


async def test_the_cookie_is_hidden_from_scripts_and_from_other_sites(
    gateway: Gateway, practitioner: Practitioner
) -> None:
    login = {name: practitioner.form[name] for name in ("scheme", "value", "password")}
    reply = await gateway.call("POST", "/v1/sessions", login)
    cookie = reply.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    token = cookie.partition("=")[2].partition(";")[0]
    assert await gateway.fetchval("SELECT count(*) FROM sessions WHERE token_hash = sha256($1)", token.encode()) == 1


def test_by_https_the_cookie_is_bound_to_the_host() -> None:
    storage = PostgresStorage(
        is_https=True,
        lives=Lives(
            whole=timedelta(hours=12),
            idle=timedelta(minutes=30),
            kept=timedelta(days=30),
            kept_idle=timedelta(days=7),
        ),
    )
    assert storage.cookie_name == "__Host-session"
    assert storage.cookie_params["secure"] is True
    assert storage.cookie_params["path"] == "/"


async def test_a_write_from_another_site_is_refused(gateway: Gateway, practitioner: Practitioner) -> None:
    wanted = {"name": "Volé", "scopes": ["cards"]}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        reply = await practitioner.in_person("POST", "/v1/me/clients", wanted, headers=headers)
        assert (reply.status, reply.code) == (403, "cross_site_request")
    ours = {"Origin": gateway.url, "Sec-Fetch-Site": "same-origin"}
    assert (await practitioner.in_person("POST", "/v1/me/clients", wanted, headers=ours)).status == 201


async def test_after_logging_out_the_cookie_opens_nothing(gateway: Gateway, practitioner: Practitioner) -> None:
    cookie = "; ".join(f"{each.key}={each.value}" for each in practitioner.browser.cookie_jar)
    assert (await practitioner.in_person("DELETE", "/v1/sessions/current")).status == 204
    reply = await gateway.call("GET", "/v1/me", headers={"Cookie": cookie})
    assert reply.code == "authentication_required"


async def test_an_idle_or_old_session_is_over(gateway: Gateway, practitioner: Practitioner) -> None:
    assert (await practitioner.in_person("GET", "/v1/me")).status == 200
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '31 minutes'")
    assert (await practitioner.in_person("GET", "/v1/me")).code == "authentication_required"
    await gateway.execute("UPDATE sessions SET seen_at = now(), expires_at = now()")
    assert (await practitioner.in_person("GET", "/v1/me")).code == "authentication_required"


async def test_a_suspended_account_loses_its_sessions_and_tokens_and_says_so_at_the_door(
    gateway: Gateway, practitioner: Practitioner
) -> None:
    await gateway.execute("UPDATE practitioners SET state = 'suspended'")
    assert (await practitioner.in_person("GET", "/v1/me")).code == "authentication_required"
    basic = (practitioner.client_id, practitioner.client_secret)
    assert (await gateway.ask_token(basic=basic)).code == "invalid_client"
    login = {name: practitioner.form[name] for name in ("scheme", "value", "password")}
    assert (await gateway.call("POST", "/v1/sessions", login)).code == "account_suspended"
    wrong = {**login, "password": "Officine-2026-no"}
    assert (await gateway.call("POST", "/v1/sessions", wrong)).code == "login_refused"


async def test_an_unknown_account_and_a_wrong_password_are_answered_alike(
    gateway: Gateway, practitioner: Practitioner
) -> None:
    known = {"scheme": "finess", "value": practitioner.form["value"], "password": "Officine-2026-no"}
    one, other = [await gateway.call("POST", "/v1/sessions", login) for login in (known, builders.a_login())]
    assert one.status == other.status == 401
    assert {**one.body, "request_id": ""} == {**other.body, "request_id": ""}
    refused = "SELECT count(*) FROM audit_entries WHERE action = 'member:session:refuse'"
    assert await gateway.fetchval(refused) == 2
