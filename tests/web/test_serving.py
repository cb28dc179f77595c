"""The service as processes: health, metrics, a stop that finishes what is in flight, workers that are replaced."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from tests import builders
from tests.conftest import TOKEN_KEYS, VAULT_KEYS
from tests.driver import Gateway, until
from tpgateway.app import create_app
from tpgateway.settings import Settings
from tpgateway.web.server import Runner
from tpgateway.web.state import STATE

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
LOGIN = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"


@asynccontextmanager
async def service(
    database: str,
    *words: str,
    door: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    **settings: str | None,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """``tpgateway serve`` on a port that it is handed; ``door`` where it shares it, ``tls`` how it is spoken to.

    A setting that is None is not set.
    """
    listening = socket.create_server(("127.0.0.1", 0)) if door is None else door.dup()
    url = f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}"
    environment: dict[str, str | None] = {
        **os.environ,
        "TPG_DATABASE_URL": database,
        "TPG_TOKEN_KEYS": TOKEN_KEYS,
        "TPG_VAULT_KEYS": VAULT_KEYS,
        "TPG_BASE_URL": url,
        "TPG_ENVIRONMENT": "development",
        "TPG_SOCKET_FD": str(listening.fileno()),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tpgateway.cli", "serve", *words),
        env={name: value for name, value in environment.items() if value is not None},
        pass_fds=(listening.fileno(),),
        stderr=asyncio.subprocess.DEVNULL,
    )
    listening.close()
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/health/ready", ssl=tls or True) as answer:
            assert answer.status == 200
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_stop_finishes_what_is_in_flight(database: str) -> None:
    async with service(database) as (process, url), aiohttp.ClientSession() as http:
        forms = [builders.a_login(value=builders.a_finess()) for _ in range(20)]
        logins = [asyncio.create_task(http.post(f"{url}/v1/sessions", json=form)) for form in forms]
        async with asyncio.timeout(10):
            while not any(login.done() for login in logins):  # the first is answered, the others are being worked on
                await asyncio.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*logins)
        assert {answer.status for answer in answers} == {401}
        assert await asyncio.wait_for(process.wait(), 15) == 0
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"{url}/health/live")


async def test_a_body_that_was_on_its_way_when_the_stop_came_is_read_to_its_end(database: str) -> None:
    async with service(database) as (process, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(LOGIN + b'{"a"')
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        for byte in b":      }":  # longer than new requests are still taken
            await asyncio.sleep(0.4)
            writer.write(bytes([byte]))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 400")  # it was read, and is no JSON
        assert b"connection: close" in head.lower()
        writer.close()
        assert await asyncio.wait_for(process.wait(), 15) == 0


async def test_a_worker_process_that_dies_is_replaced_and_all_stop_together(database: str) -> None:
    async with service(database, "--workers", "2") as (process, url), aiohttp.ClientSession() as http:
        parent = psutil.Process(process.pid)
        before = {child.pid for child in parent.children()}
        assert len(before) == 2
        os.kill(before.copy().pop(), signal.SIGKILL)

        async def is_replaced() -> bool:
            return len({child.pid for child in parent.children()} - before) == 1

        await until(is_replaced)
        for _ in range(10):
            async with http.get(f"{url}/health/ready") as answer:
                assert answer.status == 200
        async with http.get(f"{url}/metrics") as answer:
            assert "tpgateway_requests_total" in await answer.text()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert not any(psutil.pid_exists(pid) for pid in before)


NEVER_ENDING = {
    "nothing": ([], b""),
    "part of a head": ([b"GET / HT"], b""),
    "a head that never ends": ([HEAD, *[b"X-A: b\r\n"] * 40], b""),
    "a second head": ([HEAD + b"\r\n", b"GET / HT"], b'{"status":"alive"}'),
    "part of a body": ([LOGIN, b"{"], b""),
}


async def test_who_never_ends_a_request_is_cut_off(database: str) -> None:
    async with service(database, TPG_SLOW_CLIENT_SECONDS="0.6") as (_, url):

        async def answer_to(parts: list[bytes]) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            receiving = asyncio.create_task(received(reader))
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.1)
                if receiving.done():
                    break
            answer = await asyncio.wait_for(receiving, 5)
            writer.close()
            return answer

        answers = await asyncio.gather(*[answer_to(parts) for parts, _ in NEVER_ENDING.values()])
    for (name, (_, end)), answer in zip(NEVER_ENDING.items(), answers, strict=True):
        assert answer.endswith(end), name
        assert bool(answer) == bool(end), name


async def test_who_never_reads_an_answer_is_cut_off_and_who_reads_slowly_is_served(database: str) -> None:
    async with service(database, TPG_SLOW_CLIENT_SECONDS="0.6") as (_, url):
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 8

        async def read_after(seconds: float, pause: float) -> int:
            """How much came, where nothing is read for some seconds, and then a little at a time."""
            with socket.socket() as own:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                own.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(own, ("127.0.0.1", int(url.rpartition(":")[2])))
                await loop.sock_sendall(own, asked)
                await asyncio.sleep(seconds)
                count = 0
                with suppress(ConnectionError):
                    while count < whole and (part := await loop.sock_recv(own, 200_000)):
                        count += len(part)
                        await asyncio.sleep(pause)
                return count

        async with aiohttp.ClientSession() as http, http.get(f"{url}/openapi.json") as answer:
            whole = 8 * len(await answer.read())
        assert await read_after(0, 0.02) >= whole
        assert await read_after(3, 0) < whole


async def received(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends, however it ends."""
    answer = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            answer += part
    return answer


