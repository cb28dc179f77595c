"""Detached signatures of files (JWS with an unencoded payload, RFC 7515 and 7797), by Ed25519.

A signature is ``HEADER..SIGNATURE``: the payload between the dots is the file itself, byte by byte.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jwt
from jwt.api_jws import PyJWS

ALGORITHM = "EdDSA"
_MEDIA = "application/octet-stream"
_jws = PyJWS(algorithms=[ALGORITHM])
_PUBLIC = ("kty", "crv", "x", "kid", "alg", "use")


class SignatureWrong(Exception):
    """The file is not what was signed, or was not signed by a key of the set; the message says which."""


class Signer:
    """Signs by the first key of a set, as ``tpgateway secrets new`` makes it."""

    def __init__(self, keys_json: str) -> None:
        key = json.loads(keys_json)["keys"][0]
        self._key = jwt.PyJWK(key, algorithm=ALGORITHM).key
        self.public_jwk: Mapping[str, str] = {name: key[name] for name in _PUBLIC if name in key}
        self.kid: str = key["kid"]

    def sign(self, content: bytes, *, name: str) -> str:
        """The detached signature of a file, which names it; the same for the same file and key."""
        headers = {"kid": self.kid, "cty": f"{_MEDIA}; name={name}", "b64": False, "crit": ["b64"]}
        return _jws.encode(content, self._key, algorithm=ALGORITHM, headers=headers, is_payload_detached=True)


class Signed(NamedTuple):
    """Which key signed, and what the network calls the file: its speciality, version and format."""

    kid: str
    name: str


def verify(content: bytes, signature: str, keys: Iterable[Mapping[str, Any]]) -> Signed:
    """Who signed the content, and as what; raises ``SignatureWrong``."""
    try:
        header = jwt.get_unverified_header(signature)
        if header.get("alg") != ALGORITHM or header.get("b64") is not False:
            raise SignatureWrong("the signature is of another kind than the network's")
        key = next((each for each in keys if each.get("kid") == header.get("kid")), None)
        if key is None:
            raise SignatureWrong("the key that signed is not in the key set: fetch it again, from the network itself")
        public = jwt.PyJWK(dict(key), algorithm=ALGORITHM).key
        _jws.decode_complete(signature, public, algorithms=[ALGORITHM], detached_payload=content)
        return Signed(str(key["kid"]), str(header["cty"]).partition("name=")[2])
    except jwt.InvalidSignatureError:
        raise SignatureWrong("the file was changed after it was signed, or the signature is another file's") from None
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SignatureWrong("the signature or the key set cannot be read") from None
