"""Hold what `mlxctl plan` and its route tell: what a load would take, and from whom."""

from enum import StrEnum

import msgspec

from mlxd.protocol.lifecycle import WorkerState


class Verdict(StrEnum):
    """Name what a load that was asked for now would do."""

    LOADED = "loaded"
    LOADING = "loading"
    FITS = "fits"
    EVICTS = "evicts"
    WAITS = "waits"
    BACKOFF = "backoff"
    """It failed before, and its back-off or quarantine lasts."""
    TOO_LARGE = "too_large"
    ALL_PINNED = "all_pinned"


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask what a load of this model would do; nothing is loaded."""

    model: str


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a model that holds room."""

    model: str
    state: WorkerState
    held_bytes: int
    active_requests: int
    pinned: bool
    idle_seconds: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Say what a load would do, by the very numbers that the scheduler decides on.

    Bytes are None where nothing limits them.
    """

    model: str
    verdict: Verdict
    need_bytes: int
    short_bytes: int
    """What is missing now; 0 where it fits."""
    held_bytes: int
    """What all workers hold."""
    budget_bytes: int | None
    available_bytes: int | None
    """What the machine could hand out, less what loading workers have yet to take."""
    loaded: int
    max_loaded: int
    """0 = as many as fit."""
    evicts: list[Holder]
    waits_for: list[Holder]
    waiting: int
    """Requests in the queue, for any model."""
    load_seconds: float | None = None
    """As measured when it was loaded last."""
