"""Name what happens to a worker (past tense) and what is done about it (imperative)."""

from dataclasses import dataclass

from mlxd.protocol.lifecycle import StopReason, WorkerState


@dataclass(frozen=True, slots=True)
class Wanted:
    """Someone needs the model and there is room."""


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """The process runs."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """More of the weights was read."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """A self-test token came out."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """The worker told its step counter and how many rows its engine holds."""

    steps: int
    rows: int


@dataclass(frozen=True, slots=True)
class LeaseStarted:
    """A request was given to the worker; `idle_timeout` is the request's own keep_alive, if any."""

    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """A request ended, was given up or broke."""

    served: bool = True
    seen: bool = True
    """Whether the engine had shown a sign of work since it was given; one that was refused never gets there."""


@dataclass(frozen=True, slots=True)
class StopWanted:
    """The worker shall leave: when its requests are done, by `drain_timeout`, or (force) at once."""

    reason: StopReason
    force: bool = False
    bounded: bool = False


@dataclass(frozen=True, slots=True)
class FailureReported:
    """The worker said in words why it is about to leave."""

    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The pid was reaped; `cause` says how it ended."""

    cause: str


@dataclass(frozen=True, slots=True)
class TimeUp:
    """A deadline of `watchdog` passed; `state` is the one it was set in."""

    state: WorkerState


@dataclass(frozen=True, slots=True)
class Reset:
    """An operator or a reload clears the back-off."""


Event = (
    Wanted | HelloReceived | Progressed | BecameReady | Stepped | LeaseStarted | LeaseEnded
    | StopWanted | FailureReported | Exited | TimeUp | Reset
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the process."""


@dataclass(frozen=True, slots=True)
class SendStart:
    """Tell the process which model to load."""


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Tell the process over the control channel to free the model and leave."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Terminate:
    """Send SIGTERM."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL, and log it as an error: wired memory may be stranded (omlx#2184)."""


@dataclass(frozen=True, slots=True)
class DumpStacks:
    """Have the process write its stacks to the log."""


@dataclass(frozen=True, slots=True)
class FailLeases:
    """Fail every request in flight with this sentence."""

    message: str


Effect = Spawn | SendStart | AskToStop | Terminate | Kill | DumpStacks | FailLeases
