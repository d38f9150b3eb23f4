"""Keep two pools of workers: those with a model, and beside them those with a tokenizer only.

A count of tokens must not load a model, nor push one out. So whoever counts for a model that is not ready gets a
worker from a pool of its own, which shares no slot and no line of `ps` with the models.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from mlxd.config.spec import ModelSpec
from mlxd.protocol.admin import LoadResult, ResetResult, UnloadResult
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Plan
from mlxd.supervisor.lifecycle.lease import Lease
from mlxd.supervisor.scheduling.limits import Limits
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.wait_board import WaitBoard
from mlxd.supervisor.urgency import ORDINARY, Urgency

_TOKENIZER_IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class WorkerPools:
    """Give requests their workers, from the pool they need."""

    models: Pool
    tokenizers: Pool
    board: WaitBoard | None = None

    def lease(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a ready worker with the model and hold it while the block runs."""
        return self.models.lease(spec, keep_alive=keep_alive, urgency=urgency)

    def lease_counter(
        self, spec: ModelSpec, *, keep_alive: float | None = None, urgency: Urgency = ORDINARY
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a worker that can count the model's tokens: the model's own if it is ready this moment."""
        if self.models.state(spec.id) is WorkerState.READY:
            return self.lease(spec, keep_alive=keep_alive, urgency=urgency)
        return self.tokenizers.lease(_tokenizer_of(spec), urgency=urgency)

    async def load(
        self, spec: ModelSpec, *, keep_alive: float | None = None, pinned: bool | None = None
    ) -> LoadResult:
        """Have the model ready."""
        return await self.models.load(spec, keep_alive=keep_alive, pinned=pinned)

    async def unload(self, spec: ModelSpec, *, force: bool = False) -> UnloadResult:
        """Have the model's worker leave, and its tokenizer's; returns after both were reaped."""
        unloaded, _ = await asyncio.gather(
            self.models.unload(spec, force=force),
            self.tokenizers.unload(_tokenizer_of(spec), force=force),
        )
        return unloaded

    def plan(self, spec: ModelSpec) -> Plan:
        """Say what a load of the model would do."""
        return self.models.plan(spec)

    def reset(self, spec: ModelSpec) -> ResetResult:
        """Forget the failures of a model in back-off, and those of its tokenizer's worker."""
        self.tokenizers.reset(_tokenizer_of(spec))
        return self.models.reset(spec)

    def state(self, model_id: str) -> WorkerState:
        """Return the state of the worker with the model."""
        return self.models.state(model_id)

    def running(self, model_id: str) -> ModelSpec | None:
        """Return the model of this id if it has a process, though nobody may declare it any more."""
        return self.models.running(model_id)

    def last_used_at(self, model_id: str) -> float | None:
        """Return when the model was used last, None where nobody knows."""
        return self.models.usage.at(model_id)

    def bound(self, limits: Limits) -> None:
        """Take other limits for the models."""
        self.models.bound(limits)

    def note(self, model_id: str) -> str | None:
        """Return one line for a client that waits for the model, None where there is nothing to tell."""
        return self.board.note(model_id) if self.board else None

    async def shutdown(self) -> None:
        """Turn everybody away, drain every worker, return when all are reaped."""
        await asyncio.gather(self.models.shutdown(), self.tokenizers.shutdown())
        self.models.usage.close()

    def hurry(self) -> None:
        """Stop what is still draining at once."""
        self.models.hurry()
        self.tokenizers.hurry()


def _tokenizer_of(spec: ModelSpec) -> ModelSpec:
    """Describe the model's tokenizer as something to run; the name is for logs and errors."""
    return replace(spec, id=f"{spec.id}.tokenizer", idle_timeout=_TOKENIZER_IDLE_S, pin=False)
