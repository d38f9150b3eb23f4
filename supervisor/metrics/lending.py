"""Measure how long requests wait for their workers, around whichever pool gives them out."""

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadResult, ResetResult, UnloadResult
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Plan
from mlxd.supervisor.access import tenant
from mlxd.supervisor.metrics.requests import Requests
from mlxd.supervisor.ports import Lease, Pool
from mlxd.supervisor.urgency import Priority


@dataclass(frozen=True, slots=True, eq=False)
class MeteredPool:
    """Give workers as `inner` does."""

    inner: Pool
    requests: Requests

    def lease(
        self,
        spec: ModelSpec,
        *,
        keep_alive: float | None = None,
        priority: Priority = Priority.NORMAL,
        patience: float | None = None,
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a ready worker."""
        lending = self.inner.lease(
            spec, keep_alive=keep_alive, priority=priority, patience=patience
        )
        return self._measured(spec, lending)

    def lease_counter(
        self,
        spec: ModelSpec,
        *,
        keep_alive: float | None = None,
        priority: Priority = Priority.NORMAL,
        patience: float | None = None,
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a worker that can count the model's tokens."""
        lending = self.inner.lease_counter(
            spec, keep_alive=keep_alive, priority=priority, patience=patience
        )
        return self._measured(spec, lending)

    @asynccontextmanager
    async def _measured(
        self, spec: ModelSpec, lending: AbstractAsyncContextManager[Lease]
    ) -> AsyncIterator[Lease]:
        asked_at = time.monotonic()
        async with lending as lease:
            self.requests.waited(spec.id, tenant.current().name, time.monotonic() - asked_at)
            yield lease

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Have the model ready."""
        return await self.inner.load(spec, keep_alive=keep_alive, pinned=pinned)

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Have the model's worker leave."""
        return await self.inner.unload(spec, force=force)

    def plan(self, spec: ModelSpec) -> Plan:
        """Say what a load of the model would do."""
        return self.inner.plan(spec)

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Forget the failures of a model."""
        return self.inner.reset(spec)

    def last_used_at(self, model_id: str) -> float | None:
        """Return when the model was used last, in Unix seconds; None where nobody knows."""
        return self.inner.last_used_at(model_id)

    def note(self, model_id: str) -> str | None:
        """Return one line for a client that waits."""
        return self.inner.note(model_id)

    def state(self, model_id: str) -> WorkerState:
        """Return the state of a model's worker."""
        return self.inner.state(model_id)
