"""Run tiny real models greedily with nothing but mlx-lm: what our own code is compared with."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx


def load(folder: Path) -> Any:
    """Return the model of a folder, without its tokenizer."""
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    mx.disable_compile()
    model, _ = importlib.import_module("mlx_lm.utils").load_model(folder)
    return model


def empty_cache(model: Any) -> list[Any]:
    """Return a cache that holds nothing."""
    made: list[Any] = importlib.import_module("mlx_lm.models.cache").make_prompt_cache(model)
    return made


def prefill(model: Any, cache: list[Any], tokens: Sequence[int], step: int = 64) -> None:
    """Let the cache take in the tokens, so many at a time."""
    for at in range(0, len(tokens), step):
        model(mx.array([list(tokens[at : at + step])]), cache=cache)
        mx.eval([layer.state for layer in cache])


def greedy(model: Any, cache: list[Any], last: int, count: int) -> list[int]:
    """Return the most likely tokens after the prompt in the cache and its last token."""
    found: list[int] = []
    for _ in range(count):
        logits = model(mx.array([[last]]), cache=cache)
        last = int(mx.argmax(logits[0, -1]).item())  # type: ignore[arg-type]
        found.append(last)
    return found


def reply(model: Any, prompt: Sequence[int], count: int) -> list[int]:
    """Return the greedy reply to a prompt of which nothing is known."""
    cache = empty_cache(model)
    prefill(model, cache, prompt[:-1])
    return greedy(model, cache, prompt[-1], count)


class Batch:
    """Serve rows together, as mlx-lm's own batch does."""

    def __init__(self, model: Any, step: int = 32) -> None:
        stream = mx.default_stream(mx.default_device())
        generate = importlib.import_module("mlx_lm.generate")
        self.inner: Any = generate.BatchGenerator(model, prefill_step_size=step, stream=stream)

    def add(self, prompt: Sequence[int], count: int, cache: list[Any] | None, length: int) -> int:
        """Take in a row whose first `length` tokens are in the cache; return its number."""
        head, rest = list(prompt[:length]), list(prompt[length:])
        caches = [cache] if cache is not None else None
        (row,) = self.inner.insert([rest], max_tokens=[count], caches=caches, all_tokens=[head])
        return int(row)

    def run(self) -> dict[int, tuple[list[int], list[Any], list[int]]]:
        """Return each row's reply, its cache and the tokens in it, when all are done."""
        replies: dict[int, list[int]] = {}
        done: dict[int, tuple[list[int], list[Any], list[int]]] = {}
        while True:
            prompts, steps = self.inner.next()
            if not prompts and not steps:
                return done
            for step in steps:
                replies.setdefault(step.uid, []).append(step.token)
                if step.finish_reason is not None:
                    done[step.uid] = (replies[step.uid], step.prompt_cache, list(step.all_tokens))

    def leave(self, row: int, steps: int) -> tuple[list[Any], list[int]]:
        """Step so many times, take the row out, and return its cache with the tokens in it."""
        for _ in range(steps):
            self.inner.next()
        cache, tokens = self.inner.remove([row], return_prompt_caches=True)[row]
        return cache, list(tokens)
