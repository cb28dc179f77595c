"""Mail: written and enqueued in the transaction that causes it, sent by the worker over SMTP, emptied once sent."""

import json
from collections.abc import Mapping
from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID

import aiosmtplib
import structlog

from tpgateway.database import Connection
from tpgateway.jobs import Handler, JobKind, RetryRequested, Tools, enqueue
from tpgateway.settings import Settings
from tpgateway.vault import Vault

_PURPOSE = "mail"
_FIRST_DELAY = timedelta(seconds=5)
_LONGEST_DELAY = timedelta(hours=1)
_log = structlog.get_logger(__name__)


async def send(connection: Connection, vault: Vault, *, to: str, subject: str, text: str) -> None:
    """Queues a plain-text mail; it leaves when the caller's transaction has committed."""
    sealed = vault.seal(json.dumps({"to": to, "subject": subject, "text": text}).encode(), purpose=_PURPOSE)
    mail_id: UUID = await connection.fetchval("INSERT INTO mails (sealed) VALUES ($1) RETURNING id", sealed)
    await enqueue(connection, JobKind.SEND_MAIL, mail=mail_id)


async def deliver(tools: Tools, ids: Mapping[str, UUID], tries: int) -> None:
    """Sends one mail; tries again, ever later, while the mail server does not take it."""
    sealed = await tools.pool.fetchval("SELECT sealed FROM mails WHERE id = $1", ids["mail"])
    if sealed is None:
        return  # sent by an earlier try whose end was not recorded by the queue
    message = _message(tools.settings, ids["mail"], json.loads(tools.vault.open(sealed, purpose=_PURPOSE)))
    try:
        await _post(tools.settings, message)
    except (aiosmtplib.SMTPException, OSError) as error:
        _log.warning("mail_not_taken", mail_id=ids["mail"], tries=tries + 1, failure=type(error).__name__)
        raise RetryRequested(delay=min(_FIRST_DELAY * 2 ** min(tries, 12), _LONGEST_DELAY)) from None
    await tools.pool.execute("UPDATE mails SET sealed = NULL, sent_at = now() WHERE id = $1", ids["mail"])


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
