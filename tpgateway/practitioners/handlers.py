"""Handlers of practitioners' accounts."""

from datetime import timedelta
from uuid import UUID

from tpgateway.errors import Fault, FieldInvalid, InvalidRequest
from tpgateway.mail import Post
from tpgateway.members import door
from tpgateway.members import rules as member_rules
from tpgateway.members import service as members
from tpgateway.members.handlers import device_cookie, device_cookie_name
from tpgateway.members.model import Member, Method
from tpgateway.members.payloads import InvitationRequest, MemberView, TokenPath
from tpgateway.practitioners import access, api_clients, bank, service
from tpgateway.practitioners.api_clients import NewClient
from tpgateway.practitioners.model import (
    AccountState,
    ApiClient,
    BankDetails,
    ClientId,
    Identifier,
    Practitioner,
    PractitionerId,
    Profile,
)
from tpgateway.practitioners.payloads import (
    AcceptedView,
    ActivatedView,
    ActivationLinkRequest,
    ActivationRequest,
    BankDetailsItem,
    BankDetailsRequest,
    BankDetailsView,
    ClientListView,
    ClientNameRequest,
    ClientPath,
    ClientRequest,
    ClientView,
    ClosureRequest,
    DirectoryQuery,
    DirectoryView,
    IdentifierView,
    ListedView,
    LoginRequest,
    NewClientView,
    NewIdentifierRequest,
    NewIdentifierView,
    NewPasswordRequest,
    PasswordResetRequest,
    PractitionerView,
    ProfileRequest,
    RegistrationRequest,
    ReminderRequest,
    RevocationRequest,
    RotationRequest,
    SessionView,
    TermsText,
    TermsView,
)
from tpgateway.practitioners.rules import written_form
from tpgateway.web import sessions
from tpgateway.web.frame import address_of, refuse_cross_site
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call

_SENT_FR = "Si ces informations sont connues du réseau, un message vient de partir : ouvrez-le pour continuer."


async def show_terms(call: Call) -> Answer:
    """The texts that a registration accepts, and their versions."""
    texts = {
        name: TermsText(version=version, markdown=markdown, sha256=digest)
        for name, (version, markdown, digest) in service.texts().items()
    }
    return Answer(body=TermsView(**texts), headers={"Cache-Control": "public, max-age=300"})


# Registration ----------------------------------------------------------------------------------------------------------


async def register(call: Call, *, body: RegistrationRequest) -> Answer:
    """The answer is the same whatever is known of the number or the address; the mail says how it goes on."""
    await service.register(
        call.connection,
        call.state.vault,
        body.registration(),
        password=body.password,
        now=call.now,
        actor=call.actor,
    )
    view = AcceptedView(
        status="confirmation_sent",
        message_fr="Un message vient de vous être envoyé : ouvrez le lien qu'il contient pour activer votre compte.",
    )
    return Answer(status=202, body=view)


async def ask_activation_link(call: Call, *, body: ActivationLinkRequest) -> Answer:
    """Another link, the former one being void. Always answered alike."""
    await access.ask_activation_link(call.connection, call.state.vault, body.identifier(), body.email)
    return _sent()


async def activate(call: Call, *, body: ActivationRequest) -> Answer:
    """Opens the account, or says that a person looks at it first: the directory disagrees, or nobody else could tell."""
    practitioner = await service.activate(call.connection, _post(call), body.token, now=call.now, actor=call.actor)
    # Who opened the mail proved as much as a mailed code would: this browser is known.
    holder = await members.holder(call.connection, practitioner.id)
    settings = call.state.settings
    offered = call.request.cookies.get(device_cookie_name(settings))
    token = await door.know_device(call.connection, holder.id, offered, days=settings.known_device_days, now=call.now)
    is_active = practitioner.state is AccountState.ACTIVE
    view = ActivatedView(
        **PractitionerView.showing(practitioner).model_dump(),
        message_fr="Votre compte est activé." if is_active else "Votre inscription est en cours de vérification.",
    )
    return Answer(body=view, headers={"Set-Cookie": device_cookie(settings, token)})


# Getting in ------------------------------------------------------------------------------------------------------------


async def open_session(call: Call, *, body: LoginRequest) -> Answer:
    """Log in: the answer sets the session cookie. From a browser that is not known, a second factor completes it."""
    refuse_cross_site(call.request)
    view = await log_in(call, body)
    return Answer(status=201, body=view)


