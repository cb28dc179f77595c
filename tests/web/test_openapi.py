"""The OpenAPI document: committed, and true. That it is valid is seen by `make check`."""

import json
from pathlib import Path

from tests.driver import Gateway
from tpgateway.app import ROUTES, openapi_text
from tpgateway.errors import CATALOGUE

COMMITTED = Path(__file__).parents[2] / "schemas" / "openapi.json"


def test_the_committed_copy_is_the_same() -> None:
    assert COMMITTED.read_text() == openapi_text(), "run make openapi"


async def test_it_is_served_with_its_page_and_nothing_from_another_host(gateway: Gateway) -> None:
    assert (await gateway.call("GET", "/openapi.json")).body == json.loads(openapi_text())
    page = (await gateway.call("GET", "/docs")).body.decode()
    assert "http" not in page
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert (await gateway.call("GET", f"/docs/{name}")).status == 200
    assert (await gateway.call("GET", "/docs/nothing.js")).status == 404


def test_operations_have_names_of_their_own_and_known_problems() -> None:
    names = [route.operation for route in ROUTES]
    assert len(names) == len(set(names))
    for route in ROUTES:
        assert all(CATALOGUE[problem.code] is problem for problem in route.problems)


async def test_every_operation_for_known_callers_refuses_a_stranger(gateway: Gateway) -> None:
    ids = {"{id}": "0099990011-00000000-0000-0000-0000-000000000000", "{specialty}": "optics", "{code}": "X"}
    ids |= {"{version}": "latest", "{attachment_id}": "00000000-0000-0000-0000-000000000000", "{older}": "1"}
    protected = [route for route in ROUTES if route.access]
    assert len(protected) > 20
    for route in protected:
        path = route.path
        for name, value in ids.items():
            path = path.replace(name, value)
        reply = await gateway.call(route.method, path)
        assert (reply.status, reply.code) == (401, "authentication_required"), route.operation
