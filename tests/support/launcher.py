"""Start workers that exist only in the test: each does what its habits say, or what the test makes it do."""

import asyncio
import signal
from dataclasses import dataclass

from mlxd.protocol import control
from mlxd.protocol.control import FromWorker, ToWorker
from mlxd.protocol.exit_codes import ExitCode
from mlxd.supervisor.lifecycle.process import Callbacks

FIRST_PID = 70_001


@dataclass(frozen=True)
class Habits:
    """Say what a worker does by itself."""

    says_hello: bool = True
    loads: bool = True
    obeys_stop: bool = True
    obeys_sigterm: bool = True


MANUAL = Habits(says_hello=False, loads=False, obeys_stop=False, obeys_sigterm=False)


class FakeChild:
    """Obey `supervisor.process.Child`."""

    def __init__(self, pid: int, callbacks: Callbacks, habits: Habits) -> None:
        self._pid = pid
        self._callbacks = callbacks
        self._habits = habits
        self._loop = asyncio.get_running_loop()
        self.sent: list[ToWorker] = []
        self.signals: list[signal.Signals] = []
        self.is_gone = False
        if habits.says_hello:
            self._loop.call_soon(self.hello)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._pid

    def send(self, message: ToWorker) -> None:
        """Take a control message; one that comes after the end is lost."""
        if self.is_gone:
            return
        self.sent.append(message)
        if isinstance(message, control.Start) and self._habits.loads:
            self._loop.call_soon(self.ready)
        if isinstance(message, control.Stop) and self._habits.obeys_stop:
            self._loop.call_soon(self.exit, ExitCode.OK)

    def signal(self, number: signal.Signals) -> None:
        """Take a signal."""
        if self.is_gone:
            return
        self.signals.append(number)
        if number == signal.SIGKILL or (number == signal.SIGTERM and self._habits.obeys_sigterm):
            self._loop.call_soon(self.exit, -number)

    @property
    def was_asked_to_stop(self) -> bool:
        """Tell whether it got a Stop."""
        return any(isinstance(message, control.Stop) for message in self.sent)

    # What the test makes it do

    def say(self, message: FromWorker) -> None:
        """Send a control message to the supervisor, as long as there is a process."""
        if not self.is_gone:
            self._callbacks.on_message(message)

    def hello(self, version: int = control.VERSION) -> None:
        """Report."""
        self.say(control.Hello(self._pid, version))

    def progress(self, bytes_read: int = 1) -> None:
        """Read more of the weights."""
        self.say(control.LoadProgress(bytes_read, 100))

    def ready(self) -> None:
        """Be ready to serve."""
        self.say(
            control.Ready(
                weights_bytes=123, context_length=2048, load_seconds=0.5, kv_bytes_per_token=9
            )
        )

    def beat(self, steps: int, rows: int) -> None:
        """Tell the step counter."""
        self.say(control.Heartbeat(steps, rows))

    def fail(self, message: str) -> None:
        """Say in words why it is about to leave."""
        self.say(control.Failed(ExitCode.LOAD_FAILED, message))

    def print(self, output: bytes) -> None:
        """Write to its log."""
        self._callbacks.on_log(output)

    def exit(self, code: int) -> None:
        """End, once, and be reaped."""
        if not self.is_gone:
            self.is_gone = True
            self._callbacks.on_exit(code)


class FakeLauncher:
    """Obey `supervisor.process.Launcher`, and remember every child."""

    def __init__(self, habits: Habits | None = None) -> None:
        self.habits = habits or Habits()
        """What the next child will do."""
        self.children: list[FakeChild] = []
        self.names: list[str] = []
        self.refusal: Exception | None = None
        """What the system says instead of starting a process."""

    def start(self, name: str, callbacks: Callbacks) -> FakeChild:
        """Start one."""
        if self.refusal is not None:
            raise self.refusal
        child = FakeChild(FIRST_PID + len(self.children), callbacks, self.habits)
        self.children.append(child)
        self.names.append(name)
        return child

    @property
    def alive(self) -> list[FakeChild]:
        """Return the children that run."""
        return [child for child in self.children if not child.is_gone]

    @property
    def last(self) -> FakeChild:
        """Return the child that was started last."""
        return self.children[-1]
