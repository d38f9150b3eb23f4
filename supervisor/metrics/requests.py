"""Count requests as they end: where to, for whom, and what became of them."""

import time

from starlette.types import Scope

from mlxd.protocol.errors import CapacityError
from mlxd.supervisor.front.request_trace import CLIENT_GONE, Trace
from mlxd.supervisor.metrics.families import family
from mlxd.supervisor.metrics.labels import WHO
from mlxd.supervisor.metrics.registry import Registry

_DURATION = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0)
_WAIT = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_REFUSALS = frozenset(kind.code for kind in CapacityError.__subclasses__())
"""What says that the same request may work later."""


class Requests:
    """Hold the metrics that the front door fills."""

    def __init__(self, registry: Registry) -> None:
        self._labels = registry.labels
        self._ended = registry.counter(
            "requests",
            "Requests by route family, HTTP status and error code (ok, client_gone, model_not_found, ...)",
            ("route", "status", "code", *WHO),
        )
        self._refused = registry.counter(
            "requests_refused",
            "Requests that were turned away for want of room, memory or share",
            ("code", *WHO),
        )
        self._cancelled = registry.counter(
            "requests_cancelled", "Requests whose client left before the answer was complete", WHO
        )
        self._duration = registry.histogram(
            "request_duration_seconds",
            "From a request's head to the last byte of its answer",
            ("route", *WHO),
            _DURATION,
        )
        self._wait = registry.histogram(
            "queue_wait_seconds", "Wait of a request for a worker, its load included", WHO, _WAIT
        )

    def ended(self, scope: Scope, trace: Trace) -> None:
        """Count a request that has just ended, in whatever way."""
        who, route = self._labels.who(trace.model, trace.key), family(scope["path"])
        code = trace.error or "ok"
        self._ended.labels(route, trace.status or "none", code, *who).inc()
        self._duration.labels(route, *who).observe(time.monotonic() - trace.began)
        if code == CLIENT_GONE:
            self._cancelled.labels(*who).inc()
        elif code in _REFUSALS:
            self._refused.labels(code, *who).inc()

    def waited(self, model: str, key: str, seconds: float) -> None:
        """Count a request that got its worker."""
        self._wait.labels(*self._labels.who(model, key)).observe(seconds)
