"""Explain to whoever waits what for: a pure function of what the scheduler sees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.supervisor.scheduling.scheduler import Snapshot, in_line

S = WorkerState
_COLD = (S.STOPPED, S.BACKOFF)


class Cause(StrEnum):
    """Name what keeps a request from its worker."""

    LOADING = "loading"
    LEAVING = "leaving"
    """The model's own last process is not gone yet."""
    MEMORY = "memory"
    SLOTS = "slots"
    TURN = "turn"
    """There is room, or soon will be, and the next decision gives it out."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Say why the requests of one model wait."""

    cause: Cause
    position: int = 0
    """Place among the models that wait for room, 1 is next; 0 = it waits for no room."""
    of: int = 0
    """How many models wait for room."""
    bytes_short: int = 0
    behind: tuple[str, ...] = ()
    """Models that hold the room; those that are about to give it back, if there are any."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Say how far a load is."""

    bytes_read: int
    bytes_total: int
    seconds: float
    """Since it began."""
    seconds_per_byte: float | None = None
    """As measured when it was loaded last."""

    @property
    def share(self) -> float:
        """Return how much is read, from 0 to 1."""
        return min(1.0, self.bytes_read / self.bytes_total) if self.bytes_total else 0.0

    @property
    def eta(self) -> float | None:
        """Return the seconds until it is ready, None where nobody can tell."""
        if self.seconds_per_byte:
            return max(0.0, self.seconds_per_byte * self.bytes_total - self.seconds)
        if not self.bytes_read:
            return None
        return self.seconds * max(0, self.bytes_total - self.bytes_read) / self.bytes_read


def explain(snapshot: Snapshot, model_id: str) -> Wait | None:
    """Return why requests for a model wait, None where they do not."""
    view = snapshot.models[model_id]
    if view.state is S.READY:
        return None
    if view.state in (S.STARTING, S.LOADING):
        return Wait(Cause.LOADING)
    if view.state in ALIVE:
        return Wait(Cause.LEAVING, behind=(model_id,))
    line = list(
        dict.fromkeys(
            w.model_id for w in in_line(snapshot) if _state(snapshot, w.model_id) in _COLD
        )
    )
    if model_id not in line:
        return None
    short = bytes_short(snapshot, model_id)
    alive = sum(other.state in ALIVE for other in snapshot.models.values())
    wait = Wait(Cause.TURN, line.index(model_id) + 1, len(line), short, _behind(snapshot))
    if short:
        return replace(wait, cause=Cause.MEMORY)
    if 0 < snapshot.max_loaded <= alive:
        return replace(wait, cause=Cause.SLOTS)
    return wait


def in_words(wait: Wait, progress: Progress | None = None) -> str:
    """Return one short line for a client that waits."""
    match wait.cause:
        case Cause.LOADING if progress is not None:
            eta = "" if progress.eta is None else f" eta {progress.eta:.0f}s"
            return f"loading {progress.share:.0%}{eta}"
        case Cause.LOADING:
            return "loading"
        case Cause.LEAVING:
            return "waiting for the model's last process to end"
    behind = f" behind {', '.join(wait.behind)}" if wait.behind else ""
    return f"queued {wait.position}/{wait.of}{behind}"


def _state(snapshot: Snapshot, model_id: str) -> WorkerState:
    return snapshot.models[model_id].state


def bytes_short(snapshot: Snapshot, model_id: str) -> int:
    """Return how many bytes more the model needs than there are for it now."""
    held = sum(view.held_bytes for view in snapshot.models.values() if view.state in ALIVE)
    need = snapshot.models[model_id].need_bytes
    budget, available = snapshot.budget_bytes, snapshot.available_bytes
    by_budget = 0 if budget is None else need - (budget - held)
    by_machine = 0 if available is None else need - available
    return max(0, by_budget, by_machine)


def _behind(snapshot: Snapshot) -> tuple[str, ...]:
    """Return whom the room is waited for from: those that leave, else those that load or work."""

    def among(states: Sequence[WorkerState]) -> tuple[str, ...]:
        return tuple(m for m, view in snapshot.models.items() if view.state in states)

    return among((S.STOPPING, S.DRAINING)) or among((S.READY, S.STARTING, S.LOADING))
