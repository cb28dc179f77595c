"""Every operation and every page × every kind of caller, against one table."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.authorisation.world import World, build
from tests.driver import Gateway, Reply
from tpgateway.app import ROUTES
from tpgateway.portal.routes import PAGES

TABLE = Path(__file__).with_name("table.txt")
# Texts, files and forms that stand for something else than a person's or an insurer's things.
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


def operations() -> Iterator[tuple[str, str, bool]]:
    """Method, path and whether it is a page."""
    for route in ROUTES:
        yield route.method, route.path, False
    for method, path, _ in PAGES:
        yield method, path, True


def outcome(reply: Reply) -> str:
    """``+`` where the caller is let in, whatever comes of the empty request; else who is turned away, and how."""
    if reply.status == 303 and "/connexion" in reply.headers["Location"].partition("?")[0]:
        return "d"  # to the door
    return {401: "1", 403: "3", 404: "4"}.get(reply.status, "!" if reply.status >= 500 else "+")


def concrete(path: str, things: dict[str, str]) -> str:
    path = re.sub(r"\{(\w+):[^}]*\}+", r"{\1}", path.replace(r"\d{0,8}", ""))
    for place, value in _ELSEWHERE.items():
        path = path.replace(place, value)
    for beginning in sorted(things, key=len, reverse=True):
        if path.startswith(beginning):
            return path.replace("{id}", things[beginning])
    return path


async def observed(world: World) -> list[str]:
    lines = []
    for method, path, is_page in operations():
        letters = []
        for caller in world.callers:
            reply = await world.call(caller, method, concrete(path, world.things), is_page=is_page)
            letters.append(outcome(reply))
            await world.restore()
        lines.append(f"{''.join(letters)}  {method:6} {path}")
    return lines


async def test_each_caller_gets_what_the_table_says(gateway: Gateway, worker: None, tmp_path: Path) -> None:
    world = await build(gateway, tmp_path)
    await world.keep_sessions()
    found = await observed(world)
    TABLE.with_suffix(".new").write_text("\n".join(found))
