"""Put into an error why the scheduler turns a request away."""

import math
from collections.abc import Mapping

from mlxd.protocol.errors import InsufficientMemory, MlxdError, ModelLoadFailed, SlotsPinned
from mlxd.supervisor.budget.budget import Balance
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.scheduling.scheduler import Refusal


def error(
    worker: WorkerHandle,
    reason: Refusal,
    *,
    workers: Mapping[str, WorkerHandle],
    balance: Balance | None,
    max_loaded: int,
    now: float,
) -> MlxdError:
    """Return what a request for this worker is answered with."""
    if reason is Refusal.ALL_PINNED:
        return SlotsPinned(
            f"{worker.spec.id} cannot be loaded: all {max_loaded} slots "
            "of memory.max_loaded hold pinned models"
        )
    if reason is Refusal.TOO_LARGE and balance is not None:
        return _too_large(worker, workers, balance)
    life = worker.life
    wait = max(0.0, life.retry_at - now)
    if math.isinf(life.retry_at):
        return ModelLoadFailed(
            f"{worker.spec.id} is quarantined after {life.failures} failures in a row: {life.error}; "
            f"`mlxctl reset {worker.spec.id}` lets it be tried again"
        )
    return ModelLoadFailed(f"{worker.spec.id} is not available: {life.error}", retry_after=wait)


def _too_large(
    worker: WorkerHandle, workers: Mapping[str, WorkerHandle], balance: Balance
) -> InsufficientMemory:
    movable = (size for name, size in balance.held.items() if not workers[name].life.pinned)
    return InsufficientMemory(
        needed=balance.needs[worker.spec.id],
        free=balance.free,
        budget=balance.budget,
        evictable=max(movable, default=0),
    )
