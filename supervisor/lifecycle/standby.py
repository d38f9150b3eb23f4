"""Keep worker processes ahead of the models: each has said hello, imported what most models need, and waits.

The next model takes one over and saves the seconds of its start. A worker in reserve has touched no GPU and knows no
model; whatever it lacks for the one that it gets, it imports then.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass

from mlxd.protocol import control
from mlxd.protocol.control import FromWorker
from mlxd.supervisor.lifecycle.process import Callbacks, Child, Launcher

_KEPT_OUTPUT = 1 << 16
"""Bytes printed in reserve that the model's log gets."""
_END_S = 5.0
"""Time a worker in reserve has to leave; it holds nothing that a kill could strand."""

logger = logging.getLogger("mlxd.standby")


@dataclass(frozen=True, slots=True)
class Patience:
    """Hold the times, in seconds, that bound a reserve."""

    hello: float
    """How long a process may take to report."""
    retry: float = 1.0
    """Wait after the first loss; doubles with each further one."""
    retry_max: float = 300.0
    """Longest such wait; a worker that lasted as long has the losses before it forgotten."""
    short: float = 30.0
    """Wait before the machine is asked again whether it has memory to spare."""


class StandbyWorker:
    """Own a process until a model takes it, and pass on what it tells from then on."""

    def __init__(self, on_loss: Callable[["StandbyWorker"], None]) -> None:
        self.born_at = asyncio.get_running_loop().time()
        self.callbacks = Callbacks(self._on_message, self._on_log, self._on_exit)
        self.is_ready = False
        self._on_loss = on_loss
        self._on_settled: Callable[[], None] = lambda: None
        self._hello: control.Hello | None = None
        self._output = b""
        self._user: Callbacks | None = None
        self._child: Child | None = None
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.child.pid

    @property
    def child(self) -> Child:
        """Return the process."""
        assert self._child is not None
        return self._child

    def own(self, child: Child) -> None:
        """Take the process that was started with `callbacks`."""
        self._child = child

    def hand_over(self, callbacks: Callbacks, on_settled: Callable[[], None]) -> Child:
        """Tell `callbacks` all from now on, soon also what was told before, and `on_settled` that its start is over."""
        self._user, self._on_settled = callbacks, on_settled
        asyncio.get_running_loop().call_soon(self._replay)
        return self.child

    def _replay(self) -> None:
        """Tell what came before; the new owner must have got its child by then."""
        if self._user is None or self._gone.is_set():
            return
        if self._output:
            self._user.on_log(self._output)
        if self._hello is not None:
            self._user.on_message(self._hello)
        self._output = b""

    def _on_message(self, message: FromWorker) -> None:
        if isinstance(message, control.Hello) and self._user is None:
            self._hello, self.is_ready = message, message.version == control.VERSION
        elif self._user is not None:
            self._user.on_message(message)
            if isinstance(message, control.Ready):
                self._on_settled()

    def _on_log(self, chunk: bytes) -> None:
        if self._user is None:
            self._output = (self._output + chunk)[-_KEPT_OUTPUT:]
        else:
            self._user.on_log(chunk)

    def _on_exit(self, code: int) -> None:
        self._gone.set()
        if self._user is None:
            logger.warning(
                "standby pid=%d lost exit=%d said=%r", self.pid, code, self._output[-500:]
            )
            self._on_loss(self)
            return
        try:
            self._user.on_exit(code)
        finally:
            self._on_settled()

    async def end(self) -> None:
        """Have the process leave; returns after the reap."""
        self.child.send(control.Stop("shutdown"))
        try:
            await asyncio.wait_for(self._gone.wait(), _END_S)
        except TimeoutError:
            self.child.signal(signal.SIGKILL)
            await self._gone.wait()


class StandbyLauncher:
    """Obey `Launcher` from a reserve of `count` processes, and by a plain start where the reserve is empty."""

    def __init__(
        self,
        launcher: Launcher,
        count: int,
        *,
        patience: Patience,
        has_memory: Callable[[], bool],
    ) -> None:
        self._launcher = launcher
        self._count = count
        self._patience = patience
        self._has_memory = has_memory
        self._reserve: list[StandbyWorker] = []
        self._taken = 0
        """Workers taken whose model is loading still: a new one beside them would slow the load."""
        self._losses = 0
        self._is_open = False
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to keep a reserve."""
        self._is_open = True
        self._fill()

    async def end(self) -> None:
        """Have the reserve leave and keep none any more; returns when all are reaped."""
        self._is_open = False
        self._later(None)
        await asyncio.gather(*(worker.end() for worker in self._reserve))

    def pids(self) -> list[int]:
        """Return the processes in reserve, oldest first."""
        return [worker.pid for worker in self._reserve]

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Hand over a process that waits, or start one. Raises OSError as the launcher does."""
        if not self._reserve or not self._is_open:
            return self._launcher.start(name, callbacks)
        worker = next((one for one in self._reserve if one.is_ready), self._reserve[0])
        self._reserve.remove(worker)
        self._taken += 1
        logger.info("standby pid=%d taken by model=%s", worker.pid, name)
        return worker.hand_over(callbacks, self._once(self._settle))

    def _once(self, call: Callable[[], None]) -> Callable[[], None]:
        calls = iter([call])
        return lambda: next(calls, lambda: None)()

    def _settle(self) -> None:
        self._taken -= 1
        self._fill()

    def _fill(self) -> None:
        if not self._is_open or self._timer is not None or self._taken:
            return
        while len(self._reserve) < self._count:
            if not self._has_memory():
                self._later(self._patience.short)
                return
            worker = StandbyWorker(self._on_loss)
            try:
                worker.own(self._launcher.start("standby", worker.callbacks))
            except Exception as error:  # whatever it is, models start without a reserve as well
                logger.error("standby cannot start a process error=%r", error)
                self._back_off()
                return
            self._reserve.append(worker)
            loop = asyncio.get_running_loop()
            loop.call_later(self._patience.hello, self._check_ready, worker)

    def _check_ready(self, worker: StandbyWorker) -> None:
        if worker in self._reserve and not worker.is_ready:
            logger.error("standby pid=%d did not report, SIGKILL", worker.pid)
            worker.child.signal(signal.SIGKILL)

    def _on_loss(self, worker: StandbyWorker) -> None:
        if worker not in self._reserve or not self._is_open:
            return
        self._reserve.remove(worker)
        if asyncio.get_running_loop().time() - worker.born_at >= self._patience.retry_max:
            self._losses = 0
        self._back_off()

    def _back_off(self) -> None:
        delay = min(self._patience.retry * 2.0 ** min(self._losses, 32), self._patience.retry_max)
        self._losses += 1
        self._later(delay)

    def _later(self, delay: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is not None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._fill()
