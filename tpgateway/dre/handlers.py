"""Handlers of DRE tables."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial

from aiohttp import web

from tpgateway.dre import rules, service
from tpgateway.dre.model import Encoding, FileFormat, file_name
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
    VersionView,
)
from tpgateway.dre.shelf import SHELF, OpenFile, Shelf, etag_of
from tpgateway.paper.html import HEADERS
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.downloads import Download, is_known
from tpgateway.web.routing import Answer, Call
from tpgateway.web.steady import GROUND

MEDIA = {
    FileFormat.JSON: "application/json",
    FileFormat.CSV: "application/zip",
    FileFormat.XML: "application/xml",
    FileFormat.HTML: "text/html; charset=utf-8",
    FileFormat.PDF: "application/pdf",
}
_SHOWN = {FileFormat.HTML, FileFormat.PDF}


async def list_versions(call: Call, *, query: VersionsQuery) -> Answer:
    """Versions newest first. With ``wait``, an empty list is held back until one is published or the time is over."""
    shelf = _shelf(call)
    specialty = await shelf.specialty(_me(call))
    with call.state.pressure.waiting():
        found = await shelf.news(specialty, after=query.after, wait=query.wait)
    every = (await shelf.catalogue(specialty)).versions
    ends, current = rules.last_days(every), rules.in_force(every, call.today)
    views = [
        VersionView(
            version=each.version,
            effective_from=each.effective_from,
            effective_to=ends.get(each.version),
            published_at=each.published_at,
            notice_days=each.notice_days,
            is_in_force=current is not None and each.version == current.version,
            note=each.note,
            restores=each.restores,
        )
        for each in found
    ]
    after = found[0].version if found else query.after
    return Answer(body=VersionListView(specialty=specialty, versions=views, after=after))


async def download(call: Call, *, path: VersionPath, query: FileQuery) -> web.StreamResponse:
    """The tables of the caller's speciality. A version never changes: its ETag is the file's SHA-256."""
    shelf, me = _shelf(call), _me(call)
    specialty = await shelf.specialty(me)
    catalogue = await shelf.catalogue(specialty)
    version = catalogue.find(path.which).version
    head = catalogue.head(version, query.format)
    encoding = _encoding(call.request, head.sizes)
    headers = {
        "ETag": etag_of(head.sha256, encoding),
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
        "X-Tables-Version": str(version),
    }
    had = partial(shelf.note_reader, me, version, query.format, now=call.now)
    if is_known(call.request, headers["ETag"]):
        await had()
        call.request[GROUND] = catalogue
        return web.Response(status=304, headers=headers)
    name = file_name(specialty, version, query.format)
    headers["Content-Disposition"] = f'{"inline" if query.format in _SHOWN else "attachment"}; filename="{name}"'
    headers["Content-Type"] = MEDIA[query.format]
    if query.format is FileFormat.HTML:
        headers.update(HEADERS)
    return _sent(call, await shelf.file(specialty, head, encoding), encoding, headers, had)


async def show_signature(call: Call, *, path: VersionPath, query: FileQuery) -> Answer:
    """The detached signature (JWS, EdDSA, RFC 7797) of the file that the same version and format give."""
    shelf = _shelf(call)
    specialty = await shelf.specialty(_me(call))
    version = (await shelf.catalogue(specialty)).find(path.which).version
    async with call.state.connection() as connection:
        signature = await service.signature(connection, specialty, version, query.format)
    name = f"{file_name(specialty, version, query.format)}.jws"
    return Answer(
        body=signature.encode(),
        media_type="application/jose",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Tables-Version": str(version)},
    )


async def show_keys(call: Call) -> Answer:
    """The keys by which files are signed, as a JWK Set. Keep it: files can then be verified without us."""
    found = await service.keys(call.connection)
    return Answer(
        body=TableKeysView(keys=[dict(each) for each in found]),
        headers={"Cache-Control": "no-cache", "Content-Disposition": 'inline; filename="dre-keys.json"'},
    )


async def show_changes(call: Call, *, path: ChangesPath) -> web.StreamResponse:
    """What makes the one of the other, table by table: applied to the older version it gives the newer exactly."""
    shelf, me = _shelf(call), _me(call)
    specialty = await shelf.specialty(me)
    catalogue = await shelf.catalogue(specialty)
    version, older = catalogue.find(path.which).version, catalogue.find(path.older).version
    encoding = _encoding(call.request, (Encoding.IDENTITY, Encoding.GZIP))
    changes = await shelf.changes(specialty, version, older, encoding)
    had = partial(shelf.note_reader, me, version, FileFormat.JSON, now=call.now)
    headers = {
        "ETag": changes.etag,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
        "X-Tables-Version": str(version),
    }
    if is_known(call.request, changes.etag):
        await had()
        call.request[GROUND] = catalogue
        return web.Response(status=304, headers=headers)
    return _sent(call, changes, encoding, {**headers, "Content-Type": MEDIA[FileFormat.JSON]}, had)


async def find_route(call: Call, *, body: RouteRequest) -> Answer:
    """Looks a card up in the version that counts on the day of care, by all of its key, then by less of it."""
    shelf = _shelf(call)
    version, route = await shelf.route(
        await shelf.specialty(_me(call)),
        number=body.insurer_number,
        convention_type=body.convention_type,
        csr=body.csr or "",
        on=body.care_date or call.today,
    )
    lines = [
        dict(line)
        for line in (route.guarantee if route else ())
        if body.domain in {None, line["domain"]} and body.product_code in {None, line["product_code"]}
    ]
    said = rules.NO_ROUTE if route is None else rules.ROUTED if lines else rules.NO_GUARANTEE
    return Answer(
        body=RouteView(
            version=version,
            code=said.code,
            message_fr=said.message_fr,
            next_step_fr=said.next_step_fr,
            match=route and route.match,
            grouping=route and dict(route.grouping),
            convention=route and dict(route.convention),
            guarantee=lines,
        )
    )


async def show_subscription(call: Call) -> Answer:
    return Answer(body=SubscriptionView(mail=await service.is_subscribed(call.connection, _me(call))))


async def change_subscription(call: Call, *, body: SubscriptionRequest) -> Answer:
    """Whether the account's holder is mailed when a version comes."""
    await service.subscribe(call.connection, _me(call), wants=body.mail)
    return Answer(body=SubscriptionView(mail=body.mail))


def _sent(
    call: Call, file: OpenFile, encoding: Encoding, headers: dict[str, str], had: Callable[[], Awaitable[None]]
) -> web.StreamResponse:
    if encoding is not Encoding.IDENTITY:
        headers["Content-Encoding"] = encoding
    return Download(call.request, file.file, file.size, headers=headers, had=had)


_PREFERRED = (Encoding.ZSTD, Encoding.GZIP)


def _encoding(request: web.Request, there: Collection[Encoding]) -> Encoding:
    """The smallest form that the caller takes."""
    offered = request.headers.get("Accept-Encoding")
    if offered is None:
        return Encoding.IDENTITY
    taken = set()
    for each in offered.split(","):
        name, _, quality = each.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            taken.add(name.strip().lower())
    return next((each for each in _PREFERRED if each in there and each.value in taken), Encoding.IDENTITY)


def _shelf(call: Call) -> Shelf:
    return call.request.app[SHELF]


def _me(call: Call) -> PractitionerId:
    return PractitionerId(call.caller.account_id)
