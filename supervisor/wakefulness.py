"""Keep a Mac from falling asleep by itself in the middle of an answer; whoever closes its lid still puts it to sleep.

Nothing that a process computes counts as being awake, and in its sleep the Mac computes nothing.
"""

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Iterable

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle.lifecycle import Life

CAFFEINATE = "/usr/bin/caffeinate"
_INTERVAL_S = 10.0
"""No Mac can be set to sleep after less than a minute."""
_WORKING = (WorkerState.STARTING, WorkerState.LOADING, WorkerState.DRAINING)

logger = logging.getLogger("mlxd.wakefulness")


def is_working(workers: Iterable[Life]) -> bool:
    """Tell whether a request runs, or a model comes or goes."""
    return any(life.leases or life.state in _WORKING for life in workers)


class Wakefulness:
    """Own the process that holds the Mac awake: there is one while there is work, and none while nobody asks."""

    def __init__(
        self,
        is_busy: Callable[[], bool],
        *,
        program: str = CAFFEINATE,
        interval: float = _INTERVAL_S,
    ) -> None:
        self._is_busy = is_busy
        # It lets go by itself when we end, however that happens.
        self._line = (program, "-i", "-w", str(os.getpid()))
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def holds(self) -> bool:
        """Say whether the Mac is held awake now."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Begin to look whether there is work."""
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def stop(self) -> None:
        """Let the Mac sleep, and look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()

    def _look(self) -> None:
        self.start()
        if not self._is_busy():
            self._let_go()
        elif not self.holds:
            self._hold()

    def _hold(self) -> None:
        try:
            self._child = subprocess.Popen(self._line, stdin=subprocess.DEVNULL)
        except OSError as error:
            logger.warning("the machine may fall asleep while it answers error=%r", str(error))
            self.stop()

    def _let_go(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
