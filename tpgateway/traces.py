"""Traces by OpenTelemetry, where ``TPG_TRACES_ENDPOINT`` names who collects them: a span a request, a job and a statement.

A span names the operation, the status and the request's id, and a statement without its values: nothing of people. Needs the
extra ``traces``; without it, and without the setting, nothing is loaded and nothing is spent.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from tpgateway.settings import Settings


class TracesNotInstalled(ImportError):
    """TPG_TRACES_ENDPOINT is set, and the extra is missing: pip install 'tpgateway[traces]'."""


class Traces:
    """Of one process, called ``name`` by who collects."""

    def __init__(self, endpoint: str, name: str) -> None:
        try:
            from opentelemetry import propagate, trace  # noqa: PLC0415
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
            from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor  # noqa: PLC0415
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        except ImportError as error:
            raise TracesNotInstalled(TracesNotInstalled.__doc__) from error
        resource = Resource.create({"service.name": name, "service.version": version("tpgateway")})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("tpgateway")
        self._trace, self._propagate = trace, propagate
        self._statements = AsyncPGInstrumentor()  # type: ignore[no-untyped-call]
        self._statements.instrument(tracer_provider=self._provider)

    @contextmanager
    def request(self, headers: Mapping[str, str], request_id: str) -> Iterator[Any]:
        """A span of a request; it goes on where the caller's trace is. ``name`` it once it is known what it was."""
        with self._tracer.start_as_current_span(
            "request",
            context=self._propagate.extract(headers),
            kind=self._trace.SpanKind.SERVER,
            attributes={"tpgateway.request_id": request_id},
            record_exception=False,  # texts of exceptions may hold data of people
            set_status_on_exception=False,
        ) as span:
            yield span

    @contextmanager
    def job(self, kind: str) -> Iterator[None]:
        """A span of a job of the queue."""
        with self._tracer.start_as_current_span(
            kind, kind=self._trace.SpanKind.CONSUMER, record_exception=False, set_status_on_exception=False
        ):
            yield

    def close(self) -> None:
        """Sends what is left."""
        self._statements.uninstrument()
        self._provider.shutdown()


def name(span: Any, operation: str, method: str, status: int) -> None:
    """What the request was, and what became of it."""
    span.update_name(operation)
    span.set_attributes({"http.request.method": method, "http.route": operation, "http.response.status_code": status})


def of(settings: Settings, name: str) -> Traces | None:
    """Traces, where the settings ask for them; raises ``TracesNotInstalled``."""
    return Traces(settings.traces_endpoint, name) if settings.traces_endpoint else None
