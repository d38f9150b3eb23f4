"""Serve a model whose work is jobs."""

import gc
from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from mlxd.protocol.errors import MlxdError
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits
from mlxd.workers.api import app, health
from mlxd.workers.engine.inbox import Leave
from mlxd.workers.engine.stats import Board
from mlxd.workers.jobs.desk import Desk
from mlxd.workers.jobs.worklist import Craft, Worklist
from mlxd.workers.kinds.registry import Surroundings


class ServedJobs:
    """Own a model through its craft; `routes` read `app.state.engine` (the Desk) and what else they put there."""

    def __init__(
        self,
        craft: Craft[Any, Any],
        routes: Sequence[Route],
        spec: WorkerSpec,
        around: Surroundings,
        *,
        weights_bytes: int,
        context_length: int = 0,
    ) -> None:
        board = Board(1)
        self._desk: Desk[Any, Any] = Desk(around.inbox, board, capacity=1 + spec.max_queue)
        self._worklist: Worklist[Any, Any] | None = Worklist(
            craft, around.inbox, board, around.beat
        )
        self._worklist.counters.wired_limit_bytes = limits.wire(around.granted.wired)
        self.weights_bytes = weights_bytes
        self.context_length = context_length
        stats = Route("/v1/batch/stats", health.batch_stats, methods=["GET"])
        alive = Route("/health", health.health, methods=["GET"])
        self.app = app.of_routes([*routes, stats, alive])
        self.app.state.engine = self._desk
        self.app.state.spec = spec

    def run(self) -> Leave:
        """Do jobs until the inbox says to leave."""
        assert self._worklist is not None
        gc.collect()
        gc.freeze()  # what was loaded stays: no collection under load needs to look through it
        return self._worklist.run()

    def close(self, error: MlxdError) -> None:
        """Fail what runs and whatever comes; any thread may call this."""
        self._desk.close(error)

    def free(self) -> None:
        """Drop the model."""
        self._worklist = None
        gc.unfreeze()
        gc.collect()
