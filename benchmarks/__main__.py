"""``make bench``: each figure as a ratio to a rival of the same run, since machines differ and are shared.

``BENCH_SECONDS`` (5) is how long each load lasts, ``BENCH_PEOPLE`` (5,000,000) and ``BENCH_IMPORT`` (1,000,000) how many
people are generated.
"""

import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks import deliveries, pages, people, tables
from benchmarks.gateway import PRODUCT, Gateway, bodies, cards, demo_bodies, open_gateway
from benchmarks.load import WARM_UP, Measure, measure
from benchmarks.rival import Base, Right
from tpgateway.claims.payloads import PriorApprovalRequest
from tpgateway.claims.rules.cases import Case
from tpgateway.claims.rules.decisions import decide
from tpgateway.demo import people as seeds
from tpgateway.demo.people import LAC
from tpgateway.guarantees.payloads import ProductRequest
from tpgateway.guarantees.service import tariffs
from tpgateway.insurers.model import ApprovalRules

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
PEOPLE = int(os.environ.get("BENCH_PEOPLE", "5000000"))
IMPORT = int(os.environ.get("BENCH_IMPORT", "1000000"))
CONNECTIONS = 32
ROUNDS = 3
TAILS = 9
"""So many rounds, by turns and shorter, for a 99th percentile: within one, it follows whatever else the machine does."""
APPROVALS = 30_000
APPROVALS_ASKED = 300
"""So many optical requests a second are asked for; the tail at half of that."""
EVALUATIONS = 20_000
DELIVERIES = 5_000
RESULTS = Path(__file__).parent / "results" / "latest.json"
_console = Console()


class Row(NamedTuple):
    """A figure beside a rival's; ``aim`` is what the ratio should be."""

    what: str
    ours: float
    rival: float
    aim: str

    @property
    def ratio(self) -> float:
        return self.ours / self.rival


async def main() -> None:
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tpgateway-bench-")))
        with _console.status("Starting the gateway"):
            gateway = await stack.enter_async_context(open_gateway(folder / "house"))
            size = await gateway.answer_bytes(demo_bodies()[0])
            empty = await stack.enter_async_context(_process("benchmarks.empty", str(size)))
            await _prepare_rival(gateway)
            fastapi = await stack.enter_async_context(_process("benchmarks.rival", gateway.database_url, str(size)))
        sections: list[tuple[str, Callable[[], Coroutine[Any, Any, list[Row]]]]] = [
            ("Card checks", lambda: checks(gateway, empty, fastapi)),
            ("Prior approvals", lambda: approvals(gateway, empty, folder)),
            ("A batch of 10,000", lambda: batch(gateway, 10_000)),
            (f"An import of {IMPORT:,} people", lambda: imports(gateway, folder)),
            (f"Checks among {PEOPLE:,} people", lambda: scale(gateway, folder)),
            ("Rules alone", lambda: rules(gateway)),
            ("DRE tables", lambda: dre_tables(gateway, empty, folder)),
            # Its endpoints that never answer are tried again while what follows is measured.
            ("Events to insurers", lambda: events(gateway, folder)),
            ("Pages", lambda: portal(gateway)),
        ]
        for title, section in sections:
            with _console.status(title):
                found = await section()
            rows += found
            for row in found:
                _console.print(
                    f"{row.what}: {row.ours:,.2f} to {row.rival:,.2f}, {row.ratio:.2f} {row.aim}", soft_wrap=True
                )
    _tell(rows)


