"""The hand-written answer has the documented shape, whatever the check came to."""

import json
from datetime import UTC, date, datetime

import jsonschema
import pytest

from tests.cards.test_rules import FOUND, LINES, a_check
from tpgateway.cards.codec.answers import write_check
from tpgateway.cards.model import Verdict
from tpgateway.cards.payloads import CardCheckView
from tpgateway.cards.rules.answers import REFUSALS, cover
from tpgateway.cards.store.lanes import write_line
from tpgateway.guarantees.model import Domain

SHAPE = CardCheckView.model_json_schema(by_alias=True, mode="serialization")
VERDICTS = {**REFUSALS, "covered": cover(Domain.OPTI, LINES)}


@pytest.mark.parametrize("code", VERDICTS)
def test_every_answer_has_the_documented_shape(code: str) -> None:
    body, _ = write_check(a_check(), VERDICTS[code])
    answer = json.loads(body)
    jsonschema.validate(answer, SHAPE)
    assert list(answer) == list(SHAPE["properties"])
    assert (answer["code"], answer["message_fr"]) == (code, VERDICTS[code].message_fr)
    assert (answer["proof"] is None) == (answer["rights"] is None) == (code != "covered")


def test_the_tag_stays_while_nothing_but_the_moment_changes() -> None:
    covered: Verdict = VERDICTS["covered"]
    check = a_check()
    again = check._replace(
        id=check.insurer_id, proof="1" * 12, ask=check.ask._replace(checked_at=datetime(2026, 11, 22, tzinfo=UTC))
    )
    assert write_check(check, covered)[1] == write_check(again, covered)[1]
    for other in (
        check._replace(ask=check.ask._replace(card=check.ask.card._replace(birth_rank=2))),
        check._replace(ask=check.ask._replace(card=check.ask.card._replace(nir_hash=b"x" * 32))),
        check._replace(found=FOUND._replace(rights_to=date(2030, 1, 31))),
        check._replace(ask=check.ask._replace(card=check.ask.card._replace(insurer_number="0099990029"))),
        check._replace(ask=check.ask._replace(domain=Domain.PHAR)),
    ):
        assert write_check(other, covered)[1] != write_check(check, covered)[1]
    assert write_check(check, REFUSALS["rights_closed"])[1] != write_check(check, covered)[1]


@pytest.mark.parametrize("code", VERDICTS)
def test_moments_that_are_written_already_are_written_the_same(code: str) -> None:
    check, verdict = a_check(), VERDICTS[code]
    line = write_line(check.ask, check.proof, check.proof_expires_at - check.ask.checked_at)
    assert write_check(check, verdict, line.moments) == write_check(check, verdict)
