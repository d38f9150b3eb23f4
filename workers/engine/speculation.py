"""Let the one row that generates take several tokens in a step: guess some, have the model look at all of them at once.

Each position is sampled with the key and the parameters it has without guessing, and what is taken is what was sampled:
the text is the same, only sooner. A row's grammar is followed through the guesses on a copy of its matcher. A row with
penalties or with pictures goes on token by token.
"""

from collections.abc import Sequence as Rows
from typing import Any, cast

import mlx.core as mx

from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import scheduler
from mlxd.workers.engine.agreement import agreeing
from mlxd.workers.engine.batch import DecodeBatch, Sampled
from mlxd.workers.engine.guesses import Guesser, places
from mlxd.workers.engine.logprobs import Details, Logprobs
from mlxd.workers.engine.lone import Lone
from mlxd.workers.engine.masks import narrowed
from mlxd.workers.engine.sampling import Sampler, is_penalised
from mlxd.workers.engine.sequence import Sequence
from mlxd.workers.prompt_cache import caches


class Speculation:
    """Own the guessers and what they held true; runs on the engine thread."""

    def __init__(self, model: batches.Model, vocab: int, guessers: Rows[Guesser] = ()) -> None:
        self._model: Any = model
        self._vocab = vocab
        self._guessers = guessers
        self._window = caches.trim_limit(batches.new_cache(model)) if guessers else 0
        """Up to how many tokens a wrong guess can be taken back."""
        self.speculated = 0
        self.accepted = 0

    @property
    def nbytes(self) -> int:
        """Bytes the guessers hold."""
        return sum(guesser.nbytes for guesser in self._guessers)

    def forget(self) -> None:
        """Give back what the guessers hold."""
        for guesser in self._guessers:
            guesser.forget()

    def step(self, batch: DecodeBatch, bounds: scheduler.Bounds) -> list[Sampled] | None:
        """Return the tokens of a step with a guess; None where the batch is to go on by itself."""
        if not self._guessers:
            return None
        self._make_room(batch, bounds)
        lone = batch.lone
        if lone is None or not suits(lone.row):
            return None
        for guesser in self._guessers:
            room = min(lone.row.limit - lone.row.sampled, self._window - lone.row.fed) - 1
            tokens = min(guesser.eagerness.tokens, room)
            if tokens < 1:
                guesser.eagerness = guesser.eagerness.waited()
                continue
            if (guessed := guesser.guess(lone, tokens)) is not None:
                return self._check(batch, lone, guesser, guessed)
        return None

    def _check(
        self, batch: DecodeBatch, lone: Lone, guesser: Guesser, guessed: mx.array
    ) -> list[Sampled]:
        row, width = lone.row, guessed.shape[0]
        inputs = mx.concatenate([lone.inputs, guessed.astype(mx.uint32)])
        sampled, pending = self._sampled(lone, inputs)
        known, tokens = cast(list[int], inputs.tolist()), cast(list[int], sampled.tolist())
        taken = agreeing(known[1:], tokens)
        guesser.settle(taken)
        guesser.eagerness = guesser.eagerness.told(width, taken)
        self.speculated += width
        self.accepted += taken
        nothing, details = Details(), pending.read() if pending else {}
        news = [
            Sampled(row, token, details.get(at, nothing)) for at, token in enumerate(tokens[:taken])
        ]
        if not lone.fresh:
            in_flight = lone.pending.read() if lone.pending else {}
            news.insert(0, Sampled(row, known[0], in_flight.get(0, nothing)))
        batches.trim(lone.cache, width - taken)
        row.sampled += taken + 1
        batch.leap(sampled[taken : taken + 1], pending.at(taken) if pending else None)
        return news

    def _sampled(self, lone: Lone, inputs: mx.array) -> tuple[mx.array, Logprobs | None]:
        """Return what the model says after each of the tokens, and how likely that was, where it was asked for."""
        logits = allowed = self._model(inputs[None], cache=lone.cache)[0]
        if lone.row.matcher is not None:
            mx.async_eval(logits)  # type: ignore[no-untyped-call]
            before = cast(list[int], inputs.tolist())
            allowed = narrowed(logits, lone.row, before, fresh=lone.fresh)
        rows, sampler = places(lone.row, len(inputs)), Sampler(self._vocab)
        sampler.set_rows(rows)
        sampled = sampler.sample(allowed)
        pending = Logprobs.gather(rows, logits, sampled)
        mx.eval(inputs, sampled, *(pending.arrays if pending else ()))
        return sampled, pending

    def _make_room(self, batch: DecodeBatch, bounds: scheduler.Bounds) -> None:
        """Let go of what the guessers hold where the rows need the memory."""
        held, budget = self.nbytes, bounds.cache_budget
        if not held or budget is None:
            return
        longest = max((len(row.tokens) for row in batch.rows), default=0) + 1
        if scheduler.weight(len(batch), longest, bounds) + held > budget:
            self.forget()


def suits(row: Sequence) -> bool:
    """Tell whether a row's next positions can be sampled side by side: they need no counts and no pictures."""
    asked = row.request
    return asked.reading is None and not is_penalised(asked.sampling)
