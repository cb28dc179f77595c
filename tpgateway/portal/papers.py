"""The convention and the billing tables: read, signed, downloaded."""

from contextlib import suppress
from datetime import date
from itertools import pairwise

from aiohttp import web
from markupsafe import Markup

from tpgateway.conventions import service as conventions
from tpgateway.conventions.codec.markdown import body_html, domain_fr, facts_fr
from tpgateway.conventions.errors import NoConvention
from tpgateway.conventions.model import Convention
from tpgateway.dre import service as tables
from tpgateway.dre.model import FileFormat
from tpgateway.dre.sentences import say
from tpgateway.dre.shelf import SHELF
from tpgateway.errors import Problem
from tpgateway.money import format_fr
from tpgateway.portal.forms import number_of
from tpgateway.portal.pages import call_of, page, person, submitted
from tpgateway.practitioners import service as practitioners
from tpgateway.practitioners.model import PractitionerId
from tpgateway.practitioners.sentences import SPECIALTIES_FR
from tpgateway.web.callers import Caller, Role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import PARIS, Call

_VERSIONS = 12
_MOST_SHOWN = 100
_TABLES = {"grouping": "Cartes", "convention": "Conventions", "guarantee": "Garanties"}
_CHANGES = {"added": "ajouts", "changed": "modifications", "removed": "retraits"}
_FORMATS = {
    FileFormat.JSON: "JSON",
    FileFormat.CSV: "CSV",
    FileFormat.XML: "XML",
    FileFormat.PDF: "PDF",
    FileFormat.HTML: "Page",
}


async def convention(request: web.Request) -> web.Response:
    caller = await person(request)
    return await _convention(request, call_of(request, caller))


async def sign(request: web.Request) -> web.StreamResponse:
    """Signs the version that the page showed; a code is asked for first, unless one was given a short while ago."""
    return await _act(request, is_leaving=False)


async def leave(request: web.Request) -> web.StreamResponse:
    """Leaves the convention, with its notice."""
    return await _act(request, is_leaving=True)


async def _act(request: web.Request, *, is_leaving: bool) -> web.StreamResponse:
    caller = await person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        practitioner = await practitioners.get(call.connection, PractitionerId(caller.account_id))
        specialty = practitioner.specialty
        if is_leaving and "sure" in typed:
            await conventions.leave(
                call.connection, practitioner, specialty, now=call.now, on=call.today, actor=call.actor
            )
        elif not is_leaving:
            await conventions.sign(
                call.connection,
                practitioner,
                specialty,
                number_of(typed.get("version")),
                member_id=caller.member_id,
                now=call.now,
                on=call.today,
                actor=call.actor,
            )
        return "/convention"

    async def show(call: Call, _: dict[str, str], problem: Problem) -> web.Response:
        return await _convention(request, call, problem=problem)

    return await submitted(request, caller, act, show, role=Role.OWNER, needs_second_factor=True)


async def _convention(request: web.Request, call: Call, *, problem: Problem | None = None) -> web.Response:
    me = PractitionerId(call.caller.account_id)
    found: Convention | None = None
    changes = None
    async with call.transaction() as connection:
        specialty = (await practitioners.get(connection, me)).specialty
        signature = await conventions.signature(connection, me, specialty)
        every = await conventions.versions(connection, specialty)
        with suppress(NoConvention):
            found = await conventions.find(connection, specialty, call.today)
        if found is not None and signature is not None and signature.version < found.version:
            _, _, changes = await conventions.changes(connection, specialty, found.version, signature.version)
    return page(
        request,
        "convention.html",
        status=problem.status if problem else 200,
        is_logged_in=True,
        problem=problem,
        specialty=specialty.value,
        specialty_name=SPECIALTIES_FR[specialty],
        convention=found,
        text=Markup(body_html(found.terms)) if found else "",  # noqa: S704  # from Markdown, HTML turned off
        facts=list(facts_fr(found)) if found else [],
        domain_fr=domain_fr,
        amount_fr=format_fr,
        signature=signature,
        signed_at=signature and signature.signed_at.astimezone(PARIS),
        is_over=bool(signature and signature.left_on and signature.left_on <= call.today),
        to_come=[each for each in every if each.terms.valid_from > call.today],
        changes=changes,
        may_sign=_is_owner(call.caller),
    )


async def tables_page(request: web.Request) -> web.Response:
    """The versions of the speciality's tables, each to be downloaded in any format."""
    caller = await person(request)
    return await _tables(request, call_of(request, caller))


async def _tables(request: web.Request, call: Call, problem: Problem | None = None) -> web.Response:
    shelf, me = request.app[SHELF], PractitionerId(call.caller.account_id)
    specialty = await shelf.specialty(me)
    catalogue = await shelf.catalogue(specialty)
    async with call.transaction() as connection:
        is_subscribed = await tables.is_subscribed(connection, me)
    ends = tables.last_days(catalogue.versions)
    return page(
        request,
        "tables.html",
        status=problem.status if problem else 200,
        problem=problem,
        is_logged_in=True,
        specialty_name=SPECIALTIES_FR[specialty],
        versions=catalogue.versions[:_VERSIONS],
        more=len(catalogue.versions) - _VERSIONS,
        current=tables.number_in_force(catalogue.versions, call.today),
        ends=ends,
        today=call.today,
        before={one.version: other.version for one, other in pairwise(catalogue.versions)},
        formats={
            version.version: [
                (each.value, name) for each, name in _FORMATS.items() if (version.version, each) in catalogue.files
            ]
            for version in catalogue.versions[:_VERSIONS]
        },
        is_subscribed=is_subscribed,
    )


async def changes_page(request: web.Request) -> web.Response:
    """What a version of the tables changed against an older one."""
    caller = await person(request)
    shelf, me = request.app[SHELF], PractitionerId(caller.account_id)
    specialty = await shelf.specialty(me)
    version, older = (int(request.match_info[name]) for name in ("version", "older"))
    try:
        found = await shelf.differences(specialty, version, older)
    except Problem:
        raise NotFound from None
    parts = []
    for table, name in _TABLES.items():
        for kind, said in _CHANGES.items():
            lines = found[table][kind]
            if lines:
                shown = [say(table, line) for line in lines[:_MOST_SHOWN]]
                parts.append({"name": f"{name}, {said}", "lines": shown, "count": len(lines)})
    return page(
        request,
        "changes.html",
        is_logged_in=True,
        version=version,
        older=older,
        effective_from=date.fromisoformat(found["effective_from"]),
        parts=parts,
    )


async def change_news(request: web.Request) -> web.StreamResponse:
    """Whether new versions are mailed."""
    caller = await person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        wants = typed.get("mail") == "oui"
        await tables.subscribe(call.connection, PractitionerId(caller.account_id), wants=wants)
        return "/tables"

    async def show(call: Call, _: dict[str, str], problem: Problem) -> web.Response:
        return await _tables(request, call, problem)

    return await submitted(request, caller, act, show)


def _is_owner(caller: Caller) -> bool:
    return caller.role is Role.OWNER
