"""Give requests their workers: keep the queue, ask the scheduler, carry out what it decides.

Everything runs on the event loop's thread. Every change of a worker or of the queue leads to one call of
`scheduler.decide` soon after; nothing polls.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable

from mlxd.config.catalog import ModelSpec
from mlxd.protocol.admin import LoadResult, ResetResult, UnloadResult
from mlxd.protocol.errors import ModelLoadFailed, ShuttingDown, WorkerStopFailed
from mlxd.protocol.lifecycle import ALIVE, StopReason, WorkerState
from mlxd.protocol.plan import Plan
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.budget.budget import Balance, Budget
from mlxd.supervisor.clock import Clock
from mlxd.supervisor.lifecycle import events
from mlxd.supervisor.lifecycle.lease import Lease
from mlxd.supervisor.lifecycle.lifecycle import Policy
from mlxd.supervisor.lifecycle.process import Launcher
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.logs.journal import Tell, unheard
from mlxd.supervisor.logs.logs import LogSink
from mlxd.supervisor.scheduling import plan, scheduler, survey, turned_away
from mlxd.supervisor.scheduling.limits import Limits
from mlxd.supervisor.scheduling.queue import Queue, Waiter
from mlxd.supervisor.urgency import ORDINARY, Priority, Urgency
from mlxd.supervisor.usage import Usage

logger = logging.getLogger("mlxd.pool")

_REAP_MARGIN_S = 30.0
_AGAIN_S = 1.0


class Pool:
    """Own the workers and the queue in front of them."""

    def __init__(
        self,
        *,
        limits: Limits,
        policy: Policy,
        launcher: Launcher,
        clock: Clock,
        log_for: Callable[[str], LogSink],
        worker_spec: Callable[[ModelSpec], WorkerSpec],
        footprint: Callable[[int], int],
        budget: Budget | None = None,
        tell: Tell = unheard,
        usage: Usage | None = None,
    ) -> None:
        self._limits = limits
        self._policy = policy
        self._launcher = launcher
        self._clock = clock
        self._log_for = log_for
        self._worker_spec = worker_spec
        self._footprint = footprint
        self.budget = budget
        self._tell = tell
        self.usage = usage or Usage()
        self._balance: Balance | None = None
        self._workers: dict[str, WorkerHandle] = {}
        self._queue = Queue()
        self._decision: asyncio.Handle | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._closing = False

    # What callers ask for

    @contextlib.asynccontextmanager
    async def lease(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AsyncIterator[Lease]:
        """Wait for a ready worker of `spec` and hold it while the block runs.

        A task that is cancelled leaves the queue, or gives its worker back, at once. Raises QueueFull,
        QueueTimeout once its patience ends without a worker, ModelLoadFailed, SlotsPinned or ShuttingDown.
        """
        waiter = self._enqueue(spec, keep_alive, urgency.priority)
        served = False
        try:
            yield await waiter.within(urgency.patience)
            served = True
        finally:
            self._leave(waiter, served)

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Have the model ready; one that is already changes nothing but its timers."""
        worker = self._worker(spec)
        already = worker.life.state is WorkerState.READY
        began = self._clock.monotonic()
        async with self.lease(spec, keep_alive=keep_alive) as lease:
            if pinned is not None:
                worker.pin(pinned)
            result = LoadResult(
                model=spec.id,
                state=worker.life.state,
                pid=lease.pid,
                already_loaded=already,
                load_seconds=0.0 if already else self._clock.monotonic() - began,
                memory_bytes=self._footprint(lease.pid),
            )
            # No request was served: a model that loads and then dies, again and again, must back off.
            lease.end(served=False)
            return result

    def plan(self, spec: ModelSpec) -> Plan:
        """Say what a load would do; changes nothing."""
        worker = self._worker(spec)
        measured = self.budget.measure(self._workers) if self.budget else None
        seconds = self.budget.load_seconds(worker.spec) if self.budget else None
        return plan.plan(self._survey(measured), spec.id, seconds)

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Forget the model's failures; changes nothing where it has none."""
        return self._worker(spec).reset()

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Have the model's worker leave; returns only after its pid was reaped.

        Requests in flight finish first, or are failed with `force`. Raises WorkerStopFailed naming the pid.
        """
        worker = self._worker(spec)
        if worker.life.state not in ALIVE:
            worker.handle(events.Reset())
            return worker.unloaded(None, 0)
        if worker.life.state in (WorkerState.STARTING, WorkerState.LOADING):
            for waiter in self._queue.of(spec.id):
                error = ModelLoadFailed(f"{spec.id} was unloaded while loading")
                self._queue.refuse(waiter.ticket, error)
        pid = worker.pid
        freed = self._footprint(pid) if pid else 0
        worker.handle(events.StopWanted(StopReason.UNLOAD, force=force))
        await self._reaped(worker, pid)
        return worker.unloaded(pid, freed)

    def bound(self, limits: Limits) -> None:
        """Take other limits; workers beyond a smaller `max_loaded` leave when room is needed."""
        self._limits = limits
        self._decide_soon()

    async def shutdown(self) -> None:
        """Turn everybody in the queue away, drain every worker within `drain_timeout`, return when all are reaped."""
        self._closing = True
        for waiter in self._queue:
            self._queue.refuse(waiter.ticket, ShuttingDown("mlxd is stopping"))
        self._arm(math.inf, 0.0)
        alive = [worker for worker in self._workers.values() if worker.life.state in ALIVE]
        for worker in alive:
            worker.handle(events.StopWanted(StopReason.SHUTDOWN, bounded=True))
        await asyncio.gather(*(worker.settled() for worker in alive))

    def hurry(self) -> None:
        """Stop what is still draining at once; for a second signal."""
        for worker in self._workers.values():
            worker.handle(events.StopWanted(StopReason.SHUTDOWN, force=True))

    def workers(self) -> list[WorkerHandle]:
        """Return the workers that have a process or a failure to show, oldest first."""
        shown = [w for w in self._workers.values() if w.life.state is not WorkerState.STOPPED]
        queued = dict.fromkeys(waiter.worker for waiter in self._queue)
        return shown + [w for w in queued if w not in shown]

    def state(self, model_id: str) -> WorkerState:
        """Return the state of a model's worker."""
        worker = self._workers.get(model_id)
        return worker.life.state if worker else WorkerState.STOPPED

    def running(self, model_id: str) -> ModelSpec | None:
        """Return the model of this id if it has a process, though nobody may declare it any more."""
        return self._workers[model_id].spec if self.state(model_id) in ALIVE else None

    def waiting(self, model_id: str) -> list[Waiter]:
        """Return the requests that wait for this model, first come first."""
        return self._queue.of(model_id)

    def _describe(self, spec: ModelSpec) -> WorkerSpec:
        """Say what a worker that starts is told; the others get their new shares first."""
        described = self._worker_spec(spec)
        return self.budget.limited(described, self._workers) if self.budget else described

    # The queue

    def _worker(self, spec: ModelSpec) -> WorkerHandle:
        worker = self._workers.get(spec.id)
        if worker is None:
            worker = self._workers[spec.id] = WorkerHandle(
                spec,
                policy=self._policy,
                launcher=self._launcher,
                clock=self._clock,
                log=self._log_for(spec.id),
                worker_spec=self._describe,
                on_change=self._decide_soon,
                tell=self._tell,
                usage=self.usage,
            )
        worker.update(spec)
        return worker

    def _enqueue(self, spec: ModelSpec, keep_alive: float | None, priority: Priority) -> Waiter:
        if self._closing:
            raise ShuttingDown("mlxd is stopping")
        worker = self._worker(spec)
        most = self._limits.max_queue + spec.max_batch
        now = self._clock.monotonic()
        waiter = self._queue.add(worker, now, keep_alive, priority, most=most)
        self._decide_soon()
        return waiter

    def _leave(self, waiter: Waiter, served: bool) -> None:
        self._queue.drop(waiter)
        if waiter.lease is not None:
            waiter.lease.end(served=served)
        self._decide_soon()

    # Decisions

    def _decide_soon(self) -> None:
        """Ask the scheduler once for all that changed in this turn of the event loop."""
        if self._decision is None:
            self._decision = asyncio.get_running_loop().call_soon(self._decide)

    def _decide(self) -> None:
        self._decision = None
        if not self._closing:  # should it fail, for memory that cannot be measured, say
            self._arm(_AGAIN_S, 0.0)
        if self.budget is not None and self.budget.observe(self._workers):
            self.budget.share_out(self._workers)
        if self._closing:
            return
        snapshot = self.snapshot()
        for action in scheduler.decide(snapshot):
            self._carry_out(action)
        self._arm(scheduler.next_wake(snapshot), snapshot.now)

    def snapshot(self) -> scheduler.Snapshot:
        """Return what the scheduler decides on; memory is measured only where a decision depends on it."""
        self._balance = survey.balance(self.budget, self._workers, self._queue)
        return self._survey(self._balance)

    def _survey(self, measured: Balance | None) -> scheduler.Snapshot:
        return survey.snapshot(
            self._workers,
            self._queue,
            measured,
            now=self._clock.monotonic(),
            max_loaded=self._limits.max_loaded,
            max_swap_wait=self._limits.max_swap_wait,
        )

    def _carry_out(self, action: scheduler.Action) -> None:
        match action:
            case scheduler.Grant(ticket=ticket):
                self._queue.grant(ticket)
            case scheduler.Start(model_id=model_id):
                waiting = len(self._queue.of(model_id))
                self._workers[model_id].handle(events.Wanted(), f"requests waiting: {waiting}")
            case scheduler.Evict(model_id=model_id, room_for=heir):
                stop = events.StopWanted(StopReason.EVICTED)
                self._workers[model_id].handle(stop, f"room was needed for {heir}")
            case scheduler.Refuse(ticket=ticket, reason=reason):
                error = turned_away.error(
                    self._queue.worker_of(ticket),
                    reason,
                    workers=self._workers,
                    balance=self._balance,
                    max_loaded=self._limits.max_loaded,
                    now=self._clock.monotonic(),
                )
                self._queue.refuse(ticket, error)

    def _arm(self, at: float, now: float) -> None:
        if self._wake:
            self._wake.cancel()
            self._wake = None
        if not math.isinf(at):
            loop = asyncio.get_running_loop()
            self._wake = loop.call_later(max(0.0, at - now), self._decide_soon)

    async def _reaped(self, worker: WorkerHandle, pid: int | None) -> None:
        """Wait for the process's end: as long as its requests take, and then no longer than a kill may."""
        limit = self._policy.ask_grace + self._policy.kill_grace + _REAP_MARGIN_S
        while pid is not None and worker.pid == pid:
            left, life = limit, worker.life
            if life.state is WorkerState.STOPPING:
                left -= self._clock.monotonic() - life.since
            if left <= 0:
                raise WorkerStopFailed(f"the worker of {worker.spec.id} (pid {pid}) does not end")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await worker.settled()
