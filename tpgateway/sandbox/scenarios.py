"""The published scenarios: cards that always give the same outcome, and what the simulated insurer does with their requests.

``docs/sandbox.md`` lists them for vendors; all these people are fictitious.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from tpgateway.cards.codec.rights_files import RIGHTS_HEADER

CONVENTION_TYPE = "SP"
TACIT_DAYS = 15


class Desk(StrEnum):
    """What the simulated insurer does with a request that waits for it."""

    APPROVES = "approves"
    CUTS = "cuts the frame"
    REFUSES = "refuses"
    ASKS = "asks, then approves"
    SLEEPS = "never answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A card, what is done with it, and what comes of it: the outcome of its check, or the state of the request."""

    membership_number: str
    expect: str
    about: str
    birth_date: str = "19800229"
    birth_rank: int = 1
    product: str | None = "SANDBOX"
    correction: str | None = None
    has_frame: bool = True
    is_current: bool = True
    desk: Desk = Desk.SLEEPS
    then: str | None = None
    """The state that follows by itself, where one does."""

    @property
    def is_request(self) -> bool:
        """Whether an approval is asked for after the check."""
        return self.correction is not None

    def card(self, insurer_number: str) -> dict[str, Any]:
        """What is sent of the card."""
        return {
            "insurer_number": insurer_number,
            "convention_type": CONVENTION_TYPE,
            "membership_number": self.membership_number,
            "birth_date": self.birth_date,
            "birth_rank": self.birth_rank,
        }

    def request(self, insurer_number: str, proof: str, today: date) -> dict[str, Any]:
        """The request for glasses that goes with it."""
        lens = {
            "correction": self.correction,
            "price_class": "b",
            "lpp": "2210546",
            "price_cents": 24_000,
            "base_cents": 5,
            "amo_cents": 3,
        }
        frame = {"price_class": "b", "lpp": "2248320", "price_cents": 14_000, "base_cents": 5, "amo_cents": 3}
        return {
            "insurer_number": insurer_number,
            "proof": proof,
            "prescription_date": (today - timedelta(days=20)).isoformat(),
            "prescriber_rpps": "10999999906",
            "right_lens": lens,
            "left_lens": lens,
            **({"frame": frame} if self.has_frame else {}),
        }


SCENARIOS = (
    Scenario(membership_number="SCN001", expect="covered", about="rights open, optics covered"),
    Scenario(membership_number="SCN002", expect="rights_closed", about="rights ended last year", is_current=False),
    Scenario(
        membership_number="SCN003", expect="not_covered", about="no optics in the contract", product="SANDBOX-PHAR"
    ),
    Scenario(membership_number="SCN004", expect="unknown_person", about="nobody has this number", product=None),
    Scenario(
        membership_number="SCN005", expect="covered", about="a lunar birth date: no such day", birth_date="19801300"
    ),
    Scenario(membership_number="SCN006", expect="covered", about="the second of twins, by birth rank", birth_rank=2),
    Scenario(membership_number="SCN101", expect="approved", about="two lenses and a frame", correction="complex"),
    Scenario(
        membership_number="SCN102",
        expect="partially_approved",
        about="the contract pays no frame",
        product="SANDBOX-LENSES",
        correction="complex",
    ),
    Scenario(
        membership_number="SCN103",
        expect="refused",
        about="the contract pays no lenses, and no frame is asked",
        product="SANDBOX-FRAMES",
        correction="complex",
        has_frame=False,
    ),
    Scenario(
        membership_number="SCN104",
        expect="information_requested",
        about="a prescription is asked for: attach one, then answer",
        correction="simple",
    ),
    Scenario(
        membership_number="SCN111",
        expect="under_review",
        about="the insurer looks, and approves",
        correction="very_complex",
        desk=Desk.APPROVES,
        then="approved",
    ),
    Scenario(
        membership_number="SCN112",
        expect="under_review",
        about="the insurer looks, and cuts the frame",
        correction="very_complex",
        desk=Desk.CUTS,
        then="partially_approved",
    ),
    Scenario(
        membership_number="SCN113",
        expect="under_review",
        about="the insurer looks, and refuses with a code",
        correction="very_complex",
        desk=Desk.REFUSES,
        then="refused",
    ),
    Scenario(
        membership_number="SCN114",
        expect="under_review",
        about="the insurer asks a question, and approves once it has an answer",
        correction="very_complex",
        desk=Desk.ASKS,
        then="information_requested",
    ),
    Scenario(
        membership_number="SCN115",
        expect="under_review",
        about=f"the insurer never answers: move the clock by {TACIT_DAYS + 1} days for the tacit refusal",
        correction="very_complex",
    ),
)
DESKS = {each.membership_number: each.desk for each in SCENARIOS}

RULES = {
    "tacit_days": TACIT_DAYS,
    "tacit_outcome": "refuse",
    "reviews": [{"domain": "OPTI", "benefit": "lens_very_complex_b"}],
    "attachments": [{"domain": "OPTI", "benefit": "lens_simple_b", "document": "prescription"}],
}


def _line(domain: str, benefit: str, **formula: Any) -> dict[str, Any]:
    line = {"domain": domain, "benefit": benefit, "formula": formula, "approval": "none"}
    # Glasses again and again: a scenario comes to the same each time.
    return {**line, "approval": "required", "renewal_months": 0} if domain == "OPTI" else line


_LENSES = [
    _line("OPTI", "lens_simple_b", kind="flat", amount_cents=9_000, per="act"),
    _line("OPTI", "lens_complex_b", kind="flat", amount_cents=20_000, per="act"),
    _line("OPTI", "lens_very_complex_b", kind="flat", amount_cents=26_000, per="act"),
]
_FRAME = [_line("OPTI", "frame_b", kind="flat", amount_cents=10_000, per="equipment")]
_PHARMACY = [_line("PHAR", "medicine_65", kind="copayment", per="act")]


def products(today: date) -> dict[str, dict[str, Any]]:
    """The products of the scenarios' people, by code."""
    lines = {
        "SANDBOX": _PHARMACY + _LENSES + _FRAME,
        "SANDBOX-PHAR": _PHARMACY,
        "SANDBOX-LENSES": _LENSES,
        "SANDBOX-FRAMES": _FRAME,
    }
    first = f"{today.year}-01-01"
    return {
        code: {"name": f"Scénarios {code}", "is_responsible": False, "valid_from": first, "benefits": benefits}
        for code, benefits in lines.items()
    }


def rights(today: date) -> Iterator[bytes]:
    """The rights of the scenarios' people, as a file of updates."""
    yield f"{RIGHTS_HEADER}\n".encode()
    for each in SCENARIOS:
        if each.product is None:
            continue
        years = today.year if each.is_current else today.year - 1
        # Into next year, so that clocks may be moved.
        end = today.year + 1 if each.is_current else years
        ranks = range(1, each.birth_rank + 1)
        for rank in ranks:
            who = f"{each.membership_number};{each.birth_date};{rank}"
            yield f"{who};{years}-01-01;{end}-12-31;{CONVENTION_TYPE};;{each.product}\n".encode()
