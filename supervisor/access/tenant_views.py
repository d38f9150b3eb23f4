"""Show a caller the models of its key, and no others: what routes are given instead of catalogue, pool and status."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadResult, ModelStatus, ResetResult, UnloadResult
from mlxd.protocol.errors import ModelNotAllowed, ModelNotFound, PermissionDenied
from mlxd.protocol.keys import Right
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Plan
from mlxd.supervisor.access import tenant
from mlxd.supervisor.ports import Catalog, Glance, Lease, Pool, Status
from mlxd.supervisor.urgency import ORDINARY, Urgency

Waited = Callable[[str, str, float], None]
"""Hears of each lease: the model, the key's name, and the seconds it was waited for."""


def untold(model: str, key: str, seconds: float) -> None:
    """Tell nobody."""


class _Lend(Protocol):
    def __call__(
        self, spec: ModelSpec, *, keep_alive: float | None, urgency: Urgency
    ) -> AbstractAsyncContextManager[Lease]: ...


@dataclass(frozen=True, slots=True, eq=False)
class TenantCatalog:
    """Know the models that the caller may use."""

    inner: Catalog

    def resolve(self, name: str) -> ModelSpec:
        """Return the model of this name; raises ModelNotFound, ModelNotAllowed."""
        caller = tenant.calling()
        try:
            spec = self.inner.resolve(name)
        except ModelNotFound as error:
            near = [other for other in error.near if self._is_allowed(other)]
            raise ModelNotFound(error.name, near) from None
        caller.about = spec.id
        check(spec)
        return spec

    def models(self) -> tuple[ModelSpec, ...]:
        """Return those the caller may use."""
        return tenant.current().those_of(self.inner.models())

    def rescan(self) -> None:
        """Look at the disk again, unless that was just done."""
        self.inner.rescan()

    def _is_allowed(self, name: str) -> bool:
        try:
            return tenant.current().may_use(self.inner.resolve(name))
        except ModelNotFound:
            return False


@dataclass(frozen=True, slots=True, eq=False)
class TenantPool:
    """Give the caller workers of its models, no more urgently than its key allows."""

    inner: Pool
    waited: Waited = untold

    def lease(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a ready worker."""
        return self._lent(self.inner.lease, spec, keep_alive, urgency)

    def lease_counter(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a worker that can count the model's tokens."""
        return self._lent(self.inner.lease_counter, spec, keep_alive, urgency)

    @asynccontextmanager
    async def _lent(
        self, lend: _Lend, spec: ModelSpec, keep_alive: float | None, urgency: Urgency
    ) -> AsyncIterator[Lease]:
        check(spec)
        key, asked_at = tenant.current(), time.monotonic()
        async with lend(spec, keep_alive=keep_alive, urgency=urgency.at_most(key.ceiling)) as lease:
            self.waited(spec.id, key.name, time.monotonic() - asked_at)
            yield lease

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Have the model ready, as any request would; to pin it is an admin's."""
        check(spec)
        if pinned is not None:
            _check_admin()
        return await self.inner.load(spec, keep_alive=keep_alive, pinned=pinned)

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Have the model's worker leave, by whatever route: an admin's."""
        tenant.calling().about = spec.id
        check(spec)
        _check_admin()
        return await self.inner.unload(spec, force=force)

    def plan(self, spec: ModelSpec) -> Plan:
        """Say what a load of the model would do."""
        check(spec)
        return self.inner.plan(spec)

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Forget the failures of a model."""
        check(spec)
        return self.inner.reset(spec)

    def note(self, model_id: str) -> str | None:
        """Return one line for a client that waits; other models' names are for who may use all."""
        return None if tenant.current().models else self.inner.note(model_id)

    def state(self, model_id: str) -> WorkerState:
        """Return the state of a model's worker."""
        return self.inner.state(model_id)

    def running(self, model_id: str) -> ModelSpec | None:
        """Return the model of this id if it has a process and is the caller's."""
        spec = self.inner.running(model_id)
        return spec if spec and tenant.current().may_use(spec) else None

    def last_used_at(self, model_id: str) -> float | None:
        """Return when the model was used last, in Unix seconds; None where nobody knows."""
        return self.inner.last_used_at(model_id)


@dataclass(frozen=True, slots=True, eq=False)
class TenantStatus:
    """Describe the workers of the caller's models; statistics of everybody need a right of their own."""

    inner: Status
    catalog: Catalog

    async def ps(self) -> list[ModelStatus]:
        """Return the caller's models that have a process, a failure or a queue."""
        found = await self.inner.ps()
        if not tenant.current().models:
            return found
        allowed = {spec.id for spec in tenant.current().those_of(self.catalog.models())}
        return [status for status in found if status.id in allowed]

    def glance(self) -> Glance:
        """Return what is known without asking the workers."""
        return self.inner.glance()

    async def batch_stats(self) -> dict[str, object]:
        """Return what each ready worker says of its batch."""
        return await self.inner.batch_stats()

    def queue_stats(self) -> dict[str, object]:
        """Return who waits for what."""
        return self.inner.queue_stats()


def check(spec: ModelSpec) -> None:
    """Raise ModelNotAllowed where the caller's key does not open the model."""
    if not tenant.current().may_use(spec):
        raise ModelNotAllowed(f"model: this API key may not use {spec.id}", field="model")


def _check_admin() -> None:
    if Right.ADMIN not in tenant.current().rights:
        raise PermissionDenied(f"this API key lacks the right {Right.ADMIN.value!r}")
