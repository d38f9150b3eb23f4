"""Say what the HTTP front needs of pool, status and catalogue; the real ones fit, and so do the tests' own."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadResult, ModelStatus, ResetResult, UnloadResult
from mlxd.protocol.errors import WorkerDied
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Plan
from mlxd.supervisor.urgency import ORDINARY, Urgency


class Lease(Protocol):
    """Hold the right to send one request to a ready worker."""

    @property
    def model_id(self) -> str:
        """Return the id of the model that answers."""
        ...

    @property
    def socket(self) -> str:
        """Return the path of the Unix socket the worker serves."""
        ...

    @property
    def failed(self) -> "asyncio.Future[WorkerDied]":
        """Return what resolves as soon as the worker will not finish this request."""
        ...

    async def failure(self) -> WorkerDied:
        """Return why the request broke, for a caller whose connection just ended; bounded in time."""
        ...


class Pool(Protocol):
    """Give requests their workers."""

    def lease(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a ready worker, no longer than its patience, and hold it; cancelling leaves the queue."""
        ...

    def lease_counter(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a worker that can count the model's tokens, which loads no model."""
        ...

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Have the model ready."""
        ...

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Have the model's worker leave; returns after the reap."""
        ...

    def note(self, model_id: str) -> str | None:
        """Return one line for a client that waits for the model, None where there is nothing to tell."""
        ...

    def plan(self, spec: ModelSpec) -> Plan:
        """Say what a load would do."""
        ...

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Forget the failures of a model in back-off."""
        ...

    def state(self, model_id: str) -> WorkerState:
        """Return the state of a model's worker."""
        ...

    def running(self, model_id: str) -> ModelSpec | None:
        """Return the model of this id if it has a process, though nobody may declare it any more."""
        ...

    def last_used_at(self, model_id: str) -> float | None:
        """Return when the model was used last, in Unix seconds; None where nobody knows."""
        ...


@dataclass(frozen=True, slots=True)
class Glance:
    """Hold what can be told of the workers without asking any."""

    models: Sequence[ModelStatus] = ()
    budget_bytes: int | None = None
    """What all of them may take together."""
    standby_bytes: Sequence[int] = ()
    """What each process costs that is kept ready."""


class Status(Protocol):
    """Describe the workers at the moment of asking."""

    def glance(self) -> Glance:
        """Return what is known without asking them."""
        ...

    async def ps(self) -> list[ModelStatus]:
        """Return every model that has a process, a failure or a queue."""
        ...

    async def batch_stats(self) -> dict[str, object]:
        """Return what each ready worker says of its batch."""
        ...

    def queue_stats(self) -> dict[str, object]:
        """Return who waits for what."""
        ...


class Catalog(Protocol):
    """Know the models by name."""

    def resolve(self, name: str) -> ModelSpec:
        """Return the model of this id, alias or pattern; raises ModelNotFound."""
        ...

    def models(self) -> tuple[ModelSpec, ...]:
        """Return all of them, those that cannot be served included."""
        ...

    def rescan(self) -> None:
        """Look at the disk again, unless that was just done."""
        ...
