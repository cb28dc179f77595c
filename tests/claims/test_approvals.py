"""Prior approvals over HTTP: submitted, decided, read, cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner

COUNT = "SELECT count(*) FROM prior_approvals"


async def test_a_request_is_decided_line_by_line_at_once(optician: Practitioner, proof: str) -> None:
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    approval = reply.body
    assert (reply.status, approval["state"], approval["code"]) == (201, "approved", "all_granted")
    assert [
        (line["item"], line["granted_cents"], line["patient_cents"], line["code"]) for line in approval["lines"]
    ] == [
        ("right_lens", 20_000, 3_997, "formula_applied"),
        ("left_lens", 20_000, 3_997, "formula_applied"),
        ("frame", 9_997, 4_000, "frame_ceiling"),
    ]
    assert approval["totals"] == {
        "price_cents": 62_000,
        "amo_cents": 9,
        "granted_cents": 49_997,
        "patient_cents": 11_994,
        "not_due_cents": 0,
    }
    assert approval["message_fr"] == "La prise en charge est accordée."
    assert (await optician.call("GET", reply.headers["Location"])).body == approval


async def test_a_simulation_says_the_same_and_keeps_nothing(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    request = builders.a_request(proof)
    simulated = (await optician.call("POST", "/v1/prior-approvals/simulation", request)).body
    assert await gateway.fetchval(COUNT) == 0
    approval = (await optician.call("POST", "/v1/prior-approvals", request)).body
    assert simulated.items() <= approval.items()


@asynccontextmanager
async def somebody_else_deciding(gateway: Gateway) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A transaction that has the lock on the benefits of the only person who was checked."""
    connection = await gateway.connect()
    async with connection.transaction():
        await connection.execute(
            "SELECT lock_benefits(insurer_id, membership_number, birth_date, birth_rank) FROM card_checks"
        )
        yield connection
    await connection.close()


