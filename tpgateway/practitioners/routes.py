"""Operations of practitioners' accounts."""

from tpgateway.practitioners import errors, handlers
from tpgateway.practitioners.payloads import (
    ActivationRequest,
    ClientListView,
    ClientPath,
    ClientRequest,
    LoginRequest,
    NewClientView,
    PractitionerView,
    RegistrationRequest,
    RegistrationView,
    SessionView,
)
from tpgateway.web.callers import PERSON, PRACTITIONER
from tpgateway.web.problems import CrossSiteRequest
from tpgateway.web.routing import Route

# Hashing a password takes about the time of fifty other requests.
_PASSWORD_COST = 50

ROUTES = [
    Route(
        method="POST",
        path="/v1/practitioners",
        handler=handlers.register,
        summary="Register; the account opens by the link in the mail",
        tag="Practitioners",
        body=RegistrationRequest,
        answers={202: RegistrationView},
        problems=[errors.IdentifierTaken],
        cost=_PASSWORD_COST,
    ),
    Route(
        method="POST",
        path="/v1/practitioners/activation",
        handler=handlers.activate,
        summary="Use the link of the registration mail",
        tag="Practitioners",
        body=ActivationRequest,
        answers={200: PractitionerView},
        problems=[errors.LinkUnknown, errors.LinkExpired, errors.LinkUsed, errors.IdentifierTaken],
    ),
    Route(
        method="POST",
        path="/v1/sessions",
        handler=handlers.open_session,
        summary="Log in, as a person",
        tag="Practitioners",
        body=LoginRequest,
        answers={201: SessionView},
        problems=[errors.LoginRefused, errors.AccountSuspended, errors.AccountClosed, CrossSiteRequest],
        answer_headers={"Set-Cookie": "the session"},
        transactional=False,
        is_replayable=False,
        cost=_PASSWORD_COST,
    ),
    Route(
        method="DELETE",
        path="/v1/sessions/current",
        handler=handlers.close_session,
        summary="Log out",
        tag="Practitioners",
        access=PERSON,
        answers={204: None},
        is_replayable=False,
    ),
    Route(
        method="GET",
        path="/v1/me",
        handler=handlers.show_me,
        summary="The caller's own account",
        tag="Practitioners",
        access=PRACTITIONER,
        answers={200: PractitionerView},
    ),
    Route(
        method="GET",
        path="/v1/me/clients",
        handler=handlers.list_clients,
        summary="The account's API clients",
        tag="Practitioners",
        access=PERSON,
        answers={200: ClientListView},
    ),
    Route(
        method="POST",
        path="/v1/me/clients",
        handler=handlers.create_client,
        summary="Create credentials for the practice's software",
        tag="Practitioners",
        access=PERSON,
        body=ClientRequest,
        answers={201: NewClientView},
    ),
    Route(
        method="DELETE",
        path="/v1/me/clients/{id}",
        handler=handlers.revoke_client,
        summary="Revoke credentials",
        tag="Practitioners",
        access=PERSON,
        path_shape=ClientPath,
        answers={204: None},
    ),
]
