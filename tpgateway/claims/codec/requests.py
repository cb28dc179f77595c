"""What a request says beside its lines, as it is kept."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tpgateway.claims.model import (
    Admission,
    AskedLine,
    OpticalRequest,
    RenewalReason,
    Request,
    Standing,
    State,
    Stay,
)

_STAY_DATES = ("entry_date", "exit_date")


def as_json(request: Request) -> dict[str, Any]:
    """The request without its lines, as a JSON document."""
    kept = {name: getattr(request, name) for name in request.__slots__ if name != "lines"}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in kept.items()}


def from_json(kept: Mapping[str, Any], lines: tuple[AskedLine, ...]) -> Request:
    """The request of a document that ``as_json`` wrote."""
    if "entry_date" in kept:
        return Stay(
            **{
                **kept,
                "admission": Admission(kept["admission"]),
                **{name: date.fromisoformat(kept[name]) for name in _STAY_DATES},
            },
            lines=lines,
        )
    reason = kept.get("renewal_reason")
    return OpticalRequest(
        prescription_date=date.fromisoformat(kept["prescription_date"]),
        prescriber_rpps=kept["prescriber_rpps"],
        renewal_reason=RenewalReason(reason) if reason else None,
        lines=lines,
    )


def standing_as_json(standing: Standing | None) -> dict[str, Any] | None:
    """What stands in spite of a change, as a JSON document."""
    if standing is None:
        return None
    return {
        "revision": standing.revision,
        "state": standing.state.value,
        "request": dict(standing.request),
        "valid_until": standing.valid_until.isoformat(),
        "billable_until": standing.billable_until.isoformat(),
    }


def standing_from_json(kept: Mapping[str, Any] | None) -> Standing | None:
    """What ``standing_as_json`` wrote."""
    if kept is None:
        return None
    return Standing(
        revision=kept["revision"],
        state=State(kept["state"]),
        request=kept["request"],
        valid_until=date.fromisoformat(kept["valid_until"]),
        billable_until=date.fromisoformat(kept["billable_until"]),
    )
