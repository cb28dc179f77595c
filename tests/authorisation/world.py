"""Callers of every kind, and things that are the first practice's and the first insurer's alone."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, Reply, link_token, mailed_code
from tpgateway.web.callers import Role

PASSWORD = "Relecture-Velo-7"
Call = Callable[..., Awaitable[Reply]]


@dataclass
class World:
    """Each caller under its letter in the table, and what the paths name."""

    gateway: Gateway
    callers: dict[str, Call]
    things: dict[str, str]
    """What stands for ``{id}`` and the like, by the beginning of a path."""

    async def call(self, caller: str, method: str, path: str, body: Any, *, is_page: bool) -> Reply:
        """What is sent is good where it matters whose the thing is, and empty elsewhere."""
        headers = {"Accept": "text/html"} if is_page else {}
        sent = {"data": body or {"x": "y"}} if is_page else {"body": body or {}}
        return await self.callers[caller](method, path, headers=headers, **({} if method == "GET" else sent))

    async def keep_sessions(self) -> None:
        """Remembers who is logged in; ``restore`` undoes what a log-out did."""
        await self.gateway.execute("CREATE TABLE kept_sessions AS SELECT * FROM sessions")

    async def restore(self) -> None:
        await self.gateway.execute("INSERT INTO sessions SELECT * FROM kept_sessions ON CONFLICT DO NOTHING")


async def build(gateway: Gateway, folder: Path) -> World:
    """Two practices, two insurers, their people and software; one of each suspended or revoked."""
    await gateway.publish_conventions(builders.convention_files(folder))
    insurer, other_insurer, third = [
        await gateway.admit(number) for number in ("0099990011", "0099990029", "0099990037")
    ]
    for each in (insurer, other_insurer):
        assert (await each.put_product()).status == 200
    await insurer.load(builders.a_right(), builders.a_right("bad key", birth_date="x"))
    owner = await gateway.join(**builders.an_optician())
    await owner.sign()
    other = await gateway.join(**builders.an_optician())
    suspended = await gateway.join()
    staff, reader = [await _colleague(gateway, owner, role) for role in (Role.STAFF, Role.READ_ONLY)]
    narrow = await owner.in_person("POST", "/v1/me/clients", {"name": "Étroit", "scopes": ["tables"]})
    token = await gateway.ask_token(basic=(narrow.body["client_id"], narrow.body["client_secret"]))
    desk = await _at_desk(gateway, "0099990011", "claire@lac.example", Role.OWNER)
    desk_reader = await _at_desk(gateway, "0099990011", "lit@lac.example", Role.READ_ONLY)
    other_desk = await _at_desk(gateway, "0099990029", "claire@marais.example", Role.OWNER)
    halfway = gateway.browser()
    await gateway.call("POST", "/v1/sessions", owner.login, http=halfway)
    things = await _things(gateway, owner, insurer)
    await gateway.execute(
        "UPDATE practitioners SET state = 'suspended' WHERE id = $1", await _id_of(gateway, suspended)
    )
    await gateway.execute("UPDATE insurers SET state = 'suspended' WHERE number = $1", third.number)

    def by_cookie(browser: aiohttp.ClientSession) -> Call:
        (session,) = [each.value for each in browser.cookie_jar if each.key == "session"]
        cookie = {"Cookie": f"session={session}"}  # the same whatever is answered

        def call(method: str, path: str, *, headers: dict[str, str], **options: Any) -> Awaitable[Reply]:
            return gateway.call(method, path, headers={**headers, **cookie}, **options)

        return call

    def by_token(token: str) -> Call:
        return lambda method, path, **options: gateway.call(method, path, token=token, **options)

    callers = {
        "nobody": gateway.call,
        "halfway": by_cookie(halfway),
        "owner": by_cookie(owner.browser),
        "staff": by_cookie(staff),
        "reader": by_cookie(reader),
        "other": by_cookie(other.browser),
        "suspended": by_cookie(suspended.browser),
        "software": by_token(owner.token),
        "narrow": by_token(token.body["access_token"]),
        "other_software": by_token(other.token),
        "insurer": by_token(insurer.token),
        "other_insurer": by_token(other_insurer.token),
        "desk": by_cookie(desk),
        "desk_reader": by_cookie(desk_reader),
        "other_desk": by_cookie(other_desk),
        "forged": by_token(owner.token[:-4] + "AAAA"),
    }
    return World(gateway, callers, things)


async def _things(gateway: Gateway, owner: Practitioner, insurer: Insurer) -> dict[str, str]:
    """What paths name: all of it is the first practice's with the first insurer."""
    check = (await owner.check(builders.a_card())).body
    approval = (await owner.call("POST", "/v1/prior-approvals", builders.a_request(check["proof"]))).body
    invited = await owner.in_person("POST", "/v1/me/members", {"email": "x@a.example", "role": "staff"})
    colleague = invited.body["id"]
    await gateway.invite_to_desk(insurer.number, "x@lac.example", "Quelqu'un")
    reviewer = await gateway.fetchval("SELECT id FROM practitioner_members WHERE email = 'x@lac.example'")
    made = await insurer.call("POST", "/v1/insurer/endpoints", {"url": "http://127.0.0.1:9/events"})
    spare = await owner.in_person("POST", "/v1/me/clients", {"name": "Autre", "scopes": ["tables"]})
    imported = await gateway.fetchval("SELECT id FROM rights_imports ORDER BY id LIMIT 1")
    event = await gateway.fetchval("SELECT id FROM insurer_events ORDER BY id LIMIT 1")
    session = await gateway.fetchval("SELECT id FROM sessions WHERE is_pending LIMIT 1")
    return {
        "/v1/card-checks/": check["id"],
        "/v1/prior-approvals/": approval["id"],
        "/v1/insurer/prior-approvals/": approval["id"],
        "/v1/insurer/endpoints/": made.body["id"],
        "/v1/insurer/rights-imports/": str(imported),
        "/v1/insurer/events/": str(event),
        "/v1/insurer/clients/": insurer.client_id,
        "/v1/me/members/": colleague,
        "/v1/me/clients/": spare.body["client_id"],
        "/v1/sessions/": str(session),
        "/demandes/": approval["id"],
        "/assureur/demandes/": approval["id"],
        "/assureur/livraisons/": made.body["id"],
        "/assureur/droits/": str(imported),
        "/assureur/equipe/": str(reviewer),
        "/compte/equipe/": colleague,
        "/compte/acces/": spare.body["client_id"],
    }


