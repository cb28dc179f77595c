"""What waits in the database is told as metrics, so that a worker that is gone does not go unnoticed."""

import re

from tests import builders
from tests.driver import Gateway
from tests.insurers.server import register
from tpgateway.web.metrics import GAUGES, Metrics
from tpgateway.web.state import STATE


async def told(gateway: Gateway) -> dict[str, float]:
    gateway.app[STATE].metrics.backlogs._until = 0.0  # not for five seconds
    text = (await gateway.call("GET", "/metrics")).body.decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE) if name in GAUGES}


async def test_what_no_worker_sees_to_is_told(gateway: Gateway) -> None:
    assert await told(gateway) == {name: float(name == "tpgateway_database_up") for name in GAUGES}
    insurer = await gateway.admit()
    await register(insurer, "http://127.0.0.1:9/events")
    await insurer.load(builders.a_right())
    form = builders.a_registration()
    assert (await gateway.call("POST", "/v1/practitioners", form)).status == 202
    await gateway.execute("INSERT INTO mails (sealed, created_at) VALUES ('x', now() - interval '1 hour')")
    await gateway.execute(
        "INSERT INTO insurer_event_drafts (insurer_id, kind, subject_id, data, occurred_at)"
        f" VALUES ('{insurer.id}', 'prior_approval.decided', uuidv7(), '{{}}', now())"
    )
    await gateway.execute("SELECT pg_sleep(0.1)")
    found = await told(gateway)
    assert found["tpgateway_outbox_events"] == 2
    assert found["tpgateway_outbox_oldest_seconds"] > 0
    assert found["tpgateway_jobs_waiting"] >= 1
    assert (found["tpgateway_jobs_held"], found["tpgateway_approvals_overdue"]) == (0, 0)
    assert found["tpgateway_mails_waiting"] == 1
    assert 3600 <= found["tpgateway_mail_oldest_seconds"] < 3700
    assert found["tpgateway_audit_unlinked_entries"] > 1


async def test_a_database_that_is_away_is_told_too(gateway: Gateway) -> None:
    await gateway.app[STATE].pool.close()
    assert await told(gateway) == {"tpgateway_database_up": 0.0}


def test_times_counted_at_once_are_those_counted_one_by_one() -> None:
    times = [0.0, 0.001, 0.0011, 0.005, 0.3, 15.0, 16.0]
    together, singly = Metrics(), Metrics()
    together.spent("check_card", times)
    for each in times:
        singly.seconds.labels("check_card").observe(each)
    told = [
        [line for line in metrics.exposition().splitlines() if b"_seconds_" in line and b"_created" not in line]
        for metrics in (together, singly)
    ]
    assert told[0] == told[1]
    assert b"tpgateway_request_seconds_count" in b"".join(told[0])
