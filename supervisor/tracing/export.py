"""Send spans to a collector over OTLP/HTTP; the only file that knows OpenTelemetry, imported where it is wanted.

The library's own thread sends what is queued, in batches; what does not fit its queue is dropped.
"""

import logging
import threading
import time
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from mlxd.supervisor.tracing.spans import Span

logger = logging.getLogger("mlxd.tracing")

_PATH = "/v1/traces"
_LAST_SPANS_S = 2.0
_QUIET_S = 60.0


class OtlpExport:
    """Make OpenTelemetry's spans of ours and have them sent."""

    def __init__(self, endpoint: str, ratio: float) -> None:
        """A caller's `traceparent` decides whether its request is traced; `ratio` decides for all others."""
        library = logging.getLogger("opentelemetry")
        library.propagate = False
        library.handlers = [_Complaints(endpoint)]
        own = {SERVICE_NAME: "mlxd", SERVICE_VERSION: version("mlxd")}
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create(own),
            shutdown_on_exit=False,
        )
        url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
        self._tracer = self._provider.get_tracer("mlxd")
        self._parents = TraceContextTextMapPropagator()

    def send(self, span: Span, scope: Scope) -> None:
        """Queue the span of a request, under that of its caller."""
        ahead = time.time_ns() - time.monotonic_ns()
        parent = self._parents.extract(Headers(scope=scope))
        self._send(span, parent, ahead, SpanKind.SERVER)

    def _send(self, span: Span, parent: Context, ahead: int, kind: SpanKind) -> None:
        began = round(span.began * 1e9) + ahead
        made = self._tracer.start_span(span.name, parent, kind, span.attributes, start_time=began)
        if not made.is_recording():
            return
        if span.error:
            made.set_status(Status(StatusCode.ERROR, span.error))
        inside = set_span_in_context(made, parent)
        for part in span.parts:
            self._send(part, inside, ahead, SpanKind.INTERNAL)
        made.end(round(span.ended * 1e9) + ahead)

    def close(self) -> None:
        """Send what is queued; a collector that takes longer than two seconds is left."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_LAST_SPANS_S)


class _Complaints(logging.Handler):
    """Let the library complain once a minute: a collector that is down is news once."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(logging.WARNING)
        self._endpoint = endpoint
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as one line of ours, or leave it."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            reason = " ".join(record.getMessage().split())[:300]
            logger.warning("traces may be lost endpoint=%s reason=%r", self._endpoint, reason)
