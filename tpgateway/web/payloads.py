"""Shapes of the frame's own operations."""

from typing import Any, Literal

from pydantic import Field

from tpgateway.web.validation import Payload, View


class TokenForm(Payload):
    """Authenticate in one way: HTTP Basic, client_id with client_secret, or client_assertion."""

    grant_type: Literal["client_credentials"]
    client_id: str | None = None
    client_secret: str | None = None
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"] | None = None
    client_assertion: str | None = Field(
        default=None,
        description="JWT by the client's key: iss and sub the client_id, aud this endpoint or the issuer, jti, exp within"
        " 10 minutes; good for one use",
    )
    scope: str | None = Field(default=None, description="space-separated; all that the client has where it is left out")


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
    tls_client_certificate_bound_access_tokens: bool


class ProblemKindView(View):
    """One kind of problem; its code never changes its meaning."""

    code: str
    status: int
    title: str
    message_fr: str
    next_step_fr: str | None
    hint: str | None


class ReasonView(View):
    """Why a check or an approval was answered as it was: no error, but a code of one meaning all the same."""

    code: str
    message_fr: str
    next_step_fr: str | None


class ProblemCatalogueView(View):
    problems: list[ProblemKindView]
    reasons: list[ReasonView]


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
    retry_after_seconds: int | None = Field(default=None, description="left out where waiting alone does not help")
    present_state: str | None = Field(
        default=None, description="of what could not be changed as it stands; else left out"
    )
    present_version: int | None = Field(
        default=None, description="likewise, where the version named is not the present one"
    )
    request_id: str
    errors: list[FaultView]


class HealthView(View):
    status: str
