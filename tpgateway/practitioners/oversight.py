"""What the network's operator decides about accounts: reviews, suspensions, a way back for who lost everything."""

from datetime import datetime
from uuid import UUID

from tpgateway import audit
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.mail import Post
from tpgateway.members import service as members
from tpgateway.practitioners import bank, service
from tpgateway.practitioners.model import AccountState, Identifier, Practitioner, PractitionerId, Review, Scheme
from tpgateway.practitioners.rules import written_form
from tpgateway.practitioners.store import PractitionerStore, ReviewStore


def number(scheme: Scheme, value: str) -> Identifier:
    """A number as it is kept, from how people write it."""
    return written_form(scheme, value)


async def reviews(connection: Connection) -> list[Review]:
    """What waits for a person's decision, the oldest first."""
    return await ReviewStore(connection).list_open()


async def approve(connection: Connection, post: Post, review_id: UUID, *, now: datetime, actor: Actor) -> Review | None:
    """Lets the claim stand and mails it; None where nothing waits under this id. Raises ``IdentifierTaken``."""
    review = await _lock_review(connection, review_id)
    if review is None:
        return None
    await ReviewStore(connection).decide(review_id, is_approved=True, reason=None, now=now)
    if review.is_registration:
        await service.put_in_use(connection, review.practitioner_id, review.identifier, now=now, actor=actor)
        await post.send(
            connection, "practitioners/approved", to=review.email, number=service.written(review.identifier)
        )
    else:
        await service.give_identifier(connection, post, review.practitioner_id, review.identifier, actor=actor)
    return review


async def refuse(
    connection: Connection, post: Post, review_id: UUID, reason: str, *, now: datetime, actor: Actor
) -> Review | None:
    """Refuses the claim and mails the reason; None where nothing waits under this id."""
    review = await _lock_review(connection, review_id)
    if review is None:
        return None
    await ReviewStore(connection).decide(review_id, is_approved=False, reason=reason, now=now)
    store = PractitionerStore(connection)
    if review.is_registration:
        await store.set_state(review.practitioner_id, AccountState.REFUSED, reason)
        action = Action.PRACTITIONER_REFUSED
    else:
        await store.drop_claim(review.practitioner_id, review.identifier)
        action = Action.IDENTIFIER_REFUSED
    number = service.written(review.identifier)
    await post.send(
        connection,
        "practitioners/refused",
        to=review.email,
        number=number,
        reason=reason,
        is_registration=review.is_registration,
    )
    await audit.record(connection, actor=actor, action=action, subject_id=review.practitioner_id)
    return review


async def _lock_review(connection: Connection, review_id: UUID) -> Review | None:
    """A review that waits, its account locked and still in the state that it was asked in."""
    owner = await ReviewStore(connection).account_of(review_id)
    if owner is None:
        return None
    state = await PractitionerStore(connection).lock(owner)
    review = await ReviewStore(connection).lock(review_id)
    if review is None:
        return None
    wanted = AccountState.IN_REVIEW if review.is_registration else AccountState.ACTIVE
    return review if state is wanted else None


async def suspend(
    connection: Connection, post: Post, identifier: Identifier, reason: str, *, now: datetime, actor: Actor
) -> Practitioner | None:
    """Suspends the account in use that holds a number; None where there is none.

    Its sessions end at once, and so does whatever is under way: links, changes of address, new bank details.
    """
    store = PractitionerStore(connection)
    practitioner_id = await store.holder_of(identifier)
    if practitioner_id is None or await store.lock(practitioner_id) is not AccountState.ACTIVE:
        return None
    await store.set_state(practitioner_id, AccountState.SUSPENDED, reason)
    await bank.drop_pending(connection, practitioner_id, now=now)
    await members.close(connection, practitioner_id, now=now)
    practitioner = await service.get(connection, practitioner_id)
    await post.send(connection, "practitioners/suspended", to=practitioner.email, reason=reason)
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_SUSPENDED, subject_id=practitioner_id)
    return practitioner


async def in_use(connection: Connection, identifier: Identifier) -> PractitionerId | None:
    """The account in use that holds a number; None where there is none."""
    return await PractitionerStore(connection).holder_of(identifier)


async def restore(
    connection: Connection, post: Post, identifier: Identifier, *, now: datetime, actor: Actor
) -> Practitioner | None:
    """Puts a suspended account in use again; None where there is none."""
    store = PractitionerStore(connection)
    practitioner_id = await store.holder_of(identifier)
    if practitioner_id is None or await store.lock(practitioner_id) is not AccountState.SUSPENDED:
        return None
    await store.activate(practitioner_id, now)
    practitioner = await service.get(connection, practitioner_id)
    await post.send(connection, "practitioners/restored", to=practitioner.email)
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_RESTORED, subject_id=practitioner_id)
    return practitioner


async def unlink_psc(connection: Connection, identifier: Identifier, *, actor: Actor) -> Practitioner | None:
    """Lets the account be linked anew, by who next comes from Pro Santé Connect; None where it is not linked."""
    store = PractitionerStore(connection)
    practitioner_id = await store.holder_of(identifier)
    if practitioner_id is None or not await store.unlink_psc(practitioner_id):
        return None
    await audit.record(connection, actor=actor, action=Action.PSC_UNLINKED, subject_id=practitioner_id)
    return await service.get(connection, practitioner_id)


async def recover(
    connection: Connection,
    post: Post,
    identifier: Identifier,
    *,
    email: str | None,
    forgets_former: bool,
    now: datetime,
    actor: Actor,
) -> Practitioner | None:
    """Gives a holder who lost telephone or mailbox, and proved who he is on paper, a way back; None where there is none.

    The authenticator application is removed and all sessions end; with ``email``, the holder's address is this one from now
    on. Former and new addresses are told of it; of what comes later the former ones are not, where ``forgets_former``.
    """
    practitioner_id = await PractitionerStore(connection).holder_of(identifier)
    if practitioner_id is None:
        return None
    await members.recover_holder(
        connection, post, practitioner_id, email=email, forgets_former=forgets_former, now=now, actor=actor
    )
    return await service.get(connection, practitioner_id)
