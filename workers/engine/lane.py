"""Say what the loop runs, and where its news go."""

from collections.abc import Callable
from dataclasses import dataclass

from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import scheduler
from mlxd.workers.engine.inbox import Leave
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.speculation import Speculation


@dataclass(frozen=True, slots=True)
class Lane:
    """What the loop needs to know of a model."""

    model: batches.Model
    vocab: int
    """Width of the logits."""
    context_length: int
    eos_token_ids: frozenset[int]
    bounds: scheduler.Bounds
    speculation: Speculation | None = None
    """What guesses ahead for a row that runs alone."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the loop's news go."""

    publish: Callable[[list[Delivery]], None]
    """Takes all rows' tokens of a step at once."""
    beat: Callable[[int, int], None] = lambda steps, rows: None
    """Told after each step how many there were and how many rows there are."""
    broken: Callable[[Exception], bool] = lambda error: False
    """Tells an error after which the device cannot be used any more."""
    gone: Callable[[Leave], None] = lambda leave: None
    """Told that nothing can be done any more, before any row is told of its failure."""
    limit: Callable[[int, int], int] = lambda memory, cache: memory
    """Sets what MLX may take and keep; returns what of it rows' caches may take."""
