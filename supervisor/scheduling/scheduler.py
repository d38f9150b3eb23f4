"""Decide who is served, started, drained or refused: a pure function from a snapshot to actions.

Level-triggered: the pool asks again after every change, so an action that is still due is simply decided again.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.supervisor.scheduling.eviction import Resident, choose, choose_to_yield
from mlxd.supervisor.scheduling.room import Room
from mlxd.supervisor.scheduling.turns import Shared, in_turns
from mlxd.supervisor.urgency import Priority

S = WorkerState
_LEAVING = frozenset({S.DRAINING, S.STOPPING})
_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class ModelView:
    """Describe one model's worker. Times are monotonic seconds."""

    state: WorkerState
    leases: int = 0
    pinned: bool = False
    idle_since: float = 0.0
    retry_at: float = 0.0
    need_bytes: int = 0
    """What the worker is expected to take once it runs."""
    held_bytes: int = 0
    """What comes back when the process is gone: its footprint, or its need where that is more."""
    slots: int | None = None
    """Requests it is given at a time; None = all there are."""
    shared: Shared = Shared()
    """Which keys have it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Describe one request in the queue."""

    ticket: int
    model_id: str
    arrived_at: float
    priority: Priority = Priority.NORMAL
    tenant: str = ""
    """The key it came with."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Hold all that a decision depends on; `queue` is in order of arrival."""

    now: float
    models: Mapping[str, ModelView]
    queue: Sequence[Waiting]
    max_loaded: int = 0
    """0 = as many as fit."""
    max_swap_wait: float = math.inf
    budget_bytes: int | None = None
    """What all workers may take together; None = no limit."""
    available_bytes: int | None = None
    """What the machine could still hand out, less what loading workers have yet to take; None = no limit."""


class Refusal(Enum):
    """Why a request is turned away."""

    BACKOFF = "backoff"
    """The model failed and its back-off lasts; the cached error is the answer."""
    ALL_PINNED = "all_pinned"
    """Every slot holds a pinned model, so waiting would never end."""
    TOO_LARGE = "too_large"
    """The model does not fit, even with everybody gone who may be made to go."""


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
    room_for: str = field(default="", compare=False)
    """The model that needs the room."""


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
    granted: Counter[str] = Counter()
    for waiting in in_line(snapshot):
        view = snapshot.models[waiting.model_id]
        if view.state is S.READY:
            if view.slots is None or view.leases + granted[waiting.model_id] < view.slots:
                actions.append(Grant(waiting.ticket))
                granted[waiting.model_id] += 1
        elif view.state is S.BACKOFF and snapshot.now < view.retry_at:
            actions.append(Refuse(waiting.ticket, Refusal.BACKOFF))
        elif view.state in (S.STOPPED, S.BACKOFF):
            cold.setdefault(waiting.model_id, []).append(waiting)
    return actions + _make_room(snapshot, cold)


def in_line(snapshot: Snapshot) -> Sequence[Waiting]:
    """Return who waits, by priority and then by arrival; whoever has waited `max_swap_wait` counts as high.

    Among requests of one model and priority the keys take turns.
    """
    ranked = [(_rank(snapshot, waiting), waiting) for waiting in snapshot.queue]
    line = sorted(ranked, key=lambda entry: entry[0])  # stable
    return in_turns(line, {name: view.shared for name, view in snapshot.models.items()})


def _rank(snapshot: Snapshot, waiting: Waiting) -> Priority:
    is_overdue = snapshot.now >= _overdue_at(snapshot, waiting)
    return Priority.HIGH if is_overdue else waiting.priority


def _make_room(snapshot: Snapshot, cold: Mapping[str, Sequence[Waiting]]) -> list[Action]:
    """Take the cold models in the order of the line; each start, each wait for a leaving worker uses up room."""
    now = _free_now(snapshot)
    soon = now + _held_by(snapshot, frozenset({S.STOPPING}))
    later = soon + _held_by(snapshot, frozenset({S.DRAINING}))
    actions: list[Action] = []
    residents = _residents(snapshot)
    for model_id, requests in cold.items():
        need = Room(1, snapshot.models[model_id].need_bytes)
        overdue = any(snapshot.now >= _overdue_at(snapshot, waiting) for waiting in requests)
        victims: Sequence[str] = []
        if not need.fits_in(now) and not need.fits_in(soon):
            victims = _victims(residents, need, soon, later, overdue)
        if need.fits_in(now):
            actions.append(Start(model_id))
        elif not victims and not need.fits_in(later):
            reason = _never(snapshot, need)
            if reason is not None:
                actions += [Refuse(waiting.ticket, reason) for waiting in requests]
            if reason is not None or not overdue:
                continue  # smaller models may use the room; for a while, where this one only waits
        actions += [Evict(victim, model_id) for victim in victims]
        residents = [r for r in residents if r.model_id not in victims]
        later += _sum(snapshot, victims)
        now, soon, later = now - need, soon - need, later - need
    return actions


def _victims(
    residents: Sequence[Resident], need: Room, soon: Room, later: Room, overdue: bool
) -> Sequence[str]:
    """Return who must go for a model that neither has room nor gets it by the workers that are gone any moment."""
    if need.fits_in(later):
        # A draining worker's requests may run for long, and an idle worker can go at once.
        return choose(residents, need.beyond(soon)) if overdue else []
    if overdue:
        return choose_to_yield(residents, need.beyond(later))
    return choose(residents, need.beyond(later))


def _free_now(snapshot: Snapshot) -> Room:
    held = _held_by(snapshot, ALIVE)
    slots = snapshot.max_loaded - held.slots if snapshot.max_loaded else _NO_LIMIT
    free = _NO_LIMIT if snapshot.budget_bytes is None else snapshot.budget_bytes - held.bytes
    available = _NO_LIMIT if snapshot.available_bytes is None else snapshot.available_bytes
    return Room(slots, min(free, available))


def _held_by(snapshot: Snapshot, states: frozenset[WorkerState]) -> Room:
    return _sum(snapshot, [m for m, view in snapshot.models.items() if view.state in states])


def _sum(snapshot: Snapshot, model_ids: Sequence[str]) -> Room:
    return Room(len(model_ids), sum(snapshot.models[m].held_bytes for m in model_ids))


def _never(snapshot: Snapshot, need: Room) -> Refusal | None:
    """Return why `need` will not fit even when everybody has left who may, None where it may."""
    # A worker that this very decision starts is not counted: whether it stays pinned, the next one will see.
    going = [
        model_id
        for model_id, view in snapshot.models.items()
        if view.state in _LEAVING or (view.state in ALIVE and not view.pinned)
    ]
    best = _free_now(snapshot) + _sum(snapshot, going)
    if need.slots > best.slots:
        return Refusal.ALL_PINNED
    return Refusal.TOO_LARGE if need.bytes > best.bytes else None


def _overdue_at(snapshot: Snapshot, waiting: Waiting) -> float:
    # The only place with this sum: by another rounding `next_wake` would miss the moment.
    return waiting.arrived_at + snapshot.max_swap_wait


def _residents(snapshot: Snapshot) -> list[Resident]:
    named = {waiting.model_id for waiting in snapshot.queue}
    return [
        Resident(
            model_id, view.leases, view.pinned, view.idle_since, model_id in named, view.held_bytes
        )
        for model_id, view in snapshot.models.items()
        if view.state is S.READY
    ]


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
