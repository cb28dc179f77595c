"""The frame's own operations: tokens, keys, the catalogue of problems, health, metrics."""

from tpgateway.web import handlers, oauth
from tpgateway.web.payloads import (
    AuthorizationServerView,
    HealthView,
    JwksView,
    ProblemCatalogueView,
    TokenForm,
    TokenView,
)
from tpgateway.web.problems import MediaTypeNotSupported
from tpgateway.web.routing import Media, Route

_FORM = Media(
    media_type="application/x-www-form-urlencoded",
    description="Client credentials, by Basic, client_secret or client_assertion.",
    shape=TokenForm,
)

ROUTES = [
    Route(
        method="POST",
        path="/oauth/token",
        handler=handlers.issue_token,
        summary="Get an access token by client credentials",
        tag="Access",
        body=_FORM,
        body_limit=16 * 1024,
        answers={200: TokenView},
        problems=[
            oauth.TokenRequestInvalid,
            oauth.GrantNotSupported,
            oauth.ClientInvalid,
            oauth.ScopeInvalid,
            MediaTypeNotSupported,
        ],
        transactional=False,
        is_replayable=False,
    ),
    Route(
        method="GET",
        path="/.well-known/jwks.json",
        handler=handlers.publish_keys,
        summary="The public keys that our tokens are signed with",
        tag="Access",
        answers={200: JwksView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/.well-known/oauth-authorization-server",
        handler=handlers.describe_authorization_server,
        summary="What the token endpoint offers (RFC 8414)",
        tag="Access",
        answers={200: AuthorizationServerView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/v1/problems",
        handler=handlers.list_problems,
        summary="Every problem that can be answered: code, French sentence, next step, hint",
        tag="Service",
        answers={200: ProblemCatalogueView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/health/live",
        handler=handlers.tell_alive,
        summary="Whether the process runs",
        tag="Service",
        answers={200: HealthView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/health/ready",
        handler=handlers.tell_ready,
        summary="Whether requests may be sent here",
        tag="Service",
        answers={200: HealthView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=handlers.expose_metrics,
        summary="Prometheus metrics",
        tag="Service",
        answers={200: Media(media_type="text/plain", description="Prometheus text format")},
        transactional=False,
    ),
]
