"""Tell the event log what becomes of one model's worker, and why."""

from collections.abc import Callable

from mlxd.protocol.journal import ModelPinned, ModelReset, WorkerEnded, WorkerMoved
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle import causes
from mlxd.supervisor.lifecycle.lifecycle import Life
from mlxd.supervisor.logs.journal import Tell

S = WorkerState
_LEAVING = (S.DRAINING, S.STOPPING)
_SETTLED = (S.STARTING, S.STOPPED, S.BACKOFF)
"""What led to these is over once they are entered."""


class WorkerNews:
    """Remember why a worker moves, until it has."""

    def __init__(self, model_id: str, tell: Tell, footprint: Callable[[int], int]) -> None:
        self._model = model_id
        self._tell = tell
        self._footprint = footprint
        self._cause = ""
        self._leaving_bytes: int | None = None

    def because(self, cause: str) -> None:
        """Take the cause of what comes next; an empty one changes nothing."""
        self._cause = cause or self._cause

    def moved(self, life: Life, was: WorkerState, pid: int | None) -> None:
        """Tell of a new state."""
        if life.state is S.STARTING:
            self._leaving_bytes = None
        if life.state is S.STOPPING and pid is not None:
            self._leaving_bytes = self._footprint(pid)
        entry = WorkerMoved(
            model=self._model, state=life.state, was=was, pid=pid,
            cause=causes.moved(life, self._cause),
            reason=life.stop_reason if life.state in _LEAVING else None,
        )  # fmt: skip
        self._tell(entry)
        if life.state in _SETTLED:
            self._cause = ""

    def ended(self, life: Life, pid: int | None, exit_code: int) -> None:
        """Tell that the process was reaped; `life` is the one before."""
        told = life.state is S.STOPPING
        cause = causes.moved(life, self._cause) if told else causes.ended(self._model, exit_code)
        entry = WorkerEnded(
            model=self._model, pid=pid, pid_reaped=True, exit_code=exit_code,
            freed_bytes=self._leaving_bytes, cause=cause, reason=life.stop_reason,
        )  # fmt: skip
        self._tell(entry)

    def pinned(self, pinned: bool) -> None:
        """Tell of a pin."""
        self._tell(ModelPinned(model=self._model, pinned=pinned))

    def reset(self, error: str | None) -> None:
        """Tell that failures were forgotten."""
        self._tell(ModelReset(model=self._model, cause=error))
