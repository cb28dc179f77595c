"""Whatever goes wrong is answered as a problem document, all faults at once."""

import asyncio

import pytest

from tests import builders
from tests.driver import Gateway


async def test_an_unknown_address_is_a_problem(gateway: Gateway) -> None:
    reply = await gateway.call("GET", "/v1/nothing-here")
    assert (reply.status, reply.code) == (404, "not_found")


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(gateway: Gateway) -> None:
    reply = await gateway.call("DELETE", "/v1/practitioners")
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{not json", "application/json", 400, "not_json"),
        (b"", "application/json", 400, "not_json"),
        ('{"value": "é"}'.encode("latin-1"), "application/json", 400, "wrong_encoding"),
        ('{"value": "é"}'.encode("utf-16"), "application/json", 400, "wrong_encoding"),
        (b'{"value": "a\\u0000b"}', "application/json", 400, "wrong_encoding"),
        (b'{"value": "\\ud800"}', "application/json", 400, "not_json"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "media_type_not_supported"),
        (b'{"value": "' + b"x" * 70_000 + b'"}', "application/json", 413, "body_too_large"),
        (b"[" * 10_000, "application/json", 400, "not_json"),
        (b'{"value": "a\\\\\\u0000b"}', "application/json", 400, "wrong_encoding"),
        (b'{"value": "a\\\\u0000b"}', "application/json", 422, "field_missing"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_problem(
    gateway: Gateway, body: bytes, content_type: str, status: int, code: str
) -> None:
    reply = await gateway.call("POST", "/v1/practitioners", data=body, headers={"Content-Type": content_type})
    assert (reply.status, reply.code) == (status, code)


async def test_a_body_too_large_is_refused_even_when_its_length_is_not_announced(gateway: Gateway) -> None:
    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"x" * 10_000

    headers = {"Content-Type": "application/json"}
    reply = await gateway.call("POST", "/v1/practitioners", data=endless(), headers=headers)
    assert (reply.status, reply.code) == (413, "body_too_large")


async def test_all_faults_come_at_once_with_pointers(gateway: Gateway) -> None:
    form = builders.a_registration(
        value="540002699", email="nobody", bic="AGRIZZPP", password="short", postal_code=1, misspelt="x", specialty="x"
    )
    reply = await gateway.call("POST", "/v1/practitioners", form)
    assert (reply.status, reply.code) == (422, "invalid_request")
    assert reply.faults == {
        "/value": "identifier_wrong_key",
        "/email": "email_invalid",
        "/bic": "identifier_wrong_form",
        "/password": "password_too_weak",
        "/postal_code": "field_invalid",
        "/specialty": "field_invalid",
        "/misspelt": "field_unknown",
    }


async def test_one_kind_of_fault_gives_the_problem_its_code(gateway: Gateway) -> None:
    reply = await gateway.call("POST", "/v1/practitioners", builders.a_registration(value="540002699"))
    assert (reply.status, reply.code) == (422, "identifier_wrong_key")
    assert reply.faults == {"/value": "identifier_wrong_key"}


async def test_no_problem_repeats_what_was_sent(gateway: Gateway) -> None:
    form = builders.a_registration(value="999secret", email="secret at example", password="secret", bic="secret")
    reply = await gateway.call("POST", "/v1/practitioners", form)
    assert reply.status == 422
    assert "secret" not in str(reply.body).lower()


async def test_the_catalogue_explains_every_code(gateway: Gateway) -> None:
    catalogue = (await gateway.call("GET", "/v1/problems")).body["problems"]
    codes = [each["code"] for each in catalogue]
    assert len(codes) == len(set(codes)) > 40
    for each in catalogue:
        assert each["message_fr"].endswith((".", "?")), each
        assert each["next_step_fr"], each
        assert each["hint"], each


async def test_every_answer_has_a_request_id_a_timing_and_limits(gateway: Gateway) -> None:
    reply = await gateway.call("GET", "/v1/problems", headers={"X-Request-Id": "my-own-id-1"})
    assert reply.headers["X-Request-Id"] == "my-own-id-1"
    assert reply.headers["Server-Timing"].startswith("total;dur=")
    assert reply.headers["RateLimit-Policy"] == '"default";q=6000;w=60'
    assert reply.headers["RateLimit"].startswith('"default";r=5999;t=')
    injected = await gateway.call("GET", "/v1/problems", headers={"X-Request-Id": "bad id <script>"})
    assert injected.headers["X-Request-Id"] != "bad id <script>"


async def test_a_nul_in_a_query_is_refused(gateway: Gateway) -> None:
    insurer = await gateway.admit()
    reply = await insurer.call("GET", "/v1/insurer/prior-approvals?after=%00")
    assert (reply.status, reply.code) == (400, "wrong_encoding")


async def test_a_person_with_a_browser_gets_a_page(gateway: Gateway) -> None:
    reply = await gateway.call("GET", "/nulle-part", headers={"Accept": "text/html"})
    assert reply.status == 404
    assert "Cet élément n&#39;existe pas" in reply.body.decode()


@pytest.mark.parametrize("path", ["/v1/practitioners", "/v1/sessions", "/oauth/token", "/connexion"])
async def test_a_compressed_body_is_refused(gateway: Gateway, path: str) -> None:
    kind = "application/json" if path.startswith("/v1") else "application/x-www-form-urlencoded"
    headers = {"Content-Type": kind, "Content-Encoding": "gzip"}
    reply = await gateway.call("POST", path, data=b"not gzip at all", headers=headers)
    assert (reply.status, reply.code) == (415, "media_type_not_supported")


async def test_a_cookie_of_nonsense_opens_nothing(gateway: Gateway) -> None:
    for cookie in (b"session=\xff", "session=é".encode(), b"session="):
        raw = await exchange(gateway, b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + cookie)
        assert raw.startswith(b"HTTP/1.1 401"), raw


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense",
        b"GET /\xff HTTP/1.1\r\nHost: x",
        b"GET / HTTP/9.9\r\nHost: x",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100_000,
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1",
        b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"GET /secret-of-mine HTTP/1.1\r\nHost: x\r\n\x00: x",
    ],
    ids=["words", "byte", "version", "header", "long", "length", "smuggling", "NUL"],
)
async def test_what_is_no_http_is_a_problem_too_and_is_not_repeated(gateway: Gateway, head: bytes) -> None:
    raw = await exchange(gateway, head)
    assert raw.split(b"\r\n", 1)[0].split(b" ")[1] == b"400", raw
    assert b"application/problem+json" in raw
    assert b'"request_malformed"' in raw
    assert b"secret-of-mine" not in raw


async def test_what_may_be_got_may_be_asked_after(gateway: Gateway) -> None:
    for path in ("/health/live", "/v1/problems", "/docs", "/"):
        assert (await gateway.call("HEAD", path)).status == 200, path


async def exchange(gateway: Gateway, head: bytes) -> bytes:
    """What the service says to a request that no client library would send."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head + b"\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer
