"""Decide who is served, started, drained or refused: a pure function from a snapshot to actions.

Level-triggered: the pool asks again after every change, so an action that is still due is simply decided again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.supervisor.eviction import Resident, choose, choose_to_yield

S = WorkerState
_LEAVING = frozenset({S.DRAINING, S.STOPPING})


@dataclass(frozen=True, slots=True)
class ModelView:
    """Describe one model's worker. Times are monotonic seconds."""

    state: WorkerState
    leases: int = 0
    pinned: bool = False
    idle_since: float = 0.0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Describe one request in the queue."""

    ticket: int
    model_id: str
    arrived_at: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold all that a decision depends on; `queue` is in order of arrival."""

    now: float
    models: Mapping[str, ModelView]
    queue: Sequence[Waiting]
    max_loaded: int = 0
    """0 = as many as fit."""
    max_swap_wait: float = math.inf


class Refusal(Enum):
    """Why a request is turned away."""

    BACKOFF = "backoff"
    """The model failed and its back-off lasts; the cached error is the answer."""
    ALL_PINNED = "all_pinned"
    """Every slot holds a pinned model, so waiting would never end."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Give the request its worker."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Start:
    """Start the model's worker."""

    model_id: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Drain the model's worker: no new requests, leave when the running ones are done."""

    model_id: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the request away."""

    ticket: int
    reason: Refusal


Action = Grant | Start | Evict | Refuse


def decide(snapshot: Snapshot) -> list[Action]:
    """Return what to do now.

    Never starts a worker beyond `max_loaded` counting those that are still leaving, never starts one twice, never
    evicts a busy worker unless a request has waited `max_swap_wait`, and leaves nobody waiting for something that
    will not happen.
    """
    actions: list[Action] = []
    cold: dict[str, list[Waiting]] = {}
    for waiting in snapshot.queue:
        view = snapshot.models[waiting.model_id]
        if view.state is S.READY:
            actions.append(Grant(waiting.ticket))
        elif view.state is S.BACKOFF and snapshot.now < view.retry_at:
            actions.append(Refuse(waiting.ticket, Refusal.BACKOFF))
        elif view.state in (S.STOPPED, S.BACKOFF):
            cold.setdefault(waiting.model_id, []).append(waiting)
    return actions + _make_room(snapshot, cold)


def _make_room(snapshot: Snapshot, cold: Mapping[str, Sequence[Waiting]]) -> list[Action]:
    if not snapshot.max_loaded:
        return [Start(model_id) for model_id in cold]
    alive = sum(view.state in ALIVE for view in snapshot.models.values())
    free = snapshot.max_loaded - alive
    stopping = sum(view.state is S.STOPPING for view in snapshot.models.values())
    draining = sum(view.state is S.DRAINING for view in snapshot.models.values())
    actions: list[Action] = []
    residents = _residents(snapshot)
    for model_id, requests in cold.items():
        overdue = snapshot.now >= _overdue_at(snapshot, requests[0])
        if free > 0:
            actions.append(Start(model_id))
            free -= 1
        elif stopping > 0:
            stopping -= 1  # that slot is promised to this model
        elif draining > 0 and not (overdue and choose(residents, 1)):
            # So is this one; but its requests may run for long, and an idle worker can go at once.
            draining -= 1
        elif _is_full_for_good(snapshot):
            actions += [Refuse(waiting.ticket, Refusal.ALL_PINNED) for waiting in requests]
        else:
            victims = choose_to_yield(residents, 1) if overdue else choose(residents, 1)
            actions += [Evict(victim) for victim in victims]
            residents = [r for r in residents if r.model_id not in victims]
    return actions


def _overdue_at(snapshot: Snapshot, waiting: Waiting) -> float:
    # The only place with this sum: by another rounding `next_wake` would miss the moment.
    return waiting.arrived_at + snapshot.max_swap_wait


def _residents(snapshot: Snapshot) -> list[Resident]:
    named = {waiting.model_id for waiting in snapshot.queue}
    return [
        Resident(model_id, view.leases, view.pinned, view.idle_since, model_id in named)
        for model_id, view in snapshot.models.items()
        if view.state is S.READY
    ]


def _is_full_for_good(snapshot: Snapshot) -> bool:
    # A worker that this very decision starts is not counted: whether it stays pinned, the next one will see.
    alive = [view for view in snapshot.models.values() if view.state in ALIVE]
    stays = all(view.pinned and view.state not in _LEAVING for view in alive)
    return stays and len(alive) >= snapshot.max_loaded


def next_wake(snapshot: Snapshot) -> float:
    """Return the monotonic time at which `decide` would answer differently by the clock alone; inf for never.

    That is when a request for a model without a worker has waited `max_swap_wait`.
    """
    times = [
        _overdue_at(snapshot, waiting)
        for waiting in snapshot.queue
        if snapshot.models[waiting.model_id].state in (S.STOPPED, S.BACKOFF)
    ]
    return min((t for t in times if t > snapshot.now), default=math.inf)
