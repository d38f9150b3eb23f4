"""Decide what a worker's events change: a pure function from (life, event) to (life, effects).

The legal moves are `protocol.lifecycle.LEGAL`. Whoever owns a `Life` carries the effects out in order.
"""

import math
from dataclasses import dataclass, replace

from mlxd.protocol.lifecycle import ALIVE, FAILURES, StopReason, WorkerState, check_move
from mlxd.supervisor.lifecycle.events import (
    AskToStop,
    BecameReady,
    DumpStacks,
    Effect,
    Event,
    Exited,
    FailLeases,
    FailureReported,
    HelloReceived,
    Kill,
    LeaseEnded,
    LeaseStarted,
    Progressed,
    Reset,
    SendStart,
    Spawn,
    Stepped,
    StopWanted,
    Terminate,
    TimeUp,
    Wanted,
)

S = WorkerState

_LEAST_BACKOFF_S = 0.1
"""Where it is set to 0, those who waited for the failed load still get its error, not load after load."""
_DOUBLINGS = 32
"""More than any back-off needs; a float times 2**1025 is an OverflowError."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold the times, in seconds, that bound a worker's life."""

    hello_timeout: float
    load_stall: float
    step_stall: float
    drain_timeout: float
    ask_grace: float
    """From asking over the control channel to SIGTERM."""
    kill_grace: float
    """From SIGTERM to SIGKILL."""
    stable_after: float
    backoff: float
    backoff_max: float
    quarantine_after: int = 0
    """Failures in a row after which the model is left alone until somebody resets it; 0 = never."""


@dataclass(frozen=True, slots=True)
class Life:
    """Hold all that decides a worker's next move. Times are monotonic seconds."""

    state: WorkerState = S.STOPPED
    since: float = 0.0
    """When `state` was entered."""
    ready_at: float = math.inf
    """When this process became ready."""
    progress_at: float = 0.0
    """When a byte was read or a step done; for a ready worker without work, when work arrived."""
    steps: int = 0
    rows: int = 0
    """Rows that the engine holds by its last report."""
    expecting: int = 0
    """Requests that the worker has and of which its engine has shown no sign yet."""
    leases: int = 0
    idle_since: float = 0.0
    """When the last lease ended (or the worker became ready)."""
    idle_timeout: float = math.inf
    pinned: bool = False
    stop_reason: StopReason | None = None
    drain_by: float = math.inf
    """When a draining worker is stopped although requests still run."""
    terminated_at: float = math.inf
    """When SIGTERM was sent."""
    killed: bool = False
    served: bool = False
    """Whether this process answered a request to its end."""
    failures: int = 0
    """Failures in a row."""
    retry_at: float = 0.0
    error: str | None = None


Step = tuple[Life, tuple[Effect, ...]]


def step(life: Life, event: Event, now: float, policy: Policy) -> Step:
    """Return the next life and what to do about it.

    An event that means nothing in the present state (a late heartbeat, a second stop) changes nothing.
    Raises IllegalTransition for a `Wanted` that the scheduler must not send.
    """
    match event:
        case Wanted():
            return _start(life, now)
        case HelloReceived() if life.state is S.STARTING:
            return _move(life, S.LOADING, now, progress_at=now), (SendStart(),)
        case Progressed() if life.state is S.LOADING:
            return replace(life, progress_at=now), ()
        case BecameReady() if life.state is S.LOADING:
            return _move(life, S.READY, now, ready_at=now, progress_at=now, idle_since=now), ()
        case Stepped() if life.state in (S.READY, S.DRAINING):
            return _stepped(life, event, now), ()
        case LeaseStarted():
            return _lease_started(life, event, now), ()
        case LeaseEnded():
            return _lease_ended(life, event, now)
        case StopWanted():
            return _stop_wanted(life, event, now, policy)
        case FailureReported(message=message) if life.state in ALIVE:
            return _failure_reported(replace(life, error=message), now)
        case Exited(cause=cause):
            return _exited(life, cause, now, policy)
        case TimeUp(state=state) if state is life.state:
            return _time_up(life, now, policy)
        case Reset() if life.state is S.BACKOFF:
            return _move(life, S.STOPPED, now, failures=0, error=None), ()
        case _:
            return life, ()


def stalled_at(life: Life, policy: Policy) -> float:
    """Return when a serving worker counts as stuck if it makes no step before; inf while it owes none."""
    return life.progress_at + policy.step_stall if _owes_a_step(life) else math.inf


def declared(life: Life, pinned: bool, idle_timeout: float) -> Life:
    """Return the life with what the configuration says of the model, forgetting any request's keep_alive."""
    return replace(life, pinned=pinned, idle_timeout=idle_timeout)


def pin(life: Life, pinned: bool) -> Life:
    """Return the life pinned or not."""
    return replace(life, pinned=pinned)


def _move(life: Life, state: WorkerState, now: float, **changes: object) -> Life:
    check_move(life.state, state)
    return replace(life, state=state, since=now, **changes)  # type: ignore[arg-type]


def _start(life: Life, now: float) -> Step:
    fresh = _move(
        life, S.STARTING, now,
        steps=0, rows=0, expecting=0, leases=0, stop_reason=None, drain_by=math.inf,
        terminated_at=math.inf, killed=False, served=False, error=None,
        ready_at=math.inf, progress_at=now,
    )  # fmt: skip
    return fresh, (Spawn(),)


def _owes_a_step(life: Life) -> bool:
    """Tell whether the engine has work; a request may outlast it, when its client reads slowly."""
    return life.rows > 0 or life.expecting > 0


