"""Tell clients that wait what they wait for; looks at the workers at most twice a second, however many ask."""

import contextlib
from collections.abc import Mapping
from typing import Protocol

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.budget.budget import Budget
from mlxd.supervisor.clock import Clock
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.scheduling.scheduler import Snapshot
from mlxd.supervisor.scheduling.waits import Progress, Wait, explain, in_words

_FRESH_S = 0.5


class Pool(Protocol):
    """Show who waits, and for whom."""

    @property
    def budget(self) -> Budget | None:
        """Return what knows the models' costs."""
        ...

    def snapshot(self) -> Snapshot:
        """Return what the scheduler decides on."""
        ...

    def workers(self) -> list[WorkerHandle]:
        """Return the workers that have a process, a failure or a queue."""
        ...


class WaitBoard:
    """Explain the waits for one pool's models."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._notes: Mapping[str, str] = {}
        self._looked_at = float("-inf")

    def waits(self) -> dict[str, tuple[Wait | None, Progress | None]]:
        """Return, by model, why its requests wait and how far its load is."""
        snapshot = self._pool.snapshot()
        return {
            worker.spec.id: (explain(snapshot, worker.spec.id), self._progress(worker))
            for worker in self._pool.workers()
        }

    def note(self, model_id: str) -> str | None:
        """Return one line for a client that waits for this model, None where it need not wait."""
        now = self._clock.monotonic()
        if now - self._looked_at >= _FRESH_S:
            self._looked_at = now
            with contextlib.suppress(OSError):  # what cannot be measured now must not end a stream
                self._notes = {
                    name: in_words(wait, progress)
                    for name, (wait, progress) in self.waits().items()
                    if wait is not None
                }
        return self._notes.get(model_id)

    def _progress(self, worker: WorkerHandle) -> Progress | None:
        if worker.life.state is not WorkerState.LOADING or worker.loading is None:
            return None
        budget = self._pool.budget
        cost = budget.cost(worker.spec) if budget else None
        return Progress(
            bytes_read=worker.loading.bytes_read,
            bytes_total=worker.loading.bytes_total,
            seconds=self._clock.monotonic() - worker.life.since,
            seconds_per_byte=cost.seconds_per_byte if cost else None,
        )
