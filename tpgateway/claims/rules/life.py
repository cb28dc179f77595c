"""What may follow what in the life of an approval."""

from collections.abc import Mapping
from datetime import timedelta

from tpgateway.claims.errors import StateForbids
from tpgateway.claims.model import Kind, State

TRANSITIONS: Mapping[State | None, Mapping[Kind, State]] = {
    None: {Kind.SUBMITTED: State.SUBMITTED},
    State.SUBMITTED: {
        Kind.APPROVED: State.APPROVED,
        Kind.PARTIALLY_APPROVED: State.PARTIALLY_APPROVED,
        Kind.REFUSED: State.REFUSED,
    },
    State.APPROVED: {Kind.CANCELLED: State.CANCELLED},
    State.PARTIALLY_APPROVED: {Kind.CANCELLED: State.CANCELLED},
    State.REFUSED: {},
    State.CANCELLED: {},
}

# How long an approval may be used after the day of care; contracts differ, this is the network's default.
VALIDITY = timedelta(days=180)


def after(state: State | None, kind: Kind) -> State:
    """The state that an event leads to; raises ``StateForbids``."""
    if (following := TRANSITIONS[state].get(kind)) is None:
        raise StateForbids(f"the state is {state}")
    return following
