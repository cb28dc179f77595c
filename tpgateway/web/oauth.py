"""The token endpoint: client credentials (RFC 6749 4.4) by secret or by private_key_jwt (RFC 7523).

Practitioners' and insurers' clients are kept by their own domains; the application hands their look-ups over.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from uuid import UUID

import jwt
from aiohttp import web

from tpgateway.database import Connection
from tpgateway.errors import Problem
from tpgateway.web.callers import Caller

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS = ("EdDSA", "ES256", "RS256", "PS256")
_ASSERTION_SECONDS = 600
_JTI = re.compile(r"[\x20-\x7e]{1,200}")


class TokenRequestInvalid(Problem):
    code = "invalid_grant_request"
    oauth_error = "invalid_request"
    status = 400
    title = "The token request cannot be understood"
    message_fr = "La connexion de votre logiciel est mal formée."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = (
        "A form with grant_type=client_credentials, and one way to authenticate: Basic, client_secret or an assertion."
    )


class GrantNotSupported(Problem):
    code = "unsupported_grant_type"
    oauth_error = "unsupported_grant_type"
    status = 400
    title = "Only client_credentials is offered"
    message_fr = "La connexion de votre logiciel est mal formée."
    next_step_fr = "Contactez l'éditeur de votre logiciel."
    hint = "grant_type=client_credentials"


class ClientInvalid(Problem):
    code = "invalid_client"
    oauth_error = "invalid_client"
    status = 401
    title = "The client could not be authenticated"
    message_fr = "L'accès de votre logiciel n'est pas reconnu."
    next_step_fr = "Vérifiez l'accès dans votre espace, ou créez-en un nouveau."
    hint = "Unknown, revoked, wrong secret, or an assertion that is expired, for another audience, or used before."


class ScopeInvalid(Problem):
    code = "invalid_scope"
    oauth_error = "invalid_scope"
    status = 400
    title = "The client was not given this scope"
    message_fr = "L'accès de votre logiciel ne couvre pas cette opération."
    next_step_fr = "Créez un accès qui la comprend dans votre espace."
    hint = "Leave scope out to get all that the client has."


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as its domain keeps it: the SHA-256 of its secrets or its public JWKs, a former one while they overlap.

    ``mark_used`` tells the domain that the client got a token.
    """

    caller: Caller
    secret_hashes: Sequence[bytes] = ()
    public_jwks: Sequence[Mapping[str, Any]] = ()
    mark_used: Callable[[Connection, UUID], Awaitable[None]] | None = None


ClientFinder = Callable[[Connection, UUID], Awaitable[Client | None]]
# Looks whether a client has other keys now than those known; answers whether to try again.
KeyRefresher = Callable[[UUID], Awaitable[bool]]
KEY_REFRESHER: web.AppKey[KeyRefresher] = web.AppKey("key_refresher")
CLIENT_FINDERS: web.AppKey[Sequence[ClientFinder]] = web.AppKey("client_finders")


def hash_secret(secret: str) -> bytes:
    """What is kept of a client secret. They are 256 random bits, which no dictionary holds: one round is enough."""
    return hashlib.sha256(secret.encode()).digest()


async def authenticate(
    connection: Connection,
    finders: Sequence[ClientFinder],
    *,
    form: Mapping[str, str],
    authorization: str | None,
    audiences: Sequence[str],
    now: datetime,
) -> Caller:
    """The client of a token request, its scopes narrowed to those asked; raises ``ClientInvalid`` and the like."""
    if form.get("grant_type") != "client_credentials":
        raise GrantNotSupported if "grant_type" in form else TokenRequestInvalid("grant_type is missing")
    ways = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise TokenRequestInvalid("authenticate in one way only")
    if "client_assertion" in form:
        client = await _by_assertion(connection, finders, form, audiences, now)
    else:
        client = await _by_secret(connection, finders, form, authorization)
    caller = client.caller
    asked = frozenset(form.get("scope", "").split())
    if not asked <= caller.scopes:
        raise ScopeInvalid
    if client.mark_used is not None and caller.client_id is not None:
        await client.mark_used(connection, caller.client_id)
    return replace(caller, scopes=asked or caller.scopes)


def asserted_client(form: Mapping[str, str]) -> UUID | None:
    """Who an assertion says that it is of; nothing of it is verified."""
    try:
        return UUID(
            str(jwt.decode(form.get("client_assertion", ""), options={"verify_signature": False}).get("sub", ""))
        )
    except (jwt.PyJWTError, ValueError, AttributeError, RecursionError):
        return None