async def log_in(call: Call, body: LoginRequest) -> SessionView:
    """Opens the session, whole or waiting for its second factor."""
    settings = call.state.settings
    async with call.state.connection() as connection:
        entered = await access.open_door(
            connection,
            call.state.vault,
            body.identifier(),
            body.email,
            body.password,
            device=call.request.cookies.get(device_cookie_name(settings)),
            settings=settings,
            now=call.now,
            actor=call.actor,
        )
        member = entered.member
        if entered.is_known_device:
            await access.record_login(connection, member, actor=call.actor)
            practitioner = await service.get(connection, PractitionerId(member.account_id))
    opened = sessions.Opened(
        member_id=member.id,
        is_kept=body.keep_logged_in,
        is_pending=not entered.is_known_device,
        second_factor_at=None,
        address=address_of(call.request),
    )
    session_id = await sessions.log_in(call.request, opened)
    methods = [Method(each) for each in member_rules.methods(has_totp=member.has_totp)]
    if entered.is_known_device:
        return SessionView(
            status="open",
            methods=methods,
            sent_to=None,
            practitioner=PractitionerView.showing(practitioner),
            member=MemberView.showing(member),
        )
    sent_to = await _mail_first_code(call, member, session_id)
    return SessionView(status="second_factor_needed", methods=methods, sent_to=sent_to, practitioner=None, member=None)


async def _mail_first_code(call: Call, member: Member, session_id: UUID) -> str | None:
    """To those without an application, so that a log-in takes one call less."""
    if member.has_totp:
        return None
    async with call.state.connection() as connection, connection.transaction():
        minutes = call.state.settings.second_factor_minutes
        await door.mail_code(connection, _post(call), member, session_id, minutes=minutes, now=call.now)
    return member_rules.masked(member.email)


async def ask_password_reset(call: Call, *, body: PasswordResetRequest) -> Answer:
    """Mails a link to set a new password. Always answered alike."""
    await access.ask_password_reset(call.connection, call.state.vault, body.identifier(), body.email)
    return _sent()


async def reset_password(call: Call, *, path: TokenPath, body: NewPasswordRequest) -> Answer:
    """Ends all sessions, forgets known browsers, opens locked doors, and says so by mail."""
    await access.reset_password(call.connection, _post(call), path.token, body.password, now=call.now, actor=call.actor)
    return Answer(status=204)


async def ask_reminder(call: Call, *, body: ReminderRequest) -> Answer:
    """Mails the numbers of the accounts at this address, partly masked. Always answered alike."""
    await access.ask_reminder(call.connection, call.state.vault, body.email)
    return _sent()


def _sent() -> Answer:
    return Answer(status=202, body=AcceptedView(status="accepted", message_fr=_SENT_FR))


# The account -----------------------------------------------------------------------------------------------------------


async def show_me(call: Call) -> Answer:
    return Answer(body=PractitionerView.showing(await service.get(call.connection, _me(call))))


async def change_me(call: Call, *, body: ProfileRequest) -> Answer:
    def change(now: Practitioner) -> Profile:
        present = Profile(
            mobile=now.mobile, street=now.street, postal_code=now.postal_code, town=now.town, is_listed=now.is_listed
        )
        return body.profile(present)

    changed = await service.change_profile(call.connection, _me(call), change, actor=call.actor)
    return Answer(body=PractitionerView.showing(changed))


async def add_identifier(call: Call, *, body: NewIdentifierRequest) -> Answer:
    """An Adeli account gains its RPPS and keeps both ways in."""
    identifier = Identifier(scheme=body.scheme, value=body.value)
    is_added = await service.add_identifier(
        call.connection, _post(call), _me(call), identifier, now=call.now, actor=call.actor
    )
    practitioner = await service.get(call.connection, _me(call))
    view = NewIdentifierView(
        status="added" if is_added else "in_review",
        message_fr="Le numéro est ajouté à votre compte."
        if is_added
        else "Le numéro sera ajouté après vérification ; vous recevrez la décision par mail.",
        identifiers=[IdentifierView.showing(each) for each in practitioner.identifiers],
    )
    return Answer(status=201 if is_added else 202, body=view)


async def close(call: Call, *, body: ClosureRequest) -> Answer:
    """Closes the account for good: sessions and API clients end, its numbers are free again."""
    practitioner = await service.get(call.connection, _me(call))
    typed = [written_form(each.scheme, body.value) for each in practitioner.identifiers]
    if not set(typed) & set(practitioner.identifiers):
        sentence = "Ce numéro n'est pas celui du compte."
        raise InvalidRequest(faults=[Fault(pointer="/value", problem=FieldInvalid, message_fr=sentence)])
    await service.close(call.connection, _post(call), _me(call), now=call.now, actor=call.actor)
    return Answer(status=204)


async def show_bank_details(call: Call) -> Answer:
    return Answer(body=await _bank_view(call))


async def change_bank_details(call: Call, *, body: BankDetailsRequest) -> Answer:
    """In force after a waiting time, told by mail with a link to take it back."""
    await bank.change(
        call.connection,
        _post(call),
        _me(call),
        bic=body.bic,
        iban=body.iban,
        settings=call.state.settings,
        now=call.now,
        actor=call.actor,
    )
    return Answer(status=202, body=await _bank_view(call))


