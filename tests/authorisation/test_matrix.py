"""Every operation and every page × every kind of caller, against one table."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import builders
from tests.authorisation.world import build
from tests.driver import Gateway, Reply
from tpgateway.app import ROUTES
from tpgateway.portal.routes import PAGES
from tpgateway.settings import Settings

TABLE = Path(__file__).with_name("table.txt")
# What stands for texts, files and forms in a path: of nobody in particular.
_ELSEWHERE = {
    "{specialty}": "optics",
    "{code}": "CONFORT",
    "{token}": "x" * 43,
    "{version}": "1",
    "{older}": "1",
    "{name}": "style.css",
    "{kind}": "optique",
    "{attachment_id}": "3f0b7a52-9c1d-4a86-b7de-1f2a3c4d5e6f",
}
_GLASSES = {name: value for name, value in builders.a_request("").items() if name not in {"insurer_number", "proof"}}
# Good requests, so that it is seen whose the thing is. The versions are wrong: nothing is changed by them.
_BODIES: dict[str, Any] = {
    "/amendments": {"version": 90, **_GLASSES},
    "/extension": {"version": 90, "stay": builders.a_stay()},
    "/appeal": {"version": 90, "arguments": "x"},
    "/information": {"version": 90, "answer": "x"},
    "/use": {"version": 90, "billed_on": builders.today().isoformat()},
    "/decision": {"version": 90, "decision": "approved"},
    "/information-request": {"version": 90, "question": "x"},
    "/v1/me/members/{id}": {"role": "staff"},
    "/v1/me/clients/{id}": {"name": "Autre"},
    "/endpoints/{id}/redelivery": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
}
_PAGE_BODIES: dict[str, Any] = {
    "/contestation": {"version": "90", "arguments": "x"},
    "/reponse": {"version": "90", "answer": "x"},
    "/facturation": {"version": "90", "billed_on": builders.today().isoformat()},
    "/annulation": {"sure": "oui"},
    "/decision": {"version": "90", "decision": "approved"},
    "/question": {"version": "90", "question": "x"},
    "/modification": {
        "version": "90",
        "prescription_date": builders.today().isoformat(),
        "prescriber_rpps": "10999999906",
        "frame.lpp": "2248320",
        "frame.price_class": "b",
        "frame.price": "90",
        "frame.base": "0,05",
        "frame.amo": "0,03",
    },
    "/prolongation": {
        "version": "90",
        "stay.finess": "750000549",
        "stay.admission": "planned",
        "stay.entry_date": builders.today().isoformat(),
        "stay.exit_date": builders.today().isoformat(),
        "stay.dmt": "223",
        "stay.mode_of_treatment": "03",
        "stay.items.single_room.price": "80",
    },
    "/role": {"role": "staff"},
    "/periode": {"start": "2026-01-01T00:00", "end": "2026-01-02T00:00"},
    "/livraisons/{id}/etat": {"enabled": "oui"},
}
# They undo what the others need, and come last.
_UNDOING = ("/cancellation", "/annulation", "/retrait", "/closure")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Thousands are turned away here, which is not what this is about."""
    return settings.model_copy(update={"requests_per_minute": 1_000_000})


def operations() -> Iterator[tuple[str, str, bool]]:
    """Method, path and whether it is a page."""
    for route in ROUTES:
        yield route.method, route.path, False
    for method, path, _ in PAGES:
        yield method, path, True


def undoes(operation: tuple[str, str, bool]) -> bool:
    method, path, _ = operation
    return method == "DELETE" or path.endswith(_UNDOING)


def outcome(reply: Reply) -> str:
    """``+`` where the caller is let in, whatever comes of the request; else how the caller is turned away."""
    if reply.status == 303 and reply.headers["Location"].partition("?")[0].endswith(("/connexion", "/connexion/code")):
        return "d"
    return {401: "1", 403: "3", 404: "4", 429: "!"}.get(reply.status, "!" if reply.status >= 500 else "+")


def concrete(path: str, things: dict[str, str]) -> str:
    path = path.replace(r":[1-9]\d{0,8}", "")
    for place, value in _ELSEWHERE.items():
        path = path.replace(place, value)
    owner = next((each for each in sorted(things, key=len, reverse=True) if path.startswith(each)), None)
    return path if owner is None else path.replace("{id}", things[owner])


def body_of(path: str, *, is_page: bool) -> Any:
    bodies = _PAGE_BODIES if is_page else _BODIES
    place = path.removesuffix("/simulation")
    return next((body for ending, body in bodies.items() if place.endswith(ending)), None)


def expected() -> dict[str, str]:
    """The table: a caller's letter by place, for each operation."""
    rows = re.findall(r"^([+134d]+)  (\S+ +\S+)$", TABLE.read_text(), re.MULTILINE)
    return {" ".join(operation.split()): letters for letters, operation in rows}


def test_every_operation_has_its_row() -> None:
    assert sorted(f"{method} {path}" for method, path, _ in operations()) == sorted(expected())


async def test_each_caller_gets_what_the_table_says(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    world = await build(gateway, tmp_path)
    await world.keep_sessions()
    found = {}
    for method, path, is_page in sorted(operations(), key=undoes):
        letters = []
        for caller in reversed(world.callers):
            reply = await world.call(
                caller, method, concrete(path, world.things), body_of(path, is_page=is_page), is_page=is_page
            )
            letters.append(outcome(reply))
            await world.restore()
        found[f"{method} {path}"] = "".join(reversed(letters))
    wrong = {
        name: (letters, expected().get(name)) for name, letters in found.items() if expected().get(name) != letters
    }
    assert not wrong
