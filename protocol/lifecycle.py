"""Name the states of a model's worker and the moves between them.

A process exists exactly in the states of `ALIVE`; `STOPPED` and `BACKOFF` are entered only after the pid was reaped.
"""

from enum import StrEnum


class WorkerState(StrEnum):
    """What `ps` shows."""

    STOPPED = "stopped"
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    BACKOFF = "backoff"


class StopReason(StrEnum):
    """Why a worker was told to leave."""

    UNLOAD = "unload"
    IDLE = "idle"
    EVICTED = "evicted"
    SHUTDOWN = "shutdown"
    START_STALLED = "start_stalled"
    LOAD_STALLED = "load_stalled"
    STEP_STALLED = "step_stalled"
    POISONED = "poisoned"


FAILURES = frozenset(
    {
        StopReason.START_STALLED,
        StopReason.LOAD_STALLED,
        StopReason.STEP_STALLED,
        StopReason.POISONED,
    }
)
"""Reasons after which the model goes to `BACKOFF` rather than `STOPPED`."""

_S = WorkerState

LEGAL: frozenset[tuple[WorkerState, WorkerState]] = frozenset(
    {
        (_S.STOPPED, _S.STARTING),  # wanted
        (_S.STARTING, _S.LOADING),  # hello
        (_S.STARTING, _S.STOPPING),  # unload, no hello in time
        (_S.STARTING, _S.BACKOFF),  # exited
        (_S.LOADING, _S.READY),  # self-test token produced
        (_S.LOADING, _S.STOPPING),  # unload, no progress in time
        (_S.LOADING, _S.BACKOFF),  # exited
        (_S.READY, _S.DRAINING),  # unload, idle, evicted, shutdown
        (_S.READY, _S.STOPPING),  # no step in time, poisoned, forced unload
        (_S.READY, _S.BACKOFF),  # exited
        (_S.DRAINING, _S.STOPPING),  # last lease ended, drain time over
        (_S.DRAINING, _S.STOPPED),  # exited; it was leaving anyway
        (_S.STOPPING, _S.STOPPED),  # reaped after a wanted stop
        (_S.STOPPING, _S.BACKOFF),  # reaped after a stop caused by a failure
        (_S.BACKOFF, _S.STARTING),  # wanted and the back-off is over
        (_S.BACKOFF, _S.STOPPED),  # reset by an operator or a reload
    }
)
"""Every legal move; anything else is a programming error."""

ALIVE = frozenset({_S.STARTING, _S.LOADING, _S.READY, _S.DRAINING, _S.STOPPING})
"""States in which a process exists."""


class IllegalTransition(RuntimeError):
    """Report a move that is not in `LEGAL`."""


def check_move(old: WorkerState, new: WorkerState) -> None:
    """Raise IllegalTransition unless `old` may become `new`."""
    if (old, new) not in LEGAL:
        raise IllegalTransition(f"{old} -> {new}")