async def test_who_is_slow_and_goes_on_is_served(database: str) -> None:
    async with service(database, TPG_SLOW_CLIENT_SECONDS="0.6") as (_, url):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(2):  # the second time after a pause between two requests
            writer.write(LOGIN)
            for byte in b'{"value":"x"}'[:12]:
                await asyncio.sleep(0.15)
                writer.write(bytes([byte]))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 4")
            length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split()[1]))
            await asyncio.sleep(1.5)
        writer.close()


async def test_a_body_that_comes_in_two_reads_at_once_leaves_an_idle_connection_alone(
    database: str, settings: Settings
) -> None:
    runner = Runner(await create_app(settings.model_copy(update={"slow_client_seconds": 0.2}), database))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    assert runner.server is not None
    await until(lambda: asyncio.sleep(0, bool(runner.server and runner.server.connections)))
    [connection] = runner.server.connections
    for _ in range(2):
        # By hand what the loop does where a read was full.
        connection.data_received(LOGIN + b'{"val')
        connection.data_received(b'ue":"x"')
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split()[1]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.8)
    writer.close()
    await runner.cleanup()


async def test_health_metrics_and_readiness_while_stopping(gateway: Gateway) -> None:
    assert (await gateway.call("GET", "/health/live")).body == {"status": "alive"}
    assert (await gateway.call("GET", "/health/ready")).body == {"status": "ready"}
    text = (await gateway.call("GET", "/metrics")).body.decode()
    assert 'tpgateway_requests_total{operation="service.tell_ready",status="200"} 1.0' in text
    gateway.app[STATE].is_draining = True
    draining = await gateway.call("GET", "/health/ready")
    assert (draining.status, draining.code, draining.headers["Retry-After"]) == (503, "database_unavailable", "1")


