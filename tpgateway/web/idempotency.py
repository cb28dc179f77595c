"""Idempotency keys: a write that is sent twice is done once, and answered twice the same.

The key is taken and the answer kept in the transaction of the write itself. Kept answers are sealed: some hold a secret
that is shown once.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.vault import Vault
from tpgateway.web.problems import IdempotencyKeyInFlight, IdempotencyKeyInvalid, IdempotencyKeyReused

_PURPOSE = "idempotency"
SEALED = (Sealed("idempotency_keys", "answer", ("owner", "key"), lambda _: _PURPOSE),)
_FORM = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """An answer as it was first given."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_key(header: str | None) -> str | None:
    """The key of a request, None where it has none; raises ``IdempotencyKeyInvalid``."""
    if header is None:
        return None
    if not _FORM.fullmatch(header):
        raise IdempotencyKeyInvalid
    return header


class Replay:
    """One key's life in one transaction: ``begin`` finds the first answer, ``keep`` stores it."""

    def __init__(self, connection: Connection, vault: Vault, *, owner: str, key: str, request: bytes) -> None:
        self._connection = connection
        self._vault = vault
        self._owner = owner
        self._key = key
        self._hash = vault.match(request, purpose=_PURPOSE)

    async def begin(self) -> KeptAnswer | None:
        """The answer given before; None on the first try. Raises ``IdempotencyKeyReused``, ``IdempotencyKeyInFlight``."""
        is_ours = await self._connection.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"{self._owner} {self._key}"
        )
        if not is_ours:
            raise IdempotencyKeyInFlight(retry_after_seconds=1)
        row = await self._connection.fetchrow(
            "SELECT request_hash, answer FROM idempotency_keys WHERE owner = $1 AND key = $2", self._owner, self._key
        )
        if row is None:
            return None
        if row["request_hash"] != self._hash:
            raise IdempotencyKeyReused
        head, body = self._vault.open(row["answer"], purpose=_PURPOSE).split(b"\n", 1)
        parts = json.loads(head)
        return KeptAnswer(status=parts["status"], headers=parts["headers"], body=body)

    async def keep(self, answer: KeptAnswer) -> None:
        """Stores the answer for whoever asks again."""
        head = json.dumps({"status": answer.status, "headers": answer.headers}).encode()
        await self._connection.execute(
            "INSERT INTO idempotency_keys (owner, key, request_hash, answer) VALUES ($1, $2, $3, $4)",
            self._owner,
            self._key,
            self._hash,
            self._vault.seal(head + b"\n" + answer.body, purpose=_PURPOSE),
        )


async def forget_old(connection: Connection, *, now: datetime, hours: int) -> int:
    """Removes keys past their time; answers how many."""
    done = await connection.execute("DELETE FROM idempotency_keys WHERE created_at < $1", now - timedelta(hours=hours))
    return int(done.split()[-1])
