"""Traces: what a collector is told of a request, and what it is not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.driver import Gateway, serving
from tpgateway.settings import Settings
from tpgateway.web.state import STATE

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Collector:
    """What was sent to it."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.receive)
    async with serving(app) as url:
        collector.url = f"{url}/v1/traces"
        yield collector


@pytest.fixture
def settings(settings: Settings, collector: Collector) -> Settings:
    return settings.model_copy(update={"traces_endpoint": collector.url})


async def test_a_request_is_a_span_of_its_callers_trace_with_its_statements_and_nothing_of_people(
    gateway: Gateway, worker: None, collector: Collector
) -> None:
    pharmacist = await gateway.join()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    for path in ("/v1/me", "/v1/prior-approvals?membership_number=SECRET99"):
        assert (await pharmacist.call("GET", path, headers=headers)).status == 200
    traces = gateway.app[STATE].traces
    assert traces is not None
    await asyncio.to_thread(traces._provider.force_flush)
    ours = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    requests = {span.name: span for span in ours if span.parent_span_id.hex() == PARENT}
    assert requests.keys() == {"practitioners.show_me", "prior_approvals.list_approvals"}
    for span in requests.values():
        said = {each.key: each.value for each in span.attributes}
        assert said["http.response.status_code"].int_value == 200
        statements = [each for each in ours if each.parent_span_id == span.span_id]
        assert any("SELECT" in str(each.attributes) for each in statements)
    for secret in ("SECRET99", pharmacist.client_secret, *map(str, pharmacist.form.values())):
        assert len(secret) < 8 or secret == "pharmacy" or secret.encode() not in collector.raw, secret
