"""Sample one token for every row of a batch in one graph, each row by its own parameters.

Parameters are arrays, so a new temperature never compiles a new kernel, and they are rebuilt only when rows change.
The order is mlx-lm's: penalties and bias, then top-p, top-k and min-p on the untempered distribution, temperature last.
"""

import math
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlxd.workers.engine import nucleus
from mlxd.workers.engine.largest import largest
from mlxd.workers.engine.request import Sampling
from mlxd.workers.engine.sequence import Sequence

GREEDY_BELOW = 1e-5
"""Temperatures under this mean greedy: their reciprocal would overflow."""
NARROW = 1024
"""Up to this top-k, only so many logits are sorted instead of the whole vocabulary."""
MASK = 0xFFFFFFFF


def is_greedy(sampling: Sampling) -> bool:
    """Tell whether the most likely token is taken."""
    return sampling.temperature < GREEDY_BELOW


def is_penalised(sampling: Sampling) -> bool:
    """Tell whether earlier tokens change the logits."""
    penalties = sampling.presence_penalty, sampling.frequency_penalty
    return sampling.repetition_penalty != 1.0 or any(penalties)


def fold_seed(seed: int) -> int:
    """Return the 32 bits of a row's random key; all bits of the seed count."""
    return (seed ^ (seed >> 32) * 0x9E3779B1) & MASK


def _column(values: Rows[float]) -> mx.array:
    return mx.array(list(values), mx.float32)[:, None]


def _take(x: mx.array, rows: mx.array | None) -> mx.array:
    return x if rows is None else x[rows]


def _put(x: mx.array, rows: mx.array | None, values: mx.array) -> mx.array:
    if rows is None:
        return values
    x = x[:]  # assigning to an index changes the object, which the caller still reads
    x[rows] = values
    return x


def _select(rows: Rows[Sequence], chosen: list[int]) -> mx.array | None:
    """Return the index of the chosen rows, None where all are chosen."""
    return None if len(chosen) == len(rows) else mx.array(chosen, mx.uint32)


class Penalties:
    """Weigh down tokens that came before, for the rows that ask.

    Repetition looks at prompt and answer, presence and frequency at the answer alone.
    """

    def __init__(self, rows: Rows[Sequence], vocab: int, old: "Penalties | None") -> None:
        chosen = [i for i, row in enumerate(rows) if is_penalised(row.request.sampling)]
        self._rows = _select(rows, chosen)
        self._uids = [rows[i].uid for i in chosen]
        sampling = [rows[i].request.sampling for i in chosen]
        self._repetition = _column([s.repetition_penalty for s in sampling])
        self._presence = _column([s.presence_penalty for s in sampling])
        self._frequency = _column([s.frequency_penalty for s in sampling])
        known = {} if old is None else {uid: i for i, uid in enumerate(old._uids)}
        counts: list[mx.array] = []
        prompts: list[mx.array] = []
        for i in chosen:
            row = rows[i]
            if old is not None and row.uid in known:
                counts.append(old._counts[known[row.uid]])
                prompts.append(old._in_prompt[known[row.uid]])
            else:
                counts.append(_count(row.tokens[len(row.request.prompt) :], vocab))
                prompts.append(_count(row.request.prompt, vocab) > 0)
        self._counts: mx.array = mx.stack(counts)
        self._in_prompt: mx.array = mx.stack(prompts)
        self._range = mx.arange(len(chosen))

    def apply(self, logits: mx.array) -> mx.array:
        """Return the logits with the penalties taken off."""
        x = _take(logits, self._rows)
        seen = mx.logical_or(self._counts > 0, self._in_prompt)
        scaled = mx.where(x > 0, x / self._repetition, x * self._repetition)
        x = mx.where(seen, scaled, x)
        x = x - self._frequency * self._counts - self._presence * (self._counts > 0)
        return _put(logits, self._rows, x)

    def count(self, tokens: mx.array) -> None:
        """Remember the tokens just sampled."""
        self._counts = self._counts.at[self._range, _take(tokens, self._rows)].add(1.0)


def _count(tokens: Rows[int], vocab: int) -> mx.array:
    return mx.array(np.bincount(np.array(tokens, np.int64), minlength=vocab).astype(np.float32))


class Bias:
    """Add each row's logit bias."""

    def __init__(self, rows: Rows[Sequence]) -> None:
        entries = [
            (i, token, value)
            for i, row in enumerate(rows)
            for token, value in row.request.sampling.logit_bias.items()
        ]
        self._rows = mx.array([i for i, _, _ in entries], mx.uint32)
        self._tokens = mx.array([token for _, token, _ in entries], mx.uint32)
        self._values = mx.array([value for _, _, value in entries], mx.float32)

    def apply(self, logits: mx.array) -> mx.array:
        """Return the logits with the bias added."""
        return logits.at[self._rows, self._tokens].add(self._values)


