"""What must be kept secret at rest: sealing with AES-256-GCM under a named key, and keyed hashes to match without opening.

A sealed value is ``key id length (1 byte) | key id | nonce (12 bytes) | ciphertext and tag``. The purpose of a value is
authenticated with it, so that a webhook secret can never be opened where a mail is expected.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class SealBroken(Exception):
    """The value was sealed under a key that is not here, for another purpose, or was altered. Give back the old key."""


class Vault:
    """Seals and opens with the current key, opens with any older one, and hashes with the matching key."""

    def __init__(self, *, current: str, keys: Mapping[str, bytes], matching_key: bytes) -> None:
        self._current = current.encode()
        self._ciphers = {key_id.encode(): AESGCM(key) for key_id, key in keys.items()}
        self._matching_key = matching_key
        if self._current not in self._ciphers:
            raise ValueError("the current vault key is not among the vault's keys")
        if any(len(key) != _KEY_BYTES for key in [*keys.values(), matching_key]):
            raise ValueError(f"vault keys have {_KEY_BYTES} bytes")
        if not all(1 <= len(key_id) <= 255 for key_id in self._ciphers):
            raise ValueError("a vault key's id has 1 to 255 bytes")

    @classmethod
    def from_json(cls, text: str) -> "Vault":
        """A vault from ``{"current": "k1", "keys": {"k1": BASE64}, "matching_key": BASE64}``; keys are 32 bytes."""
        parts = json.loads(text)
        return cls(
            current=parts["current"],
            keys={key_id: base64.b64decode(key) for key_id, key in parts["keys"].items()},
            matching_key=base64.b64decode(parts["matching_key"]),
        )

    @staticmethod
    def new_json() -> str:
        """Fresh keys, in the form that ``from_json`` reads."""
        fresh = [base64.b64encode(os.urandom(32)).decode() for _ in range(2)]
        return json.dumps({"current": "k1", "keys": {"k1": fresh[0]}, "matching_key": fresh[1]})

    @property
    def mark(self) -> bytes:
        """What every value sealed by the current key begins with."""
        return bytes([len(self._current)]) + self._current

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """The value, unreadable without the vault."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, purpose.encode())
        return self.mark + nonce + sealed

    def open(self, sealed: bytes, *, purpose: str) -> bytes:
        """The value that was sealed for this purpose; raises ``SealBroken``."""
        start = 1 + int.from_bytes(sealed[:1])
        key_id, nonce, body = sealed[1:start], sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return self._ciphers[key_id].decrypt(nonce, body, purpose.encode())
        except (KeyError, InvalidTag, ValueError) as error:
            raise SealBroken from error

    def match(self, value: bytes, *, purpose: str) -> bytes:
        """A keyed hash (32 bytes): equal for equal values of one purpose, telling nothing without the key."""
        return hmac.digest(self._matching_key, f"{len(purpose)}:{purpose}:".encode() + value, hashlib.sha256)


def with_new_key(text: str) -> str:
    """The keys with a fresh one that opens and does not seal yet, so that processes may learn of it one after the other."""
    parts = json.loads(text)
    number = 1 + max((int(key_id[1:]) for key_id in parts["keys"] if key_id[1:].isdecimal()), default=0)
    keys = {**parts["keys"], f"k{number}": base64.b64encode(os.urandom(_KEY_BYTES)).decode()}
    return json.dumps({**parts, "keys": keys})


def with_newest_current(text: str) -> str:
    """The keys, sealing by the one that came last."""
    parts = json.loads(text)
    return json.dumps({**parts, "current": newest_key(text)})


def with_current_alone(text: str) -> str:
    """The keys without those that only open: what they sealed cannot be read any more."""
    parts = json.loads(text)
    return json.dumps({**parts, "keys": {parts["current"]: parts["keys"][parts["current"]]}})


def newest_key(text: str) -> str:
    """The id of the key that came last."""
    return str(list(json.loads(text)["keys"])[-1])
