"""The life of approvals over HTTP: reviewed, questioned, amended, prolonged, contested, used, run out; and who may."""

import asyncio
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests import builders
from tests.driver import Gateway, Insurer, Practitioner, Reply
from tpgateway.claims import jobs
from tpgateway.database import migrations
from tpgateway.guarantees.rules.evaluation import add_months
from tpgateway.insurers import client
from tpgateway.jobs import Tools
from tpgateway.web.state import STATE

USES = "SELECT count(*) FROM benefit_uses"
A_QUESTION = {"question": "Quel est le motif ?"}


async def submit(optician: Practitioner, proof: str, **changes: Any) -> Reply:
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, **changes))
    assert reply.status == 201, reply.body
    return reply


async def set_rules(insurer: Insurer, **rules: Any) -> None:
    reply = await insurer.call("PATCH", "/v1/insurer", {"approval_rules": rules})
    assert reply.status == 200, reply.body


async def act(party: Practitioner | Insurer, approval: dict[str, Any], what: str, **body: Any) -> Reply:
    start = "/v1/insurer/prior-approvals" if isinstance(party, Insurer) else "/v1/prior-approvals"
    return await party.call("POST", f"{start}/{approval['id']}/{what}", {"version": approval["version"], **body})


async def run_clocks(gateway: Gateway, after: timedelta) -> int:
    state = gateway.app[STATE]
    async with client.open_session(allows_private=True) as http:
        tools = Tools(pool=state.pool, settings=state.settings, vault=state.vault, http=http)
        return await jobs.run_clocks(tools, now=datetime.now(UTC) + after)


async def kinds(party: Practitioner, approval: dict[str, Any]) -> list[str]:
    events = (await party.call("GET", f"/v1/prior-approvals/{approval['id']}/events")).body["events"]
    return [event["kind"] for event in events]


async def feed(insurer: Insurer) -> list[str]:
    events = (await insurer.call("GET", "/v1/insurer/events")).body["events"]
    return [event["type"] for event in events if event["type"].startswith("prior_approval")]


REVIEW = [{"domain": "OPTI", "from_cents": 40_000}]


@pytest.fixture
async def pending(optician: Practitioner, insurer: Insurer, proof: str) -> dict[str, Any]:
    await set_rules(insurer, reviews=REVIEW, tacit_days=10)
    return dict((await submit(optician, proof)).body)


