"""Make pools whose every part a test may choose."""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from mlxd.config.spec import ModelSpec
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.budget.budget import Budget
from mlxd.supervisor.clock import Clock, SystemClock
from mlxd.supervisor.lifecycle.lease import Lease
from mlxd.supervisor.lifecycle.lifecycle import Policy
from mlxd.supervisor.lifecycle.process import Launcher
from mlxd.supervisor.scheduling.limits import Limits
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.urgency import Priority, Urgency

T = TypeVar("T")

LONG_S = 3600.0
"""A time that no test lives to see."""
PATIENT = Policy(
    hello_timeout=LONG_S, load_stall=LONG_S, step_stall=LONG_S, drain_timeout=LONG_S,
    ask_grace=LONG_S, kill_grace=LONG_S, stable_after=LONG_S, backoff=LONG_S, backoff_max=LONG_S,
)  # fmt: skip
FOOTPRINT = 4096


def quick(**changes: Any) -> Policy:
    """Return a patient policy of which only these times ever pass."""
    return replace(PATIENT, **changes)


def model(model_id: str = "a", path: Path = Path("/nowhere"), **changes: Any) -> ModelSpec:
    """Return a text model that never idles out."""
    values: dict[str, Any] = {
        "id": model_id,
        "kind": ModelKind.TEXT,
        "path": path,
        "idle_timeout": float("inf"),
        "max_batch": 4,
        "weights_bytes": 1000,
        "source": "config",
    }
    return ModelSpec(**values | changes)


@dataclass
class Log:
    """Keep all that workers print."""

    written: bytes = b""
    flushes: int = 0

    def write(self, chunk: bytes) -> None:
        """Take some bytes."""
        self.written += chunk

    def flush(self) -> None:
        """Count the ends."""
        self.flushes += 1


@dataclass
class Logs:
    """Hold one log per model."""

    by_model: dict[str, Log] = field(default_factory=dict)

    def __call__(self, model_id: str) -> Log:
        """Return the model's log."""
        return self.by_model.setdefault(model_id, Log())


def make_pool(
    launcher: Launcher,
    run_dir: Path = Path("/nowhere"),
    *,
    policy: Policy = PATIENT,
    max_loaded: int = 0,
    max_queue: int = 100,
    max_swap_wait: float = LONG_S,
    clock: Clock | None = None,
    logs: Logs | None = None,
    budget: Budget | None = None,
) -> Pool:
    """Return a pool of this launcher's workers."""
    numbers = itertools.count(1)

    def worker_spec(spec: ModelSpec) -> WorkerSpec:
        socket = run_dir / f"{next(numbers)}.sock"
        return WorkerSpec(model_id=spec.id, kind=spec.kind, path=str(spec.path), socket=str(socket))

    return Pool(
        limits=Limits(max_loaded=max_loaded, max_queue=max_queue, max_swap_wait=max_swap_wait),
        policy=policy,
        launcher=launcher,
        clock=clock or SystemClock(),
        log_for=logs or Logs(),
        worker_spec=worker_spec,
        footprint=lambda pid: FOOTPRINT,
        budget=budget,
    )


_HELD: set[asyncio.Task[None]] = set()


class Request:
    """Hold a lease in a task of its own, until told to end."""

    def __init__(
        self,
        pool: Pool,
        spec: ModelSpec,
        keep_alive: float | None = None,
        *,
        priority: Priority = Priority.NORMAL,
        patience: float | None = None,
    ) -> None:
        self._pool = pool
        self._spec = spec
        self._keep_alive = keep_alive
        self._urgency = Urgency(priority, patience)
        self._end = asyncio.Event()
        self.granted: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run())
        # The event loop holds tasks weakly: a test that keeps only the lease must not lose it to the collector.
        _HELD.add(self.task)
        self.task.add_done_callback(_HELD.discard)

    async def _run(self) -> None:
        async with self._pool.lease(
            self._spec, keep_alive=self._keep_alive, urgency=self._urgency
        ) as lease:
            self.granted.set_result(lease)
            await self._end.wait()

    async def lease(self) -> Lease:
        """Wait for the lease; raises what the request was refused with."""
        await soon(asyncio.wait((self.granted, self.task), return_when=asyncio.FIRST_COMPLETED))
        if not self.granted.done():
            self.task.result()
        return self.granted.result()

    async def end(self) -> None:
        """Have been served."""
        self._end.set()
        await soon(self.task)

    async def leave(self) -> None:
        """Be cancelled, as when a client goes."""
        self.task.cancel()
        await soon(asyncio.wait((self.task,)))


async def soon(awaitable: Awaitable[T]) -> T:
    """Await something that must not take long, on however slow a machine."""
    return await asyncio.wait_for(awaitable, 60)


async def settle() -> None:
    """Let the event loop do all that follows from what just happened, without any time passing."""
    for _ in range(20):
        await asyncio.sleep(0)
