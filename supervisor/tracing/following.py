"""Follow requests until all is known of them: beside the metrics, by what those are told."""

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from starlette.routing import Match
from starlette.types import Scope

from mlxd.config.settings import Tracing
from mlxd.protocol.control import Used
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.journal import Entry, WorkerMoved
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.front import request_trace
from mlxd.supervisor.front.request_trace import Trace
from mlxd.supervisor.tracing import spans
from mlxd.supervisor.tracing.spans import Span

_PATIENCE_S = 1.0
"""How long after its end a request waits for its worker's word on it, which takes another way."""
_WAY = (WorkerState.STARTING, WorkerState.LOADING, WorkerState.READY)


class Export(Protocol):
    """Take finished spans; never waits, never raises."""

    def send(self, span: Span, scope: Scope) -> None:
        """Take the span of a request."""
        ...

    def close(self) -> None:
        """Send what is left, for a moment at most."""
        ...


def export(settings: Tracing) -> Export | None:
    """Return what takes spans, None where nobody wants any; raises ConfigError where the libraries are missing."""
    if settings.endpoint is None:
        return None
    try:
        from mlxd.supervisor.tracing.export import OtlpExport
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tracing.endpoint: traces need the module {error.name}: pip install 'mlxd[tracing]'"
        ) from None
    return OtlpExport(settings.endpoint, settings.ratio)


@dataclass(slots=True, eq=False)
class _Followed:
    """Hold what was heard of one request."""

    waits: list[Span] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)
    finish: Callable[[], None] | None = None
    """Sends it; None before it has ended."""


class Following:
    """Gather the facts of each request, and hand its span on when all are there."""

    def __init__(self, export: Export, clock: Callable[[], float] = time.monotonic) -> None:
        self._export = export
        self._clock = clock
        self._numbers = itertools.count(1)
        self._followed: dict[int, _Followed] = {}
        self._moments: dict[str, list[tuple[WorkerState, float]]] = {}

    def happened(self, entry: Entry) -> None:
        """Note when a model's worker entered which state, for those that wait for it."""
        if not isinstance(entry, WorkerMoved):
            return
        if entry.state is WorkerState.STARTING:
            self._moments[entry.model] = []
        if entry.state in _WAY:
            self._moments.setdefault(entry.model, []).append((entry.state, self._clock()))
        else:
            self._moments.pop(entry.model, None)

    def waited(self, model: str, key: str, seconds: float) -> None:
        """Note that the request that is worked for has its worker now."""
        trace = request_trace.current()
        if trace is None or trace.ended is not None:
            return  # a response in the background, whose request was answered long ago
        if not trace.number:
            trace.number = next(self._numbers)
            self._followed[trace.number] = _Followed()
        now, moments = self._clock(), self._moments.get(model, [])
        is_ready = bool(moments) and moments[-1][0] is WorkerState.READY
        waited = spans.wait(now - seconds, now, moments if is_ready else ())
        self._followed[trace.number].waits.append(waited)

    def used(self, model: str, used: Used) -> None:
        """Note what a worker says of a request that it has had."""
        followed = self._followed.get(used.request)
        if followed is None:
            return
        followed.used.append(used)
        if followed.finish is not None and len(followed.used) >= len(followed.waits):
            followed.finish()

    def ended(self, scope: Scope, trace: Trace) -> None:
        """Send a request's span, at once or when its workers have told what it used."""
        followed = self._followed.get(trace.number) or _Followed()
        ended = self._clock() if trace.ended is None else trace.ended

        def finish() -> None:
            self._followed.pop(trace.number, None)
            late.cancel()
            span = spans.request(
                trace,
                ended,
                method=scope["method"],
                path=scope["path"],
                route=_route(scope),
                waits=followed.waits,
                used=followed.used,
            )
            self._export.send(span, scope)

        late = asyncio.get_running_loop().call_later(_PATIENCE_S, finish)
        followed.finish = finish
        if len(followed.used) >= len(followed.waits):
            finish()

    def close(self) -> None:
        """Send what waits for its worker's word, and nothing after that."""
        for followed in list(self._followed.values()):
            if followed.finish is not None:
                followed.finish()
        self._export.close()


def _route(scope: Scope) -> str | None:
    """Return the pattern of the route that a request asked for, also where it was refused before it got there."""
    routes = scope["app"].routes
    return next((one.path for one in routes if one.matches(scope)[0] is Match.FULL), None)