async def _colleague(gateway: Gateway, owner: Practitioner, role: Role) -> aiohttp.ClientSession:
    email = f"{role}@a.example"
    assert (await owner.in_person("POST", "/v1/me/members", {"email": email, "role": role})).status == 201
    token = link_token(await gateway.letter_to(email))
    joined = await gateway.call("POST", "/v1/invitations/acceptance", {"token": token, "password": PASSWORD})
    assert joined.status == 200, joined.body
    colleague = Practitioner(gateway, {**owner.form, "password": PASSWORD, "email": email}, gateway.browser())
    before = gateway.mailbox.received
    await colleague.in_person("POST", "/v1/sessions", {**colleague.login, "email": email})
    await colleague.type_code(await gateway.letter_about(email, "Votre code", after=before))
    return colleague.browser


async def _at_desk(gateway: Gateway, number: str, email: str, role: Role) -> aiohttp.ClientSession:
    await gateway.invite_to_desk(number, email, "Claire Martin", role)
    typed = {"name": "Claire Martin", "password": PASSWORD, "password_confirmation": PASSWORD}
    page = {"Accept": "text/html"}
    path = f"/invitation/{link_token(await gateway.letter_to(email))}"
    assert (await gateway.call("POST", path, data=typed, headers=page)).status == 200
    browser, before = gateway.browser(), gateway.mailbox.received
    login = {"number": number, "email": email, "password": PASSWORD}
    await gateway.call("POST", "/assureur/connexion", data=login, http=browser, headers=page)
    code = {"code": mailed_code(await gateway.letter_about(email, "Votre code", after=before))}
    entered = await gateway.call("POST", "/connexion/code", data=code, http=browser, headers=page)
    assert entered.headers["Location"] == "/assureur"
    return browser


async def _id_of(gateway: Gateway, practitioner: Practitioner) -> object:
    return await gateway.fetchval(
        "SELECT practitioner_id FROM practitioner_identifiers WHERE value = $1", practitioner.form["value"]
    )
