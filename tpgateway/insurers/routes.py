"""Operations of insurers' accounts and events."""

from tpgateway.insurers import errors, handlers
from tpgateway.insurers.payloads import (
    EndpointListView,
    EndpointPath,
    EndpointRequest,
    EventListView,
    EventsQuery,
    InsurerView,
    NewEndpointView,
)
from tpgateway.web.callers import INSURER
from tpgateway.web.routing import Route

ROUTES = [
    Route(
        method="GET",
        path="/v1/insurer",
        handler=handlers.show_insurer,
        summary="The caller's own account",
        tag="Insurers",
        access=INSURER,
        answers={200: InsurerView},
    ),
    Route(
        method="GET",
        path="/v1/insurer/endpoints",
        handler=handlers.list_endpoints,
        summary="Where events are posted",
        tag="Insurers",
        access=INSURER,
        answers={200: EndpointListView},
    ),
    Route(
        method="POST",
        path="/v1/insurer/endpoints",
        handler=handlers.add_endpoint,
        summary="Have events posted to a URL",
        tag="Insurers",
        access=INSURER,
        body=EndpointRequest,
        answers={201: NewEndpointView},
        problems=[errors.EndpointRefused],
    ),
    Route(
        method="DELETE",
        path="/v1/insurer/endpoints/{id}",
        handler=handlers.remove_endpoint,
        summary="Have no more events posted there",
        tag="Insurers",
        access=INSURER,
        path_shape=EndpointPath,
        answers={204: None},
    ),
    Route(
        method="GET",
        path="/v1/insurer/events",
        handler=handlers.list_events,
        summary="The feed of events, in order, without gaps",
        tag="Insurers",
        access=INSURER,
        query=EventsQuery,
        answers={200: EventListView},
        transactional=False,
    ),
]