class Filter:
    """Cut off unlikely tokens: top-p, top-k and min-p are thresholds on the logits, and the highest one wins."""

    def __init__(self, sampling: Rows[Sampling], vocab: int) -> None:
        chosen = [
            i for i, s in enumerate(sampling) if s.top_p < 1 or 0 < s.top_k < vocab or s.min_p > 0
        ]
        mine = [sampling[i] for i in chosen]
        self.empty = not chosen
        self._rows = None if len(chosen) == len(sampling) else mx.array(chosen, mx.uint32)
        top_k = [s.top_k if 0 < s.top_k < vocab else vocab for s in mine]
        self._width = max(top_k, default=0)
        self._ranked = any(s.top_p < 1 for s in mine) or any(k < vocab for k in top_k)
        self._narrow = self._width <= min(NARROW, vocab // 2)
        self._top_k = mx.array(top_k, mx.int32)[:, None]
        self._top_p = _column([s.top_p if s.top_p < 1 else math.inf for s in mine])
        self._min_p = any(s.min_p > 0 for s in mine)
        self._log_min_p = _column([math.log(s.min_p) if s.min_p > 0 else -math.inf for s in mine])

    def apply(self, logits: mx.array) -> mx.array:
        """Return the logits with what is cut off at minus infinity."""
        x = _take(logits, self._rows)
        floor = x.max(axis=-1, keepdims=True) + self._log_min_p if self._min_p else None
        if self._ranked:
            rank = self._rank_floor(x)
            floor = rank if floor is None else mx.maximum(floor, rank)
        if floor is None:
            return logits
        return _put(logits, self._rows, mx.where(x < floor, -mx.inf, x))

    def _rank_floor(self, x: mx.array) -> mx.array:
        """Return the lowest logit that top-p and top-k keep."""
        ranked = largest(x, self._width) if self._narrow else mx.sort(x, axis=-1)
        width = ranked.shape[-1]
        probability = mx.exp(ranked - mx.logsumexp(x, axis=-1, keepdims=True))
        above = mx.cumsum(probability, axis=-1, reverse=True, inclusive=False)
        first = (above >= self._top_p).sum(axis=-1, keepdims=True).astype(mx.int32)
        first = mx.minimum(mx.maximum(first, width - self._top_k), width - 1)
        return mx.take_along_axis(ranked, first, axis=-1)


class Drawers(Protocol):
    """Draw tokens for rows that are not greedy."""

    def draw(self, logits: mx.array) -> mx.array:
        """Return one token for every row, and move on by one position."""
        ...


class Categorical:
    """Draw from what the filters leave."""

    def __init__(self, sampling: Rows[Sampling], places: Rows[tuple[int, int]], vocab: int) -> None:
        """Take each row's parameters, and its seed and position in the answer."""
        self._keys = mx.array(list(places), mx.uint32)
        self._next_position = mx.array([[0, 1]], mx.uint32)
        self._inverse_temperature = _column([1 / s.temperature for s in sampling])
        self._filter = Filter(sampling, vocab)

    def draw(self, logits: mx.array) -> mx.array:
        """Return one token for every row, and move on by one position."""
        x = logits if self._filter.empty else self._filter.apply(logits)
        x = (x - x.max(axis=-1, keepdims=True)) * self._inverse_temperature
        drawn: mx.array = mx.vmap(_categorical)(x, self._keys)
        self._keys = self._keys + self._next_position
        return drawn.astype(mx.uint32)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Rows that are drawn the same way."""

    rows: mx.array | None
    by: Drawers


class Sampler:
    """Hold the parameters of the batch's rows as arrays and sample for all of them at once."""

    def __init__(self, vocab: int) -> None:
        self._vocab = vocab
        self._rows: list[Sequence] = []
        self._penalties: Penalties | None = None
        self._bias: Bias | None = None
        self._drawn: list[_Drawn] = []

    def set_rows(self, rows: Rows[Sequence]) -> None:
        """Take over the batch's rows, in its order; what a row counted so far stays."""
        self._rows = list(rows)
        sampling = [row.request.sampling for row in rows]
        penalised = any(is_penalised(s) for s in sampling)
        self._penalties = Penalties(rows, self._vocab, self._penalties) if penalised else None
        self._bias = Bias(rows) if any(s.logit_bias for s in sampling) else None
        drawn = [i for i, s in enumerate(sampling) if not is_greedy(s)]
        unsorted = [i for i in drawn if nucleus.suits(sampling[i], self._vocab)]
        others = [i for i in drawn if not nucleus.suits(sampling[i], self._vocab)]
        self._drawn = []
        if unsorted:
            by: Drawers = nucleus.Nucleus(*self._asked(unsorted))
            self._drawn.append(_Drawn(_select(rows, unsorted), by))
        if others:
            by = Categorical(*self._asked(others), self._vocab)
            self._drawn.append(_Drawn(_select(rows, others), by))

    def _asked(self, chosen: list[int]) -> tuple[list[Sampling], list[tuple[int, int]]]:
        rows = [self._rows[i] for i in chosen]
        return [row.request.sampling for row in rows], [(row.seed, row.sampled) for row in rows]

    def sample(self, logits: mx.array) -> mx.array:
        """Return one token id per row and move every row on by one position."""
        if self._penalties is not None or self._bias is not None:
            logits = logits.astype(mx.float32)
        if self._penalties is not None:
            logits = self._penalties.apply(logits)
        if self._bias is not None:
            logits = self._bias.apply(logits)
        everyone = any(drawn.rows is None for drawn in self._drawn)
        tokens = mx.zeros((0,), mx.uint32) if everyone else mx.argmax(logits, axis=-1)
        for drawn in self._drawn:
            mine = _take(logits, drawn.rows).astype(mx.float32)
            tokens = _put(tokens, drawn.rows, drawn.by.draw(mine))
        if self._penalties is not None:
            self._penalties.count(tokens)
        for row in self._rows:
            row.sampled += 1
        return tokens


def _categorical(logits: mx.array, key: mx.array) -> mx.array:
    return mx.random.categorical(logits, key=key)
