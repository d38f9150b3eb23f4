"""Show what a step of a batch with a single row starts from."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from mlxd.workers.engine.logprobs import Logprobs
from mlxd.workers.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Lone:
    """Show the only row of a batch and the step it has in flight."""

    row: Sequence
    cache: list[Any]
    inputs: mx.array
    """The token that the next pass reads: on its way, unless `fresh`."""
    fresh: bool
    """Whether that is the last token of the prompt, which is not news."""
    pending: Logprobs | None
