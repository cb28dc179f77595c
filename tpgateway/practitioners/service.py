"""Use cases of practitioners' accounts."""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import argon2

from tpgateway import audit, mail
from tpgateway.audit import Action, Actor
from tpgateway.database import Connection
from tpgateway.practitioners import mails, rules
from tpgateway.practitioners.errors import IdentifierTaken, LinkUnknown, LoginRefused
from tpgateway.practitioners.model import ApiClient, ClientId, Login, Practitioner, PractitionerId, Registration, Scheme
from tpgateway.practitioners.store import PractitionerStore
from tpgateway.vault import Vault
from tpgateway.web.callers import Access, Caller
from tpgateway.web.oauth import Client, hash_secret

TERMS_VERSION = "2026-11"

_hasher = argon2.PasswordHasher()


@cache
def _nobodys_hash() -> str:
    """What a password is compared with where there is no account, so that both take the same time."""
    return _hasher.hash(secrets.token_urlsafe(16))


def _hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def register(
    connection: Connection,
    vault: Vault,
    registration: Registration,
    *,
    password: str,
    base_url: str,
    link_lifetime: timedelta,
    now: datetime,
    actor: Actor,
) -> None:
    """Opens an unconfirmed account and mails its activation link; raises ``IdentifierTaken``.

    Until one account confirms it, an identifier may be claimed by several: whoever registered with somebody else's number
    cannot keep its owner out.
    """
    store = PractitionerStore(connection)
    if await store.is_held(registration.identifier):
        raise IdentifierTaken
    password_hash = await asyncio.to_thread(_hasher.hash, password)
    practitioner_id = await store.add(registration, password_hash=password_hash, terms_version=TERMS_VERSION, now=now)
    token = secrets.token_urlsafe(32)
    await store.add_activation_link(_hash_token(token), practitioner_id, expires_at=now + link_lifetime)
    letter = mails.activation(registration, link=f"{base_url}/activation/{token}", lifetime=link_lifetime)
    await mail.send(connection, vault, to=registration.email, subject=letter.subject, text=letter.text)
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_REGISTERED, subject_id=practitioner_id)


async def activate(connection: Connection, token: str, *, now: datetime, actor: Actor) -> Practitioner:
    """The link's account, active; raises ``LinkUnknown``, ``LinkExpired``, ``LinkUsed``, ``IdentifierTaken``."""
    store = PractitionerStore(connection)
    token_hash = _hash_token(token)
    link = await store.lock_activation_link(token_hash)
    if link is None:
        raise LinkUnknown
    if (problem := rules.link_problem(link, now)) is not None:
        raise problem
    await store.use_link(token_hash, now)
    await store.activate(link.practitioner_id, now)
    if not await store.hold_identifiers(link.practitioner_id):
        raise IdentifierTaken
    await audit.record(connection, actor=actor, action=Action.PRACTITIONER_ACTIVATED, subject_id=link.practitioner_id)
    return await get(connection, link.practitioner_id)


async def open_door(connection: Connection, scheme: Scheme, value: str, password: str, *, actor: Actor) -> Login:
    """The account that identifier and password open; raises ``LoginRefused``, ``AccountSuspended``, ``AccountClosed``.

    Not for a transaction that ends with what is raised: a refused attempt must stay in the audit trail.
    """
    login = await PractitionerStore(connection).find_login(rules.written_form(scheme, value))
    expected = login.password_hash if login else _nobodys_hash()
    is_right = await asyncio.to_thread(_verifies, expected, password) and login is not None
    await audit.record(
        connection,
        actor=actor,
        action=Action.PRACTITIONER_LOGGED_IN if is_right else Action.PRACTITIONER_LOGIN_FAILED,
        subject_id=login.practitioner_id if login else None,
    )
    if login is None or not is_right:
        raise LoginRefused
    if (problem := rules.login_problem(login.state)) is not None:
        raise problem
    return login


def _verifies(expected: str, password: str) -> bool:
    try:
        return _hasher.verify(expected, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


async def get(connection: Connection, practitioner_id: PractitionerId) -> Practitioner:
    """The account of a practitioner who is known to exist."""
    practitioner = await PractitionerStore(connection).get(practitioner_id)
    assert practitioner is not None
    return practitioner


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client just made, with the secret that is shown this once."""

    client: ApiClient
    secret: str | None


async def create_client(
    connection: Connection,
    practitioner_id: PractitionerId,
    *,
    name: str,
    scopes: list[str],
    public_jwk: dict[str, Any] | None,
    actor: Actor,
) -> NewClient:
    """A new API client, by the key it brings or by a secret made here."""
    secret = None if public_jwk else secrets.token_urlsafe(32)
    client = await PractitionerStore(connection).add_client(
        practitioner_id,
        name=name,
        scopes=sorted(set(scopes)),
        secret_hash=hash_secret(secret) if secret else None,
        public_jwk=public_jwk,
    )
    await audit.record(connection, actor=actor, action=Action.CLIENT_CREATED, subject_id=client.id)
    return NewClient(client=client, secret=secret)


async def list_clients(connection: Connection, practitioner_id: PractitionerId) -> list[ApiClient]:
    """All clients of the account, those revoked included."""
    return await PractitionerStore(connection).list_clients(practitioner_id)


async def revoke_client(
    connection: Connection, practitioner_id: PractitionerId, client_id: ClientId, *, now: datetime, actor: Actor
) -> bool:
    """Ends a client at once for new tokens; tokens already out last their few minutes. False where there is none."""
    is_done = await PractitionerStore(connection).revoke_client(practitioner_id, client_id, now)
    if is_done:
        await audit.record(connection, actor=actor, action=Action.CLIENT_REVOKED, subject_id=client_id)
    return is_done


async def find_client(connection: Connection, client_id: UUID) -> Client | None:
    """The token endpoint's look-up."""
    row = await PractitionerStore(connection).find_client(client_id)
    return (
        None
        if row is None
        else Client(
            caller=Caller(
                access=Access.PRACTITIONER_CLIENT,
                account_id=row["practitioner_id"],
                client_id=client_id,
                scopes=frozenset(row["scopes"]),
            ),
            secret_hash=row["secret_hash"],
            public_jwk=row["public_jwk"],
        )
    )
