"""Access tokens: JWTs signed with Ed25519, whose public keys are published as a JWK Set."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
from asyncpg.pgproto.pgproto import UUID  # hashed and written at a third of what the standard one takes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tpgateway.web.callers import Access, Caller
from tpgateway.web.problems import TokenExpired, TokenInvalid

ALGORITHM = "EdDSA"
_REMEMBERED = 20_000
_THUMBPRINT = "x5t#S256"
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def new_signing_keys_json() -> str:
    """A fresh JWK Set with one private Ed25519 key."""
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate()))
    made = {"kid": uuid4().hex[:12], "alg": ALGORITHM, "use": "sig", "created": datetime.now(UTC).isoformat()}
    return json.dumps({"keys": [{**key, **made}]})


def rotated_signing_keys_json(keys_json: str) -> tuple[str, str]:
    """The set one step on, and what the step was.

    The first key signs, all are published. A key that is younger than the one that signs was announced and now signs;
    where the youngest signs already, the oldest goes and a new one is announced. Two are live at any time.
    """
    keys = json.loads(keys_json)["keys"]
    youngest = max(keys, key=lambda key: str(key.get("created", "")))
    if youngest is not keys[0]:
        turned = [youngest, keys[0]]
        return json.dumps({"keys": turned}), "The announced key signs from now on; the old one still checks."
    fresh = json.loads(new_signing_keys_json())["keys"]
    return json.dumps(
        {"keys": [keys[0], *fresh]}
    ), "A new key is announced beside the one that signs: run this again to sign with it."


class Tokens:
    """Issues and checks access tokens of one gateway, its issuer and audience being ``base_url``.

    A checked token is remembered until it expires, so that its signature is verified once and not at each request.
    """

    def __init__(self, *, keys_json: str, base_url: str, lifetime: timedelta) -> None:
        keys = json.loads(keys_json)["keys"]
        if not keys:
            raise ValueError("the set of token keys is empty")
        self._private = {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in keys}
        self._signing = keys[0]["kid"]
        self.jwks = {
            "keys": [{name: value for name, value in key.items() if name not in {"d", "created"}} for key in keys]
        }
        self._public = {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in self.jwks["keys"]}
        self.issuer = base_url
        self.lifetime = lifetime
        self._remembered: dict[str, tuple[float, Caller]] = {}

    def issue(self, caller: Caller, now: datetime) -> str:
        """A token for the caller, good from now for the lifetime."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": str(caller.account_id),
            "client_id": str(caller.client_id),
            "access": caller.access.value,
            "scope": " ".join(sorted(caller.scopes)),
            "iat": now,
            "exp": now + self.lifetime,
            "jti": uuid4().hex,
        }
        if caller.certificate is not None:
            claims["cnf"] = {_THUMBPRINT: caller.certificate}
        headers = {"kid": self._signing, "typ": "at+jwt"}
        return jwt.encode(claims, self._private[self._signing].key, algorithm=ALGORITHM, headers=headers)

    def check(self, token: str, now: datetime) -> Caller:
        """The caller whom the token names; raises ``TokenInvalid`` or ``TokenExpired``.

        Whether it came over a connection with the caller's ``certificate``, is for those to look who know the connection.
        """
        remembered = self._remembered.get(token)
        if remembered is None:
            if not _FORM.fullmatch(token):
                raise TokenInvalid  # decoders are lenient; one token should have one spelling
            remembered = self._verify(token)
            if len(self._remembered) >= _REMEMBERED:
                self._forget(now.timestamp())
            self._remembered[token] = remembered
        expires, caller = remembered
        if now.timestamp() >= expires:
            self._remembered.pop(token, None)
            raise TokenExpired
        return caller

    def expires_at(self, token: str) -> float:
        """When a token that was checked expires, in seconds since 1970; at once where it is not remembered."""
        remembered = self._remembered.get(token)
        return remembered[0] if remembered else 0.0

    def _verify(self, token: str) -> tuple[float, Caller]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "at+jwt":
                raise TokenInvalid
            claims: dict[str, Any] = jwt.decode(
                token,
                self._public[header["kid"]],
                algorithms=[ALGORITHM],
                audience=self.issuer,
                issuer=self.issuer,
                options={"require": ["exp", "sub", "client_id", "access"]},
            )
            caller = Caller(
                access=Access(claims["access"]),
                account_id=UUID(claims["sub"]),
                client_id=UUID(claims["client_id"]),
                scopes=frozenset(claims["scope"].split()),
                certificate=claims["cnf"][_THUMBPRINT] if "cnf" in claims else None,
            )
            return float(claims["exp"]), caller
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            raise TokenInvalid from None

    def _forget(self, now: float) -> None:
        alive = {token: kept for token, kept in self._remembered.items() if kept[0] > now}
        # Were all of them alive, the oldest half makes room.
        self._remembered = dict(list(alive.items())[-_REMEMBERED // 2 :])
