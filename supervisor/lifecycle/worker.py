"""Own one model's worker: the only place where its `Life` changes.

Everything runs on the event loop's thread; `handle` is synchronous, so no two events ever interleave.
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from mlxd.config.catalog import ModelSpec
from mlxd.protocol import control
from mlxd.protocol.admin import ResetResult, UnloadResult
from mlxd.protocol.errors import WorkerDied
from mlxd.protocol.lifecycle import ALIVE, StopReason, WorkerState
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.budget import memory
from mlxd.supervisor.budget.grants import Grant
from mlxd.supervisor.clock import Clock
from mlxd.supervisor.lifecycle import causes, events, lifecycle, run_directory, watchdog
from mlxd.supervisor.lifecycle.events import Effect, Event
from mlxd.supervisor.lifecycle.lease import Lease
from mlxd.supervisor.lifecycle.lifecycle import Life, Policy
from mlxd.supervisor.lifecycle.process import Callbacks, Child, Launcher
from mlxd.supervisor.lifecycle.worker_news import WorkerNews
from mlxd.supervisor.logs.journal import Tell, unheard
from mlxd.supervisor.logs.logs import LogSink
from mlxd.supervisor.usage import Usage

logger = logging.getLogger("mlxd.worker")

_UNWANTED_ENDS = (None, StopReason.POISONED, StopReason.EVICTED)
"""Why a worker is leaving whose requests another one may serve: it died, said it must, or died while it was drained."""

_HAS_MODEL = (WorkerState.LOADING, WorkerState.READY, WorkerState.DRAINING)


class WorkerHandle:
    """Be the supervisor's view of one model's worker, from its first start to the last."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        policy: Policy,
        launcher: Launcher,
        clock: Clock,
        log: LogSink,
        worker_spec: Callable[[ModelSpec], WorkerSpec],
        on_change: Callable[[], None],
        tell: Tell = unheard,
        usage: Usage | None = None,
    ) -> None:
        self.spec = spec
        self.life = Life(pinned=spec.pin, idle_timeout=spec.idle_timeout)
        self.ready: control.Ready | None = None
        self.loading: control.LoadProgress | None = None
        self.loaded_at: float | None = None
        self.socket: str | None = None
        self.granted: Grant | None = None
        """The share of the memory it was told last."""
        self.exit_code: int | None = None
        """How the last process ended."""
        self._policy = policy
        self._launcher = launcher
        self._clock = clock
        self._log = log
        self._worker_spec = worker_spec
        self._on_change = on_change
        self._usage = usage or Usage()
        self._news = WorkerNews(spec.id, tell, memory.footprint)
        self._wish: bool | None = None
        """Whether an operator pinned the model, or took its pin away; None leaves it to the configuration."""
        self._child: Child | None = None
        self._leases: set[Lease] = set()
        self._unseen: set[Lease] = set()  # those of which the engine has shown no sign yet
        self._timer: asyncio.TimerHandle | None = None
        self._settled = asyncio.Event()
        self._settled.set()

    @property
    def last_used_at(self) -> float | None:
        """Return when the model was used last, by whichever of its processes."""
        return self._usage.at(self.spec.id)

    @property
    def pid(self) -> int | None:
        """Return the pid of the running process, if any."""
        return self._child.pid if self._child else None

    def update(self, spec: ModelSpec) -> None:
        """Take a changed declaration; a process that runs keeps what it was started with."""
        if spec.pin != self.spec.pin:
            self._wish = None
        self.spec = spec

    def pin(self, pinned: bool) -> None:
        """Keep the model from eviction and idle unload, or stop keeping it; holds for its next processes too."""
        self._wish = pinned
        self._news.pinned(pinned)
        self.life = lifecycle.pin(self.life, pinned)
        self._arm()
        self._on_change()  # who waits for room may now get it, or never

    def reset(self) -> ResetResult:
        """Forget the failures, so that the next request tries the model again."""
        failed = self.life
        self.handle(events.Reset())
        in_backoff = failed.state is WorkerState.BACKOFF
        error = failed.error if in_backoff else None
        if in_backoff:
            self._news.reset(error)
        return ResetResult(
            model=self.spec.id, state=self.life.state, was_in_backoff=in_backoff, error=error
        )

    def unloaded(self, pid: int | None, freed: int) -> UnloadResult:
        """Say what came back by the end of process `pid`; where there was none, a pin goes here."""
        self._wish = self._wish if pid else None
        return UnloadResult(
            model=self.spec.id,
            state=self.life.state,
            was_loaded=pid is not None,
            pid=pid,
            pid_reaped=pid is not None,
            exit_code=self.exit_code if pid is not None else None,
            freed_bytes=freed,
        )

    def handle(self, event: Event, cause: str = "") -> None:
        """Feed one event to the lifecycle and carry out what it decides; `cause` is for the event log."""
        before = self.life
        self._news.because(cause)
        self.life, effects = lifecycle.step(before, event, self._clock.monotonic(), self._policy)
        if self.life.state is not before.state:
            self._entered(before.state)
        for effect in effects:
            self._carry_out(effect)
        self._arm()
        self._on_change()

    def start_lease(self, idle_timeout: float | None) -> Lease:
        """Give out the ready worker; raises RuntimeError in any other state."""
        if self.socket is None or self._child is None:
            raise RuntimeError(f"{self.spec.id} has no process to lease")
        self.handle(events.LeaseStarted(idle_timeout))
        lease = Lease(self, self.spec.id, self.socket, self._child.pid)
        self._leases.add(lease)
        self._unseen.add(lease)
        return lease

    def end_lease(self, lease: Lease, *, served: bool) -> None:
        """Take a lease back; one that was failed already is gone."""
        if lease in self._leases:
            self._leases.remove(lease)
            self._usage.note(self.spec.id, self._clock.wall())
            self.handle(events.LeaseEnded(served, seen=lease not in self._unseen))
            self._unseen.discard(lease)

    def limit(self, grant: Grant) -> None:
        """Tell a worker that knows its model its new share of the memory, unless it has that already."""
        if self.life.state in _HAS_MODEL and grant != self.granted:
            self._send(control.Limits(grant.memory_bytes, grant.cache_bytes))
            self.granted = grant

    def shrink(self) -> None:
        """Have a worker give back what it can do without."""
        if self.life.state in _HAS_MODEL:
            self._send(control.Shrink())

    async def settled(self) -> None:
        """Wait until no process exists."""
        await self._settled.wait()

    def _entered(self, old: WorkerState) -> None:
        state = self.life.state
        logger.info("model=%s state=%s was=%s pid=%s", self.spec.id, state, old, self.pid)
        self._news.moved(self.life, old, self.pid)
        if state is WorkerState.READY:
            self.loaded_at = self._clock.wall()
            self._usage.note(self.spec.id, self.loaded_at)
            self.loading = None
        if state in ALIVE:
            self._settled.clear()
        else:
            self.loading, self.loaded_at, self.ready = None, None, None
            self._settled.set()
        if state is WorkerState.STOPPED and self.life.stop_reason is StopReason.UNLOAD:
            self._wish = None  # whoever unloads a model wants it to go

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case events.Spawn():
                self._spawn()
            case events.SendStart():
                self._send_start()
            case events.AskToStop(reason=reason):
                self._send(control.Stop(reason))
            case events.DumpStacks():
                self._send(control.DumpStacks())
            case events.Terminate():
                logger.warning(
                    "model=%s did not leave when asked, SIGTERM pid=%s", self.spec.id, self.pid
                )
                self._signal(signal.SIGTERM)
            case events.Kill():
                self._kill()
            case events.FailLeases(message=message):
                self._fail_leases(message)

    def _spawn(self) -> None:
        # The declaration may have changed since the last start; a keep_alive of that time is over.
        pinned = self.spec.pin if self._wish is None else self._wish
        self.life = lifecycle.declared(self.life, pinned, self.spec.idle_timeout)
        callbacks = Callbacks(self._on_message, self._log.write, self._on_exit)
        try:
            self._child = self._launcher.start(self.spec.id, callbacks)
        except Exception as error:  # whatever it is: without a child, nothing else ends this state
            logger.error("model=%s cannot start a process error=%r", self.spec.id, error)
            self.handle(events.Exited(f"no process could be started: {error}"))

    def _send_start(self) -> None:
        spec = self._worker_spec(self.spec)
        self.socket = spec.socket
        self._send(control.Start(spec))

    def _send(self, message: control.ToWorker) -> None:
        if self._child:
            self._child.send(message)

    def _signal(self, number: signal.Signals) -> None:
        if self._child:
            self._child.signal(number)

    def _kill(self) -> None:
        logger.error(
            "model=%s did not leave after SIGTERM, SIGKILL pid=%s footprint=%d available=%d",
            self.spec.id, self.pid, memory.footprint(self.pid or 0), memory.available_bytes(),
        )  # fmt: skip
        self._signal(signal.SIGKILL)

    def _fail_leases(self, message: str) -> None:
        leases, self._leases, self._unseen = self._leases, set(), set()
        may_retry = self.life.stop_reason in _UNWANTED_ENDS
        for lease in leases:
            lease.fail(WorkerDied(message, may_retry=may_retry))

    def _on_message(self, message: control.FromWorker) -> None:
        match message:
            case control.Hello(version=control.VERSION):
                self.handle(events.HelloReceived())
            case control.Hello(version=version):
                text = f"the worker speaks version {version} of the control protocol: restart mlxd"
                self.handle(events.FailureReported(text))
            case control.LoadProgress():
                self.loading = message
                self.handle(events.Progressed())
            case control.Ready():
                self.ready = message
                self.handle(events.BecameReady())
            case control.Heartbeat(steps=steps, rows=rows):
                self.handle(events.Stepped(steps, rows))
                if not self.life.expecting:
                    self._unseen.clear()
            case control.Failed(message=text):
                logger.error("model=%s failed: %s", self.spec.id, text)
                self.handle(events.FailureReported(causes.explained(text)))

    def _on_exit(self, exit_code: int) -> None:
        pid = self.pid
        self._child, self.exit_code = None, exit_code
        self._log.flush()
        if self.socket is not None:
            run_directory.discard(self.socket)
            self.socket = None
        logger.info("model=%s reaped pid=%s exit=%s", self.spec.id, pid, exit_code)
        if self.life.killed:  # whether the machine got it all back is what an operator must know
            available = memory.available_bytes()
            logger.error("model=%s was killed pid=%s available=%d", self.spec.id, pid, available)
        self._news.ended(self.life, pid, exit_code)
        self.handle(events.Exited(causes.ended(self.spec.id, exit_code)))

    def _arm(self) -> None:
        """Set the one timer to the life's next deadline."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        at = watchdog.deadline(self.life, self._policy)
        if at != float("inf"):
            loop = asyncio.get_running_loop()
            delay = max(0.0, at - self._clock.monotonic())
            self._timer = loop.call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        event = watchdog.due(self.life, self._policy, self._clock.monotonic())
        if event is None:
            self._arm()
        else:
            self.handle(event)
