"""Forbid tokens: on the CPU while the device computes, for the rows that have a grammar."""

from collections.abc import Collection
from collections.abc import Sequence as Rows
from typing import cast

import mlx.core as mx
import numpy as np

from mlxd.workers.engine.grammar import RowMatcher
from mlxd.workers.engine.sequence import Sequence

WORD = 32


def unpacked(words: np.ndarray, width: int) -> mx.array:
    """Return one truth value per logit for each line of bits."""
    bits = (mx.array(words)[:, :, None] >> mx.arange(WORD, dtype=mx.uint32)) & 1
    return bits.reshape(len(words), -1)[:, :width].astype(mx.bool_)


def narrowed(logits: mx.array, row: Sequence, inputs: Rows[int], *, fresh: bool) -> mx.array:
    """Return the logits of a row's next positions with what its grammar forbids there at minus infinity.

    `inputs` are the tokens before each position, the first of them known already where it is `fresh`. Where one of them
    is forbidden itself, nothing after it counts, and nothing is forbidden there.
    """
    assert row.matcher is not None
    matcher = row.matcher.copy()
    words = np.full((len(inputs), -(-matcher.width // WORD)), ~np.uint32(0), np.uint32)
    for place, (line, token) in enumerate(zip(words, inputs, strict=True)):
        if place or not fresh:
            matcher.take(row.answered + place - fresh, token)
        if matcher.over:
            break
        matcher.fill(line.ctypes.data, line.nbytes)
    return mx.where(unpacked(words, logits.shape[-1]), logits, -mx.inf)


class Masks:
    """Hold the matchers of the batch's rows."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, Sequence, RowMatcher]] = []
        self._index: mx.array | None = None
        self._words = np.zeros((0, 0), np.uint32)

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
        allowed = unpacked(self._words, logits.shape[-1])
        if self._index is None:
            return mx.where(allowed, logits, -mx.inf)
        masked = mx.where(allowed, logits[self._index], -mx.inf)
        logits = logits[:]  # assigning to an index changes the object, which the caller still reads
        logits[self._index] = masked
        return logits
