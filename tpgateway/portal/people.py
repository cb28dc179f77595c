"""The people of a practice, and the journal of what they and their software did."""

from datetime import date, datetime, time, timedelta
from typing import Any

from aiohttp import web

from tpgateway.errors import Problem
from tpgateway.members import handlers as member_handlers
from tpgateway.members import service as members
from tpgateway.members.model import MemberState
from tpgateway.members.payloads import InvitationRequest, JournalQuery, JournalView, MemberPath, RoleRequest
from tpgateway.portal.account import account_page
from tpgateway.portal.forms import Typed, read
from tpgateway.portal.pages import Act, anybody, call_of, draft, person, submitted, transaction, uuid_of
from tpgateway.practitioners import handlers
from tpgateway.web.callers import Caller, Role
from tpgateway.web.frame import refuse_role
from tpgateway.web.routing import PARIS, Call
from tpgateway.web.validation import parse_parameters

ROLES_FR = {
    Role.OWNER: "Gestionnaire",
    Role.STAFF: "Collaborateur",
    Role.READ_ONLY: "Lecture seule",
}
MEMBER_STATES_FR = {MemberState.INVITED: "invité", MemberState.ACTIVE: "actif", MemberState.REMOVED: "retiré"}
ROLE_CHOICES = [(role.value, name) for role, name in ROLES_FR.items()]
PEOPLE = {"email": "Adresse électronique", "name": "Prénom et nom", "role": "Rôle"}


async def people(request: web.Request) -> web.Response:
    caller = await person(request)
    refuse_role(caller, Role.OWNER)
    call = call_of(request, caller)
    return await people_page(request, call, await draft(request, call))


async def people_page(request: web.Request, call: Call, typed: Typed, problem: Problem | None = None) -> web.Response:
    """The people of a practice or of an insurer, and the form that invites one more."""
    async with call.transaction() as connection:
        found = await members.list_all(connection, call.caller.account_id)
    return account_page(
        request,
        call.caller,
        "people.html",
        PEOPLE,
        typed,
        problem,
        members=found,
        me=call.caller.member_id,
        roles=ROLE_CHOICES,
        role_names=ROLES_FR,
        states=MEMBER_STATES_FR,
        days=call.state.settings.invitation_days,
    )


async def invite(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, typed: dict[str, str]) -> str:
        values = {name: typed[name] for name in PEOPLE if typed.get(name)}
        await handlers.invite(call, body=read(InvitationRequest, values, call))
        return "/compte/equipe?fait=invitation"

    return await act_on_people(request, await person(request), act)


async def change_role(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, typed: dict[str, str]) -> str:
        body = read(RoleRequest, {"role": typed.get("role", "")}, call)
        await member_handlers.change_role(call, path=MemberPath(id=uuid_of(request)), body=body)
        return "/compte/equipe?fait=role"

    return await act_on_people(request, await person(request), act)


async def remove_member(request: web.Request) -> web.StreamResponse:
    async def act(call: Call, _: dict[str, str]) -> str:
        await member_handlers.remove_member(call, path=MemberPath(id=uuid_of(request)))
        return "/compte/equipe?fait=retrait"

    return await act_on_people(request, await person(request), act)


async def act_on_people(request: web.Request, caller: Caller, act: Act) -> web.StreamResponse:
    """What an owner does to the people of an account, with a fresh code; refused, it is said on their page."""
    return await submitted(
        request,
        caller,
        act,
        lambda call, typed, problem: people_page(request, call, typed, problem),
        role=Role.OWNER,
        needs_second_factor=True,
        cost=5,
    )


# Journal ---------------------------------------------------------------------------------------------------------------

_JOURNAL = {"action": "Quoi", "agent": "Qui", "since": "Depuis le", "until": "Jusqu'au", "order": "Ordre"}
_KINDS = (
    ("card:", "Cartes"),
    ("approval:", "Prises en charge"),
    ("member:session", "Connexions"),
    ("member:", "Personnes et sécurité"),
    ("practitioner:,insurer:", "Compte et logiciels"),
    ("convention:", "Convention"),
)
_ORDERS = (("newest", "Les plus récentes d'abord"), ("oldest", "Les plus anciennes d'abord"))


async def journal(request: web.Request) -> web.Response:
    """Who did what, searched and sorted."""
    caller = await anybody(request)
    refuse_role(caller, Role.OWNER)
    call, problem = call_of(request, caller), None
    asked = {name: value.strip() for name, value in request.query.items() if value.strip()}
    try:
        query = parse_parameters(JournalQuery, {**asked, **_days(asked)})
    except Problem as found:
        query, problem = JournalQuery(), found
    async with transaction(call):
        answer = await member_handlers.show_journal(call, query=query)
        names = await members.names(call.connection, caller.account_id)
    assert isinstance(answer.body, JournalView)
    after = answer.body.next_after
    return account_page(
        request,
        caller,
        "journal.html",
        _JOURNAL,
        asked,
        problem,
        entries=answer.body.entries,
        people=[(str(each), name) for each, name in sorted(names.items(), key=lambda item: item[1])],
        kinds=_KINDS,
        orders=_ORDERS,
        is_search=bool(asked),
        older=str(request.rel_url.update_query(after=str(after))) if after else None,
        export=str(request.rel_url.with_path("/v1/me/journal.csv").with_query(_for_export(query))),
    )


def _days(asked: dict[str, str]) -> dict[str, str]:
    """Days as moments by the clocks of Paris, the last day included; what is no day stays as it is, to be refused."""
    found = {}
    for name, more in (("since", 0), ("until", 1)):
        try:
            day = date.fromisoformat(asked[name]) + timedelta(days=more)
        except (KeyError, ValueError, OverflowError):
            continue
        found[name] = datetime.combine(day, time(), PARIS).isoformat()
    return found


def _for_export(query: JournalQuery) -> dict[str, str]:
    asked: dict[str, Any] = query.model_dump(mode="json", exclude={"after", "limit"}, exclude_none=True)
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in asked.items()}
