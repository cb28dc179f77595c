"""Rights at the insurers' desk: files on their way in, what became of those before, and sending one from the page."""

from aiohttp import web

from tpgateway.cards import service as cards
from tpgateway.cards import uploads
from tpgateway.cards.errors import RightsFileUnreadable
from tpgateway.cards.handlers import imports as handlers
from tpgateway.cards.model import ImportId, ImportMode, UploadStage
from tpgateway.cards.payloads import ImportQuery
from tpgateway.errors import Problem
from tpgateway.insurers.model import InsurerId
from tpgateway.portal.pages import (
    call_of,
    chunks_of,
    desk_person,
    may_act,
    page,
    parts_of,
    see_other,
    side,
    spend_own,
    text_of,
    uuid_of,
)
from tpgateway.web.callers import Role
from tpgateway.web.frame import refuse_cross_site, refuse_role
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Call
from tpgateway.web.validation import parse_parameters

_IMPORTS, _REJECTS = 30, 200
STAGES_FR = {
    UploadStage.RECEIVING: "réception",
    UploadStage.COPYING: "lecture",
    UploadStage.CHECKING: "contrôle",
    UploadStage.MERGING: "mise en place",
}
MODES_FR = {ImportMode.FULL: "complet", ImportMode.UPDATE: "mise à jour"}
# What a reject says, for people; the API says it to their systems in English.
REASONS_FR = {
    "wrong_column_count": "La ligne n'a pas les colonnes annoncées.",
    "wrong_key": "La clé de contrôle du numéro est fausse.",
    "wrong_form": "La valeur n'a pas la forme attendue.",
    "no_date": "Ce n'est pas une date écrite AAAA-MM-JJ.",
    "before_valid_from": "La période finit avant de commencer.",
    "overlaps": "Une autre ligne dit une période de la même personne qui recouvre celle-ci.",
    "line_too_long": "La ligne dépasse 1 000 octets.",
}


async def rights(request: web.Request) -> web.Response:
    caller = await desk_person(request)
    return await _rights(request, call_of(request, caller))


async def _rights(
    request: web.Request, call: Call, problem: Problem | None = None, *, mode: str = ImportMode.UPDATE
) -> web.Response:
    me = InsurerId(call.caller.account_id)
    async with call.transaction() as connection:
        under_way = await uploads.under_way(connection, me)
        done = await cards.list_imports(connection, me, limit=_IMPORTS)
    return page(
        request,
        "desk/rights.html",
        status=problem.status if problem else 200,
        problem=problem,
        under_way=under_way,
        imports=done,
        stages=STAGES_FR,
        modes=MODES_FR,
        mode=mode,
        may_act=may_act(call.caller),
        must_confirm=problem is not None and problem.code == "closes_too_many",
        **side(call.caller),
    )


async def send(request: web.Request) -> web.StreamResponse:
    """Takes a file from the page, as the API takes it."""
    caller = await desk_person(request)
    refuse_cross_site(request)
    call = call_of(request, caller)
    typed: dict[str, str] = {}
    try:
        refuse_role(caller, Role.STAFF)
        await spend_own(request, caller, 20)
        async for part in parts_of(request):
            if part.name == "file":
                asked = {"mode": typed.get("mode", ""), "confirm_closing": "confirm" in typed}
                query = parse_parameters(ImportQuery, asked)
                await handlers.take_rights(call, chunks_of(request, part), query=query, size=request.content_length)
                return see_other("/assureur/droits")
            if part.name:
                typed[part.name] = await text_of(request, part)
        raise RightsFileUnreadable("no file came")
    except Problem as problem:
        call.open_connection = None
        return await _rights(request, call, problem, mode=typed.get("mode", ImportMode.UPDATE))


async def rejects(request: web.Request) -> web.StreamResponse:
    """The lines that an import did not load: the first on a page, all as a file."""
    caller = await desk_person(request)
    call, me, import_id = call_of(request, caller), InsurerId(caller.account_id), uuid_of(request)
    if request.query.get("format") == "csv":
        async with call.transaction() as connection:
            if await cards.get_import(connection, me, ImportId(import_id)) is None:
                raise NotFound
        return await handlers.send_rejects(call, me, ImportId(import_id), reasons=REASONS_FR)
    async with call.transaction() as connection:
        done = await cards.get_import(connection, me, ImportId(import_id))
        if done is None:
            raise NotFound
        found = await cards.rejects(connection, me, done.id, after=0, limit=_REJECTS)
    return page(
        request, "desk/rejects.html", done=done, rejects=found, reasons=REASONS_FR, modes=MODES_FR, **side(caller)
    )