def _stepped(life: Life, event: Stepped, now: float) -> Life:
    stepped = event.steps != life.steps
    stuck = event.rows > 0 and not stepped and _owes_a_step(life)
    return replace(
        life,
        steps=event.steps,
        rows=event.rows,
        # An idle engine's beat may have crossed the request on its way.
        expecting=0 if event.rows or stepped else life.expecting,
        progress_at=life.progress_at if stuck else now,
    )


def _lease_started(life: Life, event: LeaseStarted, now: float) -> Life:
    if life.state is not S.READY:
        raise RuntimeError(f"a lease on a worker that is {life.state}")
    kept = life.idle_timeout if event.idle_timeout is None else event.idle_timeout
    # Work that arrives at a busy worker must not hide that the worker is stuck, nor must clients that give up
    # and come back: rows stay until the worker says that they are gone.
    progress_at = life.progress_at if _owes_a_step(life) else now
    return replace(
        life, leases=life.leases + 1, expecting=life.expecting + 1, idle_timeout=kept,
        progress_at=progress_at,
    )  # fmt: skip


def _lease_ended(life: Life, event: LeaseEnded, now: float) -> Step:
    if life.leases == 0:
        return life, ()
    # No step is owed for it any more; where others run, theirs may be done already.
    life = replace(life, expecting=min(life.leases - 1, life.expecting - (not event.seen)))
    life = replace(life, leases=life.leases - 1, idle_since=now, served=life.served or event.served)
    if life.state is S.DRAINING and life.leases == 0:
        return _stop(life, now)
    return life, ()


def _stop_wanted(life: Life, event: StopWanted, now: float, policy: Policy) -> Step:
    if life.state in (S.STARTING, S.LOADING):
        return _stop(replace(life, stop_reason=event.reason), now)
    if life.state is S.READY:
        life = replace(life, stop_reason=event.reason)
        if event.force:
            return _stop(life, now)
        drain_by = now + policy.drain_timeout if event.bounded else math.inf
        life = _move(life, S.DRAINING, now, drain_by=drain_by)
        return _stop(life, now) if life.leases == 0 else (life, ())
    if life.state is S.DRAINING and event.force:
        return _stop(life, now)
    if life.state is S.DRAINING and event.bounded:
        return replace(life, drain_by=min(life.drain_by, now + policy.drain_timeout)), ()
    return life, ()


def _failure_reported(life: Life, now: float) -> Step:
    """Give the worker no more requests, and no longer than the graces to be gone."""
    if life.state is S.STOPPING:
        return life, ()
    if life.state is S.DRAINING:
        return _stop(life, now)
    return _stop(replace(life, stop_reason=StopReason.POISONED), now)


def _stop(life: Life, now: float) -> Step:
    """Enter STOPPING; whatever is still in flight is failed at once, not when the process is gone."""
    reason = life.stop_reason or StopReason.UNLOAD
    ask = AskToStop(reason)
    if not life.leases:
        return _move(life, S.STOPPING, now), (ask,)
    cause = life.error or f"the model was stopped ({reason}) before it had answered"
    return _move(life, S.STOPPING, now, leases=0), (FailLeases(cause), ask)


def _time_up(life: Life, now: float, policy: Policy) -> Step:
    match life.state:
        case S.STARTING:
            error = f"the worker process did not report within {policy.hello_timeout:g} s"
            return _stop(replace(life, stop_reason=StopReason.START_STALLED, error=error), now)
        case S.LOADING:
            error = f"the load made no progress for {policy.load_stall:g} s"
            return _stop(replace(life, stop_reason=StopReason.LOAD_STALLED, error=error), now)
        case S.DRAINING if now >= life.drain_by:
            return _stop(life, now)
        case S.READY | S.DRAINING if now >= stalled_at(life, policy):
            return _step_stalled(life, now, policy)
        case S.READY if life.leases == 0:
            return _stop_wanted(life, StopWanted(StopReason.IDLE), now, policy)
        case S.STOPPING if math.isinf(life.terminated_at):
            return replace(life, terminated_at=now), (Terminate(),)
        case S.STOPPING if not life.killed:
            return replace(life, killed=True), (Kill(),)
        case _:
            return life, ()


def _step_stalled(life: Life, now: float, policy: Policy) -> Step:
    error = f"the model made no step for {policy.step_stall:g} s"
    life, effects = _stop(replace(life, stop_reason=StopReason.STEP_STALLED, error=error), now)
    return life, (DumpStacks(), *effects)


def _exited(life: Life, cause: str, now: float, policy: Policy) -> Step:
    if life.state not in ALIVE:
        return life, ()
    error = life.error or cause
    effects = (FailLeases(error),) if life.leases else ()
    life = replace(life, leases=0)
    wanted_stop = life.state is S.STOPPING and life.stop_reason not in FAILURES
    if wanted_stop or life.state is S.DRAINING:
        return _move(life, S.STOPPED, now, failures=0, error=None), effects
    # The time that a stuck worker took to leave is no time that it ran.
    ran_until = life.since if life.state is S.STOPPING else now
    was_stable = ran_until - life.ready_at >= policy.stable_after
    failures = 1 if life.served or was_stable else life.failures + 1
    # A worker that had come up is replaced at once the first time; one that never did is not.
    delays = failures if math.isinf(life.ready_at) else failures - 1
    quarantined = 0 < policy.quarantine_after <= failures
    retry_at = math.inf if quarantined else now + _backoff(delays, policy)
    return _move(life, S.BACKOFF, now, failures=failures, retry_at=retry_at, error=error), effects


def _backoff(delays: int, policy: Policy) -> float:
    if not delays:
        return 0.0
    wait = min(policy.backoff * 2.0 ** min(delays - 1, _DOUBLINGS), policy.backoff_max)
    return max(wait, _LEAST_BACKOFF_S)