def named_client(form: Mapping[str, str], authorization: str | None) -> UUID | None:
    """Who a token request says that it is of, in whichever way; None where that cannot be one of ours."""
    if "client_assertion" in form:
        return asserted_client(form)
    try:
        return UUID(_basic(authorization)[0] if authorization is not None else form.get("client_id", ""))
    except (TokenRequestInvalid, ValueError):
        return None


async def _by_secret(
    connection: Connection, finders: Sequence[ClientFinder], form: Mapping[str, str], authorization: str | None
) -> Client:
    if authorization is not None:
        client_id, secret = _basic(authorization)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if not client_id or not secret:
        raise TokenRequestInvalid("no client credentials in the request")
    client = await _find(connection, finders, client_id)
    offered = hash_secret(secret)
    if client is None or not any(hmac.compare_digest(kept, offered) for kept in client.secret_hashes):
        raise ClientInvalid(headers={"WWW-Authenticate": 'Basic realm="tpgateway"'})
    return client


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not UTF-8 within
        raise TokenRequestInvalid("the Authorization header cannot be read") from None
    if scheme.lower() != "basic" or not colon:
        raise TokenRequestInvalid("the Authorization header is not Basic")
    return unquote_plus(user), unquote_plus(password)


async def _by_assertion(
    connection: Connection,
    finders: Sequence[ClientFinder],
    form: Mapping[str, str],
    audiences: Sequence[str],
    now: datetime,
) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise TokenRequestInvalid(f"client_assertion_type must be {ASSERTION_TYPE}")
    assertion = form["client_assertion"]
    try:
        named = jwt.decode(assertion, options={"verify_signature": False})
        if form.get("client_id", named.get("sub")) != named.get("sub"):
            raise ClientInvalid("client_id is not the assertion's sub")
        client = await _find(connection, finders, str(named.get("sub", "")))
        if client is None or not client.public_jwks:
            raise ClientInvalid
        claims = _verified(assertion, client, audiences)
    except (jwt.PyJWTError, RecursionError) as error:  # what is nested deeply enough is no JSON to Python
        raise ClientInvalid(f"the assertion was refused: {type(error).__name__}") from None
    if int(claims["exp"]) > int(now.timestamp()) + _ASSERTION_SECONDS:
        raise ClientInvalid(f"an assertion lasts at most {_ASSERTION_SECONDS} seconds")
    if not _JTI.fullmatch(claims["jti"]):
        raise ClientInvalid("jti must have 1 to 200 printable ASCII characters")
    await _use_once(connection, client, claims["jti"], datetime.fromtimestamp(int(claims["exp"]), UTC))
    return client


def _verified(assertion: str, client: Client, audiences: Sequence[str]) -> dict[str, Any]:
    """The claims of an assertion signed by a key of the client's own; raises what the last of them says."""
    for jwk in client.public_jwks[:-1]:
        try:
            return _verified_by(assertion, jwk, audiences)
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            continue
    return _verified_by(assertion, client.public_jwks[-1], audiences)


def _verified_by(assertion: str, jwk: Mapping[str, Any], audiences: Sequence[str]) -> dict[str, Any]:
    """The claims, checked with one key and the algorithm that this key is for."""
    key = jwt.PyJWK(dict(jwk))
    if key.algorithm_name not in ASSERTION_ALGORITHMS:
        raise ClientInvalid("the client's key is of a kind that is not accepted")
    claims: dict[str, Any] = jwt.decode(
        assertion,
        key,
        algorithms=[key.algorithm_name],
        audience=list(audiences),
        leeway=5,
        options={"require": ["iss", "sub", "aud", "exp", "jti"]},
    )
    if claims["iss"] != claims["sub"] or not isinstance(claims["jti"], str):
        raise ClientInvalid("iss and sub must both be the client_id, jti a text")
    return claims


async def _use_once(connection: Connection, client: Client, jti: str, expires: datetime) -> None:
    used = await connection.fetchval(
        "INSERT INTO used_assertions (client_id, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
        client.caller.client_id,
        jti,
        expires,
    )
    if used is None:
        raise ClientInvalid("the assertion was used before")


async def _find(connection: Connection, finders: Sequence[ClientFinder], client_id: str) -> Client | None:
    try:
        number = UUID(client_id)
    except ValueError:
        return None
    for find in finders:
        if (client := await find(connection, number)) is not None:
            return client
    return None


async def forget_used(connection: Connection, *, now: datetime) -> int:
    """Removes assertions that have expired and so cannot come again; answers how many."""
    done = await connection.execute("DELETE FROM used_assertions WHERE expires_at < $1", now)
    return int(done.split()[-1])
