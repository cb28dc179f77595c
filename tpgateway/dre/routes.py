"""Operations of DRE tables."""

from tpgateway.dre import errors, handlers
from tpgateway.dre.payloads import ChangesPath, FileQuery, RouteRequest, RouteView, VersionListView, VersionPath
from tpgateway.web.callers import PRACTITIONER, Scope
from tpgateway.web.routing import Media, Route

ROUTES = [
    Route(
        method="GET",
        path="/v1/dre/tables",
        handler=handlers.list_versions,
        summary="The versions of the tables of the caller's speciality, newest first",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        answers={200: VersionListView},
    ),
    Route(
        method="GET",
        path="/v1/dre/tables/{version}",
        handler=handlers.download,
        summary="Download a version, or the latest",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        path_shape=VersionPath,
        query=FileQuery,
        answers={
            200: [
                Media(media_type="application/json", description="the tables, in the format asked for"),
                Media(media_type="application/zip", description="the tables, in the format asked for"),
            ],
            304: None,
        },
        problems=[errors.NoTables],
        request_headers={"If-None-Match": "ETags already had; one of them is answered with 304"},
        answer_headers={
            "ETag": "the file's SHA-256",
            "X-Tables-Version": "which version this is",
            "Content-Disposition": "a name to keep the file under",
        },
    ),
    Route(
        method="GET",
        path="/v1/dre/tables/{version}/changes-since/{older}",
        handler=handlers.show_changes,
        summary="What changed from one version to another",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        path_shape=ChangesPath,
        answers={200: Media(media_type="application/json", description="lines added, removed, changed, by table")},
        problems=[errors.NoTables],
        answer_headers={"X-Tables-Version": "which version the changes lead to"},
    ),
    Route(
        method="POST",
        path="/v1/dre/routes",
        handler=handlers.find_route,
        summary="Look a card up without holding the tables",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        follows_clock=True,
        is_replayable=False,
        body=RouteRequest,
        answers={200: RouteView},
        problems=[errors.NoTables],
    ),
]
