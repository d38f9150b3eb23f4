"""Draw with top-p, without sorting the vocabulary.

Sorting is by far the dearest part of top-p: at 32 rows of 1,536 tokens it took 3.7 of a step's 7.3 ms. But whether one
token is in the nucleus is cheap to tell: it is when the tokens above it weigh less than top-p together. So several
tokens are drawn from the whole distribution, and the first of them that is in the nucleus is taken. For the rows that
come here all are outside with a probability of 1e-7 at the most, which is what a float32 resolves; then the most likely
token is taken.
"""

from collections.abc import Sequence as Rows

import mlx.core as mx

from mlxd.workers.engine.request import Sampling

DRAWS = 7
"""One less than a power of two: the draws are told apart by halving them."""
LEAST_TOP_P = 0.9
"""From here on `DRAWS` draws are enough."""
AHEAD = 16
"""Positions whose random numbers are made at once: at one row, each operation costs more than its numbers."""
_SMALL = 1 << 14
"""Up to so many logits, few operations are worth more than few numbers."""
_BELOW_ONE = 1 - 2**-23
"""Times any weight, this is less than the weight, so that a draw always hits a token that weighs something."""


def suits(sampling: Sampling, vocab: int) -> bool:
    """Tell whether a row that is drawn can be drawn here: by top-p alone, which a temperature up to 1 only sharpens."""
    return (
        LEAST_TOP_P <= sampling.top_p < 1
        and sampling.temperature <= 1
        and not 0 < sampling.top_k < vocab
        and sampling.min_p == 0
    )


class Nucleus:
    """Hold the parameters of the rows that are drawn so, and their random numbers of the next positions."""

    def __init__(self, sampling: Rows[Sampling], places: Rows[tuple[int, int]]) -> None:
        """Take each row's parameters, and its seed and position in the answer."""
        self._top_p = mx.array([s.top_p for s in sampling], mx.float32)[:, None]
        self._inverse = mx.array([1 / s.temperature for s in sampling], mx.float32)[:, None]
        self._sharpened = any(s.temperature < 1 for s in sampling)
        self._places = places
        self._steps = 0
        self._ahead: list[mx.array] = []

    def draw(self, logits: mx.array) -> mx.array:
        """Return one token for every row, and move on by one position."""
        weights = mx.softmax(logits, axis=-1)
        sharpened = mx.softmax(logits * self._inverse, axis=-1) if self._sharpened else weights
        mass = mx.cumsum(sharpened, axis=-1)
        goals = self._chances() * mass[:, -1:]
        drawn = (mass[:, None, :] <= goals[:, :, None]).sum(axis=-1)
        # The most likely token is always in the nucleus, so that one draw is.
        drawn = mx.concatenate([drawn, mx.argmax(logits, axis=-1, keepdims=True)], axis=-1)
        values = mx.take_along_axis(logits, drawn, axis=-1)
        if logits.size <= _SMALL:
            above = mx.where(logits[:, None, :] > values[:, :, None], weights[:, None, :], 0)
            inside = above.sum(axis=-1) < self._top_p
        else:
            inside = values >= self._lowest(logits, weights, values)
        first = mx.argmax(inside, axis=-1, keepdims=True)
        return mx.take_along_axis(drawn, first, axis=-1)[:, 0].astype(mx.uint32)

    def _chances(self) -> mx.array:
        """Return each row's random numbers for this position; they are made for several positions at once."""
        if not self._ahead:
            keys = mx.array(
                [
                    [seed, position + self._steps + step]
                    for step in range(AHEAD)
                    for seed, position in self._places
                ],
                mx.uint32,
            )
            made = mx.vmap(lambda key: mx.random.uniform(shape=(DRAWS,), key=key))(keys)
            made = mx.minimum(made, _BELOW_ONE)
            self._ahead = [
                made[at : at + len(self._places)] for at in range(0, len(keys), len(self._places))
            ]
            self._ahead.reverse()
        self._steps += 1
        return self._ahead.pop()

    def _lowest(self, logits: mx.array, weights: mx.array, values: mx.array) -> mx.array:
        """Return the lowest of the drawn logits that is in the nucleus; the last of them, the highest of all, is.

        What is above a token in the nucleus is in it too, so a few looks tell all of them apart.
        """
        ranked = mx.sort(values[:, :DRAWS], axis=-1)
        outside = mx.zeros((logits.shape[0], 1), mx.uint32)
        step = (DRAWS + 1) // 2
        while step:
            looked_at = mx.take_along_axis(ranked, outside + (step - 1), axis=-1)
            above = mx.where(logits > looked_at, weights, 0).sum(axis=-1, keepdims=True)
            outside = outside + (above >= self._top_p) * mx.array(step, mx.uint32)
            step //= 2
        found = mx.take_along_axis(ranked, mx.minimum(outside, DRAWS - 1), axis=-1)
        return mx.where(outside < DRAWS, found, values[:, DRAWS:])
