"""Know what there is of memory and who has it: measured when a decision depends on it, learnt from what was measured.

A footprint costs milliseconds to read on Linux, so it is read again only after a second or when a worker's state
changed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from mlxd.config.spec import ModelSpec
from mlxd.protocol.lifecycle import ALIVE, WorkerState
from mlxd.protocol.spec import WorkerSpec
from mlxd.supervisor.budget.costs import Costs
from mlxd.supervisor.budget.grants import Claim, Grant, shares, wired
from mlxd.supervisor.budget.needs import Cost, Size, need
from mlxd.supervisor.clock import Clock
from mlxd.supervisor.lifecycle.worker import WorkerHandle

S = WorkerState
_LOADING = (S.STARTING, S.LOADING)
_FRESH_S = 1.0

Workers = Mapping[str, WorkerHandle]


@dataclass(frozen=True, slots=True)
class Gauges:
    """Read the machine; each is asked anew whenever it matters."""

    budget: Callable[[], int]
    """What all workers may take together, in bytes."""
    recommended: Callable[[], int]
    """What the GPU may use."""
    available: Callable[[], int]
    """What the machine could hand out now."""
    footprint: Callable[[int], int]
    peak: Callable[[int], int]
    """The most a process ever took."""
    others: Callable[[], Iterable[int]] = tuple
    """Processes of ours without a model: those kept in reserve, those that only count tokens."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Hold one measurement, in bytes."""

    budget: int
    """What all workers with a model may take together."""
    available: int
    """What the machine could hand out, less what loading workers have yet to take."""
    needs: Mapping[str, int]
    held: Mapping[str, int]

    @property
    def free(self) -> int:
        """Return what a new worker could take now."""
        return max(0, min(self.budget - sum(self.held.values()), self.available))


class Budget:
    """Measure on demand, remember what models cost, and divide the budget among workers."""

    def __init__(self, gauges: Gauges, costs: Costs, clock: Clock, *, wire: bool = False) -> None:
        self._gauges = gauges
        self._costs = costs
        self._clock = clock
        self._wire = wire
        self._states: dict[str, WorkerState] = {}
        self._footprints: dict[int, int] = {}
        self._read_at = 0.0

    def total(self) -> int:
        """Return what all workers may take together, whatever they have now."""
        return self._gauges.budget()

    def measure(self, workers: Workers) -> Balance:
        """Return what all workers hold and need and what there is for more."""
        self._refresh()
        budget = self._for_models()
        needs = {name: self.need(worker.spec, budget) for name, worker in workers.items()}
        taken = {name: self._footprint(w) for name, w in workers.items() if w.life.state in ALIVE}
        coming = sum(
            max(0, needs[name] - size)
            for name, size in taken.items()
            if workers[name].life.state in _LOADING
        )
        return Balance(
            budget=budget,
            available=self._gauges.available() - coming,
            needs=needs,
            held={
                name: self._held(workers[name], needs[name], size) for name, size in taken.items()
            },
        )

    def _for_models(self) -> int:
        """Return what is left of the budget beside the processes that have no model."""
        others = sum(self._size_of(pid) for pid in self._gauges.others())
        return max(0, self._gauges.budget() - others)

    def need(self, spec: ModelSpec, budget: int) -> int:
        """Return what to have free before the model is started."""
        kept = spec.prompt_cache.memory or 0
        size = Size(spec.weights_bytes, spec.kv_bytes_per_token, spec.kept_length, kept)
        return need(size, self._costs.of(spec), budget)

    def cost(self, spec: ModelSpec) -> Cost | None:
        """Return what the model took when it last ran."""
        return self._costs.of(spec)

    def load_seconds(self, spec: ModelSpec) -> float | None:
        """Return how long the model takes to load, as measured the last time."""
        cost = self._costs.of(spec)
        return (
            cost.seconds_per_byte * spec.weights_bytes if cost and cost.seconds_per_byte else None
        )

    def observe(self, workers: Workers) -> bool:
        """Learn from workers that have just loaded or just leave; tell whether any worker's state changed."""
        states = {name: worker.life.state for name, worker in workers.items()}
        before, self._states = self._states, states
        if states == before:
            return False
        self._footprints.clear()
        for name, state in states.items():
            if state is not before.get(name):
                self._learn(workers[name], before.get(name))
        return True

    def limited(self, spec: WorkerSpec, workers: Workers) -> WorkerSpec:
        """Return what a worker that starts is told, its share included; the others hear of theirs first."""
        grants = self._grants(workers)
        worker, own = workers[spec.model_id], grants[spec.model_id]
        worker.granted = own
        self._tell(workers, grants)
        others = sum(grant.memory_bytes for grant in grants.values()) - own.memory_bytes
        weights = worker.spec.weights_bytes
        wire = wired(weights, self._gauges.recommended(), others) if self._wire else 0
        return msgspec.structs.replace(
            spec, memory_limit=own.memory_bytes, cache_limit=own.cache_bytes, wired_limit=wire
        )

    def share_out(self, workers: Workers) -> None:
        """Divide the budget anew among all workers that run or start."""
        self._tell(workers, self._grants(workers))

    def _grants(self, workers: Workers) -> dict[str, Grant]:
        balance = self.measure(workers)
        claims = {
            name: Claim(workers[name].spec.weights_bytes, held)
            for name, held in balance.held.items()
        }
        return shares(balance.budget, claims)

    def _tell(self, workers: Workers, grants: Mapping[str, Grant]) -> None:
        for name, grant in grants.items():
            workers[name].limit(grant)

    def _held(self, worker: WorkerHandle, needed: int, size: int) -> int:
        # The peak of a load is over once the model is there; what it keeps was measured too.
        cost = self._costs.of(worker.spec)
        if worker.life.state in _LOADING or cost is None:
            return max(size, needed)
        return max(size, min(needed, cost.steady))

    def _learn(self, worker: WorkerHandle, before: WorkerState | None) -> None:
        if worker.pid is None:
            return
        size, old = self._footprint(worker), self._costs.of(worker.spec)
        if not size:
            return
        if worker.life.state is S.READY and worker.ready is not None:
            weights = max(1, worker.ready.weights_bytes)
            peak = max(size, self._gauges.peak(worker.pid))
            # What it will have taken in the end is known better from the last time than from now.
            steady = max(size, old.steady) if old else size
            speed = worker.ready.load_seconds / weights
            growth = worker.ready.kv_bytes_per_token
            self._costs.learn(worker.spec, Cost(peak, steady, speed, growth))
        elif before is S.READY and old is not None:
            self._costs.learn(worker.spec, replace(old, steady=size))

    def _footprint(self, worker: WorkerHandle) -> int:
        return 0 if worker.pid is None else self._size_of(worker.pid)

    def _size_of(self, pid: int) -> int:
        if pid not in self._footprints:
            self._footprints[pid] = self._gauges.footprint(pid)
        return self._footprints[pid]

    def _refresh(self) -> None:
        now = self._clock.monotonic()
        if now - self._read_at >= _FRESH_S:
            self._read_at = now
            self._footprints.clear()
