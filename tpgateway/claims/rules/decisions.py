"""The decision of a request: its lines priced, and the whole decided, or left to whom it must go to first."""

from collections.abc import Sequence
from datetime import date, timedelta

from tpgateway.claims.model import DecidedLine, Decision, Kind, RenewalReason, Request, Stay
from tpgateway.claims.rules import hospital, optical, reasons
from tpgateway.claims.rules.cases import Case
from tpgateway.errors import Reason
from tpgateway.guarantees.model import Domain, Tariffs
from tpgateway.insurers.model import ApprovalRules
from tpgateway.money import ZERO

_LEFT_BY_OTHERS = frozenset({reasons.DAYS_USED_UP.code, reasons.YEAR_CEILING_REACHED.code, reasons.STAY_OVERLAPS.code})


TAKEN_BEFORE = frozenset({reasons.RENEWAL_TOO_EARLY.code, reasons.STAY_OVERLAPS.code})
"""Codes of lines that another approval left nothing, or not all: who grants one of them all the same, knows it."""


def decide(request: Request, case: Case, rules: ApprovalRules, *, today: date, must_be_seen: bool = False) -> Decision:
    """Every line priced, and what it comes to: final where the rules can tell, else for the insurer to look at.

    ``must_be_seen``: the insurer has taken part before, and rules alone may not go past it.
    """
    lines = price(request, case)
    kind, reason = outcome(lines)
    domain = Domain.HOSP if isinstance(request, Stay) else Domain.OPTI
    asks_for: tuple[str, ...] = ()
    if any(line.granted for line in lines):
        # What belongs to the same equipment counts together: a request in pieces is looked at like a whole one.
        before = () if isinstance(request, Stay) else optical.granted_before(request, case)
        granted = sum(line.granted for line in lines) + sum(use.granted for use in before)
        benefits = frozenset(line.asked.benefit for line in lines if line.granted)
        asks_for = tuple(
            sorted({each.document for each in rules.attachments if each.applies(domain, benefits, granted)})
        )
        is_to_be_seen = (
            must_be_seen
            or (not isinstance(request, Stay) and request.renewal_reason is RenewalReason.MEDICAL_CONDITION)
            or any(rule.applies(domain, benefits, granted) for rule in rules.reviews)
        )
        if asks_for:
            kind, reason = Kind.INFORMATION_REQUESTED, reasons.DOCUMENTS_ASKED
        elif is_to_be_seen:
            kind, reason = Kind.REVIEW_STARTED, reasons.REVIEW_ASKED
    valid_until, billable_until = validity(request, case.care_date, case.tariffs, today=today)
    return Decision(
        kind=kind,
        code=reason.code,
        lines=tuple(lines),
        valid_until=valid_until,
        billable_until=billable_until,
        asks_for=asks_for,
    )


def price(request: Request, case: Case) -> list[DecidedLine]:
    """Every line priced by the rules of its domain."""
    return hospital.price(request, case) if isinstance(request, Stay) else optical.price(request, case)


def is_taken(line: DecidedLine, request: Request, case: Case) -> bool:
    """Whether another approval of the person has got what the line grants."""
    if isinstance(request, Stay):
        return hospital.is_taken(line, request, case)
    return optical.is_taken(line, request, case)


def validity(request: Request, care_date: date, tariffs: Tariffs, *, today: date) -> tuple[date, date]:
    """The last day of use and the last to bill on: counted from the care or from the decision, whichever is later."""
    last = max(today, request.exit_date if isinstance(request, Stay) else care_date)
    valid_until = last + timedelta(days=tariffs.at("approval_validity_days", last) or 0)
    return valid_until, valid_until + timedelta(days=tariffs.at("billing_tolerance_days", last) or 0)


def outcome(lines: Sequence[DecidedLine]) -> tuple[Kind, Reason]:
    """What decided lines come to: a line that the AMO pays whole, or that is owed by nobody, stands in no one's way.

    What is granted for as long as the year's days or amount last, or for the days that no other stay has, is granted in part,
    and can be contested: who counted may have counted wrong.
    """
    owed = [line for line in lines if line.code != reasons.FEE_NOT_DUE.code]
    granted = [line.granted > ZERO or line.code == reasons.NOTHING_LEFT.code for line in owed] or [False]
    if all(granted) and not any(line.code in _LEFT_BY_OTHERS for line in lines):
        return Kind.APPROVED, reasons.ALL_GRANTED
    if any(line.granted > ZERO for line in lines):
        return Kind.PARTIALLY_APPROVED, reasons.SOME_NOT_GRANTED
    return Kind.REFUSED, reasons.NOTHING_GRANTED
