"""Operations of DRE tables."""

from tpgateway.dre import errors, handlers
from tpgateway.dre.payloads import (
    ChangesPath,
    FileQuery,
    RouteRequest,
    RouteView,
    SubscriptionRequest,
    SubscriptionView,
    TableKeysView,
    VersionListView,
    VersionPath,
    VersionsQuery,
)
from tpgateway.web.callers import PERSON, PRACTITIONER, Scope
from tpgateway.web.problems import RangeNotSatisfiable
from tpgateway.web.routing import Media, Route

_FILES = [
    Media(media_type=media, description="the tables, in the format asked for") for media in handlers.MEDIA.values()
]
_CHANGES = Media(media_type="application/json", description="lines added, removed, changed, by table")
_CONDITIONS = {
    "If-None-Match": "ETags already had; one of them is answered with 304",
    "Range": "one range of bytes, to go on with a download that broke off",
    "If-Range": "the ETag of what was begun: if it is another's by now, all of it comes",
    "Accept-Encoding": "zstd and gzip are ready",
}
_TAGGED = {"ETag": "the file's SHA-256, and how it is packed", "X-Tables-Version": "which version this is"}

ROUTES = [
    Route(
        method="GET",
        path="/v1/dre/tables",
        handler=handlers.list_versions,
        summary="The versions of the tables of the caller's speciality, newest first; waits for the next if asked to",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        follows_clock=True,
        query=VersionsQuery,
        answers={200: VersionListView},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/v1/dre/tables/{version}",
        handler=handlers.download,
        summary="Download the version of a number, of a day of care, or the latest",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        path_shape=VersionPath,
        query=FileQuery,
        answers={200: _FILES, 206: _FILES, 304: None},
        problems=[errors.NoTables, RangeNotSatisfiable],
        request_headers=_CONDITIONS,
        answer_headers={**_TAGGED, "Content-Disposition": "a name to keep the file under"},
        transactional=False,
    ),
    Route(
        method="GET",
        path="/v1/dre/tables/{version}/signature",
        handler=handlers.show_signature,
        summary="The detached signature of a file",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        path_shape=VersionPath,
        query=FileQuery,
        answers={200: Media(media_type="application/jose", description="JWS with a detached, unencoded payload")},
        problems=[errors.NoTables],
        answer_headers={"X-Tables-Version": "which version this is"},
        transactional=False,
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
        answers={200: _CHANGES, 206: _CHANGES, 304: None},
        problems=[errors.NoTables, RangeNotSatisfiable],
        request_headers=_CONDITIONS,
        answer_headers=_TAGGED,
        transactional=False,
    ),
    Route(
        method="GET",
        path="/v1/dre/keys",
        handler=handlers.show_keys,
        summary="The keys by which files are signed (JWK Set)",
        tag="DRE tables",
        answers={200: TableKeysView},
    ),
    Route(
        method="GET",
        path="/v1/dre/subscription",
        handler=handlers.show_subscription,
        summary="Whether new versions are told by mail",
        tag="DRE tables",
        access=PRACTITIONER,
        scope=Scope.TABLES,
        answers={200: SubscriptionView},
    ),
    Route(
        method="PUT",
        path="/v1/dre/subscription",
        handler=handlers.change_subscription,
        summary="Have new versions told by mail, or no longer",
        tag="DRE tables",
        access=PERSON,
        body=SubscriptionRequest,
        answers={200: SubscriptionView},
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
        transactional=False,
    ),
]