async def test_a_simulation_waits_for_nobody_and_a_request_for_who_decides_on_the_person(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    request = builders.a_request(proof)
    async with somebody_else_deciding(gateway):
        assert (await optician.call("POST", "/v1/prior-approvals/simulation", request)).status == 200
        waiting = asyncio.create_task(optician.call("POST", "/v1/prior-approvals", request))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
    assert (await waiting).status == 201


async def test_a_request_is_decided_anew_where_benefits_were_used_while_it_was(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    request = builders.a_request(proof)
    async with somebody_else_deciding(gateway) as connection:
        waiting = asyncio.create_task(optician.call("POST", "/v1/prior-approvals", request))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done  # decided, and about to be kept
        await connection.execute(
            "INSERT INTO benefit_uses (insurer_id, membership_number, birth_date, birth_rank, approval_id, line, used_on,"
            " item, benefit, units, granted_cents) SELECT insurer_id, membership_number, birth_date, birth_rank, uuidv7(), n,"
            " care_date - 30, item, 'lens_complex_b', 1, 100"
            " FROM card_checks, unnest(ARRAY['right_lens', 'left_lens', 'frame']) WITH ORDINALITY AS i (item, n)"
        )
    refused = await waiting
    assert (refused.status, refused.body["state"]) == (201, "refused")
    assert {line["code"] for line in refused.body["lines"]} == {"renewal_too_early"}
    assert await gateway.fetchval(COUNT) == 1
    await gateway.execute("SELECT number_events(id) FROM insurers")
    assert await gateway.fetchval("SELECT count(*) FROM insurer_events WHERE kind LIKE 'prior%'") == 1


async def test_what_the_contract_does_not_hold_is_cut_or_refused(optician: Practitioner, proof: str) -> None:
    very = builders.a_lens(correction="very_complex")
    partial = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, right_lens=very))
    assert (partial.body["state"], partial.body["code"]) == ("partially_approved", "some_not_granted")
    assert partial.body["lines"][0]["code"] == "benefit_not_in_contract"
    assert partial.body["next_step_fr"]
    none = builders.a_request(proof, right_lens=very, left_lens=very, frame=None)
    refused = await optician.call("POST", "/v1/prior-approvals", none)
    assert (refused.status, refused.body["state"], refused.body["valid_until"]) == (201, "refused", None)
    assert refused.body["next_step_fr"]


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"proof": "7KQ2-M8XA-4T9D"}, "/proof", "proof_mistyped"),
        ({"proof": "nonsense"}, "/proof", "proof_mistyped"),
        ({"insurer_number": "0000000019"}, "", "insurer_unknown"),
        ({"prescription_date": "2099-01-01"}, "", "prescription_after_care"),
        ({"prescriber_rpps": "10999999907"}, "/prescriber_rpps", "identifier_wrong_key"),
        ({"right_lens": builders.a_lens(lpp="2210547")}, "/right_lens/lpp", "identifier_wrong_key"),
        ({"right_lens": builders.a_lens(amo_cents=6)}, "/right_lens", "amounts_impossible"),
        ({"right_lens": builders.a_lens(price_cents=-1)}, "/right_lens/price_cents", "field_invalid"),
        ({"right_lens": builders.a_lens(price_cents=0, amo_cents=0)}, "/right_lens/price_cents", "field_invalid"),
        ({"prescription_date": None}, "/prescription_date", "field_missing"),
        ({"right_lens": builders.a_lens(sphere="-4.25")}, "/right_lens", "correction_unclear"),
        ({"right_lens": None, "left_lens": None, "frame": None}, "", "equipment_empty"),
    ],
)
async def test_a_wrong_request_says_what_is_wrong_and_writes_nothing(
    gateway: Gateway, optician: Practitioner, proof: str, changes: dict[str, Any], pointer: str, code: str
) -> None:
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, **changes))
    assert (reply.status, reply.code) == (422, code)
    if reply.faults:
        assert reply.faults == {pointer: code}
    assert await gateway.fetchval(COUNT) == 0
    assert await gateway.fetchval("SELECT count(*) FROM insurer_events WHERE kind LIKE 'prior%'") == 0
    assert await gateway.fetchval("SELECT count(*) FROM insurer_event_drafts") == 0


async def test_a_proof_serves_the_practitioner_who_made_the_check_alone(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    other = await gateway.join(**builders.an_optician())
    await other.sign()
    reply = await other.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    assert (reply.status, reply.code) == (422, "proof_unknown")
    assert await gateway.fetchval(COUNT) == 0


async def test_a_proof_grows_too_old(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    # As time would: nobody else may touch a check once it is recorded.
    await gateway.execute("SET session_replication_role = replica; UPDATE card_checks SET proof_expires_at = now()")
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    assert (reply.status, reply.code) == (422, "proof_expired")


async def test_a_proof_of_another_insurer_or_of_a_refusal_is_unknown(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    await gateway.admit("0099990029")
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, "0099990029"))
    assert reply.code == "proof_unknown"
    await optician.check(builders.a_card(membership_number="404"))
    hidden = await gateway.fetchval("SELECT proof FROM card_checks WHERE rights_from IS NULL")
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(hidden))
    assert reply.code == "proof_unknown"


async def test_a_proof_for_another_domain_does_not_open_optics(
    gateway: Gateway, insurer: Insurer, worker: None
) -> None:
    pharmacist = await gateway.join()
    await pharmacist.sign()
    proof = (await pharmacist.check(builders.a_card(), "PHAR")).body["proof"]
    reply = await pharmacist.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    assert (reply.status, reply.code) == (422, "proof_of_other_domain")