async def checks(gateway: Gateway, empty: str, fastapi: str) -> list[Row]:
    """Throughput against both rivals, and the tail at half of it. Who is compared takes turns, in several rounds."""
    requests = gateway.requests(demo_bodies())
    rounds = []
    for _ in range(ROUNDS):
        ours = await measure(gateway.url, requests, connections=CONNECTIONS, seconds=SECONDS)
        theirs = await measure(empty, requests[:1], connections=CONNECTIONS, seconds=SECONDS)
        others = await measure(fastapi, requests, connections=CONNECTIONS, seconds=SECONDS)
        rounds.append((ours, theirs, others))
    one, two, three = sorted(rounds, key=lambda each: each[0].per_second / each[1].per_second)[ROUNDS // 2]
    rate = one.per_second / 2
    mine, other = [], []
    for _ in range(TAILS):
        for url, some, found in ((gateway.url, requests, mine), (empty, requests[:1], other)):
            found.append(await measure(url, some, connections=CONNECTIONS, seconds=SECONDS / 2, rate=rate))
    return [
        Row("checks a second / empty handler", one.per_second, two.per_second, "≥ 0.6"),
        Row("checks a second / FastAPI and SQLAlchemy", one.per_second, three.per_second, "≥ 8"),
        Row("median at full load, ms / empty handler", one.percentile(50), two.percentile(50), ""),
        Row(f"median at {rate:,.0f}/s, ms / empty handler", _middle(mine, 50), _middle(other, 50), ""),
        Row(f"99th percentile at {rate:,.0f}/s, ms / empty handler", _middle(mine, 99), _middle(other, 99), "≤ 4"),
    ]


def _middle(rounds: list[Measure], percent: int) -> float:
    """The median of a percentile over several rounds."""
    return statistics.median(each.percentile(percent) for each in rounds)


async def approvals(gateway: Gateway, empty: str, folder: Path) -> list[Row]:
    """Optical requests, each for somebody else: decided, recorded and told to the insurer in the call.

    The tail at half of what is asked for, and by turns with it at half of what was measured.
    """
    await gateway.load(people.write(folder / "patients.csv", APPROVALS, product=PRODUCT))
    every = await gateway.optical_requests(cards(APPROVALS, among=APPROVALS))
    # What was asked for cannot be asked for again: each round has requests of its own, and lasts as long as they do at most.
    full = len(every) // 4
    ours = await measure(gateway.url, every[:full], connections=CONNECTIONS, seconds=min(SECONDS, 2.5), each_once=True)
    seconds, rates = SECONDS / 2, (APPROVALS_ASKED / 2, ours.per_second / 2)
    found: dict[float, list[tuple[Measure, Measure]]] = {rate: [] for rate in rates}
    for number in range(TAILS):
        rest = every[full + number :: TAILS]
        for rate in rates:
            count = int(rate * (seconds + WARM_UP) * 1.1)
            some, rest = rest[:count], rest[count:]
            mine = await measure(gateway.url, some, connections=CONNECTIONS, seconds=seconds, rate=rate, each_once=True)
            other = await measure(empty, every[:1], connections=CONNECTIONS, seconds=seconds, rate=rate)
            found[rate].append((mine, other))
    await _forget(gateway, PRODUCT)
    rows = [Row("optical requests decided a second / 300", ours.per_second, APPROVALS_ASKED, "≥ 1")]
    for rate, aim in zip(rates, ("≤ 8", ""), strict=True):
        mine_at, other_at = zip(*found[rate], strict=True)
        for percent, name, wanted in ((50, "median", ""), (99, "99th percentile", aim)):
            what = f"{name} of them at {rate:,.0f}/s, ms / empty handler"
            rows.append(Row(what, _middle(mine_at, percent), _middle(other_at, percent), wanted))
    return rows


async def events(gateway: Gateway, folder: Path) -> list[Row]:
    """Deliveries: alone, as many as go, and beside endpoints that never answer."""
    async with deliveries.receiver() as receiving:
        all_of_them = await deliveries.admit(gateway, receiving, folder, 50)
        alone = await deliveries.one_by_one(gateway, receiving, all_of_them[0], 100)
        async with deliveries.on_two_cores(gateway):
            rate = await deliveries.at_once(gateway, receiving, all_of_them, DELIVERIES)
        all_well = await deliveries.at_a_rate(gateway, receiving, all_of_them, SECONDS)
        receiving.dead |= {f"00880{number:05}" for number in range(10)}
        some_dead = await deliveries.at_a_rate(gateway, receiving, all_of_them, SECONDS * 3)
    return [
        Row("median from event to receipt, ms / 100", alone, 100, "≤ 1"),
        Row("deliveries a second of one worker on two cores / 500", rate, 500, "≥ 1"),
        Row("median of 40 insurers beside 10 dead, ms / none dead", some_dead, all_well, "≤ 1.3"),
    ]


async def dre_tables(gateway: Gateway, empty: str, folder: Path) -> list[Row]:
    """Tables of many insurers: published, asked for in vain, downloaded, compared."""
    await tables.fill(gateway)
    first = await tables.publish(gateway)
    await tables.change_some(gateway)
    second = await tables.publish(gateway)
    await gateway.log_in()
    versions = await tables.newest(gateway)
    difference = await tables.one_difference(gateway, versions, versions - 1, gateway.token)
    known, caller = f"/v1/dre/tables/{versions}", f"Authorization: Bearer {gateway.token}"
    tag, size = await tables.head_of(gateway, known, gateway.token)
    asking = [caller, f"If-None-Match: {tag}"]
    file = folder / "as-large"
    file.write_bytes(os.urandom(size))
    vain, whole = [], []
    async with tables.nginx(file) as nginx:
        rival, path = (nginx, f"/{file.name}") if nginx else (empty, f"/file?path={file}")
        for _ in range(ROUNDS):
            ours = await tables.throughput(gateway.url, known, asking, connections=CONNECTIONS, seconds=SECONDS)
            theirs = await tables.throughput(empty, "/nothing", [], connections=CONNECTIONS, seconds=SECONDS)
            vain.append((ours, theirs))
            ours = await tables.throughput(gateway.url, known, [caller], connections=8, seconds=SECONDS)
            theirs = await tables.throughput(rival, path, [], connections=8, seconds=SECONDS)
            whole.append((ours, theirs))
    nothing, nothings = sorted(vain, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    mine, other = sorted(whole, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    megabytes, against = size / 1e6, "nginx" if nginx else "bare FileResponse"
    return [
        Row(f"{second.lines:,} lines published on two cores, s / 60", max(first.seconds, second.seconds), 60, "≤ 1"),
        Row("most memory of it, MB / 300", max(first.megabytes, second.megabytes), 300, "≤ 1"),
        Row("304s a second / aiohttp handler that does nothing", nothing, nothings, "≥ 0.7"),
        Row(
            f"downloads of {megabytes:.1f} MB, MB/s / {against}",
            mine * megabytes,
            other * megabytes,
            "≥ 0.5",
        ),
        Row("difference of two versions, s / 1", difference, 1, "≤ 1"),
    ]


async def portal(gateway: Gateway) -> list[Row]:
    """Every page, one after the other."""
    timed = await pages.time_all(gateway)
    slowest = max(timed, key=lambda each: each.milliseconds)
    heaviest = max(timed, key=lambda each: each.size)
    middle = statistics.median(each.milliseconds for each in timed)
    return [
        Row(f"median server time of {len(timed)} pages, ms / 50", middle, 50, "≤ 1"),
        Row(f"median of the slowest, {slowest.name}, ms / 50", slowest.milliseconds, 50, "≤ 1"),
        Row(f"weight of the heaviest, {heaviest.name}, kB / 100", heaviest.size / 1000, 100, "≤ 1"),
    ]


async def rules(gateway: Gateway) -> list[Row]:
    """The rules alone: two lenses and a frame under a responsible contract; a line is what they evaluate."""
    today = datetime.now(UTC).date()
    product = ProductRequest.model_validate_json(json.dumps(seeds.products(today)[PRODUCT]))
    body = seeds.optical_request(seeds.covered_card(0), "HWYA-H1AG-MHEW", today)
    request = PriorApprovalRequest.model_validate_json(json.dumps(body)).request()
    connection = await asyncpg.connect(gateway.database_url)
    case = Case(
        benefits={line.benefit: line for line in product.terms(PRODUCT).benefits},
        is_responsible=True,
        birth_date="19800229",
        care_date=today,
        tariffs=await tariffs(connection),
        uses=(),
    )
    await connection.close()
    started = time.perf_counter()
    for _ in range(EVALUATIONS):
        decide(request, case, ApprovalRules(), today=today)
    each = (time.perf_counter() - started) / EVALUATIONS
    lines = len(request.lines) / each
    return [
        Row("lines evaluated a second by rules alone / 20,000", lines, 20_000, "≥ 1"),
        Row(f"requests of {len(request.lines)} lines decided a second so / 20,000", 1 / each, 20_000, ""),
    ]


async def batch(gateway: Gateway, count: int) -> list[Row]:
    """One call with so many lines."""
    some = demo_bodies()
    lines = "".join(json.dumps(some[number % len(some)]) + "\n" for number in range(count)).encode()
    headers = {"Authorization": f"Bearer {gateway.token}", "Content-Type": "application/x-ndjson"}
    best = 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        async with gateway.http.post(f"{gateway.url}/v1/card-checks/batch", data=lines, headers=headers) as answer:
            answered = (await answer.read()).count(b'"outcome":"covered"')
        assert answered == count
        best = max(best, count / (time.perf_counter() - started))
    return [Row("lines a second of a batch / 5,000", best, 5_000, "≥ 1")]


async def imports(gateway: Gateway, folder: Path) -> list[Row]:
    """A file against a bare COPY and INSERT … SELECT into a table with the same primary key."""
    plain = people.write(folder / "plain.csv", IMPORT, product="IMPORTED")
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(await _bare_copy(gateway.database_url, plain))
        await _forget_imported(gateway)
        loaded = await gateway.load(plain)
        assert loaded.answer["loaded"] == IMPORT, loaded.answer
        ours.append(loaded)
    again = await gateway.load(plain)
    assert again.answer["unchanged"] == IMPORT
    await _forget_imported(gateway)
    sealed = await gateway.load(people.write(folder / "nir.csv", IMPORT, product="IMPORTED", with_nir=True))
    assert sealed.answer["loaded"] == IMPORT
    await _forget_imported(gateway)
    middle, rival = sorted(loaded.seconds for loaded in ours)[ROUNDS // 2], sorted(bare)[ROUNDS // 2]
    return [
        Row(f"import of {IMPORT:,}, s / bare COPY and INSERT", middle, rival, "≤ 2"),
        Row("the same file again, s / bare COPY and INSERT", again.seconds, rival, ""),
        Row("with a NIR each, s / bare COPY and INSERT", sealed.seconds, rival, ""),
        Row("most memory of a Python process, MB / 200", max(loaded.megabytes for loaded in ours), 200, "≤ 1"),
    ]


async def scale(gateway: Gateway, folder: Path) -> list[Row]:
    """The same check among millions and in a house with ten thousand people, by turns; one by one, and many at once."""
    loaded = await gateway.load(people.write(folder / "many.csv", PEOPLE, product=PRODUCT))
    assert loaded.answer["loaded"] == PEOPLE
    await _settle(gateway)
    alone, at_once = [], []
    async with open_gateway(folder / "few") as other:
        await gateway.log_in()
        many, few = gateway.requests(bodies(20_000, among=PEOPLE)), other.requests(demo_bodies())
        for _ in range(ROUNDS):
            for connections, measures in ((1, alone), (CONNECTIONS, at_once)):
                among_many = await measure(gateway.url, many, connections=connections, seconds=SECONDS)
                among_few = await measure(other.url, few, connections=connections, seconds=SECONDS)
                measures.append((among_many, among_few))
    mine, less = sorted(alone, key=lambda pair: pair[0].percentile(50) / pair[1].percentile(50))[ROUNDS // 2]
    ours, fewer = sorted(at_once, key=lambda pair: pair[1].per_second / pair[0].per_second)[ROUNDS // 2]
    return [
        Row(f"import of {PEOPLE:,}, s / its millions", loaded.seconds, PEOPLE / 1e6, ""),
        Row(f"memory while {PEOPLE:,} came in, MB / 200", loaded.megabytes, 200, "≤ 1"),
        Row("median of a check alone, ms / on 10,000 people", mine.percentile(50), less.percentile(50), "≤ 1.3"),
        Row(
            "seconds of 10,000 checks at full load / on 10,000 people",
            10_000 / ours.per_second,
            10_000 / fewer.per_second,
            "≤ 1.3",
        ),
    ]


async def _bare_copy(url: str, file: Path) -> float:
    connection = await asyncpg.connect(url, command_timeout=3600)
    await connection.execute(
        """
        DROP TABLE IF EXISTS bare_staging, bare_rights;
        CREATE UNLOGGED TABLE bare_staging (membership_number text, birth_date text, birth_rank smallint, valid_from date,
            valid_to date, convention_types text, csr text, product_code text);
        CREATE TABLE bare_rights (insurer_id uuid, membership_number text COLLATE "C", birth_date text COLLATE "C",
            birth_rank smallint, valid_from date, valid_to date, convention_types text[], csr text, product_code text,
            import_id uuid, PRIMARY KEY (insurer_id, membership_number, birth_date, birth_rank, valid_from))
        """
    )
    started = time.perf_counter()
    with file.open("rb") as lines:
        await connection.copy_to_table(
            "bare_staging", source=lines, format="csv", delimiter=";", header=True, force_not_null=["csr"]
        )
    await connection.execute(
        """
        INSERT INTO bare_rights
        SELECT i.id, membership_number, birth_date, birth_rank, valid_from, valid_to,
               string_to_array(s.convention_types, ' '), csr, product_code, i.id
        FROM bare_staging s, insurers i WHERE i.number = $1
        """,
        LAC.number,
    )
    seconds = time.perf_counter() - started
    await connection.execute("DROP TABLE bare_staging, bare_rights")
    await connection.close()
    return seconds


async def _forget_imported(gateway: Gateway) -> None:
    await _forget(gateway, "IMPORTED")


async def _forget(gateway: Gateway, product: str) -> None:
    """The generated people of a product."""
    connection = await asyncpg.connect(gateway.database_url, command_timeout=3600)
    await connection.execute(
        "DELETE FROM insured_rights WHERE product_code = $1 AND membership_number LIKE 'M%'", product
    )
    await connection.execute("TRUNCATE insured_nirs")
    await connection.close()
    await _settle(gateway)


async def _settle(gateway: Gateway) -> None:
    """What the server would do some time after so many rows came or went is done now, not while others are measured."""
    connection = await asyncpg.connect(gateway.database_url, command_timeout=3600)
    await connection.execute("VACUUM (ANALYZE) insured_rights")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _prepare_rival(gateway: Gateway) -> None:
    engine = create_async_engine(gateway.database_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    connection = await asyncpg.connect(gateway.database_url)
    await connection.execute(
        f"""
        INSERT INTO {Right.__tablename__}
        SELECT i.number, membership_number, birth_date, birth_rank, valid_from, valid_to, r.convention_types, product_code
        FROM insured_rights r JOIN insurers i ON i.id = r.insurer_id
        """  # noqa: S608
    )
    await connection.execute("ANALYZE")
    await connection.close()


@asynccontextmanager
async def _process(module: str, *words: str) -> AsyncIterator[str]:
    """A rival's URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *("-m", module, str(listening.fileno()), *words), pass_fds=(listening.fileno(),)
    )
    port = listening.getsockname()[1]
    listening.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def _tell(rows: list[Row]) -> None:
    table = Table("what", "gateway", "rival", "ratio", "aim", title=f"{CONNECTIONS} connections, one worker process")
    for row in rows:
        table.add_row(row.what, f"{row.ours:,.2f}", f"{row.rival:,.2f}", f"{row.ratio:.2f}", row.aim)
    _console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    figures = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows],
    }
    RESULTS.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    _console.print(
        "The empty handler is aiohttp's: it validates the same body and answers a document of the same size."
    )
    _console.print(f"Written to {RESULTS}", soft_wrap=True)


if __name__ == "__main__":
    asyncio.run(main())
