"""Count starts and ends of workers by what the event log is told."""

import signal
import time
from collections.abc import Callable

from mlxd.protocol.exit_codes import ExitCode
from mlxd.protocol.journal import Entry, MemoryShort, WorkerEnded, WorkerMoved
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.metrics.labels import MODEL
from mlxd.supervisor.metrics.registry import Registry

_COLD = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
ROOM, PRESSURE, IDLE = "room", "pressure", "idle"
"""Why a model was pushed out: for another one, for want of the machine's memory, because nobody used it."""


class Lives:
    """Hold the metrics that the event log fills."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._labels = registry.labels
        self._clock = clock
        self._began: dict[str, float] = {}
        self._entered: dict[str, float] = {}
        self._pressed: set[str] = set()
        self._starts = registry.counter("worker_starts", "Processes started for a model", (MODEL,))
        self._exits = registry.counter(
            "worker_exits",
            "Processes that ended, by the reason they were told to, or how they ended by themselves",
            (MODEL, "cause"),
        )
        self._evictions = registry.counter(
            "evictions", "Models that were pushed out: room, pressure or idle", (MODEL, "cause")
        )
        self._swaps = registry.counter(
            "swaps", "Times that a model had to leave so that another could be loaded"
        )
        self._cold = registry.histogram(
            "cold_start_seconds",
            "Time a start took: process (until it reports), load (until a token came out), total",
            (MODEL, "phase"),
            _COLD,
        )

    def happened(self, entry: Entry) -> None:
        """Count what an entry of the event log says."""
        match entry:
            case WorkerMoved():
                self._moved(entry)
            case WorkerEnded(model=model):
                self._labels.who(model, None)
                self._exits.labels(model, cause_of(entry)).inc()
                self._pressed.discard(model)
            case MemoryShort(evicted=evicted):
                self._pressed.update(evicted)

    def _moved(self, entry: WorkerMoved) -> None:
        model, now = entry.model, self._clock()
        self._labels.who(model, None)
        if entry.state is WorkerState.STARTING:
            self._began[model] = self._entered[model] = now
            self._starts.labels(model).inc()
        elif entry.state is WorkerState.LOADING:
            self._phase(model, "process", now)
        elif entry.state is WorkerState.READY:
            self._phase(model, "load", now)
            self._cold.labels(model, "total").observe(now - self._began.pop(model, now))
        elif entry.was is WorkerState.READY and entry.reason in (
            StopReason.EVICTED,
            StopReason.IDLE,
        ):
            self._left(model, entry.reason)

    def _phase(self, model: str, name: str, now: float) -> None:
        self._cold.labels(model, name).observe(now - self._entered.get(model, now))
        self._entered[model] = now

    def _left(self, model: str, reason: StopReason) -> None:
        if reason is StopReason.IDLE:
            cause = IDLE
        else:
            cause = PRESSURE if model in self._pressed else ROOM
        self._evictions.labels(model, cause).inc()
        if cause == ROOM:
            self._swaps.inc()


def cause_of(entry: WorkerEnded) -> str:
    """Return one word for why a process ended: the reason it was told, else its signal or exit code."""
    if entry.reason is not None:
        return str(entry.reason)
    try:
        if entry.exit_code < 0:
            return signal.Signals(-entry.exit_code).name.lower()
        return ExitCode(entry.exit_code).name.lower()
    except ValueError:
        return "signal" if entry.exit_code < 0 else "exit"
