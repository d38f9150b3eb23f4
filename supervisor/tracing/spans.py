"""Turn what is known of a request that has ended into spans: nothing here measures, and nothing here sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mlxd.protocol.control import Used
from mlxd.protocol.dialect import of_path
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.front.request_trace import CLIENT_GONE, Trace

_PHASES = {WorkerState.STARTING: "start a process", WorkerState.LOADING: "load the model"}
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
_OTHER = "_OTHER"
"""What OpenTelemetry calls a method that a client made up."""
_STREAMS = ("text/event-stream", "application/x-ndjson")

Moments = Sequence[tuple[WorkerState, float]]
"""When a model's worker entered which state, from the start of its process on."""


@dataclass(frozen=True, slots=True)
class Span:
    """Hold a stretch of time in seconds of the clock that never goes back, and what was done in it."""

    name: str
    began: float
    ended: float
    attributes: Mapping[str, str | int | bool] = field(default_factory=dict)
    error: str | None = None
    """Code of the error where something of ours went wrong."""
    parts: tuple["Span", ...] = ()


def wait(began: float, ended: float, moments: Moments) -> Span:
    """Return the wait for a worker, with the part that its cold start had in it."""
    phases = (
        Span(_PHASES[state], max(at, began), min(until, ended))
        for (state, at), (_, until) in pairwise(moments)
        if state in _PHASES and until > began
    )
    return Span("wait for a worker", began, ended, parts=tuple(phases))


def request(
    trace: Trace,
    ended: float,
    *,
    method: str,
    path: str,
    route: str | None,
    waits: Sequence[Span] = (),
    used: Sequence[Used] = (),
) -> Span:
    """Return the span of a request; it is named after its route, never after what a client made up."""
    method = method if method in _METHODS else _OTHER
    code = trace.error or next((one.error for one in used if one.error), None)
    known = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": trace.status,
        "error.type": code,
        "gen_ai.request.model": trace.model,
        **_tokens(used),
        "mlxd.request_id": trace.request_id,
        "mlxd.key": trace.key,
        "mlxd.dialect": of_path(path).value if route or trace.model else None,
        "mlxd.stream": trace.content_type.startswith(_STREAMS),
    }
    is_theirs = code == CLIENT_GONE or 400 <= (trace.status or 0) < 500
    return Span(
        f"{method} {route}" if route else method,
        trace.began,
        ended,
        {name: value for name, value in known.items() if value is not None},
        error=None if is_theirs else code,
        parts=(*waits, *_answer(ended, waits, used)),
    )


def _tokens(used: Sequence[Used]) -> dict[str, int]:
    if not used:
        return {}
    return {
        "gen_ai.usage.input_tokens": sum(one.input_tokens for one in used),
        "gen_ai.usage.output_tokens": sum(one.output_tokens for one in used),
        "gen_ai.usage.cache_read.input_tokens": sum(one.cached_tokens for one in used),
    }


def _answer(ended: float, waits: Sequence[Span], used: Sequence[Used]) -> tuple[Span, ...]:
    """Return reading and writing, of the last worker that had the request, where it made a token."""
    if not waits or not used or (till_first := used[-1].first_token) is None:
        return ()
    granted = waits[-1].ended
    first = min(max(granted, waits[-1].began + till_first), ended)
    return Span("prefill", granted, first), Span("decode", first, ended)
