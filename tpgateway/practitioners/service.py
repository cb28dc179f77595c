"""Use cases of practitioners' accounts: opening, review, profile, end."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files
from uuid import UUID

from tpgateway import audit, links
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.directory import service as directories
from tpgateway.directory.errors import PostalCodeUnknown
from tpgateway.directory.model import Claim
from tpgateway.jobs import JobKind, enqueue
from tpgateway.links import Purpose
from tpgateway.mail import Post, may_mail
from tpgateway.members import service as members
from tpgateway.practitioners import bank
from tpgateway.practitioners.errors import HolderNeeded, IdentifierInReview, IdentifierNotForPerson, IdentifierTaken
from tpgateway.practitioners.model import (
    AccountState,
    Consent,
    Identifier,
    Listed,
    Practitioner,
    PractitionerId,
    Profile,
    Registration,
    Scheme,
    Specialty,
)
from tpgateway.practitioners.rules import SCHEME_NAMES, partly_masked
from tpgateway.practitioners.store import BankStore, PractitionerStore, RequestStore, ReviewStore
from tpgateway.vault import Vault

TEXTS = Consent(terms="2026-11", privacy="2026-11")
"""The versions of the texts in force: ``texts/terms-VERSION.md`` and ``texts/privacy-VERSION.md``."""

_UNCONFIRMED_KEPT = timedelta(days=7)
_REQUESTS_KEPT = timedelta(days=1)
_FORMER_HOLDER = timedelta(days=90)
"""How long after an account was closed its number is only had again by a person's decision."""


@cache
def texts() -> Mapping[str, tuple[str, str, str]]:
    """Each text that is accepted: its version, Markdown and SHA-256."""
    found = {}
    for name, version in (("terms", TEXTS.terms), ("privacy", TEXTS.privacy)):
        raw = files("tpgateway.practitioners").joinpath("texts", f"{name}-{version}.md").read_bytes()
        found[name] = (version, raw.decode(), sha256(raw).hexdigest())
    return found


# Registration ----------------------------------------------------------------------------------------------------------


async def register(
    connection: Connection, vault: Vault, registration: Registration, *, password: str, now: datetime, actor: Actor
) -> None:
    """Opens an unconfirmed account; the worker finds out what mail goes to the address.

    What is done here is the same whether or not the number or the address is known. Until one account confirms it, an
    identifier may be claimed by several: whoever registered with somebody else's number cannot keep its owner out.
    Raises ``InvalidRequest`` where the password may not be used.
    """
    members.refuse_password(password, [registration.identifier.value])
    store = PractitionerStore(connection)
    practitioner_id = await store.add(registration, consent=TEXTS, now=now)
    await members.add_holder(connection, practitioner_id, email=registration.email, password=password, now=now)
    await bank.begin(connection, vault, practitioner_id, bic=registration.bic, iban=registration.iban, now=now)
    await enqueue(connection, JobKind.ANSWER_REGISTRATION, practitioner=practitioner_id)
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_REGISTERED, subject_id=practitioner_id)


async def answer_registration(
    connection: Connection, post: Post, practitioner_id: PractitionerId, *, hours: int, per_hour: int, now: datetime
) -> None:
    """Mails the activation link, or that the number has an account already."""
    store = PractitionerStore(connection)
    practitioner = await store.get(practitioner_id)
    if practitioner is None or practitioner.state is not AccountState.UNCONFIRMED:
        return
    (identifier,) = practitioner.identifiers
    if (holder_id := await store.holder_of(identifier)) is not None:
        await tell_held(connection, post, holder_id, identifier, practitioner.email, per_hour=per_hour, now=now)
        await store.remove(practitioner_id)
        return
    await mail_activation(
        connection, post, practitioner_id, identifier, practitioner.email, hours=hours, per_hour=per_hour, now=now
    )


async def tell_held(
    connection: Connection,
    post: Post,
    holder_id: PractitionerId,
    identifier: Identifier,
    email: str,
    *,
    per_hour: int,
    now: datetime,
) -> None:
    """Tells an address that the number has an account, and whether by this very address."""
    if not await may_mail(connection, email, "held", per_hour=per_hour, now=now):
        return
    holder = await members.holder(connection, holder_id)
    is_theirs = holder.email.lower() == email.lower()
    await post.send(connection, "practitioners/held", to=email, number=written(identifier), is_theirs=is_theirs)


