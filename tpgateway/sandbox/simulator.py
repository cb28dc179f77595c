"""``tpgateway simulate insurer``: an insurer's whole system against any gateway: loads the scenarios, receives, decides."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import date
from typing import Any, cast
from urllib.parse import urlsplit

import structlog

from tpgateway.client import Client, Event, GatewayAway, GatewayProblem, PriorApproval
from tpgateway.sandbox import scenarios
from tpgateway.sandbox.insurer import Receiver
from tpgateway.sandbox.scenarios import DESKS, Desk

_CHUNK = 60_000
_log = structlog.get_logger(__name__)


async def stream(lines: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Lines of a file, in pieces worth sending."""
    chunk = bytearray()
    for line in lines:
        chunk += line
        if len(chunk) > _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


async def connect(client: Client, receiver: Receiver) -> str:
    """The receiver gets the insurer's events from now on; answers the endpoint's id.

    Endpoints at the same address, and those on this machine where nobody listens, are of earlier runs: they are removed.
    """
    listed = await client.request("GET", "/v1/insurer/endpoints")
    for old in listed["endpoints"]:
        if old["url"] == receiver.url or await _is_of_an_earlier_run(old["url"]):
            await client.request("DELETE", f"/v1/insurer/endpoints/{old['id']}")
    made = await client.request("POST", "/v1/insurer/endpoints", {"url": receiver.url})
    receiver.secret, endpoint = made["secret"], str(made["id"])

    async def revive() -> None:
        await client.request("PATCH", f"/v1/insurer/endpoints/{endpoint}", {"enabled": True})

    receiver.revive = revive
    return endpoint


async def _is_of_an_earlier_run(url: str) -> bool:
    parts = urlsplit(url)
    if parts.hostname != "127.0.0.1":
        return False
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    except OSError:
        return True
    writer.close()
    return False


async def load_scenarios(client: Client, today: date) -> dict[str, Any]:
    """The insurer's products, rules and people are those of the scenarios, beside what it had; answers the import."""
    for code, terms in scenarios.products(today).items():
        await client.request("PUT", f"/v1/insurer/products/{code}", terms)
    await client.request("PATCH", "/v1/insurer", {"approval_rules": scenarios.RULES})
    return await client.load_rights(stream(scenarios.rights(today)), mode="update")


class ReviewDesk:
    """Whoever decides at the insurer: does with each scenario's request what the scenario says."""

    def __init__(self, client: Client, *, otherwise: Desk = Desk.SLEEPS) -> None:
        self._client, self._otherwise = client, otherwise

    async def __call__(self, event: Event) -> None:
        """Decides what an event says is waiting; what others decided meanwhile is left alone."""
        data = event["data"]
        if not event["type"].startswith("prior_approval.") or data["waits_for"] != "insurer":
            return
        approval = cast(PriorApproval, {"id": data["prior_approval_id"], "version": data["version"]})
        desk = DESKS.get(data["membership_number"], self._otherwise)
        try:
            await self._decide(approval, desk, is_answered=data["code"] == "information_given")
        except GatewayProblem as problem:
            _log.warning("decision_refused", code=problem.code)
        except GatewayAway:
            _log.warning("gateway_away")

    async def _decide(self, approval: PriorApproval, desk: Desk, *, is_answered: bool) -> None:
        match desk:
            case Desk.APPROVES:
                await self._client.decide(approval, "approved", comment="Accord de l'organisme d'essai.")
            case Desk.CUTS:
                frame = {"line": 3, "granted_cents": 0, "code": "insurer_price_too_high"}
                await self._client.decide(approval, "partially_approved", lines=[cast(Any, frame)])
            case Desk.REFUSES:
                await self._client.decide(approval, "refused", code="insurer_not_justified")
            case Desk.ASKS if is_answered:
                await self._client.decide(approval, "approved")
            case Desk.ASKS:
                await self._client.ask(approval, "Quel est le motif de cet équipement ?")
            case Desk.SLEEPS:
                pass
