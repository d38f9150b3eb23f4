"""Decide when a worker's time is up: pure functions of its life."""

import math

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.events import TimeUp
from mlxd.supervisor.lifecycle import Life, Policy

S = WorkerState


def deadline(life: Life, policy: Policy) -> float:
    """Return the monotonic time at which `TimeUp` is due if nothing happens before; inf for never."""
    match life.state:
        case S.STARTING:
            return life.since + policy.hello_timeout
        case S.LOADING:
            return life.progress_at + policy.load_stall
        case S.READY if life.leases:
            return life.progress_at + policy.step_stall
        case S.READY:
            return math.inf if life.pinned else life.idle_since + life.idle_timeout
        case S.DRAINING:
            return min(life.drain_by, life.progress_at + policy.step_stall)
        case S.STOPPING if not life.terminated:
            return life.since + policy.ask_grace
        case S.STOPPING if not life.killed:
            return life.since + policy.ask_grace + policy.kill_grace
        case _:
            return math.inf


def due(life: Life, policy: Policy, now: float) -> TimeUp | None:
    """Return the event to feed to `lifecycle.step` now, if any."""
    return TimeUp(life.state) if now >= deadline(life, policy) else None
