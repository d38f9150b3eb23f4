"""Gather log-probabilities with the tokens of a step, for the rows that ask and no others.

They are the model's own, before penalties, filters and temperature.
"""

from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from mlxd.workers.engine.sequence import Sequence

TOP = 20
"""The most likely tokens gathered for rows that ask for any; OpenAI's maximum."""


@dataclass(frozen=True, slots=True)
class Details:
    """Hold what a row asked for beside its token."""

    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()


class Logprobs:
    """Hold the log-probabilities of the tokens in flight, on the device until they are read."""

    def __init__(self, rows: list[int], asked: list[int], arrays: tuple[mx.array, ...]) -> None:
        self._rows = rows
        """Where in the batch each asking row stands; -1 once it has left."""
        self._asked = asked
        self.arrays = arrays

    @classmethod
    def gather(cls, rows: Rows[Sequence], logits: mx.array, tokens: mx.array) -> "Logprobs | None":
        """Return what the rows ask for, None where nobody asks."""
        asking = [(i, row.request.logprobs) for i, row in enumerate(rows)]
        wanted = [(i, asked) for i, asked in asking if asked is not None]
        if not wanted:
            return None
        if len(wanted) < len(rows):
            index = mx.array([i for i, _ in wanted])
            logits, tokens = logits[index], tokens[index]
        logits = logits.astype(mx.float32)
        total = mx.logsumexp(logits, axis=-1, keepdims=True)
        logprob = mx.take_along_axis(logits, tokens[:, None], axis=-1) - total
        arrays: tuple[mx.array, ...] = (logprob[:, 0],)
        if any(asked for _, asked in wanted):
            width = min(TOP, logits.shape[-1])
            top = mx.argpartition(-logits, kth=width - 1, axis=-1)[:, :width]
            arrays = (*arrays, top, mx.take_along_axis(logits, top, axis=-1) - total)
        return cls([i for i, _ in wanted], [asked for _, asked in wanted], arrays)

    def keep(self, rows: Rows[int]) -> None:
        """Follow the batch when only these of its rows stay."""
        moved = {old: new for new, old in enumerate(rows)}
        self._rows = [moved.get(row, -1) for row in self._rows]

    def at(self, row: int) -> "Logprobs":
        """Return those of one row alone, as the first of its batch."""
        arrays = tuple(array[row : row + 1] for array in self.arrays)
        return Logprobs([0], [self._asked[row]], arrays)

    def read(self) -> dict[int, Details]:
        """Return the details of each asking row by its place in the batch; waits for the device."""
        chosen = cast(list[float], self.arrays[0].tolist())
        if len(self.arrays) == 1:
            return {row: Details(logprob) for row, logprob in zip(self._rows, chosen, strict=True)}
        tokens = cast(list[list[int]], self.arrays[1].tolist())
        logprobs = cast(list[list[float]], self.arrays[2].tolist())
        return {
            row: Details(chosen[k], _ranked(tokens[k], logprobs[k], asked))
            for k, (row, asked) in enumerate(zip(self._rows, self._asked, strict=True))
        }


def _ranked(tokens: list[int], logprobs: list[float], asked: int) -> tuple[tuple[int, float], ...]:
    pairs = sorted(zip(tokens, logprobs, strict=True), key=lambda pair: -pair[1])
    return tuple(pairs[:asked])
