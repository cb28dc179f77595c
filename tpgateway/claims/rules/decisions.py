"""The decision of a request: its lines priced, and the whole decided, or left to whom it must go to first."""

from collections.abc import Sequence
from datetime import timedelta

from tpgateway.claims.model import DecidedLine, Decision, Kind, RenewalReason, Request, Stay
from tpgateway.claims.rules import hospital, optical, reasons
from tpgateway.claims.rules.optical import Case
from tpgateway.errors import Reason
from tpgateway.guarantees.model import Domain
from tpgateway.insurers.model import ApprovalRules
from tpgateway.money import ZERO, Cents


def decide(request: Request, case: Case, rules: ApprovalRules) -> Decision:
    """Every line priced, and what it comes to: final where the rules can tell, else for the insurer to look at."""
    lines = hospital.price(request, case) if isinstance(request, Stay) else optical.price(request, case)
    kind, reason = outcome(lines)
    domain = Domain.HOSP if isinstance(request, Stay) else Domain.OPTI
    asks_for: tuple[str, ...] = ()
    if kind is not Kind.REFUSED:
        granted = sum(line.granted for line in lines)
        asks_for = tuple(
            sorted(
                {rule.document for rule in rules.attachments if rule.applies(domain, _benefits(lines), Cents(granted))}
            )
        )
        claims_illness = not isinstance(request, Stay) and request.renewal_reason is RenewalReason.MEDICAL_CONDITION
        if asks_for:
            kind, reason = Kind.INFORMATION_REQUESTED, reasons.DOCUMENTS_ASKED
        elif claims_illness or any(rule.applies(domain, _benefits(lines), Cents(granted)) for rule in rules.reviews):
            kind, reason = Kind.REVIEW_STARTED, reasons.REVIEW_ASKED
    last = request.exit_date if isinstance(request, Stay) else case.care_date
    valid_until = last + timedelta(days=case.tariffs.at("approval_validity_days", case.care_date) or 0)
    billable_until = valid_until + timedelta(days=case.tariffs.at("billing_tolerance_days", case.care_date) or 0)
    return Decision(
        kind=kind,
        code=reason.code,
        lines=tuple(lines),
        valid_until=valid_until,
        billable_until=billable_until,
        asks_for=asks_for,
    )


def outcome(lines: Sequence[DecidedLine]) -> tuple[Kind, Reason]:
    """What decided lines come to: a line that the AMO pays whole, or that is owed by nobody, stands in no one's way."""
    settled = {reasons.NOTHING_LEFT.code}
    granted = [line.granted > ZERO or line.code in settled for line in lines]
    if all(granted):
        return Kind.APPROVED, reasons.ALL_GRANTED
    if any(line.granted > ZERO for line in lines):
        return Kind.PARTIALLY_APPROVED, reasons.SOME_NOT_GRANTED
    return Kind.REFUSED, reasons.NOTHING_GRANTED


def _benefits(lines: Sequence[DecidedLine]) -> frozenset[str]:
    return frozenset(line.asked.benefit for line in lines if line.granted)
