"""Hold what ps, load and unload take and return; the same structs serve REST and `mlxctl`."""

import msgspec

from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import WorkerState


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one model's worker as it is now; every field is read at call time.

    Times are Unix seconds; `expires_at` is None while requests run or where the model never expires.
    """

    id: str
    kind: ModelKind
    state: WorkerState
    pid: int | None
    memory_bytes: int
    """Footprint of the worker process: phys_footprint on macOS, PSS on Linux."""
    weights_bytes: int
    active_requests: int
    queued_requests: int
    pinned: bool
    loaded_at: float | None
    last_used_at: float | None
    expires_at: float | None
    generation_tokens_per_second: float
    error: str | None = None
    """Why the model is in back-off."""
    retry_at: float | None = None
    quarantined: bool = False
    """Whether it failed too often in a row and waits for a reset."""


class Ps(msgspec.Struct, frozen=True):
    """Answer `GET /v1/ps`."""

    models: list[ModelStatus]


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a model to be loaded; answers once it is ready."""

    model: str
    keep_alive: str | int | float | None = None
    pin: bool | None = None


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Say what is loaded and whether this call loaded it."""

    model: str
    state: WorkerState
    pid: int | None
    already_loaded: bool
    load_seconds: float
    memory_bytes: int


class UnloadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a model to be unloaded; without force, a model with requests in flight is drained first."""

    model: str
    force: bool = False


class UnloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Say what came back; sent only after the worker's pid was reaped."""

    model: str
    state: WorkerState
    was_loaded: bool
    pid: int | None
    """The pid that was reaped, None where nothing ran."""
    pid_reaped: bool
    exit_code: int | None
    freed_bytes: int
    """Footprint of the worker just before it was told to leave."""


class ResetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a model's failures to be forgotten, so that the next request tries it again."""

    model: str


class ResetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Say what was forgotten."""

    model: str
    state: WorkerState
    was_in_backoff: bool
    error: str | None
    """The failure that was forgotten."""
