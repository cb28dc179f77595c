"""Handlers of the frame's own operations."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

import structlog

from tpgateway.database import faults
from tpgateway.errors import REASONS
from tpgateway.web import oauth, tls
from tpgateway.web.callers import Caller, Scope
from tpgateway.web.frame import read_body
from tpgateway.web.metrics import BACKLOGS
from tpgateway.web.payloads import (
    AuthorizationServerView,
    HealthView,
    JwksView,
    ProblemCatalogueView,
    ProblemKindView,
    ReasonView,
    TokenView,
)
from tpgateway.web.problems import DatabaseUnavailable, MediaTypeNotSupported, catalogue
from tpgateway.web.routing import Answer, Call

_log = structlog.get_logger(__name__)
_FORM = "application/x-www-form-urlencoded"
_FORM_LIMIT = 16 * 1024


async def issue_token(call: Call) -> Answer:
    """The token endpoint."""
    if call.request.content_type != _FORM:
        raise MediaTypeNotSupported(f"Content-Type must be {_FORM}")
    raw = await read_body(call.request, _FORM_LIMIT)
    try:
        pairs = parse_qsl(raw.decode("ascii"), strict_parsing=True, errors="strict")
    except ValueError:
        raise oauth.TokenRequestInvalid("the form cannot be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise oauth.TokenRequestInvalid("a parameter stands twice in the form")
    try:
        caller = await _known(call, form)
    except (oauth.ClientInvalid, oauth.ScopeInvalid) as refused:
        # In the log and not in the trail: whoever knows a client's id, which is no secret, could fill that.
        client_id = oauth.named_client(form, call.request.headers.get("Authorization"))
        _log.warning(
            "client_refused",
            request_id=call.request_id,
            client_id=client_id,
            code=refused.code,
            reason=refused.detail,
        )
        raise
    tokens = call.state.tokens
    caller = replace(caller, certificate=tls.certificate_of(call.request))
    return Answer(
        body=TokenView(
            access_token=tokens.issue(caller, call.now),
            token_type="Bearer",  # noqa: S106  # the kind of token, not one
            expires_in=int(tokens.lifetime.total_seconds()),
            scope=" ".join(sorted(caller.scopes)),
        )
    )


async def _known(call: Call, form: Mapping[str, str]) -> Caller:
    """The client; one whose keys may have changed where it publishes them is given a second look."""
    try:
        return await _authenticate(call, form)
    except oauth.ClientInvalid:
        client_id = oauth.asserted_client(form)
        if client_id is None or not await call.request.app[oauth.KEY_REFRESHER](client_id):
            raise
        return await _authenticate(call, form)


async def _authenticate(call: Call, form: Mapping[str, str]) -> Caller:
    tokens = call.state.tokens
    async with call.state.connection() as connection, connection.transaction():
        return await oauth.authenticate(
            connection,
            call.request.app[oauth.CLIENT_FINDERS],
            form=form,
            authorization=call.request.headers.get("Authorization"),
            audiences=[tokens.issuer, f"{tokens.issuer}/oauth/token"],
            now=call.now,
        )


async def publish_keys(call: Call) -> Answer:
    return Answer(body=JwksView(keys=call.state.tokens.jwks["keys"]), headers={"Cache-Control": "public, max-age=300"})


async def describe_authorization_server(call: Call) -> Answer:
    issuer = call.state.tokens.issuer
    return Answer(
        body=AuthorizationServerView(
            issuer=issuer,
            token_endpoint=f"{issuer}/oauth/token",
            jwks_uri=f"{issuer}/.well-known/jwks.json",
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post", "private_key_jwt"],
            token_endpoint_auth_signing_alg_values_supported=["EdDSA", "ES256", "PS256", "RS256"],
            scopes_supported=[scope.value for scope in Scope],
            tls_client_certificate_bound_access_tokens=call.state.settings.tls_client_authorities is not None,
        )
    )


async def list_problems(call: Call) -> Answer:
    kinds = [
        ProblemKindView(
            code=kind.code,
            status=kind.status,
            title=kind.title,
            message_fr=kind.message_fr,
            next_step_fr=kind.next_step_fr,
            hint=kind.hint,
        )
        for kind in catalogue()
    ]
    reasons = [ReasonView.showing(reason) for _, reason in sorted(REASONS.items())]
    return Answer(body=ProblemCatalogueView(problems=kinds, reasons=reasons))


async def tell_alive(call: Call) -> Answer:
    return Answer(body=HealthView(status="alive"))


async def tell_ready(call: Call) -> Answer:
    """Ready means: not stopping, and the database answers within a second."""
    if call.state.is_draining:
        raise DatabaseUnavailable("the process is stopping", retry_after_seconds=1)
    async with asyncio.timeout(1):
        async with call.state.connection() as connection:
            await connection.execute("SELECT")
    return Answer(body=HealthView(status="ready"))


async def expose_metrics(call: Call) -> Answer:
    call.state.request_log.write()
    backlogs = call.state.metrics.backlogs
    try:
        async with call.state.connection() as connection:
            await backlogs.look(connection, call.request.app[BACKLOGS])
    except faults.ANY:
        backlogs.leave()
    return Answer(body=call.state.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
