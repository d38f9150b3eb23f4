"""Say what a load would do, without doing it: the scheduler's own decision on its own snapshot and one request more."""

from collections.abc import Sequence
from dataclasses import replace

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.protocol.plan import Holder, Plan, Verdict
from mlxd.supervisor.scheduling.scheduler import (
    Evict,
    Refusal,
    Refuse,
    Snapshot,
    Start,
    Waiting,
    decide,
)
from mlxd.supervisor.scheduling.waits import bytes_short

S = WorkerState
_TICKET = -1
_LOADING = (S.STARTING, S.LOADING)
_LEAVING = (S.DRAINING, S.STOPPING)
_REFUSED = {
    Refusal.BACKOFF: Verdict.BACKOFF,
    Refusal.ALL_PINNED: Verdict.ALL_PINNED,
    Refusal.TOO_LARGE: Verdict.TOO_LARGE,
}


def plan(snapshot: Snapshot, model_id: str, load_seconds: float | None = None) -> Plan:
    """Return what a request for the model would set off if it came now."""
    verdict, evicts, waits_for = _outcome(snapshot, model_id)
    alive = [view for view in snapshot.models.values() if view.state in ALIVE]
    view = snapshot.models[model_id]
    return Plan(
        model=model_id,
        verdict=verdict,
        need_bytes=view.need_bytes,
        short_bytes=0 if view.state in ALIVE else bytes_short(snapshot, model_id),
        held_bytes=sum(other.held_bytes for other in alive),
        budget_bytes=snapshot.budget_bytes,
        available_bytes=snapshot.available_bytes,
        loaded=len(alive),
        max_loaded=snapshot.max_loaded,
        evicts=[_holder(snapshot, name) for name in evicts],
        waits_for=[_holder(snapshot, name) for name in waits_for],
        waiting=len(snapshot.queue),
        load_seconds=load_seconds,
    )


def _outcome(snapshot: Snapshot, model_id: str) -> tuple[Verdict, Sequence[str], Sequence[str]]:
    """Return the verdict, who would be evicted, and who would be waited for."""
    state = snapshot.models[model_id].state
    if state is S.READY:
        return Verdict.LOADED, (), ()
    if state in _LOADING:
        return Verdict.LOADING, (), ()
    if state in _LEAVING:
        return Verdict.WAITS, (), (model_id,)
    actions = decide(_with_one_more(snapshot, model_id))
    for action in actions:
        if isinstance(action, Refuse) and action.ticket == _TICKET:
            return _REFUSED[action.reason], (), ()
        if action == Start(model_id):
            return Verdict.FITS, (), ()
    if victims := _victims(actions, model_id):
        return Verdict.EVICTS, victims, ()
    return Verdict.WAITS, (), _waited_for(snapshot, model_id)


def _with_one_more(snapshot: Snapshot, model_id: str) -> Snapshot:
    asked = Waiting(_TICKET, model_id, snapshot.now)
    return replace(snapshot, queue=[*snapshot.queue, asked])


def _victims(actions: Sequence[object], model_id: str) -> list[str]:
    return [a.model_id for a in actions if isinstance(a, Evict) and a.room_for == model_id]


def _waited_for(snapshot: Snapshot, model_id: str) -> list[str]:
    """Return who is on the way out, and who would have to yield once the request has waited long enough."""
    leaving = [name for name, view in snapshot.models.items() if view.state in _LEAVING]
    overdue = replace(_with_one_more(snapshot, model_id), max_swap_wait=0.0)
    yielding = _victims(decide(overdue), model_id)
    found = leaving + [name for name in yielding if name not in leaving]
    return found or [name for name, view in snapshot.models.items() if view.state in ALIVE]


def _holder(snapshot: Snapshot, model_id: str) -> Holder:
    view = snapshot.models[model_id]
    is_idle = view.state is S.READY and not view.leases
    return Holder(
        model=model_id,
        state=view.state,
        held_bytes=view.held_bytes,
        active_requests=view.leases,
        pinned=view.pinned,
        idle_seconds=max(0.0, snapshot.now - view.idle_since) if is_idle else 0.0,
    )
