"""The network to Pro Santé Connect: OpenID Connect's code flow with PKCE, as a confidential client.

The provider's addresses and keys come from its discovery document. The ID token must be signed by one of its keys with an
algorithm of ours, for us, now, for this very log-in (nonce), and at the level that was asked for.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tpgateway.practitioners.errors import PscRefused, PscUnavailable
from tpgateway.settings import Settings

_ALGORITHMS = ("RS256", "PS256", "ES256")
_LEAST_RSA_BITS = 2048
_FRESH_SECONDS = 600
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_LEEWAY_SECONDS = 30
_ANSWER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a log-in that began must bring back; kept with the browser's session."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Ticket":
        return cls(**{name: secrets.token_urlsafe(48) for name in ("state", "nonce", "verifier")})

    @property
    def challenge(self) -> str:
        """RFC 7636, S256."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Who the provider says it is: its own name for the person, and the national identifier."""

    subject: str
    national_id: str


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(slots=True)
class ProSanteConnect:
    """One a process; what it learned of the provider is kept for some minutes."""

    settings: Settings
    _known: dict[str, Any] = field(default_factory=dict)
    _keys: dict[str, Any] = field(default_factory=dict)
    _known_at: float = 0.0

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; it must be registered there."""
        return f"{self.settings.base_url}/connexion/pro-sante-connect/retour"

    async def address(self, ticket: Ticket) -> str:
        """Where to send a browser to log in; raises ``PscUnavailable``."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:
            await self._learn(http)
        asked = {
            "response_type": "code",
            "client_id": self.settings.psc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.settings.psc_scope,
            "state": ticket.state,
            "nonce": ticket.nonce,
            "code_challenge": ticket.challenge,
            "code_challenge_method": "S256",
            "max_age": str(self._longest_seconds),
            **({"acr_values": self.settings.psc_acr} if self.settings.psc_acr else {}),
        }
        endpoint = str(self._known["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    async def vouch(self, ticket: Ticket, answered: Mapping[str, str]) -> Vouched:
        """Who came back with this answer; raises ``PscRefused``, ``PscUnavailable``."""
        if not hmac.compare_digest(answered.get("state", "").encode(), ticket.state.encode()):
            raise PscRefused("state")
        if answered.get("iss", self.settings.psc_issuer) != self.settings.psc_issuer:
            raise PscRefused("iss")  # RFC 9207
        if "code" not in answered:
            raise PscRefused("the provider refused")
        async with aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as http:
            await self._learn(http)
            tokens = await self._redeem(http, ticket, answered["code"])
            claims = await self._checked(http, tokens, ticket)
            if self.settings.psc_claim not in claims:
                claims = {**claims, **await self._userinfo(http, tokens, claims)}
        national_id = claims.get(self.settings.psc_claim)
        if not isinstance(national_id, str):
            raise PscRefused(f"the claim {self.settings.psc_claim} is missing")
        return Vouched(subject=str(claims["sub"]), national_id=national_id)

    async def _learn(self, http: aiohttp.ClientSession, *, again: bool = False) -> None:
        if self._known and not again and time.monotonic() - self._known_at < _FRESH_SECONDS:
            return
        issuer = str(self.settings.psc_issuer)
        known = await _json(http, "GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if known.get("issuer") != issuer:
            raise PscUnavailable("the discovery document is another issuer's")
        wanted = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        secure = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
        if not all(str(known.get(name, "")).startswith(secure) for name in wanted):
            raise PscUnavailable("the discovery document lacks an address")
        self._keys = await _json(http, "GET", known["jwks_uri"])
        self._known, self._known_at = known, time.monotonic()

    async def _redeem(self, http: aiohttp.ClientSession, ticket: Ticket, code: str) -> dict[str, Any]:
        assert self.settings.psc_client_id
        assert self.settings.psc_client_secret
        # RFC 6749 2.3.1: both parts are form-encoded before they are put together.
        basic = (
            quote(self.settings.psc_client_id, safe=""),
            quote(self.settings.psc_client_secret.get_secret_value(), safe=""),
        )
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": ticket.verifier,
        }
        headers = {"Authorization": aiohttp.encode_basic_auth(*basic)}
        return await _json(http, "POST", self._known["token_endpoint"], data=form, headers=headers)

    async def _checked(self, http: aiohttp.ClientSession, tokens: Mapping[str, Any], ticket: Ticket) -> dict[str, Any]:
        """The ID token's claims, once everything about it holds."""
        token = str(tokens.get("id_token", ""))
        try:
            header = jwt.get_unverified_header(token)
            if (key := self._key(header)) is None:
                await self._learn(http, again=True)  # its keys may have changed
                key = self._key(header)
            if key is None:
                raise PscRefused("the ID token's key is unknown")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=self.settings.psc_client_id,
                issuer=self.settings.psc_issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["iss", "sub", "aud", "exp", "iat", "nonce"]},
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise PscRefused(f"the ID token was refused: {type(error).__name__}") from None
        if not hmac.compare_digest(str(claims["nonce"]).encode(), ticket.nonce.encode()):
            raise PscRefused("nonce")
        if (
            isinstance(claims["aud"], list)
            and len(claims["aud"]) > 1
            and claims.get("azp") != self.settings.psc_client_id
        ):
            raise PscRefused("azp")
        if self.settings.psc_acr and claims.get("acr") != self.settings.psc_acr:
            raise PscRefused("acr")
        if "auth_time" in claims and not self._is_recent(claims["auth_time"]):
            raise PscRefused("auth_time")
        if "at_hash" in claims and claims["at_hash"] != _half_hash(str(tokens.get("access_token", ""))):
            raise PscRefused("at_hash")
        return claims

    @property
    def _longest_seconds(self) -> int:
        """How long ago the person may have logged in there: no longer than a session of ours lasts."""
        return self.settings.session_hours * 3600

    def _is_recent(self, logged_in_at: object) -> bool:
        if not isinstance(logged_in_at, int | float):
            return False
        return time.time() - logged_in_at <= self._longest_seconds + _LEEWAY_SECONDS

    def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK | None:
        """The provider's key that the header names, for an algorithm of ours and no other."""
        if header.get("alg") not in _ALGORITHMS:
            raise PscRefused("the ID token's algorithm")
        fitting = [
            key
            for key in self._keys.get("keys", [])
            if key.get("use", "sig") == "sig" and key.get("alg", header["alg"]) == header["alg"]
        ]
        # OpenID Connect Core 10.1: a token need not name its key where there is one alone.
        named = [key for key in fitting if key.get("kid") == header.get("kid")] or (
            fitting if "kid" not in header else []
        )
        if len(named) != 1:
            return None
        key = jwt.PyJWK(named[0], algorithm=header["alg"])
        if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
            raise PscRefused("the ID token's key is too short")
        return key

    async def _userinfo(
        self, http: aiohttp.ClientSession, tokens: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {tokens.get('access_token', '')}"}
        info = await _json(http, "GET", self._known["userinfo_endpoint"], headers=headers)
        if info.get("sub") != claims["sub"]:
            raise PscRefused("the user info is another person's")
        return {name: value for name, value in info.items() if name not in claims}


def _half_hash(token: str) -> str:
    """OpenID Connect Core 3.1.3.6, for the algorithms accepted here, all of SHA-256."""
    return _base64url(hashlib.sha256(token.encode()).digest()[:16])


async def _json(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> dict[str, Any]:
    """A JSON object from the provider; raises ``PscUnavailable``, or ``PscRefused`` where it says no."""
    try:
        async with http.request(method, url, allow_redirects=False, **options) as answer:
            if answer.status in {400, 401, 403}:
                raise PscRefused(f"the provider answered {answer.status}")
            if answer.status != 200:
                raise PscUnavailable(f"the provider answered {answer.status}")
            raw = b""
            async for piece in answer.content.iter_any():
                raw += piece
                if len(raw) > _ANSWER_BYTES:
                    raise PscUnavailable("the provider's answer is too long")
            found = json.loads(raw)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
        raise PscUnavailable(type(error).__name__) from None
    if not isinstance(found, dict):
        raise PscUnavailable("the provider answered with something else")
    return found
