"""The XML documents of approvals: schemas of our own, each element named as the JSON field."""

from pathlib import Path

from tpgateway.web.xml import Document

_FOLDER = Path(__file__).parent.parent / "xsd"
_SINGULAR = {"lines": "line", "documents": "document", "items": "item", "supplements": "supplement"}


def request(root: str) -> Document:
    """A document of ``schemas/prior-approval.xsd``."""
    return Document(_FOLDER / "prior-approval.xsd", root, singular=_SINGULAR)


DECISION = Document(_FOLDER / "decision.xsd", "decision", singular=_SINGULAR)
SIMULATION = Document(_FOLDER / "decision.xsd", "simulation", singular=_SINGULAR)
