"""Approval rules as they are kept, and the XML document of an event."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tpgateway.insurers.model import ApprovalRules
from tpgateway.web.xml import Document

_RULES: TypeAdapter[ApprovalRules] = TypeAdapter(ApprovalRules)
_NONE = ApprovalRules()

EVENT = Document(
    Path(__file__).parent / "xsd" / "event.xsd",
    "event",
    singular={"lines": "line", "documents": "document", "identifiers": "identifier"},
)


def as_json(rules: ApprovalRules) -> dict[str, Any]:
    """The rules as a JSON document."""
    written: dict[str, Any] = _RULES.dump_python(rules, mode="json")
    return written


def from_json(kept: Mapping[str, Any]) -> ApprovalRules:
    """The rules of a document that ``as_json`` wrote; those of everybody where an insurer never said any."""
    return _RULES.validate_python(kept) if kept else _NONE


@lru_cache(1_000)  # of each insurer, at each of its requests
def from_text(kept: str) -> ApprovalRules:
    """The same of the document as it stands in the database."""
    return from_json(json.loads(kept))
