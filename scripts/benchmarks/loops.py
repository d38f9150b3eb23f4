"""Step the loops that `floor` compares, in turns, in one process."""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_logits_processors, make_sampler

from mlxd.workers.engine import scheduler
from mlxd.workers.engine.inbox import Inbox, Submit
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.loop import EngineLoop
from mlxd.workers.engine.request import GenerateRequest, Sampling
from mlxd.workers.engine.stats import Board

_PROMPT = tuple(range(5, 55))
_ENDLESS = 10**6
_MIXED = (
    Sampling(temperature=0),
    Sampling(temperature=0.7, top_p=0.95),
    Sampling(temperature=1.0, top_k=40),
    Sampling(temperature=0.8, min_p=0.05, repetition_penalty=1.1),
)


def _argmax(model: Any, rows: int) -> Callable[[], None]:
    caches = [make_prompt_cache(model) for _ in range(rows)]
    cache = [layers[0].merge(list(layers)) for layers in zip(*caches, strict=True)]
    tokens = mx.argmax(model(mx.array([_PROMPT] * rows), cache=cache)[:, -1, :], axis=-1)

    def step() -> None:
        nonlocal tokens
        following = mx.argmax(model(tokens[:, None], cache=cache)[:, -1, :], axis=-1)
        mx.async_eval(following)  # type: ignore[no-untyped-call]
        tokens.tolist()
        tokens = following

    return step


def _ours(model: Any, rows: int, vocab: int) -> Callable[[], None]:
    inbox = Inbox()
    lane = Lane(model, vocab, 1 << 20, frozenset(), scheduler.Bounds(rows))
    loop = EngineLoop(lane, inbox, Board(rows), Outlets(lambda news: None))
    for uid in range(rows):
        sampling = _MIXED[uid % len(_MIXED)]
        inbox.put(
            Submit(uid, GenerateRequest(prompt=_PROMPT, max_tokens=_ENDLESS, sampling=sampling))
        )
    return loop.step


def _theirs(model: Any, words: Any, rows: int) -> Callable[[], None]:
    """Do for each step what mlx_lm.server's generation thread does: its batch, the chosen log-probability, the text."""
    batches = importlib.import_module("mlx_lm.generate")
    batch = batches.BatchGenerator(
        model, completion_batch_size=rows, prefill_batch_size=rows, stop_tokens=[]
    )
    kinds = [_MIXED[place % len(_MIXED)] for place in range(rows)]
    uids = batch.insert(
        [list(_PROMPT) for _ in kinds],
        [_ENDLESS] * rows,
        samplers=[
            make_sampler(s.temperature, top_p=s.top_p, min_p=s.min_p, top_k=s.top_k) for s in kinds
        ],
        logits_processors=[
            make_logits_processors(
                None, s.repetition_penalty if s.repetition_penalty != 1 else None
            )
            for s in kinds
        ],
    )
    texts = {uid: words.detokenizer for uid in uids}

    def step() -> None:
        for response in batch.next()[1]:
            texts[response.uid].add_token(response.token)
            _ = texts[response.uid].last_segment
            response.logprobs[response.token].item()

    return step


def main(path: str, rows: int, steps: int, runs: int) -> None:
    """Print one [name, wall, thread] of seconds per step for each block."""
    model, words = mlx_lm.utils.load(str(Path(path)))
    vocab = model(mx.array([[0]])).shape[-1]
    loops = {
        "argmax loop": _argmax(model, rows),
        "mlxd": _ours(model, rows, vocab),
        "mlx_lm.server's loop": _theirs(model, words, rows),
    }
    found: list[tuple[str, float, float]] = []
    for number in range(-1, runs):
        for name, step in loops.items():
            wall, thread = time.perf_counter(), time.thread_time()
            for _ in range(steps):
                step()
            if number >= 0:
                wall, thread = time.perf_counter() - wall, time.thread_time() - thread
                found.append((name, wall / steps, thread / steps))
            mx.synchronize()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
