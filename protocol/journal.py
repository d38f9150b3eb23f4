"""Hold the entries of the event log: what happened to whom, when and why; file, REST and `mlxctl` show the same."""

import msgspec

from mlxd.protocol.lifecycle import StopReason, WorkerState


class Happening(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Hold what every entry has; the log fills both in."""

    seq: int = 0
    """Counts the entries, over restarts too."""
    at: float = 0.0
    """Unix seconds."""


class DaemonStarted(Happening, frozen=True, kw_only=True, tag="daemon_started"):
    """Say that the daemon listens."""

    version: str
    pid: int


class DaemonStopping(Happening, frozen=True, kw_only=True, tag="daemon_stopping"):
    """Say that workers are drained and nobody new is let in."""

    pid: int


class ConfigReloaded(Happening, frozen=True, kw_only=True, tag="config_reloaded"):
    """Say that a changed configuration was taken."""

    models: int
    needs_restart: list[str]
    """Keys that changed and are taken with the next start only."""


class ReloadRefused(Happening, frozen=True, kw_only=True, tag="reload_refused"):
    """Say that a changed configuration holds a mistake, so that all stays as it was."""

    cause: str


class WorkerMoved(Happening, frozen=True, kw_only=True, tag="worker_moved"):
    """Say that a model's worker entered a state, and why."""

    model: str
    state: WorkerState
    was: WorkerState
    pid: int | None
    cause: str
    reason: StopReason | None = None
    """Why it leaves, as one word."""


class WorkerEnded(Happening, frozen=True, kw_only=True, tag="worker_ended"):
    """Say that a worker's process is gone, and what that gave back."""

    model: str
    pid: int | None
    pid_reaped: bool
    exit_code: int
    freed_bytes: int | None
    """Footprint when it began to leave; None where it ended without notice."""
    cause: str
    reason: StopReason | None = None


class ModelPinned(Happening, frozen=True, kw_only=True, tag="model_pinned"):
    """Say that somebody pinned a model, or let it go again."""

    model: str
    pinned: bool


class ModelReset(Happening, frozen=True, kw_only=True, tag="model_reset"):
    """Say that somebody had a model's failures forgotten."""

    model: str
    cause: str | None
    """The last failure."""


class MemoryShort(Happening, frozen=True, kw_only=True, tag="memory_short"):
    """Say that the machine ran short of memory, and what was done about it."""

    level: str
    shrunk: list[str]
    evicted: list[str]


Entry = (
    DaemonStarted | DaemonStopping | ConfigReloaded | ReloadRefused | WorkerMoved | WorkerEnded
    | ModelPinned | ModelReset | MemoryShort
)  # fmt: skip

decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
"""Reads one entry; raises msgspec.DecodeError on anything else."""
