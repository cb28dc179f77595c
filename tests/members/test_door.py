"""Getting in, staying in, being kept out: passwords, second factors, browsers, sessions."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import argon2
import pyotp
import pytest

from tests import builders
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, Practitioner, Reply, link_token, mailed_code, run_command
from tpgateway.audit import OPERATOR
from tpgateway.mail import Post
from tpgateway.practitioners import oversight
from tpgateway.practitioners.model import Scheme
from tpgateway.web.state import STATE


async def try_login(gateway: Gateway, login: dict[str, Any], browser: aiohttp.ClientSession | None = None) -> Reply:
    return await gateway.call("POST", "/v1/sessions", login, http=browser)


async def test_a_browser_that_is_not_known_owes_a_code_and_a_known_one_does_not(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    stranger = Practitioner(gateway, pharmacist.form, gateway.browser())
    before = gateway.mailbox.received
    opened = await stranger.in_person("POST", "/v1/sessions", pharmacist.login)
    assert (opened.status, opened.body["status"]) == (201, "second_factor_needed")
    assert opened.body["practitioner"] is None
    assert opened.body["methods"] == ["email"]
    owed = await stranger.in_person("GET", "/v1/me")
    assert (owed.status, owed.code) == (401, "second_factor_required")
    letter = await gateway.letter_to(pharmacist.form["email"], after=before)
    wrong = await stranger.in_person("POST", "/v1/sessions/current/second-factor", {"code": "000000"})
    assert (wrong.status, wrong.code) == (422, "code_refused")
    await stranger.type_code(letter)
    assert (await stranger.in_person("GET", "/v1/me")).body["name"] == pharmacist.form["legal_name"]
    # The browser is known from now on, and the code was good for one use.
    again = await stranger.in_person("POST", "/v1/sessions", pharmacist.login)
    assert again.body["status"] == "open"
    used = await stranger.in_person("POST", "/v1/sessions/current/second-factor", {"code": mailed_code(letter)})
    assert used.code == "code_refused"


async def test_a_code_is_good_for_its_session_some_minutes_and_five_tries(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    one, other = (Practitioner(gateway, pharmacist.form, gateway.browser()) for _ in range(2))
    before = gateway.mailbox.received
    await one.in_person("POST", "/v1/sessions", pharmacist.login)
    code = {"code": mailed_code(await gateway.letter_to(pharmacist.form["email"], after=before))}
    await other.in_person("POST", "/v1/sessions", pharmacist.login)
    path = "/v1/sessions/current/second-factor"
    assert (await other.in_person("POST", path, code)).code == "code_refused"
    await gateway.execute("UPDATE sessions SET code_tries = 5")
    assert (await one.in_person("POST", path, code)).code == "code_refused"
    await gateway.execute("DELETE FROM login_guards")
    await gateway.execute("UPDATE sessions SET code_tries = 0, code_expires_at = now()")
    assert (await one.in_person("POST", path, code)).code == "code_refused"


async def test_codes_cannot_be_asked_for_without_end(pharmacist: Practitioner) -> None:
    replies = [await pharmacist.in_person("POST", "/v1/sessions/current/code") for _ in range(22)]
    assert {reply.status for reply in replies} == {202, 429}
    assert replies[-1].code == "codes_too_many"
    assert int(replies[-1].headers["Retry-After"]) <= 3600


async def test_a_sensitive_change_needs_a_code_that_is_fresh(gateway: Gateway, pharmacist: Practitioner) -> None:
    await gateway.execute("UPDATE sessions SET second_factor_at = now() - interval '11 minutes'")
    wanted = {"name": "Poste 2", "scopes": ["cards"]}
    refused = await pharmacist.in_person("POST", "/v1/me/clients", wanted)
    assert (refused.status, refused.code) == (403, "second_factor_needed")
    await pharmacist.give_code()
    assert (await pharmacist.in_person("POST", "/v1/me/clients", wanted)).status == 201


async def test_an_authenticator_application_replaces_mails_and_has_ten_spare_codes(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    begun = await pharmacist.in_person("POST", "/v1/me/second-factor/totp")
    assert begun.status == 201
    if (left := 30 - time.time() % 30) < 8:
        await asyncio.sleep(left)  # a code must not turn into the next between two steps of this test
    assert begun.body["qr_svg"].startswith("<svg")
    totp = pyotp.parse_uri(begun.body["uri"])
    assert isinstance(totp, pyotp.TOTP)
    confirm = "/v1/me/second-factor/totp/confirmation"
    assert (await pharmacist.in_person("POST", confirm, {"code": "000000"})).code == "code_refused"
    confirmed = await pharmacist.in_person("POST", confirm, {"code": totp.now()})
    spare = confirmed.body["recovery_codes"]
    assert len(set(spare)) == 10
    assert all(math.log2(31) * len(code.replace("-", "")) > 112 for code in spare)
    await gateway.letter_about(pharmacist.form["email"], "Application d'authentification ajoutée")
    assert (await pharmacist.in_person("POST", "/v1/me/second-factor/totp")).code == "totp_already_there"

    # From another browser: the application's next code, once.
    elsewhere = Practitioner(gateway, pharmacist.form, gateway.browser())
    opened = await elsewhere.in_person("POST", "/v1/sessions", pharmacist.login)
    assert (opened.body["methods"], opened.body["sent_to"]) == (["totp", "recovery_code"], None)
    path = "/v1/sessions/current/second-factor"
    replayed = await elsewhere.in_person("POST", path, {"code": totp.now()})
    assert replayed.code == "code_refused"
    coming = totp.at(datetime.now(UTC) + timedelta(seconds=30))
    assert (await elsewhere.in_person("POST", path, {"code": coming})).status == 200

    # Without the telephone: a spare code, once, and the owner is told.
    lost = Practitioner(gateway, pharmacist.form, gateway.browser())
    await lost.in_person("POST", "/v1/sessions", pharmacist.login)
    assert (await lost.in_person("POST", path, {"code": spare[0].lower()})).body["recovery_codes_left"] == 9
    assert (await lost.in_person("POST", path, {"code": spare[0]})).code == "code_refused"
    assert "Il en reste 9" in (await gateway.letter_about(pharmacist.form["email"], "code de secours")).text

    fresh = (await lost.in_person("POST", "/v1/me/second-factor/recovery-codes")).body["recovery_codes"]
    assert not set(fresh) & set(spare)
    assert (await lost.in_person("POST", path, {"code": spare[1]})).code == "code_refused"
    await gateway.execute("DELETE FROM login_guards")
    assert (await lost.in_person("POST", path, {"code": fresh[0]})).status == 200

    assert (await lost.in_person("DELETE", "/v1/me/second-factor/totp")).status == 204
    shown = (await lost.in_person("GET", "/v1/me/second-factor")).body
    assert (shown["methods"], shown["recovery_codes_left"]) == (["email"], 0)
    await gateway.letter_about(pharmacist.form["email"], "retirée")


async def test_neither_secret_nor_codes_are_kept_readable(gateway: Gateway, pharmacist: Practitioner) -> None:
    secret = (await pharmacist.in_person("POST", "/v1/me/second-factor/totp")).body["secret"]
    totp = pyotp.TOTP(secret)
    spare = (await pharmacist.in_person("POST", "/v1/me/second-factor/totp/confirmation", {"code": totp.now()})).body[
        "recovery_codes"
    ]
    dump = await gateway.fetchval(
        "SELECT (SELECT json_agg(m) FROM practitioner_members m)::text"
        " || (SELECT json_agg(c) FROM member_recovery_codes c)::text"
    )
    for each in (secret, *spare):
        assert each not in dump
        assert each.replace("-", "") not in dump


async def test_failures_slow_down_then_lock_then_the_owner_is_told(gateway: Gateway, pharmacist: Practitioner) -> None:
    wrong = {**pharmacist.login, "password": "Officine-2026-no"}
    outcomes = [await try_login(gateway, wrong) for _ in range(4)]
    assert [reply.code for reply in outcomes] == ["login_refused"] * 3 + ["login_slowed"]
    assert int(outcomes[-1].headers["Retry-After"]) <= 2
    for _ in range(7):  # patience, told by the clock of the table
        await gateway.execute("UPDATE login_guards SET failed_at = now() - interval '2 minutes'")
        assert (await try_login(gateway, wrong)).code == "login_refused"
    locked = await try_login(gateway, pharmacist.login)
    assert (locked.status, locked.code) == (429, "login_locked")
    assert 1500 < int(locked.headers["Retry-After"]) <= 1800
    letter = await gateway.letter_about(pharmacist.form["email"], "Connexion bloquée")
    assert "30 minutes" in letter.text
    # The browser that the owner uses has its own count.
    assert (await try_login(gateway, pharmacist.login, pharmacist.browser)).status == 201
    await gateway.execute("UPDATE login_guards SET locked_until = now(), failed_at = now() - interval '2 minutes'")
    assert (await try_login(gateway, pharmacist.login)).status == 201


async def test_a_door_with_nobody_behind_is_slowed_and_locked_alike(gateway: Gateway, worker: None) -> None:
    codes = []
    for _ in range(11):
        codes.append((await try_login(gateway, builders.a_login())).code)
        await gateway.execute("UPDATE login_guards SET failed_at = now() - interval '2 minutes'")
    assert codes == ["login_refused"] * 10 + ["login_locked"]
    keys = await gateway.fetchval("SELECT string_agg(encode(key, 'escape'), ' ') FROM login_guards")
    assert builders.a_login()["value"] not in keys


@pytest.mark.slow_passwords
async def test_a_password_kept_under_another_cost_is_kept_under_todays_once_it_was_given(
    gateway: Gateway, worker: None
) -> None:
    pharmacist = await gateway.join()
    former = argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash(pharmacist.form["password"])
    await gateway.execute("UPDATE practitioner_members SET password_hash = $1", former)
    assert (await try_login(gateway, pharmacist.login)).status == 201
    kept = await gateway.fetchval("SELECT password_hash FROM practitioner_members")
    assert "m=19456,t=2,p=1" in kept
    assert (await try_login(gateway, pharmacist.login)).status == 201


async def test_many_at_once_do_not_outrun_the_count(gateway: Gateway, pharmacist: Practitioner) -> None:
    wrong = {**pharmacist.login, "password": "Officine-2026-no"}
    replies = await asyncio.gather(*(try_login(gateway, wrong) for _ in range(20)))
    assert sum(reply.code == "login_refused" for reply in replies) == 3


async def test_a_session_that_is_kept_outlives_the_browser_and_a_week_end_but_not_a_week(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    kept = await pharmacist.in_person("POST", "/v1/sessions", {**pharmacist.login, "keep_logged_in": True})
    assert "Max-Age=2592000" in kept.headers["Set-Cookie"]
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '6 days'")
    assert (await pharmacist.in_person("GET", "/v1/me")).status == 200
    await gateway.execute("UPDATE sessions SET seen_at = now() - interval '8 days'")
    assert (await pharmacist.in_person("GET", "/v1/me")).code == "authentication_required"
    plain = await pharmacist.in_person("POST", "/v1/sessions", pharmacist.login)
    assert "Max-Age" not in plain.headers["Set-Cookie"]


async def test_a_second_factor_gives_the_session_another_cookie(gateway: Gateway, pharmacist: Practitioner) -> None:
    await pharmacist.in_person("POST", "/v1/sessions", {**pharmacist.login, "keep_logged_in": True})

    async def current() -> str:
        listed = (await pharmacist.in_person("GET", "/v1/sessions")).body["sessions"]
        return next(str(each["id"]) for each in listed if each["is_current"])

    before, session = {each.key: each.value for each in pharmacist.browser.cookie_jar}, await current()
    await pharmacist.give_code()
    after = {each.key: each for each in pharmacist.browser.cookie_jar}
    assert after["session"].value != before["session"]
    assert int(after["session"]["max-age"]) > 29 * 86_400
    copied = {"Cookie": f"session={before['session']}"}
    assert (await gateway.call("GET", "/v1/me", headers=copied)).code == "authentication_required"
    assert await current() == session


async def test_one_sees_and_ends_ones_sessions(gateway: Gateway, pharmacist: Practitioner) -> None:
    firefox = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    elsewhere = Practitioner(gateway, pharmacist.form, gateway.browser())
    before = gateway.mailbox.received
    await elsewhere.in_person("POST", "/v1/sessions", pharmacist.login, headers=firefox)
    code = {"code": mailed_code(await gateway.letter_to(pharmacist.form["email"], after=before))}
    await elsewhere.in_person("POST", "/v1/sessions/current/second-factor", code, headers=firefox)
    listed = (await pharmacist.in_person("GET", "/v1/sessions")).body["sessions"]
    assert [each["is_current"] for each in listed].count(True) == 1
    other = next(each for each in listed if not each["is_current"])
    assert (other["agent"], other["address"]) == ("Firefox, Windows", "127.0.0.1")
    assert (await pharmacist.in_person("DELETE", f"/v1/sessions/{other['id']}")).status == 204
    assert (await elsewhere.in_person("GET", "/v1/me")).code == "authentication_required"
    assert (await pharmacist.in_person("DELETE", f"/v1/sessions/{other['id']}")).code == "not_found"

    third = await gateway.log_in(pharmacist.form)
    assert (await pharmacist.in_person("DELETE", "/v1/sessions")).body == {"ended": 1}
    assert (await third.in_person("GET", "/v1/me")).code == "authentication_required"
    assert (await pharmacist.in_person("GET", "/v1/me")).status == 200
    # The browsers are forgotten too.
    assert (await try_login(gateway, pharmacist.login, third.browser)).body["status"] == "second_factor_needed"


async def test_an_operator_logs_one_person_out_or_everybody(gateway: Gateway, worker: None) -> None:
    one, other = await gateway.join(), await gateway.join()
    elsewhere = await gateway.log_in(one.form)
    end = partial(run_command, "sessions", "end", database=gateway.database)
    status, told, _ = await end(one.form["email"].upper())
    assert (status, told.strip()) == (0, "Sessions ended: 2")
    assert {(await each.in_person("GET", "/v1/me")).code for each in (one, elsewhere)} == {"authentication_required"}
    assert (await other.in_person("GET", "/v1/me")).status == 200
    assert (await try_login(gateway, one.login, elsewhere.browser)).body["status"] == "second_factor_needed"
    assert (await one.call("GET", "/v1/me")).status == 200  # its software goes on

    assert (await end("--everybody"))[0] == 0
    assert (await other.in_person("GET", "/v1/me")).code == "authentication_required"
    asked = "SELECT count(*) FROM audit_entries WHERE action = 'member:session:end' AND actor_kind = 'operator'"
    assert await gateway.fetchval(asked) == 2

    assert (await end("nobody@a.example"))[0] == 1
    assert (await end())[0] == (await end("a@a.example", "--everybody"))[0] == 2


async def test_nobody_ends_the_sessions_of_others(gateway: Gateway, worker: None) -> None:
    one, other = await gateway.join(), await gateway.join()
    theirs = (await other.in_person("GET", "/v1/sessions")).body["sessions"][0]["id"]
    assert (await one.in_person("DELETE", f"/v1/sessions/{theirs}")).code == "not_found"


@pytest.mark.parametrize("with_number", [True, False], ids=["known", "unknown"])
async def test_a_lost_password_is_replaced_by_a_link(
    gateway: Gateway, pharmacist: Practitioner, with_number: bool
) -> None:
    elsewhere = await gateway.log_in(pharmacist.form)
    value = pharmacist.form["value"] if with_number else "2B0000020"
    before = gateway.mailbox.received
    asked = await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": value})
    assert (asked.status, asked.body["status"]) == (202, "accepted")
    if not with_number:
        await gateway.call("POST", "/v1/identifier-reminders", {"email": "last@a.example"})
        await gateway.letter_to("last@a.example", after=before)
        assert gateway.mailbox.received == before + 1
        return
    token = link_token(await gateway.letter_to(pharmacist.form["email"], after=before))
    path = f"/v1/password-resets/{token}"
    weak = await gateway.call("PUT", path, {"password": f"Aa{value}"})
    assert weak.faults == {"/password": "password_too_weak"}
    assert (await gateway.call("PUT", path, {"password": "Nouveau-Velo-42"})).status == 204
    assert (await gateway.call("PUT", path, {"password": "Nouveau-Velo-43"})).code == "link_used"
    for browser in (pharmacist, elsewhere):
        assert (await browser.in_person("GET", "/v1/me")).code == "authentication_required"
    await gateway.letter_about(pharmacist.form["email"], "mot de passe a été changé")
    assert (await try_login(gateway, pharmacist.login)).code == "login_refused"
    assert (await try_login(gateway, {**pharmacist.login, "password": "Nouveau-Velo-42"})).status == 201


async def test_a_new_password_opens_a_locked_door(gateway: Gateway, pharmacist: Practitioner) -> None:
    wrong = {**pharmacist.login, "password": "Officine-2026-no"}
    for _ in range(10):
        await try_login(gateway, wrong)
        await gateway.execute("UPDATE login_guards SET failed_at = now() - interval '2 minutes'")
    assert (await try_login(gateway, pharmacist.login)).code == "login_locked"
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe")
    await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": "Nouveau-Velo-42"})
    assert (await try_login(gateway, {**pharmacist.login, "password": "Nouveau-Velo-42"})).status == 201


async def test_a_reset_link_lasts_half_an_hour(gateway: Gateway, pharmacist: Practitioner) -> None:
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "nouveau mot de passe")
    left = await gateway.fetchval("SELECT expires_at - now() FROM links WHERE purpose = 'password_reset'")
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
    await gateway.execute("UPDATE links SET expires_at = now()")
    late = await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": "Nouveau-Velo-42"})
    assert (late.status, late.code) == (410, "link_expired")


async def test_a_lost_identifier_is_reminded_partly_masked(gateway: Gateway, worker: None) -> None:
    email = "deux@comptes.example"
    await gateway.join(email=email, value="2A0000014")
    await gateway.join(email=email, scheme="adeli", value="752800011", **builders.an_optician())
    before = gateway.mailbox.received
    asked = await gateway.call("POST", "/v1/identifier-reminders", {"email": email.upper()})
    assert asked.status == 202
    letter = await gateway.letter_to(email.upper().replace("COMPTES.EXAMPLE", "comptes.example"), after=before)
    assert "FINESS 2A••••014" in letter.text
    assert "Adeli 75••••011" in letter.text
    assert "2A0000014" not in letter.text


async def test_the_password_is_changed_with_the_old_one_and_ends_the_other_sessions(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    elsewhere = await gateway.log_in(pharmacist.form)
    change = {"current_password": "Faux-Velo-1", "password": "Nouveau-Velo-42"}
    assert (await pharmacist.in_person("PUT", "/v1/me/password", change)).code == "login_refused"
    change["current_password"] = pharmacist.form["password"]
    assert (await pharmacist.in_person("PUT", "/v1/me/password", change)).status == 204
    assert (await elsewhere.in_person("GET", "/v1/me")).code == "authentication_required"
    assert (await pharmacist.in_person("GET", "/v1/me")).status == 200


async def test_an_address_is_confirmed_at_the_new_one_and_told_to_the_old(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    old, new = pharmacist.form["email"], "nouvelle@a.example"
    assert (await pharmacist.in_person("PUT", "/v1/me/email", {"email": new})).status == 202
    assert "n…e@a.example" in (await gateway.letter_about(old, "changement d'adresse")).text
    token = link_token(await gateway.letter_to(new))
    assert (await pharmacist.in_person("GET", "/v1/me")).body["email"] == old
    assert (await gateway.call("POST", "/v1/email-confirmations", {"token": token})).status == 200
    assert (await pharmacist.in_person("GET", "/v1/me")).body["email"] == new
    await gateway.letter_about(old, "L'adresse de votre compte a changé")
    assert (await gateway.call("POST", "/v1/email-confirmations", {"token": token})).code == "link_used"


@pytest.mark.parametrize(
    ("state", "code"),
    [("suspended", "account_suspended"), ("closed", "account_closed"), ("in_review", "account_in_review")],
)
async def test_an_account_that_is_not_in_use_says_whom_to_ask(
    gateway: Gateway, pharmacist: Practitioner, state: str, code: str
) -> None:
    await gateway.execute("UPDATE practitioners SET state = $1", state)
    assert (await pharmacist.in_person("GET", "/v1/me")).code == "authentication_required"
    reply = await try_login(gateway, pharmacist.login)
    assert (reply.status, reply.code) == (403, code)
    assert "assistance@tpgateway.example" in reply.body["next_step_fr"]
    # Only who knows the password is told.
    assert (await try_login(gateway, {**pharmacist.login, "password": "Officine-2026-no"})).code == "login_refused"


async def test_a_new_password_voids_what_a_thief_had_under_way(gateway: Gateway, pharmacist: Practitioner) -> None:
    await pharmacist.in_person("PUT", "/v1/me/email", {"email": "voleur@a.example"})
    await pharmacist.in_person("POST", "/v1/me/members", {"email": "complice@a.example", "role": "owner"})
    thiefs = link_token(await gateway.letter_to("voleur@a.example"))
    accomplices = link_token(await gateway.letter_to("complice@a.example"))
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe")
    await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": "Nouveau-Velo-42"})
    assert (await gateway.call("POST", "/v1/email-confirmations", {"token": thiefs})).code == "link_used"
    joined = {"token": accomplices, "password": "Complice-Velo-7"}
    assert (await gateway.call("POST", "/v1/invitations/acceptance", joined)).code == "link_used"


async def test_a_link_to_the_old_address_ends_with_it(gateway: Gateway, pharmacist: Practitioner) -> None:
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    old = link_token(await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe"))
    await pharmacist.in_person("PUT", "/v1/me/email", {"email": "neuve@a.example"})
    token = link_token(await gateway.letter_to("neuve@a.example"))
    await gateway.call("POST", "/v1/email-confirmations", {"token": token})
    assert (
        await gateway.call("PUT", f"/v1/password-resets/{old}", {"password": "Nouveau-Velo-42"})
    ).code == "link_used"
    # What is done to the account is told to both for a time.
    await pharmacist.in_person("POST", "/v1/me/closure", {"value": pharmacist.form["value"]})
    for address in (pharmacist.form["email"], "neuve@a.example"):
        await gateway.letter_about(address, "Votre compte est fermé")


async def test_a_suspended_practice_moves_no_further(gateway: Gateway, pharmacist: Practitioner, database: str) -> None:
    await pharmacist.in_person("PUT", "/v1/me/email", {"email": "voleur@a.example"})
    await pharmacist.in_person("PUT", "/v1/me/bank-details", {"bic": "CMCIFR2A"})
    token = link_token(await gateway.letter_to("voleur@a.example"))
    state = gateway.app[STATE]
    async with state.pool.acquire() as connection, connection.transaction():
        await oversight.suspend(
            connection,
            Post.of(state.settings, state.vault),
            oversight.number(Scheme.FINESS, pharmacist.form["value"]),
            "Vol signalé.",
            now=datetime.now(UTC),
            actor=OPERATOR,
        )
    assert (await gateway.call("POST", "/v1/email-confirmations", {"token": token})).code == "link_used"
    waiting = "SELECT count(*) FROM bank_details WHERE revoked_at IS NULL AND in_force_from > now()"
    assert await gateway.fetchval(waiting) == 0


async def test_a_browser_that_was_forgotten_does_not_come_back_by_its_old_cookie(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    copy = next(each.value for each in pharmacist.browser.cookie_jar if each.key == "device")
    await pharmacist.in_person("DELETE", "/v1/sessions")
    await gateway.log_in(pharmacist.form, pharmacist.browser)
    stolen = await gateway.call("POST", "/v1/sessions", pharmacist.login, headers={"Cookie": f"device={copy}"})
    assert stolen.body["status"] == "second_factor_needed"


@pytest.mark.parametrize("cookie", [b"device=\xff\xfe\xe9", b"session=\xff; device=" + b"x" * 43, b"device=;;;="])
async def test_a_cookie_that_cannot_be_is_none(gateway: Gateway, cookie: bytes) -> None:
    body = b'{"scheme": "finess", "value": "2B0000020", "password": "x"}'
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head += b"Cookie: " + cookie + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))


async def test_ones_own_password_cannot_be_guessed_either(gateway: Gateway, pharmacist: Practitioner) -> None:
    change = {"current_password": "Faux-Velo-1", "password": "Nouveau-Velo-42"}
    codes = [(await pharmacist.in_person("PUT", "/v1/me/password", change)).code for _ in range(4)]
    assert codes == ["login_refused"] * 3 + ["login_slowed"]
    failed = "SELECT count(*) FROM audit_entries WHERE action = 'member:session:refuse'"
    assert await gateway.fetchval(failed) == 3
    for _ in range(7):
        await gateway.execute("UPDATE login_guards SET failed_at = now() - interval '2 minutes'")
        await pharmacist.in_person("PUT", "/v1/me/password", change)
    right = {**change, "current_password": pharmacist.form["password"]}
    assert (await pharmacist.in_person("PUT", "/v1/me/password", right)).code == "login_locked"
    await gateway.letter_about(pharmacist.form["email"], "mots de passe refusés")
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe")
    fresh = {**pharmacist.form, "password": "Nouveau-Velo-43"}
    await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": fresh["password"]})
    back = await gateway.log_in(fresh)
    right = {"current_password": fresh["password"], "password": "Nouveau-Velo-44"}
    assert (await back.in_person("PUT", "/v1/me/password", right)).status == 204


async def test_a_locked_second_factor_is_told_and_opened_by_a_new_password(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    path = "/v1/sessions/current/second-factor"
    for _ in range(10):
        await pharmacist.in_person("POST", path, {"code": "000000"})
        await gateway.execute("UPDATE login_guards SET failed_at = now() - interval '2 minutes'")
    assert (await pharmacist.in_person("POST", path, {"code": "000000"})).code == "login_locked"
    assert "connu d'un autre" in (await gateway.letter_about(pharmacist.form["email"], "Codes ou mots de passe")).text
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe")
    fresh = {**pharmacist.form, "password": "Nouveau-Velo-42"}
    await gateway.call("PUT", f"/v1/password-resets/{link_token(letter)}", {"password": fresh["password"]})
    await gateway.letter_about(pharmacist.form["email"], "mot de passe a été changé")
    await gateway.log_in(fresh)


async def test_reminders_do_not_use_up_what_resets_need(gateway: Gateway, pharmacist: Practitioner) -> None:
    for _ in range(8):
        await gateway.call("POST", "/v1/identifier-reminders", {"email": pharmacist.form["email"]})
    await gateway.call("POST", "/v1/password-resets", {"scheme": "finess", "value": pharmacist.form["value"]})
    letter = await gateway.letter_about(pharmacist.form["email"], "Choisissez un nouveau mot de passe")
    assert link_token(letter)


async def test_a_code_does_not_revive_a_session_that_was_ended_meanwhile(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    stranger = Practitioner(gateway, pharmacist.form, gateway.browser())
    before = gateway.mailbox.received
    await stranger.in_person("POST", "/v1/sessions", pharmacist.login)
    code = {"code": mailed_code(await gateway.letter_to(pharmacist.form["email"], after=before))}
    await gateway.execute("DELETE FROM sessions WHERE is_pending")
    assert (
        await stranger.in_person("POST", "/v1/sessions/current/second-factor", code)
    ).code == "authentication_required"


async def test_the_operator_gives_a_holder_who_lost_everything_a_way_back(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    begun = await pharmacist.in_person("POST", "/v1/me/second-factor/totp")
    totp = pyotp.TOTP(begun.body["secret"])
    await pharmacist.in_person("POST", "/v1/me/second-factor/totp/confirmation", {"code": totp.now()})
    keys = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS}
    words = ("practitioners", "recover", "--scheme", "finess", "--value", pharmacist.form["value"])
    status, said, _ = await run_command(*words, "--email", "neuve@a.example", database=gateway.database, **keys)
    assert (status, said.startswith("Recovered")) == (0, True)
    assert (await pharmacist.in_person("GET", "/v1/me")).code == "authentication_required"
    for address in (pharmacist.form["email"], "neuve@a.example"):
        await gateway.letter_about(address, "a été rétabli")
    back = await gateway.log_in({**pharmacist.form, "email": "neuve@a.example"})
    assert (await back.in_person("GET", "/v1/me/second-factor")).body["methods"] == ["email"]
    assert (await run_command(*words, "--email", "personne", database=gateway.database, **keys))[0] == 2