async def mail_activation(
    connection: Connection,
    post: Post,
    practitioner_id: PractitionerId,
    identifier: Identifier,
    email: str,
    *,
    hours: int,
    per_hour: int,
    now: datetime,
) -> None:
    """Mails a link that opens the account.

    The address may be a stranger's: of what its sender chose stand in it the number and the bank, and no words.
    """
    if not await may_mail(connection, email, "activation", per_hour=per_hour, now=now):
        return
    await links.end_all(connection, Purpose.ACTIVATION, practitioner_id, now=now)
    token = await links.create(
        connection, Purpose.ACTIVATION, practitioner_id, lifetime=timedelta(hours=hours), now=now
    )
    (details,) = await BankStore(connection).history(practitioner_id)
    await post.send(
        connection,
        "practitioners/activation",
        to=email,
        number=written(identifier),
        bic=details.bic,
        iban_ending=details.iban_ending,
        token=token,
        hours=hours,
    )


async def activate(connection: Connection, post: Post, token: str, *, now: datetime, actor: Actor) -> Practitioner:
    """The link's account, active unless there is a reason for a person to look; raises as ``links.use`` does.

    Raises ``IdentifierTaken`` where another account came first.
    """
    link = await links.use(connection, Purpose.ACTIVATION, token, now=now)
    practitioner_id = PractitionerId(link.account_id)
    store = PractitionerStore(connection)
    if await store.lock(practitioner_id) is not AccountState.UNCONFIRMED:
        raise links.LinkUsed
    practitioner = await get(connection, practitioner_id)
    (identifier,) = practitioner.identifiers
    if await store.holder_of(identifier) is not None:
        raise IdentifierTaken
    await store.confirm(practitioner_id, now)
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_CONFIRMED, subject_id=practitioner_id)
    reason = await _reason_to_look(connection, practitioner, identifier, now)
    if reason is None:
        await put_in_use(connection, practitioner_id, identifier, now=now, actor=actor)
    else:
        await ReviewStore(connection).open(practitioner_id, identifier, is_registration=True, reason=reason, now=now)
        await post.send(connection, "practitioners/in_review", to=practitioner.email, number=written(identifier),
                        reason=reason)  # fmt: skip
    return await get(connection, practitioner_id)


async def _reason_to_look(
    connection: Connection, practitioner: Practitioner, identifier: Identifier, now: datetime
) -> str | None:
    """Why a person must look at the account's claim to a number; None where it stands by itself."""
    differs = await _compare_and_place(connection, practitioner, identifier)
    if await PractitionerStore(connection).was_held_since(identifier, now - _FORMER_HOLDER):
        # Whoever closes an account must not have its number, and its payments, by registering again.
        return "was_held"
    return differs


async def _compare_and_place(connection: Connection, practitioner: Practitioner, identifier: Identifier) -> str | None:
    """Why the account's claim to a number does not stand by the directory; None where it does. Its place is kept."""
    claim = Claim(
        first_name=practitioner.first_name,
        last_name=practitioner.last_name,
        legal_name=practitioner.legal_name,
        postal_code=practitioner.postal_code,
    )
    differs, entry = await directories.compare(
        connection,
        claim,
        scheme=identifier.scheme,
        number=identifier.value,
        finess=practitioner.finess,
        siret=practitioner.siret,
    )
    reason: str | None = differs
    if reason is None and identifier.scheme is Scheme.TREASURY:
        # No directory says which establishment a public accountant collects for: the claimant names it himself.
        reason = "treasury"
    if entry is not None and entry.latitude is not None:
        await PractitionerStore(connection).place(practitioner.id, entry.latitude, entry.longitude)
    else:
        await _place_by_postal_code(connection, practitioner.id, practitioner.postal_code)
    return reason


async def _place_by_postal_code(connection: Connection, practitioner_id: PractitionerId, postal_code: str) -> None:
    latitude, longitude = await directories.place_of(connection, postal_code) or (None, None)
    await PractitionerStore(connection).place(practitioner_id, latitude, longitude)


async def place_missing(connection: Connection) -> int:
    """After new directories: places the accounts that no directory could place before; answers how many."""
    return await PractitionerStore(connection).place_missing()


async def put_in_use(
    connection: Connection, practitioner_id: PractitionerId, identifier: Identifier, *, now: datetime, actor: Actor
) -> None:
    """The account is in use and holds the number; raises ``IdentifierTaken``."""
    store = PractitionerStore(connection)
    await store.activate(practitioner_id, now)
    if not await store.hold(practitioner_id, identifier):
        raise IdentifierTaken
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_ACTIVATED, subject_id=practitioner_id)


# The account in use ----------------------------------------------------------------------------------------------------


async def get(connection: Connection, practitioner_id: PractitionerId) -> Practitioner:
    """The account of a practitioner who is known to exist."""
    practitioner = await PractitionerStore(connection).get(practitioner_id)
    assert practitioner is not None
    return practitioner


