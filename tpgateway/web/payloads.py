"""Shapes of the frame's own operations."""

from typing import Any

from pydantic import Field

from tpgateway.web.validation import View


class TokenView(View):
    access_token: str
    token_type: str
    expires_in: int = Field(description="seconds")
    scope: str


class JwksView(View):
    keys: list[dict[str, Any]]


class AuthorizationServerView(View):
    """RFC 8414 metadata."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    token_endpoint_auth_signing_alg_values_supported: list[str]
    scopes_supported: list[str]


class ProblemKindView(View):
    """One kind of problem; its code never changes its meaning."""

    code: str
    status: int
    title: str
    message_fr: str
    next_step_fr: str | None
    hint: str | None


class ProblemCatalogueView(View):
    problems: list[ProblemKindView]


class FaultView(View):
    pointer: str = Field(description="RFC 6901 JSON pointer into the body, or /query/…")
    code: str
    message_fr: str
    detail: str | None


class ProblemView(View):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str | None
    code: str
    message_fr: str = Field(description="to show the practice")
    next_step_fr: str | None
    hint: str | None = Field(description="for the software's vendor")
    request_id: str
    errors: list[FaultView]


class HealthView(View):
    status: str
