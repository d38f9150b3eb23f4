"""Generate one row at a time with and without guesses, in turns, in one process: what `speculate` compares."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils

from mlxd.workers.engine import scheduler
from mlxd.workers.engine.guesses import Draft, Guesser, Lookup
from mlxd.workers.engine.inbox import Inbox, Submit
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.loop import EngineLoop
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.speculation import Speculation
from mlxd.workers.engine.stats import Board

_PROMPT = tuple(range(5, 55))
_WINDOW = 1 << 20
_REPEATING = Sampling(temperature=0)
"""What a model of random weights says so soon goes round in circles."""
_DRAWN = Sampling(temperature=1.0, seed=1)


class Contender:
    """Own a loop, and remember what its guesses were worth from one answer to the next."""

    def __init__(self, model: Any, vocab: int, sampling: Sampling, *guessers: Guesser) -> None:
        self.speculation = Speculation(model, vocab, guessers)
        bounds = scheduler.Bounds(1)
        lane = Lane(model, vocab, _WINDOW, frozenset(), bounds, speculation=self.speculation)
        self._inbox, self._sampling = Inbox(), sampling
        self._loop = EngineLoop(lane, self._inbox, Board(1), Outlets(self._publish))
        self._news: list[Delivery] = []

    def _publish(self, news: list[Delivery]) -> None:
        self._news += news

    def answer(self, tokens: int) -> tuple[float, float, list[int]]:
        """Return the seconds and the processor time from the first token to the last, and the tokens."""
        self._news.clear()
        asked = GenerateRequest(prompt=_PROMPT, max_tokens=tokens, sampling=self._sampling)
        self._inbox.put(Submit(1, asked))
        while not self._news:
            self._loop.step()
        begun, cpu = time.perf_counter(), time.process_time()
        while self._loop.rows:
            self._loop.step()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        return seconds, cpu, [output.token for news in self._news for output in news.outputs]


def _models(large: Path, other: Path) -> tuple[Any, Any, Any]:
    """Return a model, its first layer alone, which agrees with it because the others add nothing, and a stranger."""
    model, first, stranger = (mlx_lm.utils.load(str(path))[0] for path in (large, large, other))
    for layer in model.layers[1:]:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            part.weight = mx.zeros_like(part.weight)
    first.model.layers = first.model.layers[:1]
    mx.eval(model, first, stranger)
    return model, first, stranger


def contenders(large: Path, other: Path) -> dict[str, Contender]:
    """Return all loops by name; the first of each text guesses nothing."""
    model, first, stranger = _models(large, other)
    vocab = model(mx.array([[0]])).shape[-1]
    found: dict[str, Contender] = {}
    for text, sampling in (("repeating", _REPEATING), ("drawn", _DRAWN)):
        guessers: dict[str, Sequence[Guesser]] = {
            "plain": (),
            "draft that agrees": [Draft(first, vocab, _WINDOW)],
            "draft that does not": [Draft(stranger, vocab, _WINDOW)],
            "lookup": [Lookup(8)],
        }
        for name, chosen in guessers.items():
            found[f"{name}, {text}"] = Contender(model, vocab, sampling, *chosen)
    return found


def main(large: str, other: str, tokens: int, runs: int) -> None:
    """Print the seconds and the processor time per token of each answer, and what was guessed and came true."""
    loops = contenders(Path(large), Path(other))
    times: list[tuple[str, float, float]] = []
    for number in range(-1, runs):
        said: dict[str, list[int]] = {}
        for name, loop in loops.items():
            seconds, cpu, answer = loop.answer(tokens)
            text = name.rpartition(", ")[2]
            if said.setdefault(text, answer) != answer:
                raise RuntimeError(f"another text: {name}")
            if number >= 0:
                times.append((name, seconds / tokens, cpu / tokens))
    guessed = {
        name: [loop.speculation.speculated, loop.speculation.accepted]
        for name, loop in loops.items()
    }
    print(json.dumps([times, guessed]))


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
