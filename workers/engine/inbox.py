"""Hold what other threads tell the engine thread."""

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mlxd.protocol.errors import MlxdError
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.engine.request import GenerateRequest

if TYPE_CHECKING:
    from mlxd.workers.jobs.job import Job


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask for a row; the request was found valid."""

    uid: int
    request: GenerateRequest


@dataclass(frozen=True, slots=True)
class Do:
    """Ask for a job of a model that generates no text."""

    job: "Job[Any, Any]"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask that a row or job leaves; unknown and ended ones are no error."""

    uid: int


@dataclass(frozen=True, slots=True)
class Leave:
    """Ask the loop to end, and the process to leave with `code`."""

    code: ExitCode
    error: MlxdError


@dataclass(frozen=True, slots=True)
class Limit:
    """Say what MLX may take from now on, in bytes."""

    memory: int
    cache: int


@dataclass(frozen=True, slots=True)
class Shrink:
    """Ask to give back what is kept only to be faster."""


Message = Submit | Do | Cancel | Leave | Limit | Shrink


class Inbox:
    """Queue messages in order; putting never waits."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Message] = SimpleQueue()

    def put(self, message: Message) -> None:
        """Add a message; any thread may call this."""
        self._queue.put(message)

    def take(self) -> list[Message]:
        """Return all that is there, without waiting."""
        found = []
        while True:
            try:
                found.append(self._queue.get_nowait())
            except Empty:
                return found

    def wait(self, seconds: float | None = None) -> list[Message]:
        """Return all that is there as soon as there is something, or nothing when the time is over."""
        try:
            return [self._queue.get(timeout=seconds), *self.take()]
        except Empty:
            return []
