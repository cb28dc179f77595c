"""Operations of conventions."""

from tpgateway.conventions import errors, handlers
from tpgateway.conventions.payloads import (
    ConventionListView,
    ConventionPath,
    ConventionView,
    OnDate,
    SignatureRequest,
    SignatureView,
)
from tpgateway.web.callers import PERSON, PRACTITIONER, Role, Scope
from tpgateway.web.routing import Route

ROUTES = [
    Route(
        method="GET",
        path="/v1/conventions",
        handler=handlers.list_conventions,
        summary="The conventions in force",
        tag="Conventions",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        query=OnDate,
        answers={200: ConventionListView},
    ),
    Route(
        method="GET",
        path="/v1/conventions/{specialty}",
        handler=handlers.show_convention,
        summary="A speciality's convention: its text, its terms, the caller's signature",
        tag="Conventions",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        path_shape=ConventionPath,
        query=OnDate,
        answers={200: ConventionView},
        problems=[errors.NoConvention],
    ),
    Route(
        method="POST",
        path="/v1/conventions/{specialty}/signature",
        handler=handlers.sign_convention,
        summary="Sign the convention in force",
        tag="Conventions",
        access=PERSON,
        role=Role.OWNER,
        path_shape=ConventionPath,
        body=SignatureRequest,
        answers={201: SignatureView},
        problems=[errors.NoConvention, errors.OtherSpecialty, errors.ConventionOutdated],
    ),
    Route(
        method="DELETE",
        path="/v1/conventions/{specialty}/signature",
        handler=handlers.leave_convention,
        summary="Leave the convention, with notice",
        tag="Conventions",
        access=PERSON,
        role=Role.OWNER,
        needs_second_factor=True,
        path_shape=ConventionPath,
        answers={200: SignatureView},
        problems=[errors.NoConvention, errors.NotSigned],
    ),
]
