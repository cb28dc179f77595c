"""Mail: written and enqueued in the transaction that causes it, sent by the worker over SMTP, then emptied."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from hashlib import sha256
from importlib.resources import files
from typing import Self
from uuid import UUID

import aiosmtplib
import structlog
from jinja2 import Environment, FunctionLoader, StrictUndefined

from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.jobs import Handler, JobKind, RetryRequested, Tools, enqueue
from tpgateway.settings import Settings
from tpgateway.vault import Vault
from tpgateway.web import limits
from tpgateway.web.routing import PARIS

_PURPOSE = "mail"
SEALED = (Sealed("mails", "sealed", ("id",), lambda _: _PURPOSE),)
_FIRST_DELAY = timedelta(seconds=5)
_LONGEST_DELAY = timedelta(hours=1)
_MOST_TRIES = 100  # four days
_log = structlog.get_logger(__name__)


def _load(name: str) -> str:
    package, _, letter = name.partition("/")
    return files(f"tpgateway.{package}").joinpath("letters", f"{letter}.txt").read_text(encoding="utf-8")


# Plain text: there is no mark-up to escape.
_letters = Environment(
    loader=FunctionLoader(_load),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Writes our letters: what each needs beside its own words."""

    vault: Vault
    base_url: str
    support: str
    former_days: int
    """How long an address that was given up is still told of sensitive changes."""

    @classmethod
    def of(cls, settings: Settings, vault: Vault) -> Self:
        return cls(
            vault=vault,
            base_url=settings.base_url,
            support=settings.support_contact,
            former_days=settings.former_address_days,
        )

    async def send(self, connection: Connection, letter: str, *, to: str, **values: object) -> None:
        """Queues ``DOMAIN/NAME``, whose template's first line is the subject; ``values`` are what it names.

        Moments are said by the clocks of Paris.
        """
        said = {name: each.astimezone(PARIS) if isinstance(each, datetime) else each for name, each in values.items()}
        written = _letters.get_template(letter).render(base_url=self.base_url, support=self.support, **said)
        subject, _, text = written.partition("\n")
        await send(connection, self.vault, to=to, subject=subject.strip(), text=text.strip() + "\n")


async def send(connection: Connection, vault: Vault, *, to: str, subject: str, text: str) -> None:
    """Queues a plain-text mail; it leaves when the caller's transaction has committed."""
    sealed = vault.seal(json.dumps({"to": to, "subject": subject, "text": text}).encode(), purpose=_PURPOSE)
    mail_id: UUID = await connection.fetchval("INSERT INTO mails (sealed) VALUES ($1) RETURNING id", sealed)
    await enqueue(connection, JobKind.SEND_MAIL, mail=mail_id)


async def may_mail(connection: Connection, email: str, kind: str, *, per_hour: int, now: datetime) -> bool:
    """Whether an address may get one more mail of a kind that strangers can cause; one kind does not use up another."""
    key = sha256(email.lower().encode()).hexdigest()[:32]
    return await limits.spend(connection, f"mail {kind} {key}", quota=per_hour, window=timedelta(hours=1), now=now)


async def deliver(tools: Tools, ids: Mapping[str, UUID], tries: int) -> None:
    """Sends one mail; tries again, ever later, while the mail server does not take it."""
    sealed = await tools.pool.fetchval("SELECT sealed FROM mails WHERE id = $1", ids["mail"])
    if sealed is None:
        return  # sent by an earlier try whose end was not recorded by the queue
    message = _message(tools.settings, ids["mail"], json.loads(tools.vault.open(sealed, purpose=_PURPOSE)))
    try:
        await _post(tools.settings, message)
    except (aiosmtplib.SMTPException, OSError) as error:
        if _is_final(error) or tries >= _MOST_TRIES:
            _log.warning("mail_given_up", mail_id=ids["mail"], tries=tries + 1, failure=type(error).__name__)
            await tools.pool.execute(
                "UPDATE mails SET sealed = NULL, sent_at = now(), was_given_up = true WHERE id = $1", ids["mail"]
            )
            return
        _log.warning("mail_not_taken", mail_id=ids["mail"], tries=tries + 1, failure=type(error).__name__)
        raise RetryRequested(delay=min(_FIRST_DELAY * 2 ** min(tries, 12), _LONGEST_DELAY)) from None
    await tools.pool.execute("UPDATE mails SET sealed = NULL, sent_at = now() WHERE id = $1", ids["mail"])


def _is_final(error: Exception) -> bool:
    """Whether the mail server says that this mail will never be taken: a reader who does not exist, say."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(each.code >= 500 for each in error.recipients)
    # Of the reader or of this text; what it says of us, at the greeting or of the sender, may be mended.
    return isinstance(error, aiosmtplib.SMTPDataError) and error.code >= 500


def _message(settings: Settings, mail_id: UUID, parts: Mapping[str, str]) -> EmailMessage:
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = parts["to"]
    message["Subject"] = parts["subject"]
    # One mail keeps one id over all tries, so that a reader's mailbox can drop a second copy.
    message["Message-ID"] = f"<{mail_id}@{settings.mail_from.rpartition('@')[2].rstrip('>')}>"
    message.set_content(parts["text"])
    return message


async def _post(settings: Settings, message: EmailMessage) -> None:
    await aiosmtplib.send(
        message,
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        use_tls=settings.smtp_encryption == "tls",
        start_tls=settings.smtp_encryption == "starttls",
        timeout=30,
    )


JOBS: Mapping[JobKind, Handler] = {JobKind.SEND_MAIL: deliver}


async def oldest_waiting(connection: Connection) -> datetime | None:
    """Since when the mail that waits longest waits; None where all have left."""
    waiting: datetime | None = await connection.fetchval("SELECT min(created_at) FROM mails WHERE sent_at IS NULL")
    return waiting


async def backlog(connection: Connection) -> Mapping[str, float]:
    """What waits, as metrics."""
    row = await connection.fetchrow(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float FROM mails WHERE sent_at IS NULL"
    )
    assert row is not None
    return {"tpgateway_mails_waiting": row[0], "tpgateway_mail_oldest_seconds": row[1]}


async def forget_sent(connection: Connection, *, now: datetime, days: int = 30) -> int:
    """Removes what is left of mails sent long ago; answers how many."""
    done = await connection.execute("DELETE FROM mails WHERE sent_at < $1", now - timedelta(days=days))
    return int(done.split()[-1])