async def test_what_the_insurer_wants_to_see_waits_for_it_and_says_by_when(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    assert (pending["state"], pending["waits_for"], pending["code"]) == ("under_review", "insurer", "review_asked")
    due = datetime.fromisoformat(pending["due_at"]) - datetime.now(UTC)
    assert timedelta(days=9, hours=23) < due < timedelta(days=10)
    waiting = (await insurer.call("GET", "/v1/insurer/prior-approvals?waits_for=insurer")).body["prior_approvals"]
    assert [each["id"] for each in waiting] == [pending["id"]]
    assert (await feed(insurer)) == ["prior_approval.pending"]
    decided = await act(insurer, pending, "decision", decision="approved", comment="D'accord.")
    assert (decided.status, decided.body["state"], decided.body["comment"]) == (200, "approved", "D'accord.")
    mine = (await optician.call("GET", f"/v1/prior-approvals/{pending['id']}")).body
    assert mine == decided.body
    assert [line["granted_cents"] for line in mine["lines"]] == [20_000, 20_000, 9_997]
    assert await kinds(optician, pending) == ["submitted", "review_started", "approved"]
    assert (await feed(insurer))[-1] == "prior_approval.decided"


async def test_an_insurer_cuts_lines_and_the_practitioner_contests(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    cut = await act(
        insurer, pending, "decision", decision="partially_approved", lines=[{"line": 3, "granted_cents": 0}]
    )
    assert (cut.status, cut.code, cut.body["detail"]) == (422, "decision_needs_reason", "line 3")
    cut = await act(
        insurer,
        pending,
        "decision",
        decision="partially_approved",
        lines=[{"line": 3, "granted_cents": 0}],
        comment="Une monture l'an passé.",
    )
    assert (cut.body["state"], cut.body["code"], cut.body["revision"]) == ("partially_approved", "insurer_cut", 2)
    assert [(line["granted_cents"], line["code"]) for line in cut.body["lines"]][2] == (0, "cut_by_insurer")
    assert await gateway.fetchval(USES) == 2
    appealed = await act(optician, cut.body, "appeal", arguments="La monture est cassée.")
    assert (appealed.body["state"], appealed.body["waits_for"]) == ("appealed", "insurer")
    assert (await act(insurer, appealed.body, "decision", decision="approved")).code == "decision_needs_lines"
    kept = await act(insurer, appealed.body, "decision", decision="refused", comment="Déjà examiné.")
    assert (kept.body["state"], kept.body["code"]) == ("partially_approved", "appeal_rejected")
    again = await act(optician, kept.body, "appeal", arguments="J'insiste.")
    won = await act(insurer, again.body, "decision", decision="approved", lines=[{"line": 3, "granted_cents": 5_000}])
    assert (won.body["state"], won.body["lines"][2]["granted_cents"]) == ("approved", 5_000)
    assert won.body["lines"][2]["code"] == "granted_by_insurer"
    assert await gateway.fetchval(USES) == 3


async def test_an_insurer_says_why_it_refuses_or_cuts(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    bare = await act(insurer, pending, "decision", decision="refused")
    assert (bare.status, bare.code) == (422, "field_missing")
    assert (await act(insurer, pending, "decision", decision="refused", code="because")).faults == {
        "/code": "field_invalid"
    }
    code = {"code": "insurer_not_justified"}
    assert (await act(insurer, pending, "decision", decision="approved", **code)).status == 422
    cut = {"line": 3, "granted_cents": 0, "code": "insurer_price_too_high"}
    partly = (await act(insurer, pending, "decision", decision="partially_approved", lines=[cut])).body
    assert partly["lines"][2]["code"] == "insurer_price_too_high"
    assert "prix" in partly["lines"][2]["message_fr"]
    appealed = (await act(optician, partly, "appeal", arguments="Le prix est celui du marché.")).body
    assert appealed["state"] == "appealed"


async def test_a_refusal_with_a_code_gives_it_for_all_and_each(insurer: Insurer, pending: dict[str, Any]) -> None:
    refused = (await act(insurer, pending, "decision", decision="refused", code="insurer_not_justified")).body
    assert (refused["state"], refused["code"]) == ("refused", "insurer_not_justified")
    assert {line["code"] for line in refused["lines"]} == {"insurer_not_justified"}
    assert refused["next_step_fr"].startswith("Contestez")


async def test_a_refusal_is_contested_and_granted(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    very = builders.a_lens(correction="very_complex")
    refused = (await submit(optician, proof, right_lens=very, left_lens=very, frame=None)).body
    assert (refused["state"], refused["valid_until"], refused["waits_for"]) == ("refused", None, None)
    appealed = (await act(optician, refused, "appeal", arguments="Le contrat le prévoit.")).body
    lines = [{"line": 1, "granted_cents": 10_000}]
    granted = (await act(insurer, appealed, "decision", decision="approved", lines=lines)).body
    assert (granted["state"], granted["lines"][0]["granted_cents"]) == ("partially_approved", 10_000)
    assert granted["valid_until"]
    assert await gateway.fetchval(USES) == 1
    for lines, code in (
        ([{"line": 9, "granted_cents": 1}], "line_unknown"),
        ([{"line": 1, "granted_cents": 1}, {"line": 1, "granted_cents": 2}], "line_unknown"),
        ([{"line": 1, "granted_cents": 23_998}], "grant_too_large"),
    ):
        contested = (await act(optician, granted, "appeal", arguments="Encore.")).body
        reply = await act(insurer, contested, "decision", decision="partially_approved", lines=lines)
        assert (reply.status, reply.code) == (422, code)
        granted = (await act(insurer, contested, "decision", decision="refused", comment="Non.")).body


async def test_questions_and_answers_go_to_and_fro(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    asked = (await act(insurer, pending, "information-request", **A_QUESTION)).body
    assert (asked["state"], asked["waits_for"], asked["comment"]) == (
        "information_requested",
        "practitioner",
        "Quel est le motif ?",
    )
    answered = (await act(optician, asked, "information", answer="La vue a baissé.")).body
    assert (answered["state"], answered["waits_for"], answered["comment"]) == (
        "under_review",
        "insurer",
        "La vue a baissé.",
    )
    refused = (await act(insurer, answered, "decision", decision="refused", comment="Non.")).body
    assert (refused["state"], refused["code"], refused["totals"]["granted_cents"]) == ("refused", "insurer_refused", 0)
    events = (await insurer.call("GET", f"/v1/insurer/prior-approvals/{pending['id']}/events")).body["events"]
    said = [event["details"] for event in events]
    assert said[2]["question"] == "Quel est le motif ?"
    assert said[3]["answer"] == "La vue a baissé."


@pytest.mark.parametrize(
    ("outcome", "state", "code", "uses"),
    [("approve", "approved", "tacit_approval", 3), ("refuse", "refused", "tacit_refusal", 0)],
)
async def test_an_insurers_silence_decides_once(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str,
    outcome: str, state: str, code: str, uses: int,
) -> None:  # fmt: skip
    await set_rules(insurer, reviews=REVIEW, tacit_days=3, tacit_outcome=outcome)
    approval = (await submit(optician, proof)).body
    assert await gateway.fetchval(USES) == 3  # held while it waits
    assert await run_clocks(gateway, timedelta(days=2, hours=23)) == 0
    several = await asyncio.gather(*(run_clocks(gateway, timedelta(days=3, minutes=1)) for _ in range(3)))
    assert sum(several) == 1
    after = (await optician.call("GET", f"/v1/prior-approvals/{approval['id']}")).body
    assert (after["state"], after["code"]) == (state, code)
    assert await gateway.fetchval(USES) == uses
    late = await act(insurer, approval, "decision", decision="approved")
    assert (late.status, late.code) == (409, "version_stale")
    assert after["state"] in late.body["detail"]


async def test_silence_on_an_appeal_leaves_the_decision(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    very = builders.a_lens(correction="very_complex")
    partial = (await submit(optician, proof, left_lens=very)).body
    assert partial["state"] == "partially_approved"
    await act(optician, partial, "appeal", arguments="Le contrat le prévoit.")
    assert await run_clocks(gateway, timedelta(days=16)) == 1
    after = (await optician.call("GET", f"/v1/prior-approvals/{partial['id']}")).body
    assert (after["state"], after["code"]) == ("partially_approved", "appeal_not_answered")
    for name in ("totals", "valid_until", "billable_until", "due_at"):
        assert after[name] == partial[name]


async def test_what_is_not_billed_in_time_expires_and_gives_the_benefits_back(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    approval = (await submit(optician, proof)).body
    assert await run_clocks(gateway, timedelta(days=209)) == 0
    assert await run_clocks(gateway, timedelta(days=212)) == 1
    after = (await optician.call("GET", f"/v1/prior-approvals/{approval['id']}")).body
    assert (after["state"], after["due_at"]) == ("expired", None)
    assert await gateway.fetchval(USES) == 0
    assert (await feed(insurer))[-1] == "prior_approval.expired"
    assert await run_clocks(gateway, timedelta(days=500)) == 0


@pytest.mark.parametrize("days_before", [0, 30])
async def test_what_expired_and_was_granted_to_another_since_is_not_billed_too(
    gateway: Gateway, optician: Practitioner, proof: str, days_before: int
) -> None:
    first = (await submit(optician, proof)).body
    billed = builders.today().isoformat()
    assert await run_clocks(gateway, timedelta(days=212)) == 1
    earlier = builders.today() - timedelta(days=days_before)
    again = (await optician.check({**builders.a_card(), "care_date": earlier.isoformat()})).body["proof"]
    prescribed = (earlier - timedelta(days=20)).isoformat()
    second = (await submit(optician, again, prescription_date=prescribed)).body
    assert second["state"] == "approved"
    expired = (await optician.call("GET", f"/v1/prior-approvals/{first['id']}")).body
    late = await act(optician, expired, "use", billed_on=billed)
    assert (late.status, late.code) == (409, "benefits_taken")
    assert (await act(optician, second, "cancellation")).status == 200
    told = await act(optician, expired, "use", billed_on=billed)
    assert (told.status, told.body["state"]) == (200, "used")
    assert await gateway.fetchval(USES) == 3


async def test_a_cancellation_may_name_the_version_that_was_read(optician: Practitioner, proof: str) -> None:
    approval = (await submit(optician, proof)).body
    place = f"/v1/prior-approvals/{approval['id']}/cancellation"
    stale = await optician.call("POST", f"{place}?version={approval['version'] - 1}")
    assert (stale.status, stale.code) == (409, "version_stale")
    assert (stale.body["present_state"], stale.body["present_version"]) == ("approved", approval["version"])
    changed = builders.a_request(proof, frame=None)
    changes = {name: changed[name] for name in changed if name not in {"insurer_number", "proof"}}
    replies = await asyncio.gather(
        act(optician, approval, "amendments", **changes),
        *(optician.call("POST", f"{place}?version={approval['version']}") for _ in range(2)),
    )
    assert sorted(reply.status for reply in replies) == [200, 409, 409], [reply.body for reply in replies]
    now = (await optician.call("GET", f"/v1/prior-approvals/{approval['id']}")).body
    for reply in replies:
        if reply.status == 409:
            assert reply.body["present_state"] == now["state"]
    assert (await optician.call("POST", f"{place}?version=0")).status == 422


async def test_an_insurer_neither_worsens_what_is_contested_nor_goes_above_the_law(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    high = await act(insurer, pending, "decision", decision="approved", lines=[{"line": 3, "granted_cents": 10_001}])
    assert (high.status, high.code) == (422, "grant_above_responsible")
    assert high.body["detail"] == "line 3: frame_ceiling"
    why = {"code": "insurer_price_too_high"}
    cut = await act(
        insurer, pending, "decision", decision="partially_approved", lines=[{"line": 3, "granted_cents": 5_000, **why}]
    )
    appealed = await act(optician, cut.body, "appeal", arguments="La monture est cassée.")
    less = await act(
        insurer, appealed.body, "decision", decision="partially_approved", lines=[{"line": 1, "granted_cents": 19_999}]
    )
    assert (less.status, less.code, less.body["detail"]) == (422, "grant_below_appealed", "line 1")
    more = await act(
        insurer, appealed.body, "decision", decision="approved", lines=[{"line": 3, "granted_cents": 9_997}]
    )
    assert [line["granted_cents"] for line in more.body["lines"]] == [20_000, 20_000, 9_997]


async def test_what_was_refused_and_went_to_another_since_is_not_granted_too(
    optician: Practitioner, insurer: Insurer, proof: str, pending: dict[str, Any]
) -> None:
    refused = (await act(insurer, pending, "decision", decision="refused", code="insurer_not_justified")).body
    await set_rules(insurer, reviews=[])
    frame = (await submit(optician, proof, right_lens=None, left_lens=None)).body
    assert frame["state"] == "approved"
    appealed = (await act(optician, refused, "appeal", arguments="Les verres sont rayés.")).body
    all_three = [{"line": number, "granted_cents": 5_000} for number in (1, 2, 3)]
    twice = await act(insurer, appealed, "decision", decision="approved", lines=all_three)
    assert (twice.status, twice.code, twice.body["detail"]) == (409, "granted_to_another", "line 3")
    granted = await act(insurer, appealed, "decision", decision="approved", lines=all_three[:2])
    assert (granted.status, [line["granted_cents"] for line in granted.body["lines"]]) == (200, [5_000, 5_000, 0])
    # What had gone to another from the start is granted by who knows it.
    again = (await submit(optician, proof, right_lens=None, left_lens=None)).body
    assert again["lines"][0]["code"] == "renewal_too_early"
    appealed = (await act(optician, again, "appeal", arguments="La première est volée.")).body
    knowing = await act(insurer, appealed, "decision", decision="approved", lines=[{"line": 1, "granted_cents": 5_000}])
    assert (knowing.status, knowing.body["state"]) == (200, "approved")


async def test_days_that_were_refused_and_went_to_another_stay_are_not_granted_too(
    hospital: Practitioner, insurer: Insurer
) -> None:
    async def ask(days: int) -> dict[str, Any]:
        check = await hospital.check({**builders.a_card()}, "HOSP")
        body = {"insurer_number": "0099990011", "proof": check.body["proof"], "stay": builders.a_stay(days)}
        return dict((await hospital.call("POST", "/v1/prior-approvals", body)).body)

    await set_rules(insurer, reviews=[{"domain": "HOSP", "from_cents": 1}])
    refused = (await act(insurer, await ask(5), "decision", decision="refused", comment="Non.")).body
    await set_rules(insurer, reviews=[])
    assert (await ask(3))["state"] == "approved"
    appealed = (await act(hospital, refused, "appeal", arguments="Si.")).body
    lines = [{"line": number, "granted_cents": 5_000} for number in (1, 2)]
    twice = await act(insurer, appealed, "decision", decision="approved", lines=lines)
    assert (twice.status, twice.code, twice.body["detail"]) == (409, "granted_to_another", "line 1")


async def test_a_question_without_an_answer_ends_the_request(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    await act(insurer, pending, "information-request", **A_QUESTION)
    assert await run_clocks(gateway, timedelta(days=31)) == 1
    after = (await optician.call("GET", f"/v1/prior-approvals/{pending['id']}")).body
    assert (after["state"], after["code"]) == ("expired", "not_answered")
    # Nothing was agreed: there is nothing to bill, and no decision to write of.
    assert (after["totals"]["granted_cents"], after["lines"][0]["code"]) == (0, "not_answered")
    billed = await act(optician, after, "use", billed_on=builders.today().isoformat())
    assert (billed.status, billed.code) == (409, "state_forbids")
    letter = await optician.call("GET", f"/v1/prior-approvals/{pending['id']}/letter")
    assert (letter.status, letter.code) == (409, "state_forbids")


async def test_what_is_billed_stays(gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str) -> None:
    approval = (await submit(optician, proof)).body
    used = await act(optician, approval, "use", billed_on=builders.today().isoformat())
    assert (used.body["state"], used.body["due_at"]) == ("used", None)
    assert f"Facturée le {builders.today():%d/%m/%Y}" in await _page(optician, approval)
    assert (await optician.call("POST", f"/v1/prior-approvals/{approval['id']}/cancellation")).code == "state_forbids"
    assert await run_clocks(gateway, timedelta(days=900)) == 0
    assert await gateway.fetchval(USES) == 3
    assert (await feed(insurer))[-1] == "prior_approval.used"


async def test_a_cancelled_approval_gives_back_exactly_what_it_used(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    first = (await submit(optician, proof, right_lens=None, left_lens=None)).body
    everything = "SELECT json_agg(u ORDER BY approval_id, line) FROM benefit_uses u"
    before = await gateway.fetchval(everything)
    second = (await submit(optician, proof, frame=None)).body
    assert await gateway.fetchval(everything) != before
    await optician.call("POST", f"/v1/prior-approvals/{second['id']}/cancellation")
    assert await gateway.fetchval(everything) == before
    again = (await submit(optician, proof, frame=None)).body
    assert again["totals"] == second["totals"]
    too_early = (await submit(optician, proof, right_lens=None, left_lens=None)).body
    assert (too_early["state"], too_early["lines"][0]["code"]) == ("refused", "renewal_too_early")
    today = builders.today()
    assert too_early["lines"][0]["available_from"] == add_months(today, 24).isoformat()
    assert first["state"] == "approved"


async def test_of_two_opticians_at_once_exactly_one_is_granted(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    others = []
    for _ in range(3):
        other = await gateway.join(**builders.an_optician())
        await other.sign()
        others.append((other, (await other.check(builders.a_card())).body["proof"]))
    asking = [(optician, proof), *others]
    replies = await asyncio.gather(*(submit(each, number) for each, number in asking for _ in range(3)))
    states = sorted(reply.body["state"] for reply in replies)
    assert states == ["approved"] + ["refused"] * 11
    refused = next(reply.body for reply in replies if reply.body["state"] == "refused")
    assert {line["code"] for line in refused["lines"]} == {"renewal_too_early"}


async def test_an_amendment_is_decided_anew_as_a_new_revision(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    approval = (await submit(optician, proof)).body
    wanted = builders.a_request(proof, frame=builders.a_frame(price_cents=9_000))
    change = {name: value for name, value in wanted.items() if name not in {"insurer_number", "proof"}}
    amended = await act(optician, approval, "amendments", **change)
    assert (amended.status, amended.body["state"], amended.body["revision"]) == (200, "approved", 2)
    assert [line["granted_cents"] for line in amended.body["lines"]] == [20_000, 20_000, 8_997]
    assert await gateway.fetchval("SELECT count(*) FROM prior_approval_lines") == 6  # both revisions are kept
    assert await gateway.fetchval(USES) == 3
    assert await kinds(optician, approval) == ["submitted", "approved", "amended", "approved"]
    assert (await feed(insurer))[-1] == "prior_approval.amended"
    stale = await act(optician, approval, "amendments", **change)
    assert (stale.status, stale.code) == (409, "version_stale")
    stay = {"stay": builders.a_stay()}
    assert (await act(optician, amended.body, "amendments", **stay)).code == "request_of_other_kind"


async def test_of_several_acts_at_once_one_wins_and_the_others_hear_of_it(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    replies = await asyncio.gather(
        act(insurer, pending, "decision", decision="approved"),
        act(insurer, pending, "decision", decision="refused", code="insurer_not_justified"),
        act(insurer, pending, "information-request", **A_QUESTION),
        act(optician, pending, "amendments", **_glasses()),
    )
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]
    winner = next(reply.body for reply in replies if reply.status == 200)
    for reply in replies:
        if reply.status == 409:
            assert reply.code in {"version_stale", "state_forbids"}
            assert winner["state"] in reply.body["detail"] or "under_review" in reply.body["detail"]


def _glasses() -> dict[str, Any]:
    wanted = builders.a_request("")
    return {name: value for name, value in wanted.items() if name not in {"insurer_number", "proof"}}


async def test_nobody_acts_on_anothers_approval(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    other, stranger = await gateway.join(**builders.an_optician()), await gateway.admit("0099990029")
    bodies: dict[str, dict[str, Any]] = {
        "amendments": _glasses(),
        "extension": {"stay": builders.a_stay()},
        "appeal": {"arguments": "Non."},
        "information": {"answer": "Oui."},
        "use": {"billed_on": "2026-11-21"},
    }
    for what, body in bodies.items():
        assert (await act(other, pending, what, **body)).code == "not_found"
    theirs = {"decision": {"decision": "approved"}, "information-request": A_QUESTION}
    for what, body in theirs.items():
        assert (await act(stranger, pending, what, **body)).code == "not_found"
    for path in ("", "/events"):
        assert (await stranger.call("GET", f"/v1/insurer/prior-approvals/{pending['id']}{path}")).code == "not_found"
        own = await insurer.call("GET", f"/v1/insurer/prior-approvals/{pending['id']}{path}")
        assert own.status == 200
    unknown = {**pending, "id": f"0000000019-{pending['id'][11:]}"}
    assert (await act(optician, unknown, "appeal", arguments="Non.")).code == "not_found"


async def test_a_person_is_searched_for_exactly(optician: Practitioner, insurer: Insurer, proof: str) -> None:
    await submit(optician, proof)
    today = builders.today()
    for party, start in ((optician, "/v1/prior-approvals"), (insurer, "/v1/insurer/prior-approvals")):
        for query, count in (
            ("membership_number=1234567", 1),
            ("membership_number=123456", 0),
            ("membership_number=7654321", 0),
            (f"care_date={today}", 1),
            (f"care_date={today - timedelta(days=1)}", 0),
            ("waits_for=insurer", 0),
            ("state=approved&membership_number=1234567", 1),
        ):
            found = (await party.call("GET", f"{start}?{query}")).body["prior_approvals"]
            assert len(found) == count, query


async def test_exact_values_of_a_lens_give_its_class_and_are_not_kept(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    lens = builders.a_lens(correction=None, sphere="-6.25", cylinder=0, addition="0.00")
    lens = {name: value for name, value in lens.items() if value is not None}
    approval = (await submit(optician, proof, right_lens=lens, left_lens=None, frame=None)).body
    assert approval["lines"][0]["benefit"] == "lens_complex_b"
    tables = (
        "prior_approvals",
        "prior_approval_lines",
        "prior_approval_events",
        "insurer_events",
        "insurer_event_drafts",
    )
    for table in tables:
        assert await gateway.fetchval(f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%6.25%'") == 0
    twice = builders.a_lens(sphere="-6.25", cylinder="0", addition="0")
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, right_lens=twice))
    assert reply.faults == {"/right_lens": "correction_unclear"}
    odd = {**lens, "sphere": "-6.20"}
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof, right_lens=odd))
    assert reply.faults == {"/right_lens/sphere": "field_invalid"}


async def test_the_catalogue_tells_every_reason_with_a_sentence(gateway: Gateway) -> None:
    told = (await gateway.call("GET", "/v1/problems")).body
    reasons = {each["code"]: each for each in told["reasons"]}
    assert {"renewal_too_early", "insurer_refused", "tacit_refusal", "rights_closed"} <= set(reasons)
    assert all(each["message_fr"].endswith((".", "!")) for each in reasons.values())
    refusals = [code for code in reasons if "refus" in code or code in {"renewal_too_early", "prescription_too_old"}]
    assert all(reasons[code]["next_step_fr"] for code in refusals)


@pytest.fixture
async def hospital(gateway: Gateway, insurer: Insurer, worker: None) -> Practitioner:
    hospital = await gateway.join(specialty="hospital", legal_name="Centre hospitalier des Essais")
    await hospital.sign()
    room = {"kind": "daily_share", "amount_cents": 6_000, "per": "day"}
    lines = [
        builders.a_benefit("single_room", domain="HOSP", formula=room, days_covered=30),
        builders.a_benefit("daily_fee", domain="HOSP", formula={"kind": "remainder", "per": "day"}),
    ]  # fmt: skip
    assert (await insurer.put_product(benefits=lines)).status == 200
    return hospital


async def test_a_stay_is_decided_and_prolonged(gateway: Gateway, hospital: Practitioner, insurer: Insurer) -> None:
    proof = (await hospital.check(builders.a_card(), "HOSP")).body["proof"]
    request = {"insurer_number": "0099990011", "proof": proof, "stay": builders.a_stay()}
    simulated = await hospital.call("POST", "/v1/prior-approvals/simulation", request)
    assert simulated.body["totals"]["granted_cents"] == 5 * 2_300 + 5 * 6_000
    reply = await hospital.call("POST", "/v1/prior-approvals", request)
    approval = reply.body
    assert (reply.status, approval["state"], approval["domain"]) == (201, "approved", "HOSP")
    assert [(line["item"], line["granted_cents"], line["code"]) for line in approval["lines"]] == [
        ("daily_fee", 11_500, "daily_fee_in_full"),
        ("single_room", 30_000, "formula_applied"),
    ]
    assert approval["stay"]["mode_of_treatment"] == "03"
    shorter = await act(hospital, approval, "extension", stay=builders.a_stay(days=5))
    assert shorter.code == "stay_not_longer"
    elsewhere = await act(hospital, approval, "extension", stay=builders.a_stay(days=70, finess="330000019"))
    assert elsewhere.code == "stay_not_longer"
    longer = (await act(hospital, approval, "extension", stay=builders.a_stay(days=70))).body
    assert (longer["state"], longer["code"], longer["revision"]) == ("partially_approved", "some_not_granted", 2)
    assert longer["lines"][1]["code"] == "days_used_up"
    days_by_year = Counter((builders.today() + timedelta(days=day)).year for day in range(70))
    covered = sum(min(30, days) for days in days_by_year.values())
    assert longer["lines"][1]["granted_cents"] == covered * 6_000
    assert await kinds(hospital, approval) == ["submitted", "approved", "extended", "partially_approved"]
    used = await gateway.fetchval("SELECT sum(units) FROM benefit_uses WHERE item = 'single_room'")
    assert used == covered
    # Who counted the year's days may have counted wrong.
    contested = await act(hospital, longer, "appeal", arguments="Le séjour de mars a été annulé.")
    assert (contested.status, contested.body["state"]) == (200, "appealed")


async def test_an_insurer_grants_no_more_of_a_stay_than_the_law_lets_it(
    hospital: Practitioner, insurer: Insurer
) -> None:
    excess = {"kind": "percentage", "per": "act", "rate_basis_points": 20_000}
    lines = [
        builders.a_benefit("excess_fees_not_optam", domain="HOSP", formula=excess),
        builders.a_benefit("daily_fee", domain="HOSP", formula={"kind": "remainder", "per": "day"}),
    ]
    assert (await insurer.put_product(benefits=lines)).status == 200
    await set_rules(insurer, reviews=[{"domain": "HOSP"}])
    proof = (await hospital.check(builders.a_card(), "HOSP")).body["proof"]
    items = [
        builders.an_item("excess_fees", price_cents=50_000, base_cents=20_000, is_optam=False),
        builders.an_item("daily_fee", quantity=5, price_cents=15_000),
    ]
    request = {"insurer_number": "0099990011", "proof": proof, "stay": builders.a_stay(items=items)}
    asked = (await hospital.call("POST", "/v1/prior-approvals", request)).body
    assert [(line["granted_cents"], line["not_due_cents"]) for line in asked["lines"]] == [(20_000, 0), (11_500, 3_500)]
    for number, granted, code in ((1, 20_001, "grant_above_responsible"), (2, 11_501, "grant_too_large")):
        grants = [{"line": number, "granted_cents": granted}]
        refused = await act(insurer, asked, "decision", decision="approved", lines=grants)
        assert (refused.status, refused.code) == (422, code)
    agreed = await act(insurer, asked, "decision", decision="approved")
    assert agreed.body["totals"]["granted_cents"] == 31_500


async def test_a_stay_needs_a_proof_of_its_day_and_domain(
    gateway: Gateway, hospital: Practitioner, optician: Practitioner
) -> None:
    proof = (await hospital.check(builders.a_card(), "HOSP")).body["proof"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"stay": builders.a_stay(first=builders.today() + timedelta(days=1))}, "proof_of_other_day"),
        ({"stay": {**builders.a_stay(), "exit_date": "2020-01-01"}}, "stay_reversed"),
        ({"stay": builders.a_stay(items=[builders.an_item("single_room", quantity=6)])}, "units_impossible"),
        ({"stay": builders.a_stay(items=[builders.an_item()] * 2)}, "item_repeated"),
        ({"stay": builders.a_stay(), "frame": builders.a_frame()}, "request_of_two_kinds"),
        ({"stay": builders.a_stay(items=[])}, "field_invalid"),
        ({"frame": builders.a_frame()}, "field_missing"),
        ({"supplements": [builders.a_frame()]}, "supplement_alone"),
        ({"stay": {**builders.a_stay(), "finess": "750000540"}}, "identifier_wrong_key"),
    ]  # fmt: skip
    for body, code in wrong:
        reply = await hospital.call(
            "POST", "/v1/prior-approvals", {"insurer_number": "0099990011", "proof": proof, **body}
        )
        assert reply.status == 422
        assert code in {reply.code, *reply.faults.values()}, (code, reply.body)
    assert await gateway.fetchval("SELECT count(*) FROM prior_approvals") == 0


async def test_an_insurers_rules_are_shown_and_checked(insurer: Insurer) -> None:
    await set_rules(insurer, reviews=REVIEW, tacit_outcome="approve")
    shown = (await insurer.call("GET", "/v1/insurer")).body["approval_rules"]
    assert shown["reviews"] == [{"domain": "OPTI", "benefit": None, "from_cents": 40_000}]
    assert (shown["tacit_days"], shown["tacit_outcome"], shown["attachments"]) == (15, "approve", [])
    wrong = await insurer.call("PATCH", "/v1/insurer", {"approval_rules": {"reviews": [{"domain": "PHAR"}]}})
    assert wrong.faults == {"/approval_rules/reviews/0/domain": "field_invalid"}


async def test_nothing_of_the_old_is_changed_by_hand(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    await submit(optician, proof)
    with pytest.raises(asyncpg.RestrictViolationError):
        await gateway.execute("UPDATE prior_approval_events SET details = '{}'")


async def test_a_change_that_is_refused_leaves_what_was_agreed(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    first = (await submit(optician, proof, frame=builders.a_frame(price_cents=9_000))).body
    await set_rules(insurer, reviews=REVIEW)
    for who in ("insurer", "silence"):
        waiting = (await act(optician, first, "amendments", **_glasses())).body
        assert (waiting["state"], waiting["totals"]["granted_cents"]) == ("under_review", 49_997)
        if who == "insurer":
            back = (await act(insurer, waiting, "decision", decision="refused", comment="Non.")).body
            assert back["comment"] == "Non."
        else:
            assert await run_clocks(gateway, timedelta(days=16)) == 1
            back = (await optician.call("GET", f"/v1/prior-approvals/{first['id']}")).body
        assert (back["state"], back["code"], back["totals"]) == ("approved", "change_refused", first["totals"])
        assert (back["valid_until"], back["due_at"]) == (first["valid_until"], first["due_at"])
        assert await gateway.fetchval("SELECT sum(granted_cents) FROM benefit_uses") == 48_997
        first = back
    very = builders.a_lens(correction="very_complex")
    nothing = {**_glasses(), "right_lens": very, "left_lens": very, "frame": builders.a_frame(price_class="a")}
    simulated = (await act(optician, first, "amendments/simulation", **nothing)).body
    assert (simulated["state"], simulated["code"]) == ("refused", "change_refused")
    why = ["benefit_not_in_contract", "price_above_class_a"]
    assert [line["code"] for line in simulated["lines"]] == [why[0], why[0], why[1]]
    kept = (await act(optician, first, "amendments", **nothing)).body
    assert (kept["state"], kept["code"], kept["totals"]) == ("approved", "change_refused", first["totals"])
    events = (await optician.call("GET", f"/v1/prior-approvals/{first['id']}/events")).body["events"]
    assert events[-1]["details"] == {"reasons": why}
    shown = await _page(optician, first)
    assert "Le contrat ne prévoit rien pour cet élément." in shown


async def test_what_a_change_would_come_to_is_seen_before_it_is_made(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    first = (await submit(optician, proof)).body
    without_frame = {name: value for name, value in _glasses().items() if name != "frame"}
    for _ in range(2):
        simulated = await act(optician, first, "amendments/simulation", **without_frame)
        assert simulated.status == 200
    now = (await optician.call("GET", f"/v1/prior-approvals/{first['id']}")).body
    assert now == first
    logged = "SELECT count(*) FROM audit_entries WHERE action = 'approval:request:simulate'"
    assert await gateway.fetchval(logged) == 1
    changed = (await act(optician, first, "amendments", **without_frame)).body
    for name in ("state", "code", "lines", "totals", "valid_until", "billable_until"):
        assert changed[name] == simulated.body[name], name
    stale = await act(optician, first, "amendments/simulation", **without_frame)
    assert (stale.status, stale.code) == (409, "version_stale")
    other = await gateway.join(**builders.an_optician())
    assert (await act(other, changed, "amendments/simulation", **without_frame)).code == "not_found"


async def test_what_a_longer_stay_would_come_to_is_seen_before_it_is_made(hospital: Practitioner) -> None:
    check = await hospital.check(builders.a_card(), "HOSP")
    body = {"insurer_number": "0099990011", "proof": check.body["proof"], "stay": builders.a_stay(3)}
    stay = (await hospital.call("POST", "/v1/prior-approvals", body)).body
    shorter = await act(hospital, stay, "extension/simulation", stay=builders.a_stay(2))
    assert (shorter.status, shorter.code) == (422, "stay_not_longer")
    longer = {"stay": builders.a_stay(70)}
    simulated = await act(hospital, stay, "extension/simulation", **longer)
    made = (await act(hospital, stay, "extension", **longer)).body
    assert simulated.body["totals"] == made["totals"]
    assert (simulated.body["state"], made["state"]) == ("partially_approved", "partially_approved")


async def test_what_was_agreed_is_nobody_elses_while_a_change_of_it_waits(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    first = (await submit(optician, proof)).body
    await set_rules(insurer, reviews=[{"domain": "OPTI"}])
    frame_alone = {**_glasses(), "frame": builders.a_frame(price_cents=9_000)}
    for lens in ("right_lens", "left_lens"):
        frame_alone.pop(lens)
    waiting = (await act(optician, first, "amendments", **frame_alone)).body
    assert (waiting["state"], waiting["totals"]["granted_cents"]) == ("under_review", 8_997)
    again = (await optician.check(builders.a_card())).body["proof"]
    second = (await submit(optician, again, frame=None)).body
    assert (second["state"], {line["code"] for line in second["lines"]}) == ("refused", {"renewal_too_early"})
    shown = await _page(optician, first)
    assert "499,97\xa0€ reste valable" in shown
    assert "Sans réponse à cette date, la modification est abandonnée." in shown
    # Given up meanwhile, it is what was agreed that ends.
    ended = (await optician.call("POST", f"/v1/prior-approvals/{first['id']}/cancellation")).body
    assert (ended["state"], ended["totals"]) == ("cancelled", first["totals"])
    assert "Ce qui était accordé, et ne l&#39;est plus" in await _page(optician, first)
    assert await gateway.fetchval(USES) == 0
    third = (await submit(optician, again, frame=None)).body
    assert third["state"] == "under_review"
    await optician.call("POST", f"/v1/prior-approvals/{third['id']}/cancellation")
    assert "Ce qui avait été calculé, sans être accordé" in await _page(optician, third)


async def _page(optician: Practitioner, approval: dict[str, Any]) -> str:
    reply = await optician.in_person("GET", f"/demandes/{approval['id']}", headers={"Accept": "text/html"})
    assert reply.status == 200
    return re.sub("<[^>]+>", "", bytes(reply.body).decode())


async def test_a_change_that_is_granted_holds_no_more_than_it_asks_for(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    first = (await submit(optician, proof)).body
    await set_rules(insurer, reviews=[{"domain": "OPTI"}])
    changed = {name: value for name, value in _glasses().items() if name != "frame"}
    waiting = (await act(optician, first, "amendments", **changed)).body
    assert await gateway.fetchval(USES) == 3
    granted = (await act(insurer, waiting, "decision", decision="approved")).body
    assert (granted["state"], granted["totals"]["granted_cents"]) == ("approved", 40_000)
    assert await gateway.fetchval(USES) == 2


async def test_a_change_does_not_renew_the_validity(gateway: Gateway, optician: Practitioner) -> None:
    care = builders.today() - timedelta(days=30)
    proof = (await optician.check({**builders.a_card(), "care_date": care.isoformat()})).body["proof"]
    prescribed = (care - timedelta(days=20)).isoformat()
    first = (await submit(optician, proof, prescription_date=prescribed)).body
    await gateway.execute(
        "UPDATE prior_approvals SET valid_until = valid_until - 10, billable_until = billable_until - 10"
    )
    same = (await act(optician, first, "amendments", **{**_glasses(), "prescription_date": prescribed})).body
    days = [date.fromisoformat(first[name]) - timedelta(days=10) for name in ("valid_until", "billable_until")]
    assert same["state"] == "approved"
    assert [same["valid_until"], same["billable_until"]] == [day.isoformat() for day in days]


async def test_what_an_insurer_has_cut_does_not_come_back_without_it(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    lines = [{"line": number, "granted_cents": 1} for number in (1, 2, 3)]
    cut = (await act(insurer, pending, "decision", decision="approved", lines=lines, comment="Un geste.")).body
    assert (cut["state"], cut["code"]) == ("partially_approved", "insurer_cut")  # a cent each is no agreement
    await set_rules(insurer, reviews=[])
    amended = (await act(optician, cut, "amendments", **_glasses())).body
    assert (amended["state"], amended["waits_for"]) == ("under_review", "insurer")
    assert (await act(insurer, amended, "decision", decision="refused", lines=lines)).code == "field_invalid"


async def test_a_request_in_pieces_is_looked_at_like_a_whole_one(
    optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    await set_rules(insurer, reviews=[{"domain": "OPTI", "from_cents": 30_000}])
    first = (await submit(optician, proof, left_lens=None, frame=None)).body
    second = (await submit(optician, proof, right_lens=None, frame=None)).body
    assert (first["state"], second["state"]) == ("approved", "under_review")


async def test_an_insurer_changes_the_rules_that_it_names(insurer: Insurer) -> None:
    await set_rules(insurer, reviews=REVIEW, tacit_outcome="approve")
    await asyncio.gather(set_rules(insurer, tacit_days=4), set_rules(insurer, answer_days=9))
    shown = (await insurer.call("GET", "/v1/insurer")).body["approval_rules"]
    assert (shown["tacit_days"], shown["answer_days"], shown["tacit_outcome"], len(shown["reviews"])) == (
        4,
        9,
        "approve",
        1,
    )


async def test_one_clock_that_cannot_run_holds_up_no_other(
    gateway: Gateway, optician: Practitioner, insurer: Insurer, proof: str
) -> None:
    await set_rules(insurer, reviews=[{"domain": "OPTI"}])
    poisoned = (await submit(optician, proof, frame=None)).body
    other = await optician.check(builders.a_card(membership_number="7654321"))
    sound = (await submit(optician, other.body["proof"])).body
    await gateway.execute(
        f"UPDATE prior_approvals SET due_at = due_at - interval '1 day', request = '{{}}' WHERE id = '{poisoned['id'][11:]}'"
    )
    assert await run_clocks(gateway, timedelta(days=20)) == 1
    after = (await optician.call("GET", f"/v1/prior-approvals/{sound['id']}")).body
    assert after["code"] == "tacit_refusal"


async def test_a_day_of_billing_is_possible_and_may_be_told_late(
    gateway: Gateway, optician: Practitioner, proof: str
) -> None:
    approval = (await submit(optician, proof)).body
    for day in ("1900-01-01", "2099-01-01"):
        assert (await act(optician, approval, "use", billed_on=day)).code == "billed_on_impossible"
    assert await run_clocks(gateway, timedelta(days=212)) == 1
    late = (await optician.call("GET", f"/v1/prior-approvals/{approval['id']}")).body
    assert (late["state"], late["valid_until"]) == ("expired", None)
    used = (await act(optician, late, "use", billed_on=builders.today().isoformat())).body
    assert used["state"] == "used"
    assert await gateway.fetchval(USES) == 3


async def test_an_approval_for_care_long_past_lives_from_its_decision_on(
    gateway: Gateway, optician: Practitioner, insurer: Insurer
) -> None:
    await insurer.put_product(valid_from="2020-01-01")
    old = builders.today() - timedelta(days=250)
    await insurer.load(builders.a_right(valid_from=f"{old.year}-01-01", valid_to=f"{builders.today().year}-12-31"))
    await gateway.execute("UPDATE conventions SET validity = daterange('2020-01-01', NULL)")
    proof = (await optician.check({**builders.a_card(), "care_date": old.isoformat()})).body["proof"]
    prescribed = (old - timedelta(days=5)).isoformat()
    approval = (await submit(optician, proof, prescription_date=prescribed)).body
    assert approval["valid_until"] == (builders.today() + timedelta(days=180)).isoformat()
    assert await run_clocks(gateway, timedelta(minutes=2)) == 0


async def test_what_is_said_can_be_written_as_xml(
    optician: Practitioner, insurer: Insurer, pending: dict[str, Any]
) -> None:
    for text in ("A\u0001", "Copié\u000bdepuis un traitement de texte", "\ufffe"):
        assert (await act(insurer, pending, "information-request", question=text)).code == "field_invalid"
    fine = "Une ligne,\npuis\tune autre : « œ » € 😀"
    asked = (await act(insurer, pending, "information-request", question=fine)).body
    shown = await optician.call("GET", f"/v1/prior-approvals/{asked['id']}", headers={"Accept": "application/xml"})
    assert (shown.status, fine.encode() in shown.body) == (200, True)


async def test_a_suspended_insurer_gets_no_new_requests(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    await gateway.execute("UPDATE insurers SET state = 'suspended'")
    reply = await optician.call("POST", "/v1/prior-approvals", builders.a_request(proof))
    assert reply.code == "insurer_unknown"


async def test_an_item_of_a_stay_is_asked_for_once(hospital: Practitioner) -> None:
    proof = (await hospital.check(builders.a_card(), "HOSP")).body["proof"]
    twice = [builders.an_item("daily_fee"), builders.an_item("daily_fee", is_optam=False)]
    body = {"insurer_number": "0099990011", "proof": proof, "stay": builders.a_stay(items=twice)}
    reply = await hospital.call("POST", "/v1/prior-approvals", body)
    assert reply.faults == {"/stay/items/1": "field_invalid"}
    body["stay"] = builders.a_stay()
    assert (await hospital.call("POST", "/v1/prior-approvals", body)).body["state"] == "approved"
    again = (await hospital.call("POST", "/v1/prior-approvals", body)).body
    assert (again["state"], {line["code"] for line in again["lines"]}) == ("refused", {"stay_overlaps"})


async def test_days_of_another_stay_are_not_paid_twice_and_the_others_are(
    gateway: Gateway, hospital: Practitioner
) -> None:
    async def ask(first: date, days: int) -> dict[str, Any]:
        check = await hospital.check({**builders.a_card(), "care_date": first.isoformat()}, "HOSP")
        stay = builders.a_stay(days, first)
        body = {"insurer_number": "0099990011", "proof": check.body["proof"], "stay": stay}
        reply = await hospital.call("POST", "/v1/prior-approvals", body)
        assert reply.status == 201, reply.body
        return dict(reply.body)

    today = builders.today()
    first = await ask(today - timedelta(days=10), 4)
    second = await ask(today - timedelta(days=4), 3)
    assert (first["state"], second["state"]) == ("approved", "approved")
    stay = builders.a_stay(8, today - timedelta(days=10))
    longer = (await act(hospital, first, "extension", stay=stay)).body
    assert (longer["state"], {line["code"] for line in longer["lines"]}) == ("partially_approved", {"stay_overlaps"})
    assert [line["granted_cents"] for line in longer["lines"]] == [6 * 2_300, 6 * 6_000]
    # An expired one that is told late has not the days that were given to another.
    assert await run_clocks(gateway, timedelta(days=250)) == 2
    third = await ask(today - timedelta(days=4), 3)
    assert third["state"] == "approved"
    expired = (await hospital.call("GET", f"/v1/prior-approvals/{second['id']}")).body
    late = await act(hospital, expired, "use", billed_on=today.isoformat())
    assert (late.status, late.code) == (409, "benefits_taken")


async def test_uses_of_before_get_the_last_day_of_their_stay(gateway: Gateway, hospital: Practitioner) -> None:
    items = [
        builders.an_item("copayment", price_cents=50_000, base_cents=50_000, amo_cents=40_000),
        builders.an_item("daily_fee", quantity=5, price_cents=11_500, base_cents=0),
    ]
    check = (await hospital.check(builders.a_card(), "HOSP")).body
    body = {"insurer_number": "0099990011", "proof": check["proof"], "stay": builders.a_stay(items=items)}
    assert (await hospital.call("POST", "/v1/prior-approvals", body)).status == 201
    kept = "SELECT array_agg(until ORDER BY item) FROM benefit_uses"
    assert await gateway.fetchval(kept) == [builders.today() + timedelta(days=4), None]
    await gateway.execute("UPDATE benefit_uses SET until = NULL")
    await _complete_uses(gateway)
    assert await gateway.fetchval(kept) == [builders.today() + timedelta(days=4), None]


async def test_uses_of_before_get_what_the_amo_paid(gateway: Gateway, optician: Practitioner, proof: str) -> None:
    await submit(optician, proof)
    kept = "SELECT array_agg(amo_cents) FROM benefit_uses"
    assert await gateway.fetchval(kept) == [3, 3, 3]
    await gateway.execute("UPDATE benefit_uses SET amo_cents = 0")
    await _complete_uses(gateway)
    assert await gateway.fetchval(kept) == [3, 3, 3]


async def _complete_uses(gateway: Gateway) -> None:
    """What the revision that adds their columns does with the uses that it finds."""
    script = (Path(migrations.__file__).parent / "versions" / "0016_whole_uses.sql").read_text()
    for statement in script.split(";\n"):
        if "UPDATE benefit_uses" in statement:
            await gateway.execute(statement)