async def test_a_cancelled_approval_is_told_to_the_insurer_and_cannot_be_cancelled_again(
    optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    place = (await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))).headers["Location"]
    cancelled = await optician.call("POST", f"{place}/cancellation")
    assert (cancelled.status, cancelled.body["state"], cancelled.body["version"]) == (200, "cancelled", 3)
    again = await optician.call("POST", f"{place}/cancellation")
    assert (again.status, again.code) == (409, "state_forbids")
    events = (await optician.call("GET", f"{place}/events")).body["events"]
    assert [(event["kind"], event["actor"]) for event in events] == [
        ("submitted", "practitioner"),
        ("approved", "system"),
        ("cancelled", "practitioner"),
    ]
    feed = (await insurer.call("GET", "/v1/insurer/events")).body["events"]
    assert [event["type"] for event in feed][-2:] == ["prior_approval.decided", "prior_approval.cancelled"]


async def test_of_two_cancellations_at_once_one_wins(optician: Practitioner, proof: str) -> None:
    place = (await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))).headers["Location"]
    replies = await asyncio.gather(*(optician.call("POST", f"{place}/cancellation") for _ in range(5)))
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]


async def test_a_request_sent_twice_under_one_key_is_one_approval(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    request = builders.a_request(proof)
    replies = [await optician.call("POST", "/v1/prior-approvals", request, key="k") for _ in range(2)]
    assert replies[0].body == replies[1].body
    assert replies[1].headers["Location"] == replies[0].headers["Location"]
    assert await gateway.fetchval(COUNT) == 1
    reused = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, frame=None), key="k")
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")


async def test_everybody_sees_the_own_approvals_alone(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    place = (await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))).headers["Location"]
    other = await gateway.join(**builders.an_optician())
    for path in (place, f"{place}/events"):
        assert (await other.call("GET", path)).code == "not_found"
    assert (await other.call("POST", f"{place}/cancellation")).code == "not_found"
    assert (await other.call("GET", "/v1/prior-approvals")).body["prior_approvals"] == []
    stranger = await gateway.admit("0099990029")
    assert (await stranger.call("GET", "/v1/insurer/prior-approvals")).body["prior_approvals"] == []
    assert len((await insurer.call("GET", "/v1/insurer/prior-approvals")).body["prior_approvals"]) == 1


async def test_lists_are_paged_and_filtered(optician: Practitioner, proof: str) -> None:
    for _ in range(3):
        await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    first = (await optician.call("GET", "/v1/prior-approvals?limit=2")).body
    rest = (await optician.call("GET", f"/v1/prior-approvals?limit=2&after={first['after']}")).body
    ids = [each["id"] for each in first["prior_approvals"] + rest["prior_approvals"]]
    assert len(set(ids)) == 3
    assert ids == sorted(ids, reverse=True)
    assert rest["after"] is None
    refused = (await optician.call("GET", "/v1/prior-approvals?state=refused")).body["prior_approvals"]
    assert len(refused) == 2  # the first equipment used up the period
    for wrong in ("state=nonsense", "state=refused&state=approved"):
        reply = await optician.call("GET", f"/v1/prior-approvals?{wrong}")
        assert (reply.status, reply.faults) == (422, {"/query/state": "field_invalid"})
    assert (await optician.call("GET", "/v1/prior-approvals?after=nonsense")).code == "field_invalid"


async def test_the_history_cannot_be_rewritten(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    for statement in ("UPDATE prior_approval_events SET kind = 'refused'", "DELETE FROM prior_approval_events"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await gateway.execute(statement)


async def test_reading_and_submitting_leave_a_trace(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    await optician.call("POST", "/v1/prior-approvals/simulation", builders.a_request(proof))
    place = (await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))).headers["Location"]
    await optician.call("GET", place)
    await optician.call("GET", "/v1/prior-approvals")
    trace = "SELECT array_agg(action ORDER BY id) FROM audit_entries WHERE action LIKE 'approval:%'"
    done = ["simulate", "submit", "read", "list"]
    assert await gateway.fetchval(trace) == [f"approval:request:{each}" for each in done]
    by = "SELECT array_agg(DISTINCT agent_id::text) FROM audit_entries WHERE action LIKE 'approval:%'"
    assert await gateway.fetchval(by) == [optician.client_id]
