"""Describe the workers as they are at the moment of asking; asking moves no timer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from mlxd.protocol.admin import ModelStatus
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.clock import Clock
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.ports import Glance
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.wait_board import WaitBoard

Fetch = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]
"""Get a JSON object from (socket, path) of a worker; None where it does not answer in time."""

_STATS_PATH = "/v1/batch/stats"


class Status:
    """Answer `ps` and the stats routes from the workers and the kernel."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Clock,
        footprint: Callable[[int], int],
        fetch: Fetch,
        standby: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._board = WaitBoard(pool, clock)
        self._footprint = footprint
        self._fetch = fetch
        self._standby = standby

    async def ps(self) -> list[ModelStatus]:
        """Return every model that has a process, a failure or a queue."""
        workers = self._pool.workers()
        stats = await asyncio.gather(*(self._stats(worker) for worker in workers))
        return [self._status(w, s or {}) for w, s in zip(workers, stats, strict=True)]

    def glance(self) -> Glance:
        """Return the same as far as it is known without asking a worker, and what they share."""
        budget = self._pool.budget
        return Glance(
            models=[self._status(worker, {}) for worker in self._pool.workers()],
            budget_bytes=budget.total() if budget else None,
            standby_bytes=[self._footprint(pid) for pid in self._standby()],
        )

    async def batch_stats(self) -> dict[str, object]:
        """Return what each ready worker says of its batch."""
        workers = [w for w in self._pool.workers() if w.socket and w.life.state in _SERVING]
        stats = await asyncio.gather(*(self._stats(worker) for worker in workers))
        models = [
            {"id": worker.spec.id, "pid": worker.pid, **answer}
            for worker, answer in zip(workers, stats, strict=True)
            if answer is not None
        ]
        return {"models": models}

    def queue_stats(self) -> dict[str, object]:
        """Return who waits for what, and since when; and which processes wait for a model."""
        now = self._clock.monotonic()
        waits = self._board.waits()
        models = []
        for worker in self._pool.workers():
            waiting = self._pool.waiting(worker.spec.id)
            oldest = max((now - waiter.arrived_at for waiter in waiting), default=0.0)
            wait, progress = waits[worker.spec.id]
            models.append(
                {
                    "id": worker.spec.id,
                    "state": worker.life.state,
                    "waiting": len(waiting),
                    "active": worker.life.leases,
                    "oldest_wait_seconds": oldest,
                    "loading": worker.loading,
                    "eta_seconds": progress.eta if progress else None,
                    "waits_for": wait if waiting else None,
                }
            )
        standby = [{"pid": pid, "memory_bytes": self._footprint(pid)} for pid in self._standby()]
        return {"models": models, "standby": standby}

    async def _stats(self, worker: WorkerHandle) -> Mapping[str, Any] | None:
        if worker.socket is None or worker.life.state not in _SERVING:
            return None
        return await self._fetch(worker.socket, _STATS_PATH)

    def _status(self, worker: WorkerHandle, stats: Mapping[str, Any]) -> ModelStatus:
        life = worker.life
        in_backoff = life.state is WorkerState.BACKOFF
        return ModelStatus(
            id=worker.spec.id,
            kind=worker.spec.kind,
            state=life.state,
            pid=worker.pid,
            memory_bytes=self._footprint(worker.pid) if worker.pid else 0,
            weights_bytes=worker.ready.weights_bytes if worker.ready else worker.spec.weights_bytes,
            active_requests=life.leases,
            queued_requests=len(self._pool.waiting(worker.spec.id)),
            pinned=life.pinned,
            loaded_at=worker.loaded_at,
            last_used_at=worker.last_used_at,
            expires_at=self._expires_at(worker),
            generation_tokens_per_second=float(stats.get("generation_tokens_per_second", 0.0)),
            error=life.error if in_backoff else None,
            retry_at=self._wall(life.retry_at) if in_backoff and isfinite(life.retry_at) else None,
            quarantined=in_backoff and not isfinite(life.retry_at),
        )

    def _expires_at(self, worker: WorkerHandle) -> float | None:
        life = worker.life
        idle = life.state is WorkerState.READY and not life.leases and not life.pinned
        if not idle or life.idle_timeout == float("inf"):
            return None
        return self._wall(life.idle_since + life.idle_timeout)

    def _wall(self, monotonic: float) -> float:
        return self._clock.wall() + monotonic - self._clock.monotonic()


_SERVING = frozenset({WorkerState.READY, WorkerState.DRAINING})
