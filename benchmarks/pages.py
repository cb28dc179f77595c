"""Pages: how long the server takes for each, by what it says of itself, and what all that a page loads weighs."""

import re
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from benchmarks.gateway import Gateway
from tpgateway.demo import people as seeds

_TIMES = 40
_CODE = re.compile(r"\b\d{6}\b")
_TOTAL = re.compile(r"total;dur=([0-9.]+)")
_HTML = {"Accept": "text/html"}
PUBLIC = ("/", "/connexion", "/inscription", "/aide", "/etat")
PRACTICE = (
    "/comptoir", "/demandes", "/demandes/nouvelle/optique", "/demandes/nouvelle/hospitalisation", "/convention", "/tables",
    "/compte", "/compte/banque", "/compte/equipe", "/compte/acces", "/compte/securite", "/compte/journal",
)  # fmt: skip
DESK = (
    "/assureur", "/assureur/demandes", "/assureur/livraisons", "/assureur/droits", "/assureur/produits", "/assureur/chiffres",
    "/assureur/equipe",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A page: the median of the server's time in milliseconds, and the bytes of the document with all that it loads."""

    name: str
    milliseconds: float
    size: int


async def time_all(gateway: Gateway) -> list[Timed]:
    """Every page that can be looked at, the counter's answer and the live calculation among them."""
    found = []
    async with AsyncExitStack() as stack:
        stranger, optician, reviewer = [
            await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
            for _ in range(3)
        ]
        parts = 0
        for name in ("style.css", "portal.js"):
            async with stranger.get(f"{gateway.url}/static/{name}") as answer:
                parts += len(await answer.read())
        await enter(gateway, optician)
        await _enter_desk(gateway, reviewer)
        for browser, paths in ((stranger, PUBLIC), (optician, PRACTICE), (reviewer, DESK)):
            for path in paths:
                found.append(await _time(gateway, browser, path, parts))
        card = {**seeds.covered_card(7), "domain": "OPTI"}
        typed = {name: str(value) for name, value in card.items() if value is not None}
        found.append(await _time(gateway, optician, "/comptoir", 0, typed=typed, status=303))
        async with optician.post(f"{gateway.url}/comptoir", data=typed, headers=_HTML, allow_redirects=False) as answer:
            result = answer.headers["Location"]
        found.append(await _time(gateway, optician, result, parts))
        simulation = "/demandes/nouvelle/optique/simulation"
        found.append(await _time(gateway, optician, simulation, 0, typed=await _glasses(gateway, optician, typed)))
    return found


async def _time(
    gateway: Gateway,
    browser: aiohttp.ClientSession,
    path: str,
    parts: int,
    *,
    typed: dict[str, str] | None = None,
    status: int = 200,
) -> Timed:
    times, size = [], 0
    for _ in range(_TIMES):
        method = "GET" if typed is None else "POST"
        async with browser.request(
            method, gateway.url + path, data=typed, headers=_HTML, allow_redirects=False
        ) as answer:
            size = len(await answer.read())
            assert answer.status == status, (path, answer.status)
            found = _TOTAL.search(answer.headers["Server-Timing"])
            assert found
            times.append(float(found[1]))
    return Timed(name=f"{method} {path.partition('?')[0]}", milliseconds=statistics.median(times), size=size + parts)


async def _glasses(gateway: Gateway, browser: aiohttp.ClientSession, card: dict[str, str]) -> dict[str, str]:
    """What an optician has typed when all is there."""
    async with browser.post(f"{gateway.url}/comptoir", data=card, headers=_HTML) as answer:
        proof = re.search(r'id="preuve">([0-9A-Z-]{14})<', await answer.text())
    assert proof
    lens = {"price_class": "b", "lpp": "2210546", "price": "240", "base": "0,05", "amo": "0,03", "sphere": "-4,25"}
    typed = {"insurer_number": card["insurer_number"], "proof": proof[1], "prescriber_rpps": "10999999906"}
    typed |= {"prescription_date": datetime.now(UTC).date().isoformat(), "same_lenses": "oui"}
    return typed | {f"right_lens.{name}": value for name, value in lens.items()}


async def enter(gateway: Gateway, browser: aiohttp.ClientSession) -> None:
    """Logs the optician in, on a browser's pages."""
    seed = seeds.OPTICIAN
    password = gateway.house.memory.data["practitioners"][seed.key]["password"]
    typed = {"scheme": seed.scheme, "value": seed.value, "password": password}
    await _log_in(gateway, browser, "/connexion", typed, str(seed.form["email"]))


async def _enter_desk(gateway: Gateway, browser: aiohttp.ClientSession) -> None:
    kept = gateway.house.memory.data["insurers"][seeds.LAC.key]["desk"]
    typed = {"number": seeds.LAC.number, **kept}
    await _log_in(gateway, browser, "/assureur/connexion", typed, kept["email"])


async def _log_in(
    gateway: Gateway, browser: aiohttp.ClientSession, path: str, typed: dict[str, str], email: str
) -> None:
    before = gateway.house.mailbox.received
    async with browser.post(gateway.url + path, data=typed, headers=_HTML, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()
    code = _CODE.search((await gateway.house.mailbox.wait_for(email, after=before, words="code")).subject)
    assert code
    given = {"code": code[0]}
    async with browser.post(
        f"{gateway.url}/connexion/code", data=given, headers=_HTML, allow_redirects=False
    ) as answer:
        assert answer.status == 303, await answer.text()
