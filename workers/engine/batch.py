"""Step a batch of rows through an mlx-lm model; the only file that knows the insides of mlx-lm's caches.

Everything here runs on the engine thread. One step is kept in flight: while the device computes the tokens of a step,
Python builds the next one, so tokens are handed over one step after they were asked for.
"""

from collections.abc import Sequence as Rows
from typing import Any, Protocol, cast

import mlx.core as mx
import msgspec
from mlx_lm.models.cache import CacheList, make_prompt_cache

from mlxd.workers.engine.logprobs import Details, Logprobs
from mlxd.workers.engine.lone import Lone
from mlxd.workers.engine.masks import Masks
from mlxd.workers.engine.reading import shifts
from mlxd.workers.engine.sampling import Sampler
from mlxd.workers.engine.scheduler import CacheShape
from mlxd.workers.engine.sequence import Sequence

EAGER_BYTES = 64 << 20
"""Caches beyond this are joined and filtered layer by layer, so that only one layer exists twice."""


class Model(Protocol):
    """A language model of mlx-lm."""

    layers: list[Any]

    def __call__(self, tokens: mx.array, *, cache: list[Any] | None) -> mx.array:
        """Return the logits of each position."""
        ...


class Sampled(msgspec.Struct, frozen=True, gc=False):
    """One row's token, and its log-probabilities where asked for."""

    row: Sequence
    token: int
    details: Details


def new_cache(model: Model) -> list[Any]:
    """Return the empty cache of one row."""
    cache: list[Any] = make_prompt_cache(model)
    return cache


def _leaves(cache: Rows[Any]) -> list[Any]:
    return [
        leaf
        for entry in cache
        for leaf in (_leaves(entry.caches) if isinstance(entry, CacheList) else [entry])
    ]


def can_batch(cache: Rows[Any]) -> bool:
    """Tell whether rows with such caches can share a batch.

    A batch of rotating caches drops the first tokens that `keep` asks for, so those run one at a time.
    """
    return all(hasattr(leaf, "merge") and not getattr(leaf, "keep", 0) for leaf in _leaves(cache))


def cache_bytes(cache: Rows[Any]) -> int:
    """Return what a cache holds."""
    return sum(_leaf_bytes(leaf) for leaf in _leaves(cache))


def _leaf_bytes(leaf: Any) -> int:
    try:
        return int(leaf.nbytes)
    except (NotImplementedError, AttributeError, TypeError):
        return 0  # a kind of cache that does not say, or is empty