async def change_profile(
    connection: Connection, practitioner_id: PractitionerId, change: Callable[[Practitioner], Profile], *, actor: Actor
) -> Practitioner:
    """Sets the profile that ``change`` makes of the account as it is; who moves has a new place."""
    await PractitionerStore(connection).lock(practitioner_id)  # two changes at once must not undo each other
    former = await get(connection, practitioner_id)
    profile = change(former)
    await PractitionerStore(connection).set_profile(practitioner_id, profile)
    if profile.postal_code != former.postal_code:
        await _place_by_postal_code(connection, practitioner_id, profile.postal_code)
    await audit.record(connection, actor=actor, action=Action.PROFILE_CHANGED, subject_id=practitioner_id)
    return await get(connection, practitioner_id)


async def add_identifier(
    connection: Connection,
    post: Post,
    practitioner_id: PractitionerId,
    identifier: Identifier,
    *,
    now: datetime,
    actor: Actor,
) -> bool:
    """A person's account gains its RPPS and keeps all its ways in; False where the claim must be reviewed first.

    Raises ``IdentifierNotForPerson``, ``IdentifierInReview``, ``IdentifierTaken``.
    """
    store = PractitionerStore(connection)
    await store.lock(practitioner_id)
    practitioner = await get(connection, practitioner_id)
    has_one = any(each.scheme is Scheme.RPPS for each in practitioner.identifiers)
    if identifier.scheme is not Scheme.RPPS or has_one or practitioner.last_name is None:
        raise IdentifierNotForPerson
    if await store.has_scheme(practitioner_id, Scheme.RPPS):
        raise IdentifierInReview
    if await store.holder_of(identifier) is not None:
        raise IdentifierTaken
    await store.claim(practitioner_id, identifier)
    await audit.record(connection, actor=actor, action=Action.IDENTIFIER_ASKED, subject_id=practitioner_id)
    reason = await _reason_to_look(connection, practitioner, identifier, now)
    if reason is not None:
        await ReviewStore(connection).open(practitioner_id, identifier, is_registration=False, reason=reason, now=now)
        return False
    await give_identifier(connection, post, practitioner_id, identifier, actor=actor)
    return True


async def give_identifier(
    connection: Connection, post: Post, practitioner_id: PractitionerId, identifier: Identifier, *, actor: Actor
) -> None:
    """The account in use holds one more number, and its holder is told; raises ``IdentifierTaken``."""
    if not await PractitionerStore(connection).hold(practitioner_id, identifier):
        raise IdentifierTaken
    holder = await members.holder(connection, practitioner_id)
    await members.tell(connection, post, holder, "practitioners/identifier_added", number=written(identifier))
    await audit.record(connection, actor=actor, action=Action.IDENTIFIER_ADDED, subject_id=practitioner_id)


async def close(
    connection: Connection, post: Post, practitioner_id: PractitionerId, *, now: datetime, actor: Actor
) -> None:
    """Closes the account: sessions and API clients end, its numbers are free again; raises ``HolderNeeded``."""
    store = PractitionerStore(connection)
    await store.lock(practitioner_id)
    holder = await members.holder(connection, practitioner_id)
    if actor.agent_id != holder.id:
        raise HolderNeeded
    await store.close(practitioner_id, now)
    await ReviewStore(connection).drop_open(practitioner_id, now)
    await bank.drop_pending(connection, practitioner_id, now=now)
    await members.close(connection, practitioner_id, now=now)
    await members.tell(connection, post, holder, "practitioners/closed")
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_CLOSED, subject_id=practitioner_id)


async def near(
    connection: Connection,
    specialty: Specialty,
    postal_code: str,
    *,
    after_metres: int | None,
    after_id: UUID | None,
    limit: int,
) -> list[Listed]:
    """Who agreed to be listed, nearest first; raises ``PostalCodeUnknown``."""
    place = await directories.place_of(connection, postal_code)
    if place is None:
        raise PostalCodeUnknown
    return await PractitionerStore(connection).listed_near(
        specialty, *place, after_metres=after_metres, after_id=after_id, limit=limit
    )


async def invitation_words(connection: Connection, practitioner_id: PractitionerId) -> tuple[str, str]:
    """What an invitation says of the practice: its name, and the number to log in with."""
    practitioner = await get(connection, practitioner_id)
    return practitioner.name, written(practitioner.identifiers[0])


async def forget_unconfirmed(connection: Connection, *, now: datetime) -> int:
    """Removes registrations that nobody confirmed, and requests that nobody could answer; answers how many."""
    forgotten = await RequestStore(connection).forget(now - _REQUESTS_KEPT)
    return forgotten + await PractitionerStore(connection).remove_unconfirmed(now - _UNCONFIRMED_KEPT)


def masked_numbers(identifiers: list[Identifier]) -> list[str]:
    """Numbers as a reminder shows them."""
    return [partly_masked(each) for each in identifiers]


def written(identifier: Identifier) -> str:
    """A number as letters say it."""
    return f"{SCHEME_NAMES[identifier.scheme]} {identifier.value}"