async def test_on_a_schema_it_does_not_know_it_stops_and_says_so_however_many_workers(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE alembic_version SET version_num = '9999_future'")
    await connection.close()
    keys = {"TPG_DATABASE_URL": database, "TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_PORT": "0"}
    for workers in ("1", "2"):
        status, complaint = await refused("--workers", workers, **keys)
        assert (status, b"upgrade the program" in complaint) == (1, True), complaint


async def test_keys_that_cannot_be_read_are_named(database: str) -> None:
    keys = {"TPG_DATABASE_URL": database, "TPG_TOKEN_KEYS": "nonsense", "TPG_VAULT_KEYS": VAULT_KEYS}
    status, complaint = await refused(**keys)
    assert (status, b"TPG_TOKEN_KEYS" in complaint, b"nonsense" in complaint) == (1, True, False), complaint


async def refused(*words: str, **environment: str) -> tuple[int | None, bytes]:
    """What ``tpgateway serve`` ends with when it cannot start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TPG_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tpgateway.cli", "serve", *words),
        env={**kept, "COLUMNS": "200", "TPG_ENVIRONMENT": "development", **environment},
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await asyncio.wait_for(process.communicate(), 20)
    assert b"Traceback" not in complaint
    return process.returncode, complaint


async def test_a_stop_while_an_embedded_server_is_started_leaves_no_process(tmp_path: Path) -> None:
    keys = {"TPG_DATA_DIR": str(tmp_path), "TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_PORT": "0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TPG_")}
    for moment in (1.0, 1.8, 2.6):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tpgateway.cli", "serve"),
            env={**kept, "TPG_ENVIRONMENT": "development", **keys},
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(moment)
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)
        assert not (tmp_path / "postgresql" / "postmaster.pid").exists(), moment


async def test_without_its_secrets_the_service_says_what_is_missing() -> None:
    status, complaint = await refused()
    assert status == 1
    assert b"TPG_TOKEN_KEYS" in complaint
    assert b"tpgateway secrets new" in complaint


async def test_what_is_not_safe_in_production_is_refused_with_each_reason() -> None:
    secrets = {"TPG_TOKEN_KEYS": TOKEN_KEYS, "TPG_VAULT_KEYS": VAULT_KEYS, "TPG_ENVIRONMENT": "production"}
    unsafe = {"TPG_WEBHOOK_PRIVATE_TARGETS": "true", "TPG_SANDBOX": "true", "TPG_DATABASE_ROLE": ""}
    unsafe |= {"TPG_SMTP_HOST": "mail.lac.test", "TPG_SMTP_ENCRYPTION": "none"}
    status, complaint = await refused(**secrets, **unsafe)
    names = (
        "BASE_URL",
        "DATABASE_URL",
        "PRIVATE_TARGETS",
        "SANDBOX",
        "SMTP_ENCRYPTION",
        "MAIL_FROM",
        "SUPPORT_CONTACT",
    )
    assert status == 2
    assert [name for name in names if f"TPG_{name}".encode() not in complaint and name.encode() not in complaint] == []


def test_what_is_safe_is_not_refused() -> None:
    safe = Settings(
        token_keys=TOKEN_KEYS,
        vault_keys=VAULT_KEYS,
        base_url="https://gateway.lac.test",
        database_url="postgresql://db/tpgateway?sslmode=verify-full",
        mail_from="Réseau <ne-pas-repondre@lac.test>",
        support_contact="assistance@lac.test",
    )
    assert safe.unsafe() == []
    assert len(safe.model_copy(update={"base_url": "http://gateway.lac.test"}).unsafe()) == 1
    assert len(safe.model_copy(update={"psc_issuer": "http://psc.lac.test"}).unsafe()) == 1


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("postgresql://db/tpgateway", False),
        ("postgresql://tpgateway:word@db:5432/tpgateway?sslmode=require", False),
        ("postgresql://one:5432,two:5432/tpgateway", False),
        ("postgresql://localhost,two/tpgateway", False),
        ("postgresql:///tpgateway?host=db", False),
        ("postgresql://db/tpgateway?sslmode=verify-full&sslmode=prefer", False),
        ("postgresql://one:5432,two:5432/tpgateway?sslmode=verify-full", True),
        ("postgresql://db/tpgateway?sslmode=verify-ca&sslrootcert=/etc/ca.pem", True),
        ("postgresql://tpgateway@127.0.0.1:5432/tpgateway", True),
        ("postgresql://[::1]:5432,localhost/tpgateway", True),
        ("postgresql://tpgateway@%2Frun%2Fpostgresql/tpgateway", True),
        ("postgresql:///tpgateway?host=/run/postgresql", True),
    ],
)
def test_a_database_elsewhere_must_prove_which_one_it_is(
    url: str, is_safe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    settings = Settings(token_keys=TOKEN_KEYS, vault_keys=VAULT_KEYS, database_url=url)
    assert any("sslmode=verify-full" in each for each in settings.unsafe()) == (not is_safe)
    monkeypatch.setenv("PGHOST", "db")
    elsewhere = settings.model_copy(update={"database_url": SecretStr("postgresql:///tpgateway")})
    assert any("sslmode=verify-full" in each for each in elsewhere.unsafe())


def test_a_mailed_code_lives_for_ten_minutes_at_most() -> None:
    with pytest.raises(ValidationError, match="second_factor_minutes"):
        Settings(token_keys=TOKEN_KEYS, vault_keys=VAULT_KEYS, second_factor_minutes=11)


async def test_what_few_requests_need_is_not_loaded_by_every_process() -> None:
    asked = (
        "import sys, tpgateway.app, tpgateway.worker; print(*{'fpdf', 'numpy', 'opentelemetry'} & sys.modules.keys())"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", asked, stdout=asyncio.subprocess.PIPE)
    loaded, _ = await process.communicate()
    assert (process.returncode, loaded.split()) == (0, [])
