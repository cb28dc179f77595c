"""Use cases of bank details: whoever changes them must wait, and the owner can take it back meanwhile."""

from datetime import datetime, timedelta

from tpgateway import audit, links
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.database.sealed import Sealed
from tpgateway.links import Purpose
from tpgateway.mail import Post
from tpgateway.members import service as members
from tpgateway.practitioners import rules
from tpgateway.practitioners.errors import IbanMissing, NoPendingBankDetails
from tpgateway.practitioners.model import BankDetails, PractitionerId
from tpgateway.practitioners.store import BankStore, PractitionerStore
from tpgateway.settings import Settings
from tpgateway.vault import Vault

_PURPOSE = "iban"
SEALED = (Sealed("bank_details", "iban", ("id",), lambda _: _PURPOSE),)


async def begin(
    connection: Connection,
    vault: Vault,
    practitioner_id: PractitionerId,
    *,
    bic: str,
    iban: str | None,
    now: datetime,
) -> None:
    """The details that an account is opened with."""
    await BankStore(connection).add(
        practitioner_id,
        bic=bic,
        iban=_sealed(vault, iban),
        iban_ending=iban and iban[-4:],
        now=now,
        wait=timedelta(),
        by=None,
    )


async def change(
    connection: Connection,
    post: Post,
    practitioner_id: PractitionerId,
    *,
    bic: str,
    iban: str | None,
    settings: Settings,
    now: datetime,
    actor: Actor,
) -> BankDetails:
    """Asks for new details, in place of others that still wait; raises ``IbanMissing``.

    Told to the holder's address and to those that he gave up of late: whoever took over the mailbox or changed the
    address first is still seen.
    """
    store = BankStore(connection)
    await PractitionerStore(connection).lock(practitioner_id)
    current = rules.bank_details_at(await store.history(practitioner_id), now)
    if iban is None and current is not None and current.iban_ending is not None:
        raise IbanMissing
    # The links of earlier mails still take back whatever waits: who opens the first is not told that all is done.
    if await store.revoke_pending(practitioner_id, now):
        await audit.record(connection, actor=actor, action=Action.BANK_DETAILS_REVOKED, subject_id=practitioner_id)
    wait = timedelta(hours=settings.bank_details_hours)
    asked = await store.add(
        practitioner_id,
        bic=bic,
        iban=_sealed(post.vault, iban),
        iban_ending=iban and iban[-4:],
        now=now,
        wait=wait,
        by=actor.agent_id,
    )
    holder = await members.holder(connection, practitioner_id)
    token = await links.create(
        connection, Purpose.BANK_REVOCATION, practitioner_id, subject_id=asked.id, lifetime=wait, now=now
    )
    await members.tell(
        connection,
        post,
        holder,
        "practitioners/bank_details_asked",
        bic=bic,
        iban_ending=asked.iban_ending,
        hours=settings.bank_details_hours,
        token=token,
    )
    await audit.record(connection, actor=actor, action=Action.BANK_DETAILS_ASKED, subject_id=practitioner_id)
    return asked


async def revoke(connection: Connection, practitioner_id: PractitionerId, *, now: datetime, actor: Actor) -> None:
    """Takes back what waits; raises ``NoPendingBankDetails``."""
    await PractitionerStore(connection).lock(practitioner_id)
    if not await drop_pending(connection, practitioner_id, now=now):
        raise NoPendingBankDetails
    await audit.record(connection, actor=actor, action=Action.BANK_DETAILS_REVOKED, subject_id=practitioner_id)


async def revoke_by_link(
    connection: Connection, post: Post, token: str, *, now: datetime, actor: Actor
) -> PractitionerId:
    """Takes back what waits by the link of the mail; raises as ``links.use`` does, or ``NoPendingBankDetails``."""
    if (owner := await links.account_of(connection, Purpose.BANK_REVOCATION, token)) is not None:
        await PractitionerStore(connection).lock(PractitionerId(owner))
    link = await links.use(connection, Purpose.BANK_REVOCATION, token, now=now)
    practitioner_id = PractitionerId(link.account_id)
    await revoke(connection, practitioner_id, now=now, actor=actor)
    holder = await members.holder(connection, practitioner_id)
    await members.tell(connection, post, holder, "practitioners/bank_details_revoked")
    return practitioner_id


async def drop_pending(connection: Connection, practitioner_id: PractitionerId, *, now: datetime) -> int:
    """Ends what waits and the links to take it back; answers how many."""
    await links.end_all(connection, Purpose.BANK_REVOCATION, practitioner_id, now=now)
    return await BankStore(connection).revoke_pending(practitioner_id, now)


async def history(
    connection: Connection, practitioner_id: PractitionerId, *, now: datetime
) -> tuple[BankDetails | None, BankDetails | None, list[BankDetails]]:
    """What is in force, what waits, and all there ever was, newest first."""
    found = await BankStore(connection).history(practitioner_id)
    return rules.bank_details_at(found, now), rules.pending_bank_details(found, now), found


def _sealed(vault: Vault, iban: str | None) -> bytes | None:
    return vault.seal(iban.encode(), purpose=_PURPOSE) if iban else None
