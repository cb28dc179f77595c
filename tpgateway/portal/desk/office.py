"""The rest of the insurers' desk: products, figures, the team."""

from datetime import timedelta

from aiohttp import web

from tpgateway.cards import service as cards
from tpgateway.claims import parties
from tpgateway.claims.sentences import STATES_FR
from tpgateway.errors import REASONS
from tpgateway.guarantees import service as guarantees
from tpgateway.guarantees.model import Approval
from tpgateway.guarantees.sentences import DOMAINS_FR, benefit_fr, conditions_fr, formula_fr
from tpgateway.insurers import people as desk_people
from tpgateway.insurers import service as insurers
from tpgateway.insurers.model import InsurerId
from tpgateway.mail import Post
from tpgateway.members.model import MemberId
from tpgateway.members.payloads import InvitationRequest, RoleRequest
from tpgateway.portal import charts
from tpgateway.portal.forms import read
from tpgateway.portal.french import day, number
from tpgateway.portal.pages import call_of, desk_person, draft, page, side, uuid_of
from tpgateway.portal.people import PEOPLE, act_on_people, people_page
from tpgateway.web.problems import NotFound
from tpgateway.web.routing import Call

_DAYS = 30
_DELAYS_FR = {"minute": "tout de suite", "day": "dans la journée", "days": "en 1 à 3 jours", "later": "plus tard"}


async def products(request: web.Request) -> web.Response:
    """The products in force or to come, benefit by benefit."""
    caller = await desk_person(request)
    call = call_of(request, caller)
    async with call.transaction() as connection:
        found = await guarantees.products_of(connection, InsurerId(caller.account_id), since=call.today)
    return page(
        request,
        "desk/products.html",
        products=found,
        today=call.today,
        domains=DOMAINS_FR,
        benefit_fr=benefit_fr,
        formula_fr=formula_fr,
        conditions_fr=conditions_fr,
        needs_approval=Approval.REQUIRED,
        **side(caller),
    )


async def figures(request: web.Request) -> web.Response:
    """The last days in numbers and charts."""
    caller = await desk_person(request)
    call, me = call_of(request, caller), InsurerId(caller.account_id)
    async with call.transaction() as connection:
        counted = await parties.figures_of_insurer(connection, me, since=call.now - timedelta(days=_DAYS))
        checks = await cards.checks_by_day(connection, me, days=_DAYS, now=call.now)
        waiting = await insurers.pending_events(connection, me)
        reviewing = await parties.count_waiting(connection, me)
    states = {name: counted["states"].get(state.value, 0) for state, name in STATES_FR.items()}
    asked = sum(states.values())
    decided = sum(counted["delays"].values())
    return page(
        request,
        "desk/figures.html",
        days=_DAYS,
        asked=asked,
        checks=sum(count for _, count in checks),
        waiting=waiting,
        at_once=round(100 * counted["delays"].get("minute", 0) / asked) if asked else None,
        reviewing=reviewing,
        by_state=charts.bars([(name, count) for name, count in states.items() if count]),
        by_delay=charts.bars(
            [(name, counted["delays"].get(key, 0)) for key, name in _DELAYS_FR.items()] if decided else []
        ),
        by_code=charts.bars(
            sorted(
                ((REASONS[code].message_fr, count) for code, count in counted["codes"].items()), key=lambda row: -row[1]
            )
        ),
        by_day=charts.columns([(day(each), count) for each, count in checks]),
        number=number,
        **side(caller),
    )


# The team --------------------------------------------------------------------------------------------------------------


async def team(request: web.Request) -> web.Response:
    caller = await desk_person(request)
    call = call_of(request, caller)
    return await people_page(request, call, await draft(request, call))


async def invite(request: web.Request) -> web.StreamResponse:
    caller = await desk_person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        asked = read(InvitationRequest, {name: typed[name] for name in PEOPLE if typed.get(name)}, call)
        await desk_people.invite(
            call.connection,
            _post(call),
            await insurers.get(call.connection, InsurerId(caller.account_id)),
            email=asked.email,
            name=asked.name,
            role=asked.role,
            days=call.state.settings.invitation_days,
            session_id=caller.session_id,
            now=call.now,
            actor=call.actor,
        )
        return "/assureur/equipe?fait=invitation"

    return await act_on_people(request, caller, act)


async def change_role(request: web.Request) -> web.StreamResponse:
    caller = await desk_person(request)

    async def act(call: Call, typed: dict[str, str]) -> str:
        asked = read(RoleRequest, {"role": typed.get("role", "")}, call)
        member = MemberId(uuid_of(request))
        changed = await desk_people.change_role(
            call.connection, _post(call), InsurerId(caller.account_id), member, asked.role, actor=call.actor
        )
        if changed is None:
            raise NotFound
        return "/assureur/equipe?fait=role"

    return await act_on_people(request, caller, act)


async def remove(request: web.Request) -> web.StreamResponse:
    caller = await desk_person(request)

    async def act(call: Call, _: dict[str, str]) -> str:
        member = MemberId(uuid_of(request))
        if not await desk_people.remove(
            call.connection, InsurerId(caller.account_id), member, now=call.now, actor=call.actor
        ):
            raise NotFound
        return "/assureur/equipe?fait=retrait"

    return await act_on_people(request, caller, act)


def _post(call: Call) -> Post:
    return Post.of(call.state.settings, call.state.vault)
