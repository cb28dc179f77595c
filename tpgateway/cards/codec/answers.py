"""The answer to a check as JSON, in the shape of ``payloads.CardCheckView``.

Written by hand, since the hot path writes little else: what checks that come to the same have in common is made once, and
only what differs is put in. A test holds the two shapes together.
"""

import hashlib
import json
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from tpgateway.cards.codec.proofs import format_proof
from tpgateway.cards.model import CardCheck, Outcome, Verdict
from tpgateway.guarantees.payloads import BenefitView

_day = lru_cache(1000)(date.isoformat)  # most checks are for a few days


class _Fixed(NamedTuple):
    verdict: str
    benefits: str
    digest: "hashlib.blake2b"
    is_covered: bool


@lru_cache(maxsize=10_000)
def _fixed(verdict: Verdict) -> _Fixed:
    told = {
        "outcome": verdict.outcome,
        "code": verdict.code,
        "message_fr": verdict.message_fr,
        "next_step_fr": verdict.next_step_fr,
    }
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))[1:-1]
    benefits = f"[{','.join(BenefitView.showing(line).model_dump_json() for line in verdict.benefits)}]"
    digest = hashlib.blake2b(f"{text}{benefits}".encode(), digest_size=12)
    return _Fixed(text, benefits, digest, verdict.outcome is Outcome.COVERED)


def write_check(check: CardCheck, verdict: Verdict, moments: tuple[str, str] | None = None) -> tuple[bytes, str]:
    """The answer's body, and its ETag: it stays as long as all stays but the id, the moment and the proof.

    ``moments`` are how the check's moment and the proof's end are written, where that was done already.
    """
    _, check_id, proof, proof_expires_at, ask, found = check
    card, fixed = ask.card, _fixed(verdict)
    checked, expires = moments or (ask.checked_at.isoformat(), proof_expires_at.isoformat())
    if fixed.is_covered:
        shown = f'"{format_proof(proof)}","proof_expires_at":"{expires}"'
        rights = f'{{"from":"{_day(found.rights_from)}","to":"{_day(found.rights_to)}"}}'
    else:
        shown, rights = 'null,"proof_expires_at":null', "null"
    about = f'"domain":"{ask.domain}","care_date":"{_day(ask.care_date)}"'
    digest = fixed.digest.copy()
    # Of the person only what was asked: from a tag, nobody is to find the membership number that a NIR led to.
    person = card.nir_hash.hex() if card.nir_hash else f"{card.membership_number}|{card.birth_rank}"
    digest.update(
        f"{about}{rights}{card.insurer_number}|{card.convention_type}|{card.csr}|{card.birth_date}|{person}".encode()
    )
    body = (
        f'{{"id":"{card.insurer_number}-{check_id}",{fixed.verdict},"checked_at":"{checked}",'
        f'{about},"proof":{shown},"rights":{rights},"benefits":{fixed.benefits}}}'
    )
    return body.encode(), f'"{digest.hexdigest()}"'
