"""What a request says beside its lines, as it is kept."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from tpgateway.claims.model import Admission, AskedLine, OpticalRequest, RenewalReason, Request, Stay

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
