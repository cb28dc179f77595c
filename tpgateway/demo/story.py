"""The main story, each step by its real door: what was sent, what came back, and whether it is what it should be."""

import json
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import as_file, files
from typing import Any, Protocol
from uuid import uuid4

import aiohttp
from multidict import CIMultiDictProxy

from tpgateway.client import Client, GatewayAway, GatewayProblem, PrivateKey
from tpgateway.demo import people
from tpgateway.demo.house import House
from tpgateway.demo.mailbox import Letter
from tpgateway.demo.people import InsurerSeed, PractitionerSeed
from tpgateway.money import Cents, format_fr
from tpgateway.sandbox import simulator
from tpgateway.web.routing import PARIS

_LINK = re.compile(r"/activation/([A-Za-z0-9_-]+)")
_INVITATION = re.compile(r"/invitation/[A-Za-z0-9_-]+")
_CODE = re.compile(r"\b\d{6}\b")


class StoryBroken(Exception):
    """A step did not come out as it should."""


class Teller(Protocol):
    """Where the story is told."""

    def chapter(self, title: str) -> None: ...

    def step(self, who: str, sent: str, came: str, milliseconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer, and how long it took to come."""

    status: int
    body: Any
    headers: CIMultiDictProxy[str]
    milliseconds: float


class Story:
    """Plays once. What it learns (passwords, credentials) is kept in the house's memory for the next run."""

    def __init__(self, house: House, http: aiohttp.ClientSession, teller: Teller) -> None:
        self.house = house
        self.http = http
        self.teller = teller
        self.today: date = datetime.now(PARIS).date()
        self._tokens: dict[str, str] = {}
        self._browsers: dict[str, aiohttp.ClientSession] = {}
        self._systems: dict[str, Client] = {}

    async def play(self) -> None:
        """Every chapter; raises ``StoryBroken`` at the first step that goes wrong."""
        try:
            await self._play()
        except (GatewayProblem, GatewayAway) as problem:
            raise StoryBroken(str(problem)) from problem
        finally:
            for browser in self._browsers.values():
                await browser.close()

    async def _play(self) -> None:
        self.teller.chapter("The operator admits insurers, publishes conventions, loads the directories (command line)")
        for insurer in people.INSURERS:
            await self._admit(insurer)
        await self._publish_conventions()
        for name, lines in people.directories().items():
            await self._import_directory(name, lines)
        self.teller.chapter("Practitioners register, open the link in their mail, log in, and connect their software")
        for practitioner in people.PRACTITIONERS:
            await self._join(practitioner)
        self.teller.chapter("Insurers load their products and people's rights")
        for insurer in people.INSURERS:
            await self._connect_insurer(insurer)
        await self._load(people.LAC, people.products(self.today), people.rights_file(self.today))
        other = {"UNIQUE": people.other_product(self.today)}
        await self._load(people.MARAIS, other, people.other_rights_file(self.today))
        await self._load_scenarios(people.LAC)
        await self._open_desk(people.LAC)
        self.teller.chapter("The pharmacist checks cards: five different answers")
        await self._check_cards()
        self.teller.chapter("Approvals: glasses and a stay, decided at once; the insurer is told")
        await self._ask_for_approval()
        await self._refuse_a_second_pair()
        await self._leave_one_to_the_desk()
        await self._stay_in_hospital()
        self.teller.chapter("The optician's software fetches its tables and reads its convention")
        await self._read_tables()
        self.house.memory.data["runs"] += 1
        self.house.memory.save()

    # The operator ---------------------------------------------------------------------------------------------------

    async def _admit(self, seed: InsurerSeed) -> None:
        kept = self.house.memory.data["insurers"]
        if seed.key in kept:
            self.teller.step("operator", f"insurers: {seed.name}", "admitted on an earlier run", 0)
            return
        words = ["insurers", "add", "--number", seed.number, "--name", seed.name, "--json"]
        words += ["--key", str(self.house.key_files(seed)[1])]
        for kind in seed.convention_types:
            words += ["--convention-type", kind]
        started = time.perf_counter()
        printed = await self.house.run_command(*words)
        found = re.search(r'"client_id": "([0-9a-f-]+)"', printed)
        self._expect(found is not None, "insurers add", printed)
        assert found is not None
        kept[seed.key] = {"client_id": found[1]}
        self.house.memory.save()
        self._tell("operator", f"tpgateway insurers add {seed.number} {seed.name}", f"client_id {found[1]}", started)

    async def _publish_conventions(self) -> None:
        # What an earlier run published stays in force: this program's texts may say otherwise, and not for days gone by.
        if self.house.memory.data["runs"]:
            self.teller.step("operator", "conventions", "published on an earlier run", 0)
            return
        started = time.perf_counter()
        with as_file(files("tpgateway.demo").joinpath("conventions")) as folder:
            printed = await self.house.run_command("conventions", "publish", str(folder))
        self._expect(printed.count("\n") == 3, "conventions publish", printed)
        self._tell("operator", "tpgateway conventions publish DIR", ", ".join(printed.splitlines()), started)

    async def _import_directory(self, name: str, lines: Iterable[str]) -> None:
        file = self.house.folder / name
        file.write_text("".join(f"{line}\n" for line in lines))
        started = time.perf_counter()
        printed = await self.house.run_command("directory", "import", str(file))
        self._expect("entries now" in printed, "directory import", printed)
        self._tell("operator", f"tpgateway directory import {name}", printed.strip(), started)

    # Practitioners --------------------------------------------------------------------------------------------------

    async def _join(self, seed: PractitionerSeed) -> None:
        people_kept = self.house.memory.data["practitioners"]
        kept = people_kept.setdefault(seed.key, {"password": f"Demo-{secrets.token_urlsafe(9)}-7aA"})
        self.house.memory.save()
        jar = aiohttp.CookieJar(unsafe=True)  # the demo's host is an IP address
        self._browsers[seed.key] = aiohttp.ClientSession(cookie_jar=jar)
        if "client_id" in kept:
            self.teller.step(seed.label, f"{seed.scheme} {seed.value}", "registered on an earlier run", 0)
        else:
            await self._register(seed, kept)
        await self._log_in(seed, kept)
        await self._connect_software(seed, kept)

    async def _register(self, seed: PractitionerSeed, kept: dict[str, str]) -> None:
        form = {**seed.form, "password": kept["password"], "terms_accepted": True, "privacy_accepted": True}
        before = self.house.mailbox.received
        reply = await self._call("POST", "/v1/practitioners", body=form)
        sent = f"POST /v1/practitioners {seed.scheme} {seed.value}"
        self._expect(reply.status == 202, sent, reply.body)
        self._tell_reply(seed.label, sent, f"202 {reply.body['status']}", reply)
        letter = await self._letter(seed, before, "Activez")
        link = _LINK.search(letter.text)
        self._expect(link is not None, "mail by SMTP", letter.subject)
        assert link is not None
        browser = self._browsers[seed.key]
        reply = await self._call("POST", "/v1/practitioners/activation", body={"token": link[1]}, http=browser)
        self._expect(reply.status == 200, "activation", reply.body)
        state = str(reply.body["state"])
        why = {"active": "the public directory agrees", "in_review": "treasury numbers stand in no directory"}[state]
        sent = "POST /v1/practitioners/activation (the mail's link)"
        self._tell_reply(seed.label, sent, f"200 {state}: {why}", reply)
        if state == "in_review":
            await self._approve(seed)

    async def _approve(self, seed: PractitionerSeed) -> None:
        """The operator looks at what waits, and lets it in."""
        started = time.perf_counter()
        listed = json.loads(await self.house.run_command("practitioners", "review", "list", "--json"))
        review = next(each for each in listed if each["value"] == seed.value)
        before = self.house.mailbox.received
        printed = await self.house.run_command("practitioners", "review", "approve", review["id"])
        self._expect(printed.startswith("Approved"), "practitioners review approve", printed)
        self._tell("operator", "tpgateway practitioners review approve ID", f"Approved {seed.value}", started)
        await self._letter(seed, before, "est ouvert")

    async def _letter(self, seed: PractitionerSeed, before: int, words: str) -> Letter:
        started = time.perf_counter()
        letter = await self.house.mailbox.wait_for(str(seed.form["email"]), after=before, words=words)
        subject = _CODE.sub("••••••", letter.subject)
        self._tell(seed.label, f"mail by SMTP to {letter.to}", f"« {subject} »", started)
        return letter

    async def _log_in(self, seed: PractitionerSeed, kept: dict[str, str]) -> None:
        """By number and password, then a code by mail: the software's credentials need one."""
        browser = self._browsers[seed.key]
        login = {"scheme": seed.scheme, "value": seed.value, "password": kept["password"]}
        before = self.house.mailbox.received
        reply = await self._call("POST", "/v1/sessions", body=login, http=browser)
        self._expect(reply.status == 201, "POST /v1/sessions", reply.body)
        came = f"201 {reply.body['status']}"
        self._tell_reply(seed.label, "POST /v1/sessions (identifier, password)", came, reply)
        if reply.body["status"] == "open":
            reply = await self._call("POST", "/v1/sessions/current/code", http=browser)
            self._expect(reply.status == 202, "POST /v1/sessions/current/code", reply.body)
        code = _CODE.search((await self._letter(seed, before, "code")).subject)
        self._expect(code is not None, "a code by mail", None)
        assert code is not None
        path = "/v1/sessions/current/second-factor"
        reply = await self._call("POST", path, body={"code": code[0]}, http=browser)
        self._expect(reply.status == 200, path, reply.body)
        self._tell_reply(seed.label, f"POST {path} (the mail's code)", "200", reply)

    async def _connect_software(self, seed: PractitionerSeed, kept: dict[str, str]) -> None:
        browser = self._browsers[seed.key]
        if "client_id" not in kept:
            wanted = {"name": "Logiciel de démonstration", "scopes": ["cards", "approvals", "tables"]}
            reply = await self._call("POST", "/v1/me/clients", body=wanted, http=browser)
            self._expect(reply.status == 201, "POST /v1/me/clients", reply.body)
            kept["client_id"], kept["client_secret"] = reply.body["client_id"], reply.body["client_secret"]
            self.house.memory.save()
            came = f"201 client {kept['client_id']} and its secret"
            self._tell_reply(seed.label, "POST /v1/me/clients", came, reply)
        await self._sign_when_told(seed, browser)
        form = aiohttp.FormData({"grant_type": "client_credentials"})
        headers = {"Authorization": aiohttp.encode_basic_auth(kept["client_id"], kept["client_secret"])}
        started = time.perf_counter()
        async with self.http.post(f"{self.house.url}/oauth/token", data=form, headers=headers) as answer:
            token = await answer.json()
            self._expect(answer.status == 200, "POST /oauth/token", token)
        self._tokens[seed.key] = token["access_token"]
        came = f"200 {token['token_type']} for {token['expires_in']} s: {token['scope']}"
        self._tell(seed.label, "POST /oauth/token (client credentials)", came, started)

    async def _sign_when_told(self, seed: PractitionerSeed, browser: aiohttp.ClientSession) -> None:
        """Signs the convention in force, except the pharmacist's: the story first shows what a check says without it."""
        if seed is not people.PHARMACIST:
            await self._sign(seed, browser)

    async def _sign(self, seed: PractitionerSeed, browser: aiohttp.ClientSession) -> None:
        path = f"/v1/conventions/{seed.specialty}"
        convention = await self._call("GET", path, http=browser)
        self._expect(convention.status == 200, path, convention.body)
        version = {"version": convention.body["version"]}
        reply = await self._call("POST", f"{path}/signature", body=version, http=browser)
        self._expect(reply.status == 201, f"{path}/signature", reply.body)
        came = f"201 signed version {reply.body['version']}, text {reply.body['text_sha256'][:12]}…"
        self._tell_reply(seed.label, f"POST {path}/signature", came, reply)

    # Insurers -------------------------------------------------------------------------------------------------------

    async def _connect_insurer(self, seed: InsurerSeed) -> None:
        client_id = self.house.memory.data["insurers"][seed.key]["client_id"]
        private_key = self.house.key_files(seed)[0].read_bytes()
        system = await self.house.held.enter_async_context(Client(self.house.url, PrivateKey(client_id, private_key)))
        started = time.perf_counter()
        await system.request("GET", "/v1/insurer")
        self._tell(seed.name, "POST /oauth/token (private_key_jwt, Ed25519)", "200 Bearer", started)
        self._systems[seed.key] = system
        receiver = self.house.receivers[seed.key]
        started = time.perf_counter()
        await simulator.connect(system, receiver)
        self._tell(seed.name, f"POST /v1/insurer/endpoints {receiver.url}", "201 whsec_…", started)

    async def _load(self, seed: InsurerSeed, products: dict[str, Any], lines: Iterable[bytes]) -> None:
        system = self._systems[seed.key]
        for code, terms in products.items():
            started = time.perf_counter()
            product = await system.request("PUT", f"/v1/insurer/products/{code}", terms)
            came = f"200 {product['benefits']} benefit lines from {product['valid_from']}"
            self._tell(seed.name, f"PUT /v1/insurer/products/{code}", came, started)
        started = time.perf_counter()
        path = "/v1/insurer/rights-imports"
        done = await system.load_rights(simulator.stream(lines), mode="full", confirm_closing=True)
        self._expect(done["loaded"] >= 1, "rights import", done)
        came = f"201 {done['lines']} lines: {done['loaded']} loaded, {done['rejected']} rejected"
        self._tell(seed.name, f"POST {path}?mode=full (CSV, streamed)", came, started)
        if done["rejected"]:
            started = time.perf_counter()
            listed = await system.request("GET", f"{path}/{done['id']}/rejects")
            self._expect(len(listed["rejects"]) == done["rejected"], "rejects", listed)
            came = "; ".join(f"line {each['line']} {each['column']}: {each['code']}" for each in listed["rejects"])
            self._tell(seed.name, f"GET {path}/…/rejects", f"200 {came}", started)

    async def _load_scenarios(self, seed: InsurerSeed) -> None:
        """The sandbox's people too, and somebody at the desk who decides on their requests."""
        system, started = self._systems[seed.key], time.perf_counter()
        if self.house.environment["TPG_SANDBOX"] == "true":
            await system.request("PUT", "/v1/sandbox/clock", {"days": 0})  # as an earlier run may have left it
        done = await simulator.load_scenarios(system, self.today)
        self.house.receivers[seed.key].desk = simulator.ReviewDesk(system)
        self._expect(done["rejected"] == 0, "scenarios", done)
        came = f"{done['lines']} people of docs/sandbox.md, review rules, somebody at the desk"
        self._tell(seed.name, "the published scenarios", came, started)

    async def _open_desk(self, seed: InsurerSeed) -> None:
        """Somebody of the insurer's is invited to its pages, and comes in by the link of the mail."""
        kept, (email, name) = self.house.memory.data["insurers"][seed.key], people.REVIEWER
        if "desk" in kept:
            self.teller.step("operator", f"insurers invite {email}", "in since an earlier run", 0)
            return
        password, before, started = (
            f"Demo-{secrets.token_urlsafe(9)}-7aA",
            self.house.mailbox.received,
            time.perf_counter(),
        )
        printed = await self.house.run_command("insurers", "invite", seed.number, "--email", email, "--name", name)
        self._tell("operator", f"tpgateway insurers invite {seed.number}", printed.strip(), started)
        started = time.perf_counter()
        letter = await self.house.mailbox.wait_for(email, after=before, words="Invitation")
        self._tell(seed.name, f"mail by SMTP to {letter.to}", f"« {letter.subject} »", started)
        link = _INVITATION.search(letter.text)
        self._expect(link is not None, "invitation", letter.subject)
        assert link is not None
        typed = {"name": name, "password": password, "password_confirmation": password}
        started = time.perf_counter()
        async with self.http.post(f"{self.house.url}{link[0]}", data=typed, headers={"Accept": "text/html"}) as answer:
            self._expect(answer.status == 200 and "Bienvenue" in await answer.text(), "invitation", answer.status)
        self._tell(seed.name, "POST /invitation/… (the page of the mail's link)", "200 Bienvenue", started)
        kept["desk"] = {"email": email, "password": password}
        self.house.memory.save()

    # Cards ----------------------------------------------------------------------------------------------------------

    async def _check_cards(self) -> None:
        seed, kept = people.PHARMACIST, self.house.memory.data["practitioners"][people.PHARMACIST.key]
        reply = await self._check(seed, people.COVERED, "PHAR")
        has_signed = kept.get("signed") == "yes"
        self._expect_outcome(reply, "covered" if has_signed else "not_contracted")
        await self._sign(seed, self._browsers[seed.key])
        kept["signed"] = "yes"
        self.house.memory.save()
        for card, domain, expected in (
            (people.COVERED, "PHAR", "covered"),
            (people.LUNAR, "PHAR", "covered"),
            (people.STRANGER, "PHAR", "unknown_person"),
            (people.CLOSED, "PHAR", "rights_closed"),
            (people.WITHOUT_PHARMACY, "PHAR", "not_covered"),
            (people.COVERED, "OPTI", "not_contracted"),
        ):
            self._expect_outcome(await self._check(seed, card, domain), expected)
        wrong = {**people.COVERED, "insurer_number": "0000000019", "domain": "PHAR"}
        reply = await self._call("POST", "/v1/card-checks", body=wrong, token=self._tokens[seed.key])
        self._expect(reply.status == 422 and reply.body["code"] == "insurer_unknown", "card check", reply.body)
        came = f"422 {reply.body['code']}: {reply.body['message_fr']}"
        self._tell_reply(seed.label, "POST /v1/card-checks of an insurer outside the network", came, reply)

    async def _check(self, seed: PractitionerSeed, card: dict[str, Any], domain: str) -> Reply:
        body = {**card, "domain": domain}
        reply = await self._call("POST", "/v1/card-checks", body=body, token=self._tokens[seed.key])
        self._expect(reply.status == 200, "POST /v1/card-checks", reply.body)
        end = f"until {reply.body['rights']['to']}, proof {reply.body['proof']}" if reply.body["proof"] else ""
        came = f"200 {reply.body['outcome']}: {end or reply.body['message_fr']}"
        sent = f"POST /v1/card-checks {card['membership_number']}, born {card['birth_date']}, {domain}"
        self._tell_reply(seed.label, sent, came, reply)
        return reply

    def _expect_outcome(self, reply: Reply, expected: str) -> None:
        self._expect(reply.body["outcome"] == expected, f"card check should be {expected}", reply.body)

    # Approvals ------------------------------------------------------------------------------------------------------

    async def _ask_for_approval(self) -> None:
        seed, token = people.OPTICIAN, self._tokens[people.OPTICIAN.key]
        card = people.covered_card(self.house.memory.data["runs"])
        check = await self._check(seed, card, "OPTI")
        self._expect_outcome(check, "covered")
        request = people.optical_request(card, check.body["proof"], self.today)
        reply = await self._call(
            "POST", "/v1/prior-approvals", body=request, token=token, headers={"Idempotency-Key": str(uuid4())}
        )
        self._expect(reply.status == 201 and reply.body["state"] == "approved", "prior approval", reply.body)
        totals = {name: format_fr(Cents(cents)) for name, cents in reply.body["totals"].items()}
        came = (
            f"201 {reply.body['state']}: {totals['granted_cents']} of {totals['price_cents']} granted, "
            f"{totals['patient_cents']} left to the patient"
        )
        self._tell_reply(seed.label, "POST /v1/prior-approvals (lenses, frame, proof)", came, reply)
        approval = reply.body["id"]
        started = time.perf_counter()
        event = await self.house.receivers[people.LAC.key].wait_for("prior_approval.decided", approval)
        came = f"signature verified, event {event['sequence']}: {event['data']['state']}"
        self._tell(people.LAC.name, "webhook received (Standard Webhooks)", came, started)
        started = time.perf_counter()
        feed = await self._systems[people.LAC.key].request(
            "GET", f"/v1/insurer/events?after={event['sequence'] - 1}&wait=5"
        )
        self._expect(feed["events"][0] == event, "events feed", feed)
        sent = f"GET /v1/insurer/events?after={event['sequence'] - 1}"
        self._tell(people.LAC.name, sent, f"200 the same event {event['id']}", started)

    async def _refuse_a_second_pair(self) -> None:
        seed, token = people.OPTICIAN, self._tokens[people.OPTICIAN.key]
        card = people.covered_card(self.house.memory.data["runs"])
        check = await self._check(seed, card, "OPTI")
        request = people.optical_request(card, check.body["proof"], self.today)
        reply = await self._call("POST", "/v1/prior-approvals", body=request, token=token)
        line = reply.body["lines"][0]
        self._expect(line["code"] == "renewal_too_early", "second pair", reply.body)
        came = f"201 {reply.body['state']}: {line['message_fr']} À partir du {line['available_from']}."
        self._tell_reply(seed.label, "POST /v1/prior-approvals (a second pair)", came, reply)

    async def _leave_one_to_the_desk(self) -> None:
        """A request that the insurer wants to see, and that nobody decides: it waits on the desk's page."""
        seed, token = people.OPTICIAN, self._tokens[people.OPTICIAN.key]
        card = people.reviewed_card(self.house.memory.data["runs"])
        check = await self._check(seed, card, "OPTI")
        request = people.optical_request(card, check.body["proof"], self.today, correction="very_complex")
        reply = await self._call("POST", "/v1/prior-approvals", body=request, token=token)
        self._expect(reply.body["state"] == "under_review", "request for review", reply.body)
        came = f"201 {reply.body['state']}: decided at {self.house.url}/assureur by {reply.body['due_at'][:10]}"
        self._tell_reply(seed.label, "POST /v1/prior-approvals (very complex lenses)", came, reply)

    async def _stay_in_hospital(self) -> None:
        seed, token = people.HOSPITAL, self._tokens[people.HOSPITAL.key]
        card = people.covered_card(self.house.memory.data["runs"])
        check = await self._check(seed, card, "HOSP")
        body = people.hospital_request(card, check.body["proof"], self.today, days=4)
        reply = await self._call("POST", "/v1/prior-approvals", body=body, token=token)
        self._expect(reply.status == 201 and reply.body["state"] == "approved", "stay", reply.body)
        came = f"201 approved: {format_fr(Cents(reply.body['totals']['granted_cents']))} granted for 4 days"
        self._tell_reply(seed.label, "POST /v1/prior-approvals (a stay)", came, reply)
        path = f"/v1/prior-approvals/{reply.body['id']}"
        longer = people.hospital_request(card, check.body["proof"], self.today, days=6)["stay"]
        change = {"version": reply.body["version"], "stay": longer}
        reply = await self._call("POST", f"{path}/extension", body=change, token=token)
        self._expect(reply.status == 200 and reply.body["revision"] == 2, "extension", reply.body)
        came = f"200 approved: {format_fr(Cents(reply.body['totals']['granted_cents']))} granted for 6 days"
        self._tell_reply(seed.label, "POST …/extension", came, reply)
        reply = await self._call("GET", f"{path}/letter", token=token)
        self._expect(reply.status == 200 and reply.body.startswith(b"%PDF"), "letter", reply.status)
        self._tell_reply(seed.label, "GET …/letter", f"200 {len(reply.body)} bytes of PDF", reply)

    # Tables ---------------------------------------------------------------------------------------------------------

    async def _read_tables(self) -> None:
        started = time.perf_counter()
        printed = await self.house.run_command("dre", "publish")
        self._tell("operator", "tpgateway dre publish", printed.splitlines()[-1], started)
        seed, token = people.OPTICIAN, self._tokens[people.OPTICIAN.key]
        reply = await self._call("GET", "/v1/dre/tables/latest", token=token)
        self._expect(reply.status == 200 and bool(reply.body["guarantee"]), "DRE tables", reply.body)
        counts = ", ".join(f"{len(reply.body[name])} {name}" for name in ("grouping", "convention", "guarantee"))
        self._tell_reply(
            seed.label, "GET /v1/dre/tables/latest", f"200 version {reply.body['version']}: {counts}", reply
        )
        reply = await self._call("GET", "/v1/dre/tables/latest?format=csv", token=token)
        self._expect(
            reply.status == 200 and reply.headers["Content-Type"] == "application/zip", "DRE CSV", reply.status
        )
        came = f"200 {len(reply.body)} bytes of zip, ETag {reply.headers['ETag'][:12]}…"
        self._tell_reply(seed.label, "GET /v1/dre/tables/latest?format=csv", came, reply)
        await self._verify_offline(seed, token)
        path = f"/v1/conventions/{seed.specialty}"
        reply = await self._call("GET", path, token=token)
        self._expect(reply.status == 200 and reply.body["signature"] is not None, path, reply.body)
        came = (
            f"200 « {reply.body['title']} », version {reply.body['version']}, paid in {reply.body['payment_days']} days"
        )
        self._tell_reply(seed.label, f"GET {path}", came, reply)

    async def _verify_offline(self, seed: PractitionerSeed, token: str) -> None:
        """Keeps the file, its signature and the network's keys, and verifies the one by the others without the network."""
        folder = self.house.folder / "software"
        folder.mkdir(exist_ok=True)
        version = (await self._call("GET", "/v1/dre/tables", token=token)).body["after"]
        file = folder / f"dre-optics-{version}.pdf"
        keys = await self._call("GET", "/v1/dre/keys")
        (folder / "dre-keys.json").write_text(json.dumps(keys.body))
        for address, kept in (("", file), ("/signature", file.with_name(f"{file.name}.jws"))):
            reply = await self._call("GET", f"/v1/dre/tables/{version}{address}?format=pdf", token=token)
            self._expect(reply.status == 200, f"DRE tables{address}", reply.status)
            kept.write_bytes(reply.body)
        started = time.perf_counter()
        printed = await self.house.run_command("dre", "verify", str(file))
        self._tell(seed.label, f"tpgateway dre verify {file.name}", printed.strip(), started)

    # Shared ---------------------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        token: str | None = None,
        http: aiohttp.ClientSession | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        headers = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        started = time.perf_counter()
        async with (http or self.http).request(method, self.house.url + path, json=body, headers=headers) as answer:
            raw = await answer.read()
            is_json = answer.content_type.endswith("json")
            return Reply(
                status=answer.status,
                body=await answer.json(content_type=None) if is_json else raw,
                headers=answer.headers,
                milliseconds=(time.perf_counter() - started) * 1000,
            )

    def _expect(self, is_so: bool, step: str, came: Any) -> None:
        if not is_so:
            raise StoryBroken(f"{step}: {came}")

    def _tell_reply(self, who: str, sent: str, came: str, reply: Reply) -> None:
        self.teller.step(who, sent, came, reply.milliseconds)

    def _tell(self, who: str, sent: str, came: str, started: float) -> None:
        self.teller.step(who, sent, came, (time.perf_counter() - started) * 1000)
