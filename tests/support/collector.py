"""Be a collector of OpenTelemetry: take spans over OTLP/HTTP on loopback, and keep them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support.deadline import until

_ARRIVES_S = 60.0


@dataclass
class Collector:
    """Hold what came."""

    address: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    headers: list[dict[str, str]] = field(default_factory=list)
    resource: dict[str, object] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    """No request is answered before it is set."""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Keep what one request brought."""
        self.paths.add(path)
        self.headers.append(headers)
        self.bodies.append(body)
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for attribute in group.resource.attributes:
                self.resource[attribute.key] = attribute.value.string_value
            for scope in group.scope_spans:
                self.spans += scope.spans

    def request(self, request_id: str) -> Span:
        """Return the span of the request with this id, once it has come."""

        def found() -> Span | None:
            wanted = ("mlxd.request_id", request_id)
            return next((s for s in list(self.spans) if wanted in attributes(s).items()), None)

        return until(found, within=_ARRIVES_S, what=f"the span of {request_id}")

    def beneath(self, parent: Span) -> list[Span]:
        """Return the spans right beneath one, in their order; they come no later than it."""
        found = [span for span in list(self.spans) if span.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


def attributes(span: Span) -> dict[str, object]:
    """Return a span's attributes as plain values."""
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in span.attributes
    }


@contextmanager
def collecting(*, answers: bool = True) -> Iterator[Collector]:
    """Run a collector; one that does not answer holds every request until the end."""
    collector = Collector()
    if answers:
        collector.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(self.path, dict(self.headers), body)
            collector.gate.wait()
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.address = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield collector
        finally:
            collector.gate.set()
            server.shutdown()
            serving.join()
