"""Handlers of conventions."""

import asyncio
from functools import lru_cache

from tpgateway.conventions import service
from tpgateway.conventions.codec.receipts import Signer, write_receipt
from tpgateway.conventions.model import Convention
from tpgateway.conventions.payloads import (
    ConventionChangesPath,
    ConventionChangesView,
    ConventionListView,
    ConventionPath,
    ConventionSummaryView,
    ConventionVersionsView,
    ConventionView,
    OnDate,
    SignatureRequest,
    SignatureView,
    TextFormat,
    TextQuery,
    summary,
)
from tpgateway.members import service as members
from tpgateway.paper.html import HEADERS
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Answer, Call


async def list_conventions(call: Call, *, query: OnDate) -> Answer:
    found = await service.in_force(call.connection, query.date or call.today)
    return Answer(
        body=ConventionListView(conventions=[ConventionSummaryView.model_validate(summary(c)) for c in found])
    )


async def show_convention(call: Call, *, path: ConventionPath, query: OnDate) -> Answer:
    convention = await service.find(call.connection, path.specialty, query.date or call.today)
    signature = await service.signature(call.connection, PractitionerId(call.caller.account_id), path.specialty)
    view = ConventionView.model_validate(
        {
            **summary(convention),
            "text_markdown": convention.terms.text_markdown,
            "signature": signature and SignatureView.of(path.specialty, signature),
        }
    )
    return Answer(body=view)


async def list_versions(call: Call, *, path: ConventionPath) -> Answer:
    """Those that were in force, the one that is, and those to come."""
    found = await service.versions(call.connection, path.specialty)
    views = [ConventionSummaryView.model_validate(summary(each)) for each in found]
    return Answer(body=ConventionVersionsView(specialty=path.specialty, versions=views))


async def show_changes(call: Call, *, path: ConventionChangesPath) -> Answer:
    """Terms as they were and as they are, and the passages of the text that read otherwise."""
    older, newer, found = await service.changes(call.connection, path.specialty, path.version, path.older)
    return Answer(body=ConventionChangesView.of(older, newer, found))


async def show_text(call: Call, *, path: ConventionPath, query: TextQuery) -> Answer:
    """The text with its terms, to read and to print; as Markdown, the very bytes that a signature's hash is of."""
    async with call.state.connection() as connection:
        if query.version is not None:
            convention = await service.version(connection, path.specialty, query.version)
        else:
            convention = await service.find(connection, path.specialty, query.date or call.today)
    name = f"convention-{path.specialty}-{convention.version}"
    headers = {"X-Convention-Version": str(convention.version)}
    if query.format is TextFormat.MARKDOWN:
        headers["Content-Disposition"] = f'attachment; filename="{name}.md"'
        body = convention.terms.text_markdown.encode()
        return Answer(body=body, media_type="text/markdown; charset=utf-8", headers=headers)
    body = await asyncio.to_thread(_print, convention, query.format)
    if query.format is TextFormat.HTML:
        return Answer(body=body, media_type="text/html; charset=utf-8", headers={**headers, **HEADERS})
    headers["Content-Disposition"] = f'inline; filename="{name}.pdf"'
    return Answer(body=body, media_type="application/pdf", headers=headers)


@lru_cache(maxsize=64)
def _print(convention: Convention, kind: TextFormat) -> bytes:
    """A version as page or PDF, made once: all that may change of it is its end."""
    from tpgateway.conventions.codec import text  # noqa: PLC0415  # what writes PDF takes 25 MB, for this alone

    return text.to_html(convention) if kind is TextFormat.HTML else text.to_pdf(convention)


async def leave_convention(call: Call, *, path: ConventionPath) -> Answer:
    """Leaves the convention, in person, with the notice that it states. Signing again before takes it back."""
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    left = await service.leave(
        call.connection, practitioner, path.specialty, now=call.now, on=call.today, actor=call.actor
    )
    return Answer(body=SignatureView.of(path.specialty, left))


async def sign_convention(call: Call, *, path: ConventionPath, body: SignatureRequest) -> Answer:
    """Signs the version in force, in person, shortly after a second factor. Signing again changes nothing."""
    practitioner = await practitioners.get(call.connection, PractitionerId(call.caller.account_id))
    _, signature = await service.sign(
        call.connection,
        practitioner,
        path.specialty,
        body.version,
        member_id=call.caller.member_id,
        now=call.now,
        on=call.today,
        actor=call.actor,
    )
    return Answer(status=201, body=SignatureView.of(path.specialty, signature))


async def show_receipt(call: Call, *, path: ConventionPath) -> Answer:
    """What was signed, by whom, when (PDF)."""
    async with call.transaction() as connection:
        practitioner = await practitioners.get(connection, PractitionerId(call.caller.account_id))
        signature = await service.signature(connection, practitioner.id, path.specialty)
        if signature is None:
            raise NotFound
        convention = await service.version(connection, path.specialty, signature.version)
        names = await members.names(connection, practitioner.id)
    receipt = await asyncio.to_thread(
        write_receipt,
        convention,
        signature,
        Signer(
            practitioner=practitioner.name,
            identifiers=tuple(f"{each.scheme.value.upper()} {each.value}" for each in practitioner.identifiers),
            person=names.get(signature.member_id) if signature.member_id else None,
        ),
        network_contact=call.state.settings.support_contact,
    )
    name = f"recu-convention-{path.specialty}-{signature.version}.pdf"
    return Answer(
        body=receipt, media_type="application/pdf", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
