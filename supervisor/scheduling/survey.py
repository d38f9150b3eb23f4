"""Show the scheduler what it decides on: the workers, the queue, and memory where a decision depends on it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.budget.budget import Balance, Budget
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.scheduling.queue import Queue, Waiter
from mlxd.supervisor.scheduling.scheduler import ModelView, Snapshot, Waiting

_COLD = (WorkerState.STOPPED, WorkerState.BACKOFF)
_SPARE_PART = 4
"""One part in so many of a batch is given out beyond it, so that no place of it stands empty."""


def balance(
    budget: Budget | None, workers: Mapping[str, WorkerHandle], queue: Iterable[Waiter]
) -> Balance | None:
    """Return a measurement where somebody waits for a model without a process; to others memory is all the same."""
    if budget is None or not any(waiter.worker.life.state in _COLD for waiter in queue):
        return None
    return budget.measure(workers)


def snapshot(
    workers: Mapping[str, WorkerHandle],
    queue: Queue,
    measured: Balance | None,
    *,
    now: float,
    max_loaded: int,
    max_swap_wait: float,
) -> Snapshot:
    """Return what the scheduler may know."""
    return Snapshot(
        now=now,
        models={
            name: among_keys(view(worker, measured), worker, queue)
            for name, worker in workers.items()
        },
        queue=[
            Waiting(w.ticket, w.worker.spec.id, w.arrived_at, w.priority, w.tenant) for w in queue
        ],
        max_loaded=max_loaded,
        max_swap_wait=max_swap_wait,
        budget_bytes=measured.budget if measured else None,
        available_bytes=measured.available if measured else None,
    )


def view(worker: WorkerHandle, measured: Balance | None) -> ModelView:
    """Return one worker as the scheduler sees it."""
    life, name = worker.life, worker.spec.id
    return ModelView(
        state=life.state,
        leases=life.leases,
        pinned=life.pinned,
        idle_since=life.idle_since,
        retry_at=life.retry_at,
        need_bytes=measured.needs.get(name, 0) if measured else 0,
        held_bytes=measured.held.get(name, 0) if measured else 0,
    )


def among_keys(seen: ModelView, worker: WorkerHandle, queue: Queue) -> ModelView:
    """Return a worker that several keys want with no more places than it can use, so that they take turns.

    What a worker has been given it serves in the order of arrival.
    """
    name, most = worker.spec.id, worker.spec.max_batch
    shared = queue.shared(name)
    if len(shared.running.keys() | {waiter.tenant for waiter in queue.of(name)}) < 2:
        return seen
    return replace(seen, slots=most + max(1, most // _SPARE_PART), shared=shared)
