"""Guess the next tokens of the one row that generates: by its own earlier text, or by a smaller model.

Runs on the engine thread. A guess is never more than a proposal: what is wrong with it costs time, not text.
"""

import copy
from collections.abc import Sequence as Rows
from typing import Any, Protocol, cast

import mlx.core as mx
import numpy as np

from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.agreement import Eagerness
from mlxd.workers.engine.lone import Lone
from mlxd.workers.engine.sampling import Sampler
from mlxd.workers.engine.sequence import Sequence
from mlxd.workers.prompt_cache import caches

CATCH_UP = 256
"""Tokens a draft model reads in one step before it guesses: the row goes on meanwhile."""
LONGEST_DRAFT = 8
"""Most tokens a draft model guesses: each costs a pass through it."""


class Guesser(Protocol):
    """Propose tokens; `eagerness` says how many are worth it."""

    eagerness: Eagerness

    def guess(self, lone: Lone, tokens: int) -> mx.array | None:
        """Return up to so many tokens that may follow the one in flight, None where nothing suggests itself."""
        ...

    def settle(self, accepted: int) -> None:
        """Take note of how much of the last guess came true."""
        ...

    def forget(self) -> None:
        """Give back what is held of the row."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held of the row."""
        ...


def places(row: Sequence, count: int) -> list[Sequence]:
    """Return stand-ins for a row at its next positions, each drawn as the row itself would be there."""
    found = []
    for place in range(count):
        stand_in = copy.copy(row)
        stand_in.sampled = row.sampled + place
        found.append(stand_in)
    return found


class Lookup:
    """Guess that what followed the last three tokens before follows them again."""

    def __init__(self, most: int) -> None:
        self.eagerness = Eagerness(most)
        self._row: Sequence | None = None
        self._tokens = np.zeros(0, np.int32)
        self._length = 0

    @property
    def nbytes(self) -> int:
        """Bytes held of the row; they are no device memory to speak of."""
        return 0

    def guess(self, lone: Lone, tokens: int) -> mx.array | None:
        """Return what followed the latest earlier place of the last three tokens.

        The newest may still be on its way: it is waited for only where the two before it were seen together before.
        """
        self._follow(lone.row)
        known = self._tokens[: self._length - 1 if lone.fresh else self._length]
        if len(known) < 2:
            return None
        before = np.flatnonzero((known[:-2] == known[-2]) & (known[1:-1] == known[-1]))
        if not len(before):
            return None
        newest = cast(int, lone.inputs.item())
        seen = before[known[before + 2] == newest]
        if not len(seen):
            return None
        # What repeats with a short period overlaps with itself: it goes on as often as is asked for.
        start = int(seen[-1]) + 3
        follows = np.append(known, np.int32(newest))[start : start + tokens]
        if not len(follows):
            return None
        return mx.array(np.resize(follows, tokens).astype(np.uint32))

    def settle(self, accepted: int) -> None:
        """Do nothing: the row's tokens tell."""

    def forget(self) -> None:
        """Let go of the row."""
        self._row, self._length = None, 0

    def _follow(self, row: Sequence) -> None:
        if row is not self._row:
            self._row, self._length = row, 0
        news = row.tokens[self._length :]
        if self._length + len(news) > len(self._tokens):
            grown = np.zeros(2 * len(row.tokens) + 64, np.int32)
            grown[: self._length] = self._tokens[: self._length]
            self._tokens = grown
        self._tokens[self._length : len(row.tokens)] = news
        self._length = len(row.tokens)


class Draft:
    """Guess what a smaller model of the same vocabulary says, drawn with the row's own random keys."""

    def __init__(self, model: batches.Model, vocab: int, window: int) -> None:
        self.eagerness = Eagerness(LONGEST_DRAFT)
        self._model = model
        self._vocab = vocab
        """Width of the logits of the model that is helped."""
        self._window = min(window, caches.trim_limit(batches.new_cache(model)))
        self._cache: list[Any] = []
        self._row: Sequence | None = None
        self._length = 0
        """How many of the row's tokens are in the cache."""
        self._ahead = 0
        """How many of them were guessed in the last step."""

    @property
    def nbytes(self) -> int:
        """Bytes of the cache."""
        return batches.cache_bytes(self._cache)

    def guess(self, lone: Lone, tokens: int) -> mx.array | None:
        """Return the model's own continuation; None while it has yet to read what came before."""
        self._follow(lone.row)
        known = len(lone.row.tokens) - lone.fresh
        if known + 1 + tokens > self._window:
            self.forget()
            return None
        if known - self._length > CATCH_UP:
            self._read(lone.row.tokens[self._length : self._length + CATCH_UP])
            return None
        missing = mx.array(lone.row.tokens[self._length : known], mx.uint32)
        inputs = mx.concatenate([missing, lone.inputs])
        sampler, guessed = Sampler(self._vocab), []
        sampler.set_rows(places(lone.row, 1))
        for _ in range(tokens):
            logits = self._model(inputs[None], cache=self._cache)[:, -1, :]
            inputs = sampler.sample(fitted(logits, self._vocab))
            guessed.append(inputs)
        self._length, self._ahead = known + tokens, tokens - 1
        return mx.concatenate(guessed)

    def settle(self, accepted: int) -> None:
        """Forget what was read of guesses that did not come true; the last guess was never read."""
        wrong = max(self._ahead - accepted, 0)
        batches.trim(self._cache, wrong)
        self._length, self._ahead = self._length - wrong, 0

    def forget(self) -> None:
        """Give the cache back."""
        self._cache, self._row, self._length, self._ahead = [], None, 0, 0

    def _follow(self, row: Sequence) -> None:
        """Keep of the cache what the row shares with the one before, if that was the same tenant's."""
        if self._row is not row:
            shared = 0
            if self._row is not None and self._row.request.tenant == row.request.tenant:
                shared = shared_prefix(self._row.tokens[: self._length], row.tokens[:-1])
            batches.trim(self._cache, self._length - shared)
            self._row, self._length = row, shared
        beyond = self._length - (len(row.tokens) - 1)
        if beyond > 0:  # a row that was sent back reads its last token again
            batches.trim(self._cache, beyond)
            self._length -= beyond
        if not self._cache:
            self._cache = batches.new_cache(self._model)

    def _read(self, tokens: list[int]) -> None:
        self._model(mx.array([tokens]), cache=self._cache)
        mx.async_eval([entry.state for entry in self._cache])  # type: ignore[no-untyped-call]
        self._length += len(tokens)


def fitted(logits: mx.array, vocab: int) -> mx.array:
    """Return logits of this width: folders of one family pad the same vocabulary differently."""
    width = logits.shape[-1]
    if width >= vocab:
        return logits[..., :vocab]
    return mx.pad(logits, [(0, 0), (0, vocab - width)], constant_values=-1e9)


def shared_prefix(one: Rows[int], other: Rows[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    for place, (mine, yours) in enumerate(zip(one, other, strict=False)):
        if mine != yours:
            return place
    return min(len(one), len(other))
