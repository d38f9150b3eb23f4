"""Run the real front before a pool that holds one scripted worker."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace
from support.app_server import Serving, serving
from support.upstream_app import ScriptedWorker, scripted_worker

from mlxd.config import document, load
from mlxd.config.settings import Settings
from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadResult, ModelStatus, ResetResult, UnloadResult
from mlxd.protocol.errors import MlxdError, ModelNotFound, WorkerDied
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Plan
from mlxd.supervisor.app import build_app
from mlxd.supervisor.ports import Glance
from mlxd.supervisor.scheduling.plan import plan as planned
from mlxd.supervisor.scheduling.scheduler import ModelView, Snapshot
from mlxd.supervisor.urgency import ORDINARY, Urgency

MODEL = "org/tiny"
ALIAS = "tiny"


def spec(model_id: str = MODEL, **changes: Any) -> ModelSpec:
    """Return a text model that can be served."""
    values: dict[str, Any] = {
        "id": model_id,
        "kind": ModelKind.TEXT,
        "path": Path("/nowhere"),
        "aliases": (ALIAS,) if model_id == MODEL else (),
        "idle_timeout": 600.0,
        "max_batch": 8,
        "context_length": 2048,
        "weights_bytes": 1000,
        "source": "config",
        "architecture": "qwen3",
        "created": 1_700_000_000,
    }
    return ModelSpec(**values | changes)


def settings(**server: Any) -> Settings:
    """Return the default settings with changes under `server`."""
    found = load.merge(document.parse("", "no file"), {})
    return replace(found, server=replace(found.server, **server))


class FixedCatalog:
    """Know the models of a test."""

    def __init__(self, *specs: ModelSpec) -> None:
        self._specs = specs
        self.scans = 0

    def resolve(self, name: str) -> ModelSpec:
        """Return the model of an id or alias."""
        for found in self._specs:
            if name == found.id or name in found.aliases:
                return found
        raise ModelNotFound(name, [self._specs[0].id])

    def models(self) -> tuple[ModelSpec, ...]:
        """Return all."""
        return self._specs

    def rescan(self) -> None:
        """Count that somebody asked."""
        self.scans += 1


class FakeLease:
    """Point at the scripted worker."""

    def __init__(self, model_id: str, socket: str) -> None:
        self.model_id = model_id
        self.socket = socket
        self.failed: asyncio.Future[WorkerDied] = asyncio.get_running_loop().create_future()

    async def failure(self) -> WorkerDied:
        """Return why the worker ended, once the test has said so."""
        return await asyncio.wait_for(asyncio.shield(self.failed), 60)


@dataclass
class FakePool:
    """Grant leases once the test opens the gate, and count who has one."""

    socket: str
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: Exception | None = None
    waiting: int = 0
    leases: list[FakeLease] = field(default_factory=list)
    asked: list[tuple[str, float | None]] = field(default_factory=list)
    urgencies: list[Urgency] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    loads: list[tuple[str, float | None, bool | None]] = field(default_factory=list)
    unloads: list[tuple[str, bool]] = field(default_factory=list)

    @asynccontextmanager
    async def lease(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AsyncIterator[FakeLease]:
        """Wait at the gate."""
        self.urgencies.append(urgency)
        self.asked.append((spec.id, keep_alive))
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.refusal is not None:
            raise self.refusal
        lease = FakeLease(spec.id, self.socket)
        self.leases.append(lease)
        try:
            yield lease
        finally:
            self.leases.remove(lease)

    @asynccontextmanager
    async def lease_counter(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AsyncIterator[FakeLease]:
        """Grant at once: who counts waits for no model."""
        self.urgencies.append(urgency)
        self.counted.append(spec.id)
        yield FakeLease(spec.id, self.socket)

    def note(self, model_id: str) -> str | None:
        """Tell who waits what the test says."""
        return self.notes.get(model_id)

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Wait at the gate, too."""
        self.loads.append((spec.id, keep_alive, pinned))
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        return LoadResult(
            model=spec.id,
            state=WorkerState.READY,
            pid=1,
            already_loaded=False,
            load_seconds=0.5,
            memory_bytes=1,
        )

    def plan(self, spec: ModelSpec) -> Plan:
        """Say that it is there."""
        view = ModelView(WorkerState.READY)
        return planned(Snapshot(now=0.0, models={spec.id: view}, queue=[]), spec.id)

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Say that there was nothing to forget."""
        return ResetResult(
            model=spec.id, state=WorkerState.STOPPED, was_in_backoff=False, error=None
        )

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Say that it is gone."""
        self.unloads.append((spec.id, force))
        return UnloadResult(
            model=spec.id,
            state=WorkerState.STOPPED,
            was_loaded=True,
            pid=1,
            pid_reaped=True,
            exit_code=0,
            freed_bytes=1,
        )

    def state(self, model_id: str) -> WorkerState:
        """Return ready for all."""
        return WorkerState.READY

    def running(self, model_id: str) -> ModelSpec | None:
        """Return no model: all that run are declared."""
        return None

    def last_used_at(self, model_id: str) -> float | None:
        """Return what the test says."""
        return self.used.get(model_id)

    def fail_leases(self, error: MlxdError) -> None:
        """Let every lease know that its worker is lost."""
        assert isinstance(error, WorkerDied)
        for lease in self.leases:
            lease.failed.set_result(error)


@dataclass
class FakeStatus:
    """Answer what the test put in."""

    running: list[ModelStatus] = field(default_factory=list)
    is_stuck: bool = False

    async def ps(self) -> list[ModelStatus]:
        """Return what runs, or never return."""
        if self.is_stuck:
            await asyncio.Event().wait()
        return self.running

    def glance(self) -> Glance:
        """Return what runs."""
        return Glance(models=self.running)

    async def batch_stats(self) -> dict[str, object]:
        """Return a batch."""
        return {"models": [{"id": MODEL, "rows": 1}]}

    def queue_stats(self) -> dict[str, object]:
        """Return a queue."""
        return {"models": [{"id": MODEL, "waiting": 2}]}


@dataclass
class Front:
    """Hold all that a test of the front touches."""

    client: httpx.AsyncClient
    server: Serving
    pool: FakePool
    worker: ScriptedWorker
    status: FakeStatus
    catalog: FixedCatalog

    def chat(self, *, stream: bool = True, **fields: Any) -> Mapping[str, Any]:
        """Return a chat request's body."""
        return {"model": MODEL, "messages": [], "stream": stream, **fields}


@asynccontextmanager
async def running_front(
    *specs: ModelSpec, gate: bool = True, **server: Any
) -> AsyncIterator[Front]:
    """Serve the front; with `gate=False` leases wait until the test opens `pool.gate`.

    Streams hear nothing but their worker unless a test sets an interval: what they hold is compared byte for byte,
    however long the loop was held up.
    """
    server = {"keepalive_interval": 3600.0} | server
    # Not tmp_path: a Unix socket's path must stay short.
    with tempfile.TemporaryDirectory(prefix="mlxd-", dir="/tmp") as folder:
        async with scripted_worker(Path(folder)) as worker:
            pool = FakePool(str(worker.socket))
            if gate:
                pool.gate.set()
            catalog, status = FixedCatalog(*(specs or (spec(),))), FakeStatus()
            app = build_app(settings(**server), catalog, pool, status)
            async with serving(app) as served:
                async with httpx.AsyncClient(base_url=served.url, timeout=60) as client:
                    yield Front(client, served, pool, worker, status, catalog)
