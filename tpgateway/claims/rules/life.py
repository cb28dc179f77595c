"""What may follow what in the life of an approval, and who is waited for. The diagram in docs is made from this table."""

from collections.abc import Mapping
from enum import StrEnum

from tpgateway.claims.errors import StateForbids
from tpgateway.claims.model import Kind, Party, PriorApproval, State
from tpgateway.insurers.model import ApprovalRules, TacitOutcome

_DECIDED = {
    Kind.APPROVED: State.APPROVED,
    Kind.PARTIALLY_APPROVED: State.PARTIALLY_APPROVED,
    Kind.REFUSED: State.REFUSED,
}
_ENDS = {Kind.CANCELLED: State.CANCELLED, Kind.USED: State.USED, Kind.EXPIRED: State.EXPIRED}
_CHANGES = {Kind.AMENDED: State.SUBMITTED, Kind.EXTENDED: State.SUBMITTED}

TRANSITIONS: Mapping[State | None, Mapping[Kind, State]] = {
    None: {Kind.SUBMITTED: State.SUBMITTED},
    State.SUBMITTED: {
        **_DECIDED,
        Kind.INFORMATION_REQUESTED: State.INFORMATION_REQUESTED,
        Kind.REVIEW_STARTED: State.UNDER_REVIEW,
    },
    State.INFORMATION_REQUESTED: {
        # Where a change comes to nothing, what was agreed before stands again.
        Kind.APPROVED: State.APPROVED,
        Kind.PARTIALLY_APPROVED: State.PARTIALLY_APPROVED,
        Kind.INFORMATION_GIVEN: State.UNDER_REVIEW,
        Kind.AMENDED: State.SUBMITTED,
        Kind.CANCELLED: State.CANCELLED,
        Kind.EXPIRED: State.EXPIRED,
    },
    State.UNDER_REVIEW: {
        **_DECIDED,
        Kind.INFORMATION_REQUESTED: State.INFORMATION_REQUESTED,
        Kind.CANCELLED: State.CANCELLED,
    },
    State.APPROVED: {**_CHANGES, **_ENDS},
    State.PARTIALLY_APPROVED: {**_CHANGES, **_ENDS, Kind.APPEALED: State.APPEALED},
    State.REFUSED: {Kind.APPEALED: State.APPEALED},
    State.APPEALED: {**_DECIDED, Kind.CANCELLED: State.CANCELLED},
    State.CANCELLED: {},
    State.USED: {},
    # Billed in time, and told late.
    State.EXPIRED: {Kind.USED: State.USED},
}

WAITS_FOR: Mapping[State, Party] = {
    State.INFORMATION_REQUESTED: Party.PRACTITIONER,
    State.UNDER_REVIEW: Party.INSURER,
    State.APPEALED: Party.INSURER,
}

HOLDS_BENEFITS = frozenset(
    {
        State.INFORMATION_REQUESTED,
        State.UNDER_REVIEW,
        State.APPROVED,
        State.PARTIALLY_APPROVED,
        State.APPEALED,
        State.USED,
    }
)


class Silence(StrEnum):
    """What it brings that nobody acts in time."""

    KEEPS = "keeps"  # the decision that is contested: there is no other that silence could stand for
    GRANTS = "grants"  # what the rules computed
    REFUSES = "refuses"
    CLOSES = "closes"  # a question that was not answered
    RESTORES = "restores"  # what was agreed before a change
    ENDS = "ends"  # an approval that nobody billed


def silence(approval: PriorApproval, rules: ApprovalRules) -> Silence:
    """What follows for an approval whose clock runs out, by its insurer's rules."""
    stands = approval.standing is not None
    match approval.state:
        case State.INFORMATION_REQUESTED:
            return Silence.RESTORES if stands else Silence.CLOSES
        case State.UNDER_REVIEW:
            if rules.tacit_outcome is TacitOutcome.APPROVE and any(line.granted for line in approval.lines):
                return Silence.GRANTS
            return Silence.RESTORES if stands else Silence.REFUSES
        case State.APPEALED:
            return Silence.KEEPS
    return Silence.ENDS


def holds(state: State) -> bool:
    """Whether what is granted counts as used: nobody else may be granted it meanwhile."""
    return state in HOLDS_BENEFITS


def after(state: State | None, kind: Kind) -> State:
    """The state that an event leads to; raises ``StateForbids``."""
    if (following := TRANSITIONS[state].get(kind)) is None:
        raise StateForbids(str(state))
    return following


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for state, row in TRANSITIONS.items():
        for kind, following in row.items():
            lines.append(f"    {state or '[*]'} --> {following}: {kind}")
    lines += [f"    {state} --> [*]" for state, row in TRANSITIONS.items() if not row]
    return "\n".join(lines) + "\n"
