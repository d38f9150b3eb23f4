"""Look now and then whether the machine is short of memory, and give some back before anything is killed."""

import asyncio
import logging
from collections.abc import Callable

from mlxd.protocol.journal import MemoryShort
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor import events
from mlxd.supervisor.journal import Tell, unheard
from mlxd.supervisor.pool import Pool
from mlxd.supervisor.relief import Level, Resident, relief
from mlxd.supervisor.worker import WorkerHandle

_INTERVAL_S = 2.0
"""A look takes 30 µs, and none is taken while no worker runs."""

logger = logging.getLogger("mlxd.pressure")


class Pressure:
    """Own the timer of the looks."""

    def __init__(
        self,
        pool: Pool,
        read: Callable[[], Level],
        *,
        interval: float = _INTERVAL_S,
        tell: Tell = unheard,
    ) -> None:
        self._pool = pool
        self._read = read
        self._interval = interval
        self._tell = tell
        self._before = Level.NORMAL
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to look."""
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Look once and do what it asks for."""
        ready = {w.spec.id: w for w in self._pool.workers() if w.life.state is WorkerState.READY}
        if not ready:
            self._before = Level.NORMAL
            return
        level = self._read()
        wanted = relief(level, self._before, [self._resident(w) for w in ready.values()])
        self._before = level
        if level is not Level.NORMAL:
            logger.warning(
                "memory is short level=%s shrinking=%d evicting=%s",
                level.name.lower(), len(wanted.shrink), ",".join(wanted.evict) or "none",
            )  # fmt: skip
            self._tell(
                MemoryShort(
                    level=level.name.lower(), shrunk=[*wanted.shrink], evicted=[*wanted.evict]
                )
            )
        for name in wanted.shrink:
            ready[name].shrink()
        for name in wanted.evict:
            stop = events.StopWanted(StopReason.EVICTED)
            ready[name].handle(stop, f"the machine is short of memory ({level.name.lower()})")

    def _tick(self) -> None:
        self.start()
        self.look()

    def _resident(self, worker: WorkerHandle) -> Resident:
        life, name = worker.life, worker.spec.id
        waited_for = bool(self._pool.waiting(name))
        return Resident(name, life.leases, life.pinned, waited_for, life.idle_since)
