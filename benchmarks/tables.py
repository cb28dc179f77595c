"""DRE tables: publishing many, telling that nothing is new, downloads, a difference between two versions."""

import asyncio
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import ascii_uppercase

import asyncpg
import psutil

from benchmarks.gateway import Gateway
from benchmarks.load import measure
from tpgateway.practitioners.model import Specialty

INSURERS, TYPES, OFFERS = 500, 40, 500
CONNECTIONS = 32
_DOMAINS = ("PHAR", "OPTI", "RADL", "LABO", "DENT", "MED", "AUXM", "AUDI", "SAGE", "HOSP", "TRAN", "SVIL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A publication by the command line: how long it took, the most memory of its process, how many lines it has."""

    seconds: float
    megabytes: float
    lines: int


async def fill(gateway: Gateway) -> None:
    """So many insurers, whose cards carry so many convention types, each with one of so many offers in every domain."""
    kinds = ["".join(pair) for pair in product(ascii_uppercase, repeat=2)][:TYPES]
    connection = await asyncpg.connect(gateway.database_url)
    async with connection.transaction():
        await connection.execute(
            """
            INSERT INTO conventions (specialty, version, title, text_markdown, text_hash, domains, payment_days,
                                     every_insurer, validity)
            SELECT s, coalesce((SELECT max(version) FROM conventions WHERE specialty = s), 0) + 1, 'Convention ' || s, '', '',
                   $2::text[], 10, true, daterange(current_date, NULL)
            FROM unnest($1::text[]) AS s
            """,
            [each.value for each in Specialty if not await _has(connection, each)],
            list(_DOMAINS),
        )
        # Every speciality has its own domain; the pharmacists have all, so that one file is some 5 MB.
        await connection.execute(
            "UPDATE conventions SET every_insurer = true, approval_domains = '{}',"
            " domains = CASE specialty WHEN 'pharmacy' THEN $1::text[] ELSE domains[1:1] END",
            list(_DOMAINS),
        )
        await connection.execute(
            "INSERT INTO insurers (number, name, convention_types)"
            " SELECT '0077' || lpad(n::text, 6, '0'), 'Mutuelle ' || n, $2::text[] FROM generate_series(1, $1) AS n",
            INSURERS,
            kinds,
        )
        await connection.execute(
            """
            INSERT INTO product_versions (insurer_id, code, name, is_responsible, validity)
            SELECT id, 'SOCLE', 'Socle', true, daterange('2026-01-01', NULL) FROM insurers WHERE number LIKE '0077%'
            """
        )
        await connection.execute(
            """
            INSERT INTO benefit_lines (insurer_id, product_version_id, domain, benefit, kind, amount_cents, per, approval)
            SELECT v.insurer_id, v.id, d, 'benefit_' || b, 'flat', 1000 + right(i.number, 6)::integer % $2, 'act', 'none'
            FROM product_versions v
            JOIN insurers i ON i.id = v.insurer_id, unnest($1::text[]) AS d, generate_series(1, 3) AS b
            WHERE v.code = 'SOCLE'
            """,
            list(_DOMAINS),
            OFFERS,
        )
    await connection.close()


async def _has(connection: "asyncpg.Connection[asyncpg.Record]", specialty: Specialty) -> bool:
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM conventions WHERE specialty = $1)", specialty.value
    )
    return found


async def publish(gateway: Gateway, *words: str) -> Published:
    """Publishes as an operator does, on two processors."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tpgateway.cli", "dre", "publish", "--anyway", *words),
        env={**gateway.house.environment, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    watch = asyncio.create_task(_most_memory(process.pid))
    printed, _ = await process.communicate()
    seconds = time.perf_counter() - started
    watch.cancel()
    assert process.returncode == 0
    lines = [
        int(number.replace(",", "")) for number in re.findall(r"(?:version \d+|nothing) +│ +([\d,]+)", printed.decode())
    ]
    return Published(seconds=seconds, megabytes=_seen[-1], lines=sum(lines))


_seen = [0.0]


async def _most_memory(pid: int) -> None:
    _seen.append(0.0)
    process = psutil.Process(pid)
    while True:
        _seen[-1] = max(_seen[-1], process.memory_info().rss / 1e6)
        await asyncio.sleep(0.02)


async def throughput(url: str, path: str, headers: Sequence[str], *, connections: int, seconds: float) -> float:
    """Answers a second, by wrk where it is installed: it takes less from the server than drivers of our own."""
    if wrk := shutil.which("wrk"):
        flags = [flag for header in headers for flag in ("-H", header)]
        process = await asyncio.create_subprocess_exec(
            *(wrk, "-t2", f"-c{connections}", f"-d{max(1, round(seconds))}s", *flags, url + path),
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert b"Non-2xx" not in printed, printed.decode()
        found = re.search(rb"Requests/sec:\s+([\d.]+)", printed)
        assert found, printed.decode()
        return float(found[1])
    lines = "\r\n".join([f"GET {path} HTTP/1.1", "Host: bench", *headers, "", ""])
    return (await measure(url, [lines.encode()], connections=connections, seconds=seconds)).per_second


async def head_of(gateway: Gateway, path: str, token: str) -> tuple[str, int]:
    """ETag and size of a file, not packed."""
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    async with gateway.http.get(gateway.url + path, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return answer.headers["ETag"], len(await answer.read())


@asynccontextmanager
async def nginx(file: Path) -> AsyncIterator[str | None]:
    """nginx with one worker process that serves the file; None where it is not installed."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="tpgateway-nginx-") as name,
        socket.create_server(("127.0.0.1", 0)) as probe,
    ):
        folder, port = Path(name), probe.getsockname()[1]
        folder.chmod(0o755)
        probe.close()
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;"
            f" events {{ worker_connections 512; }} http {{ access_log off; sendfile on; tcp_nopush on; {temporary}"
            f" server {{ listen 127.0.0.1:{port}; root {file.parent}; }} }}"
        )
        process = await asyncio.create_subprocess_exec(program, "-p", str(folder), "-c", str(folder / "nginx.conf"))
        try:
            await asyncio.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()


async def one_difference(gateway: Gateway, newer: int, older: int, token: str) -> float:
    """Seconds until the first who asks has what changed between two versions."""
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {token}"}
    async with gateway.http.get(
        f"{gateway.url}/v1/dre/tables/{newer}/changes-since/{older}", headers=headers
    ) as answer:
        assert answer.status == 200
        found = json.loads(await answer.read())
    assert found["to_version"] == newer
    return time.perf_counter() - started


async def change_some(gateway: Gateway) -> None:
    """A tenth of the insurers pays otherwise from now on."""
    connection = await asyncpg.connect(gateway.database_url)
    await connection.execute(
        "UPDATE benefit_lines l SET amount_cents = amount_cents + 7 FROM insurers i"
        " WHERE i.id = l.insurer_id AND i.number LIKE '0077%5'"
    )
    await connection.close()


async def newest(gateway: Gateway) -> int:
    """The number of the newest version."""
    connection = await asyncpg.connect(gateway.database_url)
    version: int = await connection.fetchval("SELECT max(version) FROM dre_versions")
    await connection.close()
    return version
