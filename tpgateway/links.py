"""Links in mails: a random token, stored hashed, good for one purpose, one use and a time."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from tpgateway.database import Connection
from tpgateway.errors import Problem


class LinkUnknown(Problem):
    code = "link_unknown"
    status = 404
    title = "This link is not one of ours"
    message_fr = "Ce lien n'est pas valable."
    next_step_fr = "Ouvrez le lien du dernier message reçu, en entier."
    hint = "The token must be sent exactly as it stands in the mail."


class LinkExpired(Problem):
    code = "link_expired"
    status = 410
    title = "This link has expired"
    message_fr = "Ce lien a expiré."
    next_step_fr = "Recommencez votre demande pour en recevoir un nouveau."
    hint = "Each kind of link has its own life; the mail tells it."


class LinkUsed(Problem):
    code = "link_used"
    status = 410
    title = "This link was already used"
    message_fr = "Ce lien a déjà servi."
    next_step_fr = "Si c'était par vous, connectez-vous ; sinon recommencez votre demande."
    hint = "Links are good for one use."


class Purpose(StrEnum):
    """What a link opens."""

    ACTIVATION = "activation"
    PASSWORD_RESET = "password_reset"  # noqa: S105  # a purpose, not a password
    EMAIL_CHANGE = "email_change"
    INVITATION = "invitation"
    BANK_REVOCATION = "bank_revocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link is about: an account, of a practice or an insurer, maybe one thing of it, maybe an address."""

    account_id: UUID
    subject_id: UUID | None
    address: str | None


async def create(
    connection: Connection,
    purpose: Purpose,
    account_id: UUID,
    *,
    lifetime: timedelta,
    now: datetime,
    subject_id: UUID | None = None,
    address: str | None = None,
) -> str:
    """A new link's token, which exists from here on in the mail alone."""
    token = secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO links (token_hash, purpose, practitioner_id, insurer_id, subject_id, address, expires_at)"
        " SELECT $1, $2, (SELECT id FROM practitioners WHERE id = $3), (SELECT id FROM insurers WHERE id = $3), $4, $5, $6",
        _hash(token),
        purpose,
        account_id,
        subject_id,
        address,
        now + lifetime,
    )
    return token


async def use(connection: Connection, purpose: Purpose, token: str, *, now: datetime) -> Link:
    """Uses the link up, in the caller's transaction; raises ``LinkUnknown``, ``LinkUsed``, ``LinkExpired``."""
    row = await connection.fetchrow(
        "SELECT practitioner_id, insurer_id, subject_id, address, used_at, expires_at FROM links"
        " WHERE token_hash = $1 AND purpose = $2 FOR UPDATE",
        _hash(token),
        purpose,
    )
    if row is None:
        raise LinkUnknown
    if row["used_at"] is not None:
        raise LinkUsed
    if now >= row["expires_at"]:
        raise LinkExpired
    await connection.execute("UPDATE links SET used_at = $2 WHERE token_hash = $1", _hash(token), now)
    account_id = row["practitioner_id"] or row["insurer_id"]
    return Link(account_id=account_id, subject_id=row["subject_id"], address=row["address"])


async def account_of(connection: Connection, purpose: Purpose, token: str) -> UUID | None:
    """Whose link it is, used or not: what must be locked first where its use touches more than itself."""
    found: UUID | None = await connection.fetchval(
        "SELECT coalesce(practitioner_id, insurer_id) FROM links WHERE token_hash = $1 AND purpose = $2",
        _hash(token),
        purpose,
    )
    return found


async def end_all(
    connection: Connection, purpose: Purpose, account_id: UUID, *, now: datetime, subject_id: UUID | None = None
) -> None:
    """Ends the links of a purpose that were not used: of the whole account, or of one thing of it."""
    await connection.execute(
        "UPDATE links SET used_at = $4 WHERE (practitioner_id = $1 OR insurer_id = $1) AND purpose = $2"
        " AND ($3::uuid IS NULL OR subject_id = $3) AND used_at IS NULL",
        account_id,
        purpose,
        subject_id,
        now,
    )


async def forget_old(connection: Connection, *, now: datetime, days: int = 30) -> int:
    """Removes links long past their end; until then they can say that they were used. Answers how many."""
    done = await connection.execute("DELETE FROM links WHERE expires_at < $1", now - timedelta(days=days))
    return int(done.split()[-1])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
