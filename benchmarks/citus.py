"""What card checks cost on a Citus cluster: ``python -m benchmarks.citus URL``, whose login may make databases there.

The same gatherings of checks, of several insurers each, are recorded by the lane as it is on plain PostgreSQL (the
coordinator's own server, another database), and on the cluster by a statement an insurer, through one connection and through
several at once; and by one statement for all insurers, which goes to every server. Times are of one run, as ratios of the
first.
"""

import asyncio
import functools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from tpgateway.cards.codec.proofs import new_proofs
from tpgateway.cards.model import Ask, Card
from tpgateway.cards.store import lanes
from tpgateway.cards.store.checks import RECORD_CHECKS
from tpgateway.database.migrations import migrate
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import PractitionerId

INSURERS, PEOPLE, ROUNDS = 20, 2_000, 30
GATHERINGS = ((1, 1), (1, 100), (5, 100), (20, 100), (20, 400))
# What could be asked for is fetched from all servers and looked up in that, by the very statement of plain PostgreSQL, which
# reads these instead of the tables whose names they bear.
_ANYWHERE = f"""
WITH asked AS MATERIALIZED (
    SELECT DISTINCT i.id AS insurer_id, a[8] AS membership_number, a[9] AS birth_date, a[10]::smallint AS birth_rank,
           a[11]::bytea AS nir_hash
    FROM string_to_table($1, E'\\n') AS line
    CROSS JOIN LATERAL string_to_array(line, E'\\t', '') AS a
    JOIN insurers i ON i.number = a[15]
    WHERE a[16] IS NULL
), insured_nirs AS MATERIALIZED (
    SELECT t.insurer_id, t.membership_number, t.birth_date, t.birth_rank, t.nir_hash
    FROM public.insured_nirs t
    JOIN (SELECT DISTINCT insurer_id, nir_hash, birth_date FROM asked WHERE nir_hash IS NOT NULL) q
        USING (insurer_id, nir_hash, birth_date)
), persons AS MATERIALIZED (
    SELECT insurer_id, membership_number, birth_date, birth_rank FROM asked WHERE membership_number IS NOT NULL
    UNION
    SELECT insurer_id, membership_number, birth_date, birth_rank FROM insured_nirs
), insured_rights AS MATERIALIZED (
    SELECT t.insurer_id, t.membership_number, t.birth_date, t.birth_rank, t.valid_from, t.valid_to, t.convention_types, t.csr,
           t.product_code
    FROM public.insured_rights t JOIN persons USING (insurer_id, membership_number, birth_date, birth_rank)
)
{RECORD_CHECKS}
"""  # noqa: S608


async def _fill(url: str) -> tuple[PractitionerId, list[tuple[UUID, str]]]:
    """Insurers with people, and a practitioner."""
    connection = await asyncpg.connect(url)
    practitioner = await connection.fetchval(
        "INSERT INTO practitioners (state, first_name, last_name, specialty, postal_code, terms_version, terms_accepted_at,"
        " privacy_version, privacy_accepted_at, confirmed_at, activated_at)"
        " VALUES ('active', 'A', 'B', 'optics', '75001', '1', now(), '1', now(), now(), now()) RETURNING id"
    )
    insurers = []
    for at in range(INSURERS):
        number = f"00990{at:05d}"
        insurer = await connection.fetchval(
            "INSERT INTO insurers (number, name, convention_types) VALUES ($1, $1, '{SP}') RETURNING id", number
        )
        insurers.append((insurer, number))
        await connection.execute(
            "INSERT INTO insured_rights (insurer_id, membership_number, birth_date, birth_rank, valid_from, valid_to,"
            " convention_types, csr, product_code, import_id)"
            " SELECT $1, n::text, '19800229', 1, '2020-01-01', '2030-12-31', '{SP}', '', 'CONFORT', $1"
            " FROM generate_series(1, $2::integer) AS n",
            insurer,
            PEOPLE,
        )
    await connection.execute("ANALYZE insured_rights")
    await connection.close()
    return PractitionerId(practitioner), insurers


def _asks(practitioner: PractitionerId, numbers: list[str], size: int) -> list[Ask]:
    now = datetime.now(UTC)
    return [
        Ask(
            practitioner_id=practitioner,
            agent_id=None,
            card=Card(
                insurer_number=numbers[at % len(numbers)],
                convention_type="SP",
                csr="",
                membership_number=str(at % PEOPLE + 1),
                birth_date="19800229",
                birth_rank=1,
                nir_hash=None,
            ),
            domain=Domain("OPTI"),
            care_date=now.date(),
            checked_at=now,
            idempotency_key=None,
        )
        for at in range(size)
    ]


async def _record(lane: lanes.Lane, asks: Sequence[Ask]) -> None:
    proofs = new_proofs(len(asks))
    await lane.record([lanes.write_line(*each, timedelta(days=7)) for each in zip(asks, proofs, strict=True)])


async def _median(work: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def _measure(url: str, at_once: int, *, also_anywhere: bool) -> dict[str, float]:
    practitioner, insurers = await _practitioner(url)
    lane = await lanes.open_lane(url, is_limited=True, at_once=at_once)
    found = {}
    for kinds, size in GATHERINGS:
        asks = _asks(practitioner, [number for _, number in insurers[:kinds]], size)
        found[f"{size} checks of {kinds}"] = await _median(functools.partial(_record, lane, asks))
    lane.terminate()
    if also_anywhere:
        settings = {**lanes.SPREAD_SETTINGS, "role": lanes.ROLE}
        connection = await asyncpg.connect(url, server_settings=settings)
        anywhere = lanes.CheckLane(connection, await connection.prepare(_ANYWHERE))
        for kinds, size in GATHERINGS:
            asks = _asks(practitioner, [number for _, number in insurers[:kinds]], size)
            found[f"anywhere {size} checks of {kinds}"] = await _median(functools.partial(_record, anywhere, asks))
        await connection.close()
    return found


async def _practitioner(url: str) -> tuple[PractitionerId, list[tuple[UUID, str]]]:
    connection = await asyncpg.connect(url)
    practitioner = await connection.fetchval("SELECT id FROM practitioners LIMIT 1")
    rows = await connection.fetch("SELECT id, number FROM insurers ORDER BY number")
    await connection.close()
    return PractitionerId(practitioner), [(row["id"], row["number"]) for row in rows]


async def main(url: str) -> None:
    os.environ["TPG_TEST_CITUS_URL"] = url
    from tests.citus import cluster  # noqa: PLC0415  # which reads that

    name = f"tpgateway_plain_{os.getpid()}"
    first = await asyncpg.connect(url)
    await first.execute("SET citus.enable_create_database_propagation = off")
    await first.execute(f"CREATE DATABASE {name}")
    await first.close()
    plain = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    spread = await cluster.create(shards=32)
    try:
        await migrate(plain)
        for each in (plain, spread):
            await _fill(each)
        alone = await _measure(plain, 1, also_anywhere=False)
        one = await _measure(spread, 1, also_anywhere=True)
        four = await _measure(spread, 4, also_anywhere=False)
        sys.stdout.write(
            f"{'gathering':24} {'plain ms':>9} {'one connection':>15} {'four':>6} {'to all servers':>21}\n"
        )
        for what, base in alone.items():
            anywhere = one[f"anywhere {what}"]
            sys.stdout.write(
                f"{what:24} {base:9.2f} {one[what] / base:15.1f} {four[what] / base:6.1f} {anywhere / base:21.1f}\n"
            )
    finally:
        await cluster.drop(spread)
        first = await asyncpg.connect(url)
        await first.execute("SET citus.enable_create_database_propagation = off")
        await first.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await first.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