async def revoke_bank_details(call: Call) -> Answer:
    await bank.revoke(call.connection, _me(call), now=call.now, actor=call.actor)
    return Answer(status=204)


async def revoke_bank_details_by_link(call: Call, *, body: RevocationRequest) -> Answer:
    """Takes back by the link of the mail, without a log-in."""
    await bank.revoke_by_link(call.connection, _post(call), body.token, now=call.now, actor=call.actor)
    message = "Le changement de coordonnées bancaires est annulé. Changez aussi votre mot de passe."
    return Answer(body=AcceptedView(status="revoked", message_fr=message))


async def _bank_view(call: Call) -> BankDetailsView:
    in_force, pending, history = await bank.history(call.connection, _me(call), now=call.now)

    def item(details: BankDetails | None) -> BankDetailsItem | None:
        return None if details is None else BankDetailsItem.showing(details)

    return BankDetailsView(
        in_force=item(in_force), pending=item(pending), history=[BankDetailsItem.showing(each) for each in history]
    )


async def invite(call: Call, *, body: InvitationRequest) -> Answer:
    """Mails an invitation; whoever accepts it gets a log-in of his own."""
    practice, login = await service.invitation_words(call.connection, _me(call))
    member = await members.invite(
        call.connection,
        _post(call),
        call.caller.account_id,
        practice=practice,
        login=login,
        email=body.email,
        name=body.name,
        role=body.role,
        days=call.state.settings.invitation_days,
        session_id=call.caller.session_id,
        now=call.now,
        actor=call.actor,
    )
    return Answer(status=201, body=MemberView.showing(member))


# API clients -----------------------------------------------------------------------------------------------------------


async def list_clients(call: Call) -> Answer:
    clients = await api_clients.list_all(call.connection, _me(call))
    return Answer(body=ClientListView(clients=[ClientView(**_client(client)) for client in clients]))


async def create_client(call: Call, *, body: ClientRequest) -> Answer:
    """The secret is in this answer and nowhere else afterwards."""
    made = await api_clients.create(
        call.connection,
        _post(call),
        _me(call),
        name=body.name,
        scopes=[scope.value for scope in body.scopes],
        public_jwk=body.public_jwk,
        actor=call.actor,
    )
    return Answer(status=201, body=_new_client(made))


async def rename_client(call: Call, *, path: ClientPath, body: ClientNameRequest) -> Answer:
    client = await api_clients.rename(call.connection, _me(call), ClientId(path.id), body.name, actor=call.actor)
    if client is None:
        raise NotFound
    return Answer(body=ClientView(**_client(client)))


async def rotate_client(call: Call, *, path: ClientPath, body: RotationRequest) -> Answer:
    """Another secret or key; the former one still works for some hours, so that nothing stands still meanwhile."""
    made = await api_clients.rotate(
        call.connection,
        _me(call),
        ClientId(path.id),
        public_jwk=body.public_jwk,
        overlap=timedelta(hours=body.overlap_hours),
        now=call.now,
        actor=call.actor,
    )
    if made is None:
        raise NotFound
    return Answer(body=_new_client(made))


async def revoke_client(call: Call, *, path: ClientPath) -> Answer:
    is_done = await api_clients.revoke(call.connection, _me(call), ClientId(path.id), now=call.now, actor=call.actor)
    if not is_done:
        raise NotFound
    return Answer(status=204)


# Directory -------------------------------------------------------------------------------------------------------------


async def search_directory(call: Call, *, query: DirectoryQuery) -> Answer:
    """Practitioners who agreed to be listed, nearest first."""
    metres, last = query.place()
    found = await service.near(
        call.connection, query.specialty, query.near, after_metres=metres, after_id=last, limit=query.limit + 1
    )
    page = found[: query.limit]
    views = [
        ListedView.model_validate(
            {
                **{name: getattr(each, name) for name in ListedView.model_fields if hasattr(each, name)},
                "distance_km": round(each.metres / 1000, 1),
            }
        )
        for each in page
    ]
    more = f"{page[-1].metres}-{page[-1].id}" if len(found) > query.limit else None
    return Answer(body=DirectoryView(practitioners=views, next_after=more))


def _me(call: Call) -> PractitionerId:
    return PractitionerId(call.caller.account_id)


def _post(call: Call) -> Post:
    return Post.of(call.state.settings, call.state.vault)


def _client(client: ApiClient) -> dict[str, object]:
    return {
        "client_id": client.id,
        "name": client.name,
        "scopes": list(client.scopes),
        "authentication": "private_key_jwt" if client.has_key else "client_secret",
        "created_at": client.created_at,
        "last_used_at": client.last_used_at,
        "former_until": client.former_until,
        "revoked_at": client.revoked_at,
    }


def _new_client(made: NewClient) -> NewClientView:
    return NewClientView(**_client(made.client), client_secret=made.secret)
