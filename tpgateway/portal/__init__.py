"""Pages in French, for people; they call the same services as the API."""

from tpgateway.portal.routes import mount

__all__ = ["mount"]
