"""Handlers of DRE tables."""

from tpgateway.dre import service
from tpgateway.dre.model import FileFormat
from tpgateway.dre.payloads import FileQuery, VersionListView, VersionPath, VersionView
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


async def _specialty(call: Call) -> Specialty:
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    return practitioner.specialty
