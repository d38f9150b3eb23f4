"""Hold the requests that wait for a worker, in order of arrival."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlxd.protocol.errors import MlxdError, QueueFull, QueueTimeout
from mlxd.supervisor.access import tenant
from mlxd.supervisor.lifecycle.lease import Lease
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.scheduling.turns import Shared
from mlxd.supervisor.urgency import Priority

_RETRY_AFTER_S = 5.0


@dataclass(eq=False, slots=True)
class Waiter:
    """Stand for one request, from its arrival to its end."""

    ticket: int
    worker: WorkerHandle
    arrived_at: float
    keep_alive: float | None
    priority: Priority
    granted: asyncio.Future[Lease]
    tenant: str
    """Id of the key it came with."""
    lease: Lease | None = field(default=None)
    counted: bool = False
    """It is among the requests that have the model."""

    async def within(self, seconds: float | None) -> Lease:
        """Wait for the lease; raises what the request is refused with, QueueTimeout once the seconds have passed."""
        try:
            async with asyncio.timeout(seconds):
                return await self.granted
        except TimeoutError:
            raise QueueTimeout(
                f"{self.worker.spec.id} was not available within {seconds:g} s",
                retry_after=_RETRY_AFTER_S,
            ) from None


class Queue:
    """Hold who waits; each leaves by exactly one of `grant`, `refuse` and `drop`."""

    def __init__(self) -> None:
        self._waiters: dict[int, Waiter] = {}
        self._last_ticket = 0
        self._running: dict[str, Counter[str]] = {}
        self._served: dict[str, dict[str, int]] = {}
        self._grants = 0

    def __iter__(self) -> Iterator[Waiter]:
        """Go through the waiters, first come first; the queue may change meanwhile."""
        return iter(list(self._waiters.values()))

    def of(self, model_id: str) -> list[Waiter]:
        """Return who waits for this model, first come first."""
        return [waiter for waiter in self if waiter.worker.spec.id == model_id]

    def add(
        self,
        worker: WorkerHandle,
        arrived_at: float,
        keep_alive: float | None,
        priority: Priority,
        *,
        most: int,
    ) -> Waiter:
        """Put one more request at the end; raises QueueFull where `most` wait or run."""
        waiting = len(self.of(worker.spec.id))
        if waiting + worker.life.leases >= most:
            raise QueueFull(
                f"{waiting} requests already wait for {worker.spec.id}",
                retry_after=_RETRY_AFTER_S,
            )
        self._last_ticket += 1
        granted: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        whose = tenant.current().id
        waiter = Waiter(self._last_ticket, worker, arrived_at, keep_alive, priority, granted, whose)
        self._waiters[waiter.ticket] = waiter
        return waiter

    def grant(self, ticket: int) -> None:
        """Give the request its worker, unless its task was cancelled and is about to leave."""
        waiter = self._waiters.pop(ticket)
        if not waiter.granted.done():
            waiter.lease = waiter.worker.start_lease(waiter.keep_alive)
            waiter.granted.set_result(waiter.lease)
            self._count(waiter)

    def refuse(self, ticket: int, error: MlxdError) -> None:
        """Answer the request with the error."""
        waiter = self._waiters.pop(ticket)
        if not waiter.granted.done():
            waiter.granted.set_exception(error)
            waiter.granted.exception()  # seen, even if its task is cancelled this instant

    def drop(self, waiter: Waiter) -> None:
        """Forget a request that gave up; one that was answered is gone already."""
        self._waiters.pop(waiter.ticket, None)
        if waiter.lease is not None and waiter.counted:
            waiter.counted = False
            self._running[waiter.worker.spec.id][waiter.tenant] -= 1

    def shared(self, model_id: str) -> Shared:
        """Return which keys have the model, and when each had its last turn."""
        running = +self._running.get(model_id, Counter())
        return Shared(running, self._served.get(model_id, {}))

    def _count(self, waiter: Waiter) -> None:
        model_id = waiter.worker.spec.id
        self._grants += 1
        waiter.counted = True
        self._running.setdefault(model_id, Counter())[waiter.tenant] += 1
        self._served.setdefault(model_id, {})[waiter.tenant] = self._grants

    def worker_of(self, ticket: int) -> WorkerHandle:
        """Return the worker that a waiting request asks for."""
        return self._waiters[ticket].worker
