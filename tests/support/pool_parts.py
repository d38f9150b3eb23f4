"""Hold what a simulated pool is made of: requests, an operator's acts, workers that take their time."""

import math
from dataclasses import dataclass, field

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.supervisor.scheduling.scheduler import ModelView, Refusal
from mlxd.supervisor.urgency import Priority

S = WorkerState
BACKOFF_S = 7.0


@dataclass
class Request:
    """Say when a request comes, how long it runs, and when its client gives up waiting."""

    model: str
    at: float
    runs_s: float = 1.0
    patience_s: float = math.inf
    priority: Priority = Priority.NORMAL
    ticket: int = 0
    granted_at: float | None = None
    refused: Refusal | None = None
    gave_up: bool = False

    def place(self, now: float, max_swap_wait: float) -> tuple[Priority, int]:
        """Return what is smallest for who goes first."""
        is_late = now >= self.at + max_swap_wait
        return (Priority.HIGH if is_late else self.priority), self.ticket

    @property
    def is_answered(self) -> bool:
        """Tell whether somebody told the client something, or the client left."""
        return self.granted_at is not None or self.refused is not None or self.gave_up


@dataclass
class Drain:
    """Say when an operator unloads a model, or the worker idles out."""

    model: str
    at: float


@dataclass
class Pin:
    """Say when a model is pinned or let go."""

    model: str
    at: float
    pinned: bool


@dataclass
class Worker:
    """Simulate one model's worker: a load, requests, an end; each takes its time."""

    load_s: float = 3.0
    stop_s: float = 1.0
    fails: int = 0
    """Loads that fail before one works."""
    pinned: bool = False
    state: S = S.STOPPED
    until: float = math.inf
    """When the present load or stop is over."""
    running: dict[int, float] = field(default_factory=dict)
    """Ticket to the time at which the request ends."""
    idle_since: float = 0.0
    retry_at: float = 0.0
    need_bytes: int = 0
    """What it is expected to take."""
    takes_bytes: int = 0
    """What it takes in truth once it is ready, and until it is gone."""

    @property
    def taken_bytes(self) -> int:
        """Return what the process takes now."""
        return self.takes_bytes if self.state in (S.READY, S.DRAINING, S.STOPPING) else 0

    @property
    def held_bytes(self) -> int:
        """Return what nobody else may take."""
        return max(self.need_bytes, self.taken_bytes) if self.state in ALIVE else 0

    def view(self) -> ModelView:
        """Return what the scheduler may know."""
        return ModelView(
            self.state, len(self.running), self.pinned, self.idle_since, self.retry_at,
            need_bytes=self.need_bytes, held_bytes=self.held_bytes,
        )  # fmt: skip

    def leave(self, now: float) -> None:
        """Take no more requests; go when the running ones are done."""
        self.state = S.DRAINING
        self.go_if_done(now)

    def go_if_done(self, now: float) -> None:
        """Begin to stop once nothing runs."""
        if self.state is S.DRAINING and not self.running:
            self.state, self.until = S.STOPPING, now + self.stop_s
