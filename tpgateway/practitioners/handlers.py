"""Handlers of practitioners' accounts."""

from datetime import timedelta

from tpgateway import audit
from tpgateway.audit import Action
from tpgateway.practitioners import service
from tpgateway.practitioners.model import ApiClient, ClientId, PractitionerId
from tpgateway.practitioners.payloads import (
    ActivationRequest,
    ClientListView,
    ClientPath,
    ClientRequest,
    ClientView,
    LoginRequest,
    NewClientView,
    PractitionerView,
    RegistrationRequest,
    RegistrationView,
    SessionView,
)
from tpgateway.web import sessions
from tpgateway.web.frame import refuse_cross_site
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call


async def register(call: Call, *, body: RegistrationRequest) -> Answer:
    """Sends a link by mail; the account opens when the link is used."""
    settings = call.state.settings
    await service.register(
        call.connection,
        call.state.vault,
        body.registration(),
        password=body.password,
        base_url=settings.base_url,
        link_lifetime=timedelta(hours=settings.activation_hours),
        now=call.now,
        actor=call.actor,
    )
    view = RegistrationView(
        status="confirmation_sent",
        message_fr="Un message vient de vous être envoyé : ouvrez le lien qu'il contient pour activer votre compte.",
    )
    return Answer(status=202, body=view)


async def activate(call: Call, *, body: ActivationRequest) -> Answer:
    practitioner = await service.activate(call.connection, body.token, now=call.now, actor=call.actor)
    return Answer(body=PractitionerView.showing(practitioner))


async def open_session(call: Call, *, body: LoginRequest) -> Answer:
    """Log in: the answer sets the session cookie."""
    refuse_cross_site(call.request)
    async with call.state.connection() as connection:
        login = await service.open_door(connection, body.scheme, body.value, body.password, actor=call.actor)
        practitioner = await service.get(connection, login.practitioner_id)
    await sessions.log_in(call.request, login.practitioner_id)
    return Answer(status=201, body=SessionView(practitioner=PractitionerView.showing(practitioner)))


async def close_session(call: Call) -> Answer:
    await sessions.log_out(call.request)
    await audit.record(call.connection, actor=call.actor, action=Action.PRACTITIONER_LOGGED_OUT)
    return Answer(status=204)


async def show_me(call: Call) -> Answer:
    return Answer(body=PractitionerView.showing(await service.get(call.connection, _me(call))))


async def list_clients(call: Call) -> Answer:
    clients = await service.list_clients(call.connection, _me(call))
    return Answer(body=ClientListView(clients=[ClientView(**_client(client)) for client in clients]))


async def create_client(call: Call, *, body: ClientRequest) -> Answer:
    """The secret is in this answer and nowhere else afterwards."""
    made = await service.create_client(
        call.connection,
        _me(call),
        name=body.name,
        scopes=[scope.value for scope in body.scopes],
        public_jwk=body.public_jwk,
        actor=call.actor,
    )
    return Answer(status=201, body=NewClientView(**_client(made.client), client_secret=made.secret))


async def revoke_client(call: Call, *, path: ClientPath) -> Answer:
    is_done = await service.revoke_client(call.connection, _me(call), ClientId(path.id), now=call.now, actor=call.actor)
    if not is_done:
        raise NotFound
    return Answer(status=204)


def _me(call: Call) -> PractitionerId:
    return PractitionerId(call.caller.account_id)


def _client(client: ApiClient) -> dict[str, object]:
    return {
        "client_id": client.id,
        "name": client.name,
        "scopes": list(client.scopes),
        "created_at": client.created_at,
        "revoked_at": client.revoked_at,
    }
