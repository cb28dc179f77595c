"""Card checks: outcomes, records, replays, faults."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner
from tpgateway.cards.codec.proofs import new_proofs, parse_proof
from tpgateway.cards.payloads import CardCheckRequest
from tpgateway.cards.store.checks import RECORD_CHECKS, RECORD_CHECKS_OF_ONE, RECORD_PLAIN_CHECKS
from tpgateway.cards.store.lanes import (
    LANE_SETTINGS,
    ROLE,
    SPREAD_SETTINGS,
    SpreadLane,
    _InsurersLane,
    open_lane,
    read_checks,
    write_line,
)
from tpgateway.guarantees.model import Domain
from tpgateway.web.state import STATE


async def test_a_covered_person_gets_a_proof_and_the_benefits_of_the_domain(pharmacist: Practitioner) -> None:
    answer = (await pharmacist.check(builders.a_card(), "PHAR")).body
    assert (answer["outcome"], answer["code"], answer["next_step_fr"]) == ("covered", "covered", None)
    assert len(parse_proof(answer["proof"])) == 12
    assert answer["rights"] == {"from": f"{builders.today().year}-01-01", "to": f"{builders.today().year}-12-31"}
    [benefit] = answer["benefits"]
    assert (benefit["benefit"], benefit["formula"]["kind"], benefit["approval"]) == ("medicine_65", "copayment", "none")


@pytest.mark.parametrize(
    ("card", "domain", "outcome", "code"),
    [
        ({"membership_number": "9999999"}, "PHAR", "unknown_person", "unknown_person"),
        ({"birth_date": "19800228"}, "PHAR", "unknown_person", "unknown_person"),
        ({"birth_rank": 2}, "PHAR", "unknown_person", "unknown_person"),
        ({"convention_type": "IS"}, "PHAR", "not_contracted", "convention_type_not_held"),
        ({}, "OPTI", "not_contracted", "domain_outside_convention"),
        ({"membership_number": "1234567 "}, "PHAR", "covered", "covered"),
        ({"insurer_number": "99990011"}, "PHAR", "covered", "covered"),
        ({"csr": "A1"}, "PHAR", "covered", "covered"),
    ],
)
async def test_each_card_gets_its_own_answer(
    pharmacist: Practitioner, card: dict[str, Any], domain: str, outcome: str, code: str
) -> None:
    answer = (await pharmacist.check(builders.a_card(**card), domain)).body
    assert (answer["outcome"], answer["code"]) == (outcome, code)
    assert (answer["proof"] is None) == (outcome != "covered")
    if outcome != "covered":
        assert answer["rights"] is None
        assert answer["benefits"] == []


async def test_a_check_on_a_day_outside_the_rights_finds_them_closed(pharmacist: Practitioner) -> None:
    past = f"{builders.today().year - 1}-06-01"
    answer = await pharmacist.call(
        "POST", "/v1/card-checks", {**builders.a_card(), "domain": "PHAR", "care_date": past}
    )
    assert answer.body["outcome"] == "rights_closed"


async def test_a_check_on_a_past_day_answers_what_was_true_then(pharmacist: Practitioner, insurer: Insurer) -> None:
    year = builders.today().year
    before = builders.a_right(
        valid_from=f"{year - 1}-01-01", valid_to=f"{year - 1}-12-31", product_code="OLD", convention_types="VM SP"
    )
    await insurer.load(before)
    await insurer.put_product("OLD", benefits=[builders.a_benefit("room", domain="HOSP")])
    card = {**builders.a_card(), "domain": "PHAR", "care_date": f"{year - 1}-06-01"}
    assert (await pharmacist.call("POST", "/v1/card-checks", card)).body["outcome"] == "not_covered"
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "covered"


async def test_a_lunar_birth_date_is_compared_as_text(pharmacist: Practitioner, insurer: Insurer) -> None:
    await insurer.load(builders.a_right("555", birth_date="19451300"))
    card = builders.a_card(membership_number="555", birth_date="19451300")
    assert (await pharmacist.check(card, "PHAR")).body["outcome"] == "covered"


async def test_a_product_that_is_not_known_covers_nothing(pharmacist: Practitioner, insurer: Insurer) -> None:
    await insurer.load(builders.a_right("777", product_code="NOSUCH"))
    assert (await pharmacist.check(builders.a_card(membership_number="777"), "PHAR")).body["outcome"] == "not_covered"


async def test_without_a_signature_nobody_learns_of_a_persons_rights(
    gateway: Gateway, pharmacist: Practitioner
) -> None:
    newcomer = await gateway.join()
    answers = [
        (await newcomer.check(builders.a_card(membership_number=number), "PHAR")).body
        for number in ("1234567", "9999999")
    ]
    assert {answer["code"] for answer in answers} == {"convention_not_signed"}


async def test_an_insurer_outside_the_convention_is_not_contracted(
    gateway: Gateway, insurer: Insurer, worker: None, tmp_path: Path
) -> None:
    other = await gateway.admit("0099990029")
    await other.put_product()
    await other.load(builders.a_right())
    await gateway.publish_conventions(builders.convention_files(tmp_path, insurers='["99990011"]'))
    pharmacist = await gateway.join()
    await pharmacist.sign()
    answer = (await pharmacist.check(builders.a_card("0099990029"), "PHAR")).body
    assert (answer["outcome"], answer["code"]) == ("not_contracted", "insurer_outside_convention")
    assert (await pharmacist.check(builders.a_card(), "PHAR")).body["outcome"] == "covered"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"insurer_number": "123"}, "/insurer_number", "identifier_wrong_length"),
        ({"insurer_number": "abcdefgh"}, "/insurer_number", "identifier_wrong_form"),
        ({"birth_date": "1980-02-29"}, "/birth_date", "birth_date_invalid"),
        ({"birth_date": "٠١٢٣٤٥٦٧"}, "/birth_date", "birth_date_invalid"),
        ({"birth_rank": 0}, "/birth_rank", "field_invalid"),
        ({"birth_rank": "1"}, "/birth_rank", "field_invalid"),
        ({"membership_number": "x" * 17}, "/membership_number", "field_invalid"),
        ({"membership_number": "12;34"}, "/membership_number", "field_invalid"),
        ({"convention_type": "S"}, "/convention_type", "field_invalid"),
        ({"domain": "NOPE"}, "/domain", "field_invalid"),
        ({"care_date": "2026-02-30"}, "/care_date", "field_invalid"),
        ({"nir": "x"}, "/nir", "identifier_wrong_form"),
        ({"nir": "295109912611193"}, "/nir", "person_named_twice"),
        ({"name": "Durand"}, "/name", "field_unknown"),
        ({"care_date": "9999-12-31"}, "/care_date", "care_date_out_of_range"),
        ({"care_date": "0001-01-01"}, "/care_date", "care_date_out_of_range"),
    ],
)
async def test_a_wrong_card_says_what_is_wrong_and_records_nothing(
    gateway: Gateway, pharmacist: Practitioner, changes: dict[str, Any], pointer: str, code: str
) -> None:
    body = {**builders.a_card(), "domain": "PHAR", **changes}
    reply = await pharmacist.call("POST", "/v1/card-checks", body)
    assert (reply.status, reply.faults, reply.code) == (422, {pointer: code}, code)
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == 0


@pytest.mark.parametrize("state", ["absent", "suspended"])
async def test_an_insurer_who_is_not_of_the_network_is_unknown(
    gateway: Gateway, pharmacist: Practitioner, state: str
) -> None:
    if state == "suspended":
        await gateway.execute("UPDATE insurers SET state = 'suspended'")
    number = "0099990011" if state == "suspended" else "0000000019"
    reply = await pharmacist.check(builders.a_card(number), "PHAR")
    assert (reply.status, reply.code) == (422, "insurer_unknown")


async def test_every_check_is_recorded_before_it_is_answered(gateway: Gateway, pharmacist: Practitioner) -> None:
    answers = await asyncio.gather(
        *(pharmacist.check(builders.a_card(membership_number=f"{1234567 + (n % 3 == 0)}"), "PHAR") for n in range(60))
    )
    assert [answer.body["outcome"] for answer in answers].count("covered") == 40
    recorded = await gateway.fetchval("SELECT array_agg(id::text) FROM card_checks")
    assert sorted(recorded) == sorted(answer.body["id"].partition("-")[2] for answer in answers)


async def test_one_bad_check_does_not_spoil_those_gathered_with_it(pharmacist: Practitioner) -> None:
    cards = [builders.a_card() if n % 2 else builders.a_card("0000000019") for n in range(40)]
    replies = await asyncio.gather(*(pharmacist.check(card, "PHAR") for card in cards))
    assert [reply.status for reply in replies] == [200 if n % 2 else 422 for n in range(40)]


async def test_a_check_can_be_read_again_by_who_made_it_alone(gateway: Gateway, pharmacist: Practitioner) -> None:
    made = (await pharmacist.check(builders.a_card(), "PHAR")).body
    assert (await pharmacist.call("GET", f"/v1/card-checks/{made['id']}")).body == made
    page = await pharmacist.in_person("GET", f"/v1/card-checks/{made['id']}/guarantees")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "Médicaments remboursés à 65" in page.body.decode()
    assert "Verre" not in page.body.decode()  # of the domain that was asked about, and no other
    printed = await pharmacist.call("GET", f"/v1/card-checks/{made['id']}/guarantees?format=pdf")
    assert (printed.headers["Content-Type"], printed.body[:4]) == ("application/pdf", b"%PDF")
    refused = (await pharmacist.check(builders.a_card(birth_rank=2), "PHAR")).body
    none = await pharmacist.call("GET", f"/v1/card-checks/{refused['id']}/guarantees")
    assert (none.status, none.code) == (409, "check_not_covered")
    other = await gateway.join()
    await other.sign()
    assert (await other.call("GET", f"/v1/card-checks/{made['id']}")).code == "not_found"
    for unknown in ("0099990011-00000000-0000-0000-0000-000000000000", "0000000019" + made["id"][10:], "x", "1-2"):
        assert (await pharmacist.call("GET", f"/v1/card-checks/{unknown}")).code == "not_found"


async def test_a_check_sent_twice_under_one_key_is_made_once(gateway: Gateway, pharmacist: Practitioner) -> None:
    replies = [await pharmacist.check(builders.a_card(), "PHAR", key="k") for _ in range(2)]
    assert replies[0].body == replies[1].body
    assert replies[1].headers["Idempotency-Replayed"] == "true"
    together = await asyncio.gather(*(pharmacist.check(builders.a_card(), "PHAR", key="k2") for _ in range(8)))
    assert len({reply.body["proof"] for reply in together}) == 1
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == 2
    other = await pharmacist.check(builders.a_card(birth_rank=2), "PHAR", key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_the_key_of_one_practitioner_is_nothing_to_another(gateway: Gateway, pharmacist: Practitioner) -> None:
    other = await gateway.join()
    await other.sign()
    one, two = [await each.check(builders.a_card(), "PHAR", key="k") for each in (pharmacist, other)]
    assert one.body["proof"] != two.body["proof"]


async def test_the_hot_statement_uses_its_indexes(gateway: Gateway, insurer: Insurer, database: str) -> None:
    for filling in (
        """
        INSERT INTO practitioners (state, legal_name, specialty, postal_code, terms_version, terms_accepted_at,
                                   privacy_version, privacy_accepted_at, confirmed_at, activated_at)
        SELECT 'active', 'Pharmacie ' || n, 'pharmacy', '75010', '1', now(), '1', now(), now(), now()
        FROM generate_series(1, 20000) n
        """,
        """
        INSERT INTO conventions (specialty, version, title, text_markdown, text_hash, domains, payment_days, every_insurer,
                                 validity)
        SELECT 'dental', n, 't', 't', 'h', '{DENT}', 5, false, daterange('2000-01-01'::date + n, '2000-01-01'::date + n + 1)
        FROM generate_series(1, 2000) n
        """,
        """
        INSERT INTO convention_signatures (practitioner_id, convention_id, specialty, text_hash, signed_at)
        SELECT p.id, c.id, 'pharmacy', 'h', now() FROM practitioners p, (SELECT id FROM conventions LIMIT 1) c
        """,
        "INSERT INTO convention_participants SELECT c.id, i.id FROM conventions c, insurers i",
        """
        INSERT INTO insured_rights
        SELECT i.id, n::text, '19800101', 1, '2026-01-01', '2026-12-31', '{SP}', '', 'X', i.id
        FROM insurers i, generate_series(1, 50000) n
        """,
        """
        INSERT INTO insured_nirs SELECT i.id, n::text, '19800101', 1, sha256(n::text::bytea), 'sealed'
        FROM insurers i, generate_series(1, 50000) n
        """,
        """
        INSERT INTO product_versions (insurer_id, code, name, is_responsible, validity)
        SELECT i.id, 'P' || n, 'p', true, '[2020-01-01,)' FROM insurers i, generate_series(1, 3000) n
        """,
        """
        INSERT INTO check_locks SELECT uuidv7(), p.id, 'misses_per_day', now(), now() FROM practitioners p
        """,
        "ANALYZE",
    ):
        await gateway.execute(filling)
    connection = await asyncpg.connect(database, server_settings=LANE_SETTINGS)
    indexes = {"insured_rights_pkey", "practitioners_pkey", "check_locks_pkey"}
    for name, statement, more in (
        ("hot", RECORD_CHECKS, {"insured_nirs_by_hash"}),
        ("hot_plain", RECORD_PLAIN_CHECKS, set()),
    ):
        await connection.execute(f"PREPARE {name} (text) AS {statement}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE {name} ('')"))
        for index in indexes | more:
            assert index in plan, plan
        read_whole = re.findall("Seq Scan on ([a-z_]+)", plan)
        assert set(read_whole) <= {"insurers", "insurer_live_sources"}, plan
        assert "hashed" not in plan
    await connection.close()


async def test_where_insurers_are_on_several_servers_each_check_still_gets_its_own_record(
    gateway: Gateway, pharmacist: Practitioner, insurer: Insurer
) -> None:
    """On one server here: what differs is that a statement takes the checks of one insurer."""
    await gateway.admit("0099990029")
    practitioner = await gateway.fetchval("SELECT id FROM practitioners LIMIT 1")
    connections, lanes = [], []
    for _ in range(2):
        connections.append(await asyncpg.connect(gateway.database, server_settings={**SPREAD_SETTINGS, "role": ROLE}))
        lanes.append(_InsurersLane(connections[-1], await connections[-1].prepare(RECORD_CHECKS_OF_ONE)))
    numbers = ["0099990011", "0099990029", "0099990508", "0099990011"]
    now, life = datetime.now(UTC), timedelta(days=30)
    lines = []
    for number, proof in zip(numbers, new_proofs(len(numbers)), strict=True):
        request = CardCheckRequest(**builders.a_card(number), domain=Domain.PHAR)
        vault = gateway.app[STATE].vault
        ask = request.ask(practitioner, None, vault, now=now, today=builders.today())
        lines.append(write_line(ask, proof, life))
    lane = SpreadLane(connections, lanes)
    checks = read_checks(lines, await lane.record(lines))
    recorded = [check and (check.proof, check.found.holds_type) for check in checks]
    assert recorded == [(lines[0].proof, True), (lines[1].proof, False), None, (lines[3].proof, True)]
    assert read_checks(lines, await lane.record(lines)) == [None] * 4  # whose proofs are taken
    lane.terminate()


async def test_a_process_that_has_no_check_to_make_holds_no_table(database: str) -> None:
    lane = await open_lane(database, is_limited=True)
    connection = await asyncpg.connect(database)
    held = await connection.fetch(
        "SELECT relation::regclass::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE a.application_name = 'tpgateway checks' AND a.datname = current_database() AND l.relation IS NOT NULL"
    )
    assert held == []
    await connection.close()
    lane.terminate()


async def test_a_proof_lasts_thirty_days(pharmacist: Practitioner) -> None:
    answer = (await pharmacist.check(builders.a_card(), "PHAR")).body
    lasts = datetime.fromisoformat(answer["proof_expires_at"]) - datetime.fromisoformat(answer["checked_at"])
    assert lasts == timedelta(days=30)
