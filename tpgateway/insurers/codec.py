"""Approval rules as they are kept."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from tpgateway.insurers.model import ApprovalRules

_RULES: TypeAdapter[ApprovalRules] = TypeAdapter(ApprovalRules)
_NONE = ApprovalRules()


def as_json(rules: ApprovalRules) -> dict[str, Any]:
    """The rules as a JSON document."""
    written: dict[str, Any] = _RULES.dump_python(rules, mode="json")
    return written


def from_json(kept: Mapping[str, Any]) -> ApprovalRules:
    """The rules of a document that ``as_json`` wrote; those of everybody where an insurer never said any."""
    return _RULES.validate_python(kept) if kept else _NONE