def cache_shape(cache: Rows[Any]) -> CacheShape:
    """Return what a row weighs, from the cache of a row that has read a token."""
    fixed, growing = 0, []
    for leaf in _leaves(cache):
        keys, values = getattr(leaf, "keys", None), getattr(leaf, "values", None)
        arrays = [*_arrays(keys), *_arrays(values)]
        if arrays:
            per_token = sum(array.nbytes // array.shape[-2] for array in arrays)
            growing.append(
                (per_token, getattr(leaf, "max_size", getattr(leaf, "chunk_size", None)))
            )
        else:
            fixed += _leaf_bytes(leaf)
    return CacheShape(fixed, tuple(growing))


def _arrays(part: Any) -> list[mx.array]:
    """Return keys or values, which are one array or, where they are quantized, several."""
    parts = part if isinstance(part, list | tuple) else [part]
    return [array for array in parts if isinstance(array, mx.array)]


def _evaluate(cache: Rows[Any]) -> None:
    mx.eval([entry.state for entry in cache])


def _merge(caches: Rows[Rows[Any]]) -> list[Any]:
    return [layers[0].merge(list(layers)) for layers in zip(*caches, strict=True)]


def trim(cache: Rows[Any], tokens: int) -> None:
    """Take so many tokens off the end of one row's cache, which must be one that can do it."""
    for entry in cache if tokens else ():
        entry.trim(tokens)


def part(cache: Rows[Any], place: int) -> list[Any]:
    """Return the cache of one row out of that of several."""
    return [entry.extract(place) for entry in cache]


def read_slice(model: Model, row: Sequence, tokens: int) -> None:
    """Read so many more prompt tokens of one row into its own cache."""
    if row.cache is None:
        row.cache = new_cache(model)
    start, stop = row.prefilled, min(row.prefilled + tokens, len(row.tokens))
    if row.request.reading is None:
        model(mx.array([row.tokens[start:stop]]), cache=row.cache)
    else:
        row.request.reading.read(row.tokens, start, stop, row.cache)
    _evaluate(row.cache)
    row.prefilled = stop


def read_side_by_side(model: Model, rows: Rows[Sequence]) -> list[Any]:
    """Read whole prompts of rows that have no cache yet, but for their last token; return one cache for all."""
    prompts = [row.tokens[:-1] for row in rows]
    width = max(len(prompt) for prompt in prompts)
    padding = [width - len(prompt) for prompt in prompts]
    cache = _merge([new_cache(model) for _ in rows])
    if any(padding):
        for entry in cache:
            entry.prepare(lengths=[len(prompt) for prompt in prompts], right_padding=padding)
    padded = [prompt + [0] * pad for prompt, pad in zip(prompts, padding, strict=True)]
    model(mx.array(padded), cache=cache)
    _evaluate(cache)
    if any(padding):
        for entry in cache:
            entry.finalize()
        _evaluate(cache)
    for row, prompt in zip(rows, prompts, strict=True):
        row.prefilled = len(prompt)
    return cache


class DecodeBatch:
    """Hold the rows that generate, their shared cache and the step in flight."""

    def __init__(self, model: Model, vocab: int) -> None:
        self._model: Any = model  # one that reads more than tokens is also told of shifts
        self._vocab = vocab
        self._sampler = Sampler(vocab)
        self._masks = Masks()
        self._changed = False
        self._shifts: dict[str, mx.array] = {}
        """What the model is told of rows whose positions do not count their tokens."""
        self.rows: list[Sequence] = []
        self._fresh: set[int] = set()
        """Rows whose next input is the last token of the prompt, which is not news."""
        self._cache: list[Any] = []
        self._alone = False
        """A single row keeps its plain cache, which is faster than a batch of one, and all that some models have."""
        self._inputs = mx.zeros((0,), mx.uint32)
        self._pending: Logprobs | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the shared cache."""
        return cache_bytes(self._cache)

    def join(self, rows: Rows[Sequence], cache: list[Any], *, merged: bool) -> None:
        """Add rows whose prompts are read but for the last token; `merged` tells a shared cache from a row's own.

        Of the latter each row gets a copy: all of them continue the same prompt.
        """
        if len(rows) > 1 and not merged:
            cache, merged = _merge([cache] * len(rows)), True
        inputs = mx.array([row.tokens[-1] for row in rows], mx.uint32)
        if not self.rows:
            self._cache, self._alone, self._inputs = cache, not merged, inputs
        else:
            self._extend(cache if merged else _merge([cache]))
            self._inputs = mx.concatenate([self._inputs, inputs])
        self.rows = [*self.rows, *rows]
        self._fresh.update(row.uid for row in rows)
        self._changed = True

    def _extend(self, cache: list[Any]) -> None:
        if self._alone:
            self._cache, self._alone = _merge([self._cache]), False
        eager = cache_bytes(self._cache) > EAGER_BYTES
        for mine, theirs in zip(self._cache, cache, strict=True):
            mine.extend(theirs)
            if eager:
                mx.eval(mine.state)

    def extract(self, row: Sequence) -> list[Any]:
        """Return the cache of one row, to be looked at before the next step."""
        return self._cache if self._alone else part(self._cache, self.rows.index(row))

    @property
    def lone(self) -> Lone | None:
        """Return the only row, None where there are several or its cache is laid out for several."""
        if len(self.rows) != 1 or not self._alone:
            return None
        row = self.rows[0]
        fresh = row.uid in self._fresh
        return Lone(row, self._cache, self._inputs, fresh, self._pending)

    def leap(self, inputs: mx.array, pending: Logprobs | None) -> None:
        """Go on from a token further ahead: the only row's cache holds all before it."""
        self._inputs, self._pending = inputs, pending
        self._fresh.clear()
        self._changed = True

    def take_back(self, row: Sequence) -> None:
        """Forget what a leap put into the cache beyond the row's end."""
        beyond = row.fed - len(row.tokens)
        if beyond > 0 and self._alone:
            trim(self._cache, beyond)
            row.sampled -= beyond

    def remove(self, uids: set[int]) -> bool:
        """Drop rows, whose tokens in flight are never looked at; tell whether there were any."""
        keep = [i for i, row in enumerate(self.rows) if row.uid not in uids]
        if len(keep) == len(self.rows):
            return False
        self.rows = [self.rows[i] for i in keep]
        self._fresh -= uids
        self._changed = True
        if not keep:
            self._cache, self._alone, self._pending = [], False, None
            self._inputs = mx.zeros((0,), mx.uint32)
            return True
        index = mx.array(keep)
        if len(keep) == 1:
            self._cache, self._alone = part(self._cache, keep[0]), True
        else:
            self._keep(index)
        self._inputs = self._inputs[index]
        if self._pending is not None:
            self._pending.keep(keep)
        return True

    def _keep(self, index: mx.array) -> None:
        eager = cache_bytes(self._cache) > EAGER_BYTES
        for entry in self._cache:
            entry.filter(index)
            if eager:
                mx.eval(entry.state)

    def step(self) -> list[Sampled]:
        """Start the next token of every row and return those of the step before."""
        inputs, pending = self._inputs, self._pending
        if all(row.sampled >= row.limit for row in self.rows):
            return self._read(
                inputs, pending
            )  # the last tokens are on their way: nothing is left to start
        if self._changed:
            self._sampler.set_rows(self.rows)
            self._masks.set_rows(self.rows)
            moved = shifts([row.request.reading for row in self.rows])
            self._shifts = {} if moved is None else {"shifts": moved}
            self._changed = False
        logits = self._model(inputs[:, None], cache=self._cache, **self._shifts)[:, -1, :]
        allowed = self._masks.apply(logits, inputs, self._fresh) if self._masks else logits
        self._inputs = self._sampler.sample(allowed)
        self._pending = Logprobs.gather(self.rows, logits, self._inputs)
        mx.async_eval(  # type: ignore[no-untyped-call]
            self._inputs, *(self._pending.arrays if self._pending else ())
        )
        sampled = self._read(inputs, pending)
        self._fresh.clear()
        return sampled

    def _read(self, inputs: mx.array, pending: Logprobs | None) -> list[Sampled]:
        tokens = cast(list[int], inputs.tolist())
        details = pending.read() if pending else {}
        nothing = Details()
        return [
            Sampled(row, token, details.get(i, nothing))
            for i, (row, token) in enumerate(zip(self.rows, tokens, strict=True))
            if row.uid not in self._fresh
        ]
