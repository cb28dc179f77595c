"""Handlers of DRE tables."""

from tpgateway.dre import rules, service
from tpgateway.dre.model import FileFormat
from tpgateway.dre.payloads import (
    ChangesPath,
    FileQuery,
    RouteRequest,
    RouteView,
    VersionListView,
    VersionPath,
    VersionView,
)
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId, Specialty
from tpgateway.web.routing import Answer, Call

MEDIA = {FileFormat.JSON: "application/json", FileFormat.CSV: "application/zip"}
_ENDINGS = {FileFormat.JSON: "json", FileFormat.CSV: "csv.zip"}


async def list_versions(call: Call) -> Answer:
    specialty = await _specialty(call)
    found = await service.versions(call.connection, specialty)
    views = [VersionView.showing(version) for version in found]
    return Answer(body=VersionListView(specialty=specialty, versions=views))


async def download(call: Call, *, path: VersionPath, query: FileQuery) -> Answer:
    """The tables of the caller's speciality. A version never changes: its ETag is the file's SHA-256."""
    specialty = await _specialty(call)
    found = await service.file(call.connection, specialty, path.number, query.format)
    etag = f'"{found.sha256.hex()}"'
    name = f"dre-{specialty}-{found.version}.{_ENDINGS[query.format]}"
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Tables-Version": str(found.version),
    }
    known = [each.strip().removeprefix("W/") for each in call.request.headers.get("If-None-Match", "").split(",")]
    if etag in known or "*" in known:
        return Answer(status=304, headers=headers)
    return Answer(body=found.content, media_type=MEDIA[query.format], headers=headers)


async def show_changes(call: Call, *, path: ChangesPath) -> Answer:
    """What makes the one of the other, table by table: applied to the older version it gives the newer exactly."""
    specialty = await _specialty(call)
    version, content = await service.changes(call.connection, specialty, path.number, path.older)
    return Answer(body=content, headers={"X-Tables-Version": str(version)})


async def find_route(call: Call, *, body: RouteRequest) -> Answer:
    """Looks a card up in the version that counts on the day of care, by all of its key, then by less of it."""
    version, route = await call.request.app[service.ROUTES].find(
        call.connection,
        await _specialty(call),
        number=body.insurer_number,
        convention_type=body.convention_type,
        csr=body.csr or "",
        on=body.care_date or call.today,
    )
    said = rules.NO_ROUTE if route is None else rules.ROUTED
    return Answer(
        body=RouteView(
            version=version,
            code=said.code,
            message_fr=said.message_fr,
            next_step_fr=said.next_step_fr,
            match=route and route.match,
            grouping=route and dict(route.grouping),
            convention=route and dict(route.convention),
            guarantee=[
                dict(line)
                for line in (route.guarantee if route else ())
                if body.domain in {None, line["domain"]} and body.product_code in {None, line["product_code"]}
            ],
        )
    )


async def _specialty(call: Call) -> Specialty:
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    return practitioner.specialty
