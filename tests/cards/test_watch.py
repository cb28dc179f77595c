"""Stolen accounts: slowed down, then locked, and nobody else with them."""

import asyncio
import json
import time
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, run_command
from tpgateway.cards.rules import quotas
from tpgateway.cards.rules.quotas import Measure
from tpgateway.settings import Settings

SMALL = {"people_per_hour": 20, "people_per_day": 40, "misses_per_hour": 10, "misses_per_day": 20}


@pytest.fixture
def slowest() -> float:
    """Seconds that an answer waits at most; what is slow enough to be measured says the test that measures it."""
    return 0.2


@pytest.fixture
def settings(settings: Settings, slowest: float) -> Settings:
    return settings.model_copy(
        update={
            "check_quotas": {"default": SMALL},
            "check_slowest_seconds": slowest,
            "alert_address": "vigie@reseau.example",
        }
    )


def usage(**changes: int) -> dict[Measure, int]:
    return {measure: changes.get(measure.value, 0) for measure in Measure}


def test_quotas_are_the_operators_then_the_specialitys_then_everybodys() -> None:
    theirs = {"default": {"people_per_hour": 7}, "hospital": {"people_per_hour": 9}}
    assert quotas.quotas_of("optics", theirs)[Measure.PEOPLE_PER_HOUR] == 7
    assert quotas.quotas_of("hospital", theirs)[Measure.PEOPLE_PER_HOUR] == 9
    assert quotas.quotas_of("hospital", {})[Measure.PEOPLE_PER_HOUR] == 12_000
    assert quotas.quotas_of("optics", {}, percent=50)[Measure.PEOPLE_PER_HOUR] == 150


def test_delay_rises_from_four_fifths_of_any_quota_to_its_end() -> None:
    small = {Measure(name): value for name, value in SMALL.items()}
    delays = [quotas.delay(usage(people_per_hour=count), small, slowest=8.0) for count in range(21)]
    assert delays[:17] == [0.0] * 17
    assert delays[17:] == sorted(delays[17:])
    assert (delays[17] > 0, delays[20]) == (True, 8.0)
    assert quotas.delay(usage(misses_per_hour=10), small, slowest=8.0) == 8.0
    assert quotas.used_up(usage(misses_per_hour=10), small) is None
    assert quotas.used_up(usage(misses_per_hour=11), small) is Measure.MISSES_PER_HOUR


def test_the_next_count_comes_the_sooner_the_less_is_left() -> None:
    large = quotas.quotas_of("hospital", {})
    steps = [quotas.until_next_count(usage(misses_per_hour=count), large) for count in (0, 300, 590, 600, 700)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == (750, 1)


async def guess(practitioner: Practitioner, count: int) -> list[Any]:
    """All at once."""
    return await asyncio.gather(
        *(practitioner.check(builders.a_card(membership_number=f"GUESS{n}"), "PHAR") for n in range(count))
    )


async def test_who_guesses_is_locked_and_told_and_others_are_not(
    gateway: Gateway, pharmacist: Practitioner, tmp_path: Any
) -> None:
    neighbour = await gateway.join()
    await neighbour.sign()
    replies = await guess(pharmacist, 30)
    answered = [reply for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status == 429]
    assert 7 <= len(answered) <= 12
    assert {reply.code for reply in refused} <= {"checks_locked", "checks_too_fast"}
    assert int(refused[-1].headers["Retry-After"]) > 80_000
    assert (await pharmacist.check(builders.a_card(), "PHAR")).code == "checks_locked"
    batch = await pharmacist.call(
        "POST",
        "/v1/card-checks/batch",
        data=b'{"domain":"PHAR","datamatrix":"TPG1/0099990011/SP//1/20260101/20261231/19800101-1"}\n',
        headers={"Content-Type": "application/x-ndjson"},
    )
    told = json.loads(batch.body)
    assert told["code"] == "checks_locked"
    assert told["retry_after_seconds"] > 80_000
    assert (await neighbour.check(builders.a_card(), "PHAR")).status == 200
    letter = await gateway.letter_about(pharmacist.form["email"], "Vérifications de cartes bloquées")
    assert "trop de personnes inconnues en une heure" in letter.text
    await gateway.letter_about("vigie@reseau.example", "Vérifications de cartes bloquées")
    metrics = (await gateway.call("GET", "/metrics")).body.decode()
    assert 'tpgateway_check_locks_total{measure="misses_per_hour"} 1.0' in metrics
    journal = (await pharmacist.in_person("GET", "/v1/me/journal")).body
    assert "bloquées" in str(journal)


async def test_one_agent_of_an_account_is_locked_without_the_others(gateway: Gateway, pharmacist: Practitioner) -> None:
    await guess(pharmacist, 12)
    assert (await pharmacist.check(builders.a_card(), "PHAR")).code == "checks_locked"
    in_person = await pharmacist.in_person("POST", "/v1/card-checks", {**builders.a_card(), "domain": "PHAR"})
    assert in_person.status == 200


async def test_a_lock_counts_in_every_process_and_after_a_restart(gateway: Gateway, pharmacist: Practitioner) -> None:
    assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 200
    await gateway.execute(
        "INSERT INTO check_locks SELECT agent_id, practitioner_id, 'misses_per_day', now(), now() + interval '1 hour'"
        " FROM card_checks LIMIT 1"
    )
    assert (await pharmacist.check(builders.a_card(), "PHAR")).code == "checks_locked"
    assert await gateway.fetchval("SELECT count(*) FROM card_checks") == 1


async def test_the_operator_unlocks_and_counts_begin_anew(gateway: Gateway, pharmacist: Practitioner) -> None:
    await guess(pharmacist, 12)
    form = pharmacist.form
    words = ["practitioners", "unlock-checks", "--scheme", form["scheme"], "--value", form["value"]]
    status, printed, _ = await run_command(*words, database=gateway.database)
    assert (status, printed.strip()) == (0, "1 locks ended.")
    await asyncio.sleep(2.1)  # a process that knows of a lock looks again after two seconds
    assert (await pharmacist.check(builders.a_card(), "PHAR")).status == 200
    status, printed, _ = await run_command(*words, database=gateway.database)
    assert printed.strip() == "Nothing was locked."


@pytest.mark.parametrize("slowest", [3.0])
async def test_too_many_different_people_slow_an_account_down(
    gateway: Gateway, pharmacist: Practitioner, insurer: Insurer
) -> None:
    await insurer.load(*(builders.a_right(f"P{n}") for n in range(14)))
    spent = []
    with capture_logs() as logs:
        for n in range(13):
            started = time.monotonic()
            reply = await pharmacist.check(builders.a_card(membership_number=f"P{n}"), "PHAR")
            assert reply.status == 200
            spent.append(time.monotonic() - started)
    assert [each["event"] for each in logs if each["event"].startswith("checks")] == ["checks_slowed"]
    assert max(spent[:10]) < 0.6 < spent[12]


async def test_asking_for_the_same_people_again_is_no_sign_of_theft(pharmacist: Practitioner) -> None:
    replies = [await pharmacist.check(builders.a_card(), "PHAR") for _ in range(60)]
    assert {reply.status for reply in replies} == {200}
