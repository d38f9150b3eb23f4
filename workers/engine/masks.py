"""Forbid tokens: on the CPU while the device computes, for the rows that have a grammar."""

from collections.abc import Collection
from collections.abc import Sequence as Rows
from typing import cast

import mlx.core as mx
import numpy as np

from mlxd.workers.engine.grammar import RowMatcher
from mlxd.workers.engine.sequence import Sequence

WORD = 32


class Masks:
    """Hold the matchers of the batch's rows."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, Sequence, RowMatcher]] = []
        self._index: mx.array | None = None
        self._words = np.zeros((0, 0), np.uint32)
        self._shifts = mx.arange(WORD, dtype=mx.uint32)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def set_rows(self, rows: Rows[Sequence]) -> None:
        """Take over the batch's rows, in its order."""
        self._rows = [
            (i, row, row.matcher) for i, row in enumerate(rows) if row.matcher is not None
        ]
        width = max((matcher.width for _, _, matcher in self._rows), default=0)
        self._words = np.zeros((len(self._rows), -(-width // WORD)), np.uint32)
        chosen = [i for i, _, _ in self._rows]
        self._index = None if len(chosen) == len(rows) else mx.array(chosen, mx.uint32)

    def apply(self, logits: mx.array, inputs: mx.array, fresh: Collection[int]) -> mx.array:
        """Return the logits with forbidden tokens at minus infinity.

        `inputs` are the tokens that the forward pass reads, news to the matchers but for rows in `fresh`. The pass is
        started first: following the grammars takes the time that the device needs anyway.
        """
        mx.async_eval(logits)  # type: ignore[no-untyped-call]
        tokens = cast(list[int], inputs.tolist())
        for line, (i, row, matcher) in zip(self._words, self._rows, strict=True):
            if row.uid not in fresh:
                matcher.take(row.answered, tokens[i])
            if matcher.over:
                line[:] = ~np.uint32(0)  # what is sampled now is never looked at
            else:
                matcher.fill(line.ctypes.data, line.nbytes)
        return self._forbid(logits)

    def _forbid(self, logits: mx.array) -> mx.array:
        bits = (mx.array(self._words)[:, :, None] >> self._shifts) & 1
        allowed = bits.reshape(len(self._rows), -1)[:, : logits.shape[-1]].astype(mx.bool_)
        if self._index is None:
            return mx.where(allowed, logits, -mx.inf)
        masked = mx.where(allowed, logits[self._index], -mx.inf)
        logits = logits[:]  # assigning to an index changes the object, which the caller still reads
        logits[self._index] = masked
        return logits
