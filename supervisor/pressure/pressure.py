"""Give memory back when the machine runs short of it, before anything is killed.

The kernel tells where it can; elsewhere it is asked now and then.
"""

import asyncio
import logging
import math
from collections.abc import Callable

from mlxd.protocol.journal import MemoryShort
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.lifecycle import events
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.logs.journal import Tell, unheard
from mlxd.supervisor.pressure.relief import Level, Resident, relief
from mlxd.supervisor.pressure.stall_watch import StallWatch
from mlxd.supervisor.scheduling.pool import Pool

_INTERVAL_S = 2.0
"""A look takes 30 µs, and none is taken while no worker runs."""
_OVER_S = 10.0
"""After so long without a word of the kernel's, the next one is the first of a new shortage."""

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
        watch: StallWatch | None = None,
    ) -> None:
        self._pool = pool
        self._read = read
        self._interval = interval
        self._tell = tell
        self._watch = watch
        self._told_at = -math.inf
        self._before = Level.NORMAL
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to be told, or to look."""
        if self._watch is None or not self._watch.open(self._on_stall):
            self._arm()

    def stop(self) -> None:
        """Neither be told nor look any more."""
        if self._watch is not None:
            self._watch.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Look once and do what it asks for."""
        self._relieve(self._read)

    def _on_stall(self, level: Level) -> None:
        """Take the kernel's word; what it said long ago is over."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at > _OVER_S:
            self._before = Level.NORMAL
        self._told_at = now
        self._relieve(lambda: level)

    def _relieve(self, read: Callable[[], Level]) -> None:
        ready = {w.spec.id: w for w in self._pool.workers() if w.life.state is WorkerState.READY}
        if not ready:
            self._before = Level.NORMAL
            return
        level = read()
        wanted = relief(level, self._before, [self._resident(w) for w in ready.values()])
        is_news = level is not self._before or wanted.evict
        self._before = level
        if level is not Level.NORMAL and is_news:  # a Mac can be short for hours, look after look
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

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        self._arm()
        self.look()

    def _resident(self, worker: WorkerHandle) -> Resident:
        life, name = worker.life, worker.spec.id
        waited_for = bool(self._pool.waiting(name))
        return Resident(name, life.leases, life.pinned, waited_for, life.idle_since)
