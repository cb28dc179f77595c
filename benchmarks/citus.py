"""What card checks cost on a Citus cluster: ``python -m benchmarks.citus URL``, whose login may make databases there.

The same gatherings of checks, of several insurers each, are recorded by the lane as it is on plain PostgreSQL (the
coordinator's own server, another database), and on the cluster by a statement an insurer, through one connection and through
several at once. For comparison, two statements that go to every server do the least that would have to be done: one looks
rights up for all insurers, without NIR, conventions and products, one records. Times are of one run, as ratios of the first.
"""

import asyncio
import functools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from tpgateway.cards.codec.proofs import new_proofs
from tpgateway.cards.model import Ask, Card
from tpgateway.cards.store import lanes
from tpgateway.database.migrations import migrate
from tpgateway.guarantees.model import Domain
from tpgateway.practitioners.model import PractitionerId

INSURERS, PEOPLE, ROUNDS = 20, 2_000, 30
# Each person of each insurer looked for where the data is, and no more: neither NIR nor records.
_LOOK_UP = """
SELECT DISTINCT ON (a.line) a.line, r.valid_from, r.valid_to, r.convention_types, r.csr, r.product_code
FROM insured_rights r
JOIN (SELECT line, f[1]::uuid AS insurer_id, f[2] AS membership_number, f[3] AS birth_date, f[4]::smallint AS birth_rank,
             f[5]::date AS day
      FROM string_to_table($1, E'\\n') WITH ORDINALITY AS t (text, line), string_to_array(text, E'\\t') AS f) a
  USING (insurer_id, membership_number, birth_date, birth_rank)
ORDER BY a.line, a.day BETWEEN r.valid_from AND r.valid_to DESC, r.valid_to DESC
"""
_RECORD = """
INSERT INTO card_checks (insurer_id, practitioner_id, checked_at, domain, care_date, convention_type, csr, membership_number,
    birth_date, birth_rank, proof, proof_expires_at, is_domain_agreed, has_signed, participates, holds_type)
SELECT f[1]::uuid, $2, now(), 'OPTI', f[5]::date, 'SP', '', f[2], f[3], f[4]::smallint, f[6], now(), true, true, true, true
FROM string_to_table($1, E'\\n') AS text, string_to_array(text, E'\\t') AS f
ON CONFLICT DO NOTHING RETURNING proof, insurer_id, id
"""


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


async def _median(work: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


async def _measure(url: str, at_once: int, *, looks_up: bool) -> dict[str, float]:
    practitioner, insurers = await _practitioner(url)
    lane = await lanes.open_lane(url, is_limited=True, proof_life=timedelta(days=7), at_once=at_once)
    found = {}
    for kinds, size in ((1, 1), (1, 100), (5, 100), (20, 100), (20, 400)):
        asks = _asks(practitioner, [number for _, number in insurers[:kinds]], size)
        found[f"{size} checks of {kinds}"] = await _median(functools.partial(lane.record, asks))
    lane.terminate()
    if looks_up:
        connection = await asyncpg.connect(url, server_settings={"role": lanes.ROLE})
        ids = {number: insurer for insurer, number in insurers}
        for kinds, size in ((1, 1), (1, 100), (5, 100), (20, 100), (20, 400)):
            asks = _asks(practitioner, [number for _, number in insurers[:kinds]], size)
            found[f"both for {size} checks of {kinds}"] = await _median(
                functools.partial(_by_all, connection, practitioner, asks, ids)
            )
        await connection.close()
    return found


async def _by_all(
    connection: "asyncpg.Connection[asyncpg.Record]", practitioner: UUID, asks: list[Ask], ids: dict[str, UUID]
) -> None:
    lines = [
        f"{ids[ask.card.insurer_number]}\t{ask.card.membership_number}\t{ask.card.birth_date}\t1\t{ask.care_date}\t{proof}"
        for ask, proof in zip(asks, new_proofs(len(asks)), strict=True)
    ]
    await connection.fetch(_LOOK_UP, "\n".join(lines))
    recorded = await connection.fetch(_RECORD, "\n".join(lines), practitioner)
    assert len(recorded) == len(asks)


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
    spread = await cluster.create()
    try:
        await migrate(plain)
        for each in (plain, spread):
            await _fill(each)
        alone = await _measure(plain, 1, looks_up=False)
        one = await _measure(spread, 1, looks_up=True)
        four = await _measure(spread, 4, looks_up=False)
        print(f"{'gathering':24} {'plain ms':>9} {'one connection':>15} {'four':>6} {'two to all servers':>21}")
        for what, base in alone.items():
            both = one[f"both for {what}"]
            print(f"{what:24} {base:9.2f} {one[what] / base:15.1f} {four[what] / base:6.1f} {both / base:21.1f}")
    finally:
        await cluster.drop(spread)
        first = await asyncpg.connect(url)
        await first.execute("SET citus.enable_create_database_propagation = off")
        await first.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await first.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
