"""What every answer tells browsers not to do with it, whichever way it leaves."""

from collections.abc import Mapping

import pytest
from aiohttp import web

from tests import builders
from tests.driver import Gateway, Practitioner
from tests.web.test_pressure import overload
from tests.web.test_problems import exchange
from tpgateway.web.safety import Safety

PAGES = ("/", "/connexion", "/docs", "/nowhere")
FOR_SOFTWARE = ("/v1/problems", "/v1/nowhere", "/v1/me", "/v1/conventions")
ELSE = (
    "/openapi.json",
    "/docs/start.js",
    "/static/style.css",
    "/static/icon.svg",
    "/comptoir",
    "/health/live",
    "/metrics",
)


def assert_safe(headers: Mapping[str, str]) -> None:
    """That an answer carries all that every answer must."""
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "tpgateway"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Cache-Control" in headers


async def test_whole_answers_pages_and_problems_tell_browsers_what_not_to_do(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    for path in (*PAGES, *FOR_SOFTWARE, *ELSE):
        token = pharmacist.token if path.startswith("/v1/conv") else None
        for method in ("GET", "HEAD"):
            headers = {"Accept": "text/html"} if path in {"/nowhere", "/comptoir"} else {}
            reply = await gateway.call(method, path, token=token, headers=headers)
            assert_safe(reply.headers)
            is_page = reply.headers.get("Content-Type", "").startswith("text/html")
            assert ("base-uri 'none'" in reply.headers["Content-Security-Policy"]) == is_page, path
            assert ("Referrer-Policy" in reply.headers) == (is_page or not path.startswith("/v1/")), path
            assert path.startswith("/v1/") or reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in reply.headers


async def test_checks_the_answers_that_nothing_is_new_and_streams_do_so_too(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    insurer = await gateway.admit()
    await insurer.load(builders.a_right("1234567"))
    loaded = await insurer.load("nonsense")
    card = builders.a_card(membership_number="1234567")
    check = await pharmacist.check(card, "PHAR")
    again = await pharmacist.check(card, "PHAR", headers={"If-None-Match": check.headers["ETag"]})
    assert (check.status, again.status) == (200, 304)
    line = {"Content-Type": "application/x-ndjson"}
    batch = await pharmacist.call("POST", "/v1/card-checks/batch", data=b"{}\n", headers=line)
    journal = await pharmacist.in_person("GET", "/v1/me/journal.csv")
    rejects = await insurer.call("GET", f"{loaded.headers['Location']}/rejects?format=csv")
    for reply in (check, again, batch, journal, rejects):
        assert_safe(reply.headers)
        assert reply.headers["Cache-Control"] == "no-store"
    assert [reply.status for reply in (batch, journal, rejects)] == [200, 200, 200]


async def test_what_is_refused_before_it_is_known_what_was_asked_does_so_too(gateway: Gateway) -> None:
    overload(gateway)
    for path, wanted in (("/v1/problems", "*/*"), ("/connexion", "text/html")):
        refused = await gateway.call("GET", path, headers={"Accept": wanted})
        assert refused.status == 503
        assert_safe(refused.headers)


async def test_the_answer_to_what_is_no_http_does_so_too(gateway: Gateway) -> None:
    raw = await exchange(gateway, b"NONSENSE")
    lines = raw.partition(b"\r\n\r\n")[0].decode().splitlines()[1:]
    assert_safe({name: value for name, _, value in (line.partition(": ") for line in lines)})


@pytest.mark.parametrize("path", ["/v1/problems", "/connexion"])
def test_by_https_browsers_are_told_to_come_by_nothing_else(path: str) -> None:
    response = web.Response()
    Safety(is_https=True).put_on(path, response)
    assert response.headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"


def test_a_pdf_is_shown_by_browsers_and_what_was_said_before_stays() -> None:
    letter = web.Response(body=b"", headers={"Content-Type": "application/pdf", "Cache-Control": "private"})
    Safety(is_https=True).put_on("/v1/letter", letter)
    assert "object-src 'self'" in letter.headers["Content-Security-Policy"]
    assert letter.headers["Cache-Control"] == "private"
