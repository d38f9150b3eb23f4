"""Decide when a worker's time is up: pure functions of its life."""

import math

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle.events import TimeUp
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy, stalled_at

S = WorkerState


def deadline(life: Life, policy: Policy) -> float:
    """Return the monotonic time at which `TimeUp` is due if nothing happens before; inf for never."""
    match life.state:
        case S.STARTING:
            return life.since + policy.hello_timeout
        case S.LOADING:
            return life.progress_at + policy.load_stall
        case S.READY:
            idle = not life.leases and not life.pinned
            idle_out = life.idle_since + life.idle_timeout if idle else math.inf
            return min(idle_out, stalled_at(life, policy))
        case S.DRAINING:
            return min(life.drain_by, stalled_at(life, policy))
        case S.STOPPING if math.isinf(life.terminated_at):
            return life.since + policy.ask_grace
        case S.STOPPING if not life.killed:
            # From the signal itself: a loop that was late with SIGTERM must not hurry to SIGKILL.
            return life.terminated_at + policy.kill_grace
        case _:
            return math.inf


def due(life: Life, policy: Policy, now: float) -> TimeUp | None:
    """Return the event to feed to `lifecycle.step` now, if any."""
    return TimeUp(life.state) if now >= deadline(life, policy) else None
