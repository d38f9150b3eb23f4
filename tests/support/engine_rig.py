"""Drive an engine loop by hand: the test's thread is the engine thread."""

import functools
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
from support import tiny_models

from mlxd.protocol.errors import MlxdError
from mlxd.protocol.generation import KvCache
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.inbox import Cancel, Inbox, Submit
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.loop import EngineLoop
from mlxd.workers.engine.request import FinishReason, GenerateRequest, Sampling, TokenOutput
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import BatchStats, Board
from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.disk_tier import DiskTier
from mlxd.workers.prompt_cache.tiers import PromptCache

GREEDY = Sampling(temperature=0)
STEPS = 20_000
"""More than any test needs."""


@functools.cache
def lane(
    kind: str,
    *options: str,
    max_batch: int = 32,
    context_length: int = 4096,
    kv_cache: KvCache | None = None,
) -> Lane:
    """Return a tiny model as the loop wants it; nothing ends an answer but its length."""
    from mlxd.workers.kinds import text

    mx.disable_compile()
    folder = tiny_models.folder(kind, *options)
    spec = WorkerSpec(
        model_id=kind,
        kind=ModelKind.TEXT,
        path=str(folder),
        socket="",
        max_batch=max_batch,
        kv_cache=kv_cache,
    )
    model, _ = text.build(folder, spec)
    mx.eval(model)
    return text.explore(model, spec, context_length, frozenset(), 1 << 40)


def prompt(length: int, seed: int, vocab: int = 1536) -> tuple[int, ...]:
    """Return random tokens."""
    draw = random.Random(seed)
    return tuple(draw.randrange(vocab) for _ in range(length))


def request(
    tokens: Iterable[int], max_tokens: int = 8, sampling: Sampling = GREEDY, **rest: Any
) -> GenerateRequest:
    """Return a request, greedy unless told otherwise."""
    return GenerateRequest(prompt=tuple(tokens), max_tokens=max_tokens, sampling=sampling, **rest)


class Rig:
    """Hold a loop and what came out of it."""

    def __init__(self, lane: Lane, reuse: Reuse | None = None, **changes: Any) -> None:
        self.lane = replace(lane, **changes)
        self.inbox = Inbox()
        self.board = Board(self.lane.bounds.max_batch)
        self.hand_overs: list[list[Delivery]] = []
        self.beats: list[tuple[int, int]] = []
        self.broken = False
        outlets = Outlets(self._publish, self._beat, lambda error: self.broken)
        self.loop = EngineLoop(self.lane, self.inbox, self.board, outlets, reuse)
        self._uids = itertools.count(1)
        self._outputs: dict[int, list[TokenOutput]] = {}
        self._errors: dict[int, MlxdError] = {}
        self._cached: dict[int, int] = {}

    def _publish(self, news: list[Delivery]) -> None:
        self.hand_overs.append(news)
        for item in news:
            self._outputs[item.uid] += item.outputs
            self._cached[item.uid] = item.cached_tokens
            if item.error is not None:
                assert item.uid not in self._errors, "a row failed twice"
                self._errors[item.uid] = item.error

    def _beat(self, steps: int, rows: int) -> None:
        self.beats.append((steps, rows))

    def submit(self, *requests: GenerateRequest) -> list[int]:
        """Queue requests and return their ids."""
        uids = [next(self._uids) for _ in requests]
        for uid, item in zip(uids, requests, strict=True):
            self._outputs[uid] = []
            self.inbox.put(Submit(uid, item))
        return uids

    def cancel(self, uid: int) -> None:
        """Ask a row to leave."""
        self.inbox.put(Cancel(uid))

    def step(self, times: int = 1) -> None:
        """Run the loop so many times."""
        for _ in range(times):
            self.loop.step()

    def finish(self) -> None:
        """Run until no row is left."""
        for _ in range(STEPS):
            self.loop.step()
            if not self.loop.rows:
                return
        raise AssertionError("rows never end")

    def outputs(self, uid: int) -> list[TokenOutput]:
        """Return all that came of a row."""
        return self._outputs[uid]

    def tokens(self, uid: int) -> list[int]:
        """Return a row's tokens."""
        return [output.token for output in self._outputs[uid]]

    def cached(self, uid: int) -> int:
        """Return how many tokens of a row's prompt were known."""
        return self._cached[uid]

    def hand_overs_of(self, uid: int) -> list[int]:
        """Return in which hand-overs a row's tokens came."""
        return [at for at, news in enumerate(self.hand_overs) if any(d.uid == uid for d in news)]

    def reason(self, uid: int) -> FinishReason | None:
        """Return why a row ended, None where it did not."""
        reasons = [output.finish_reason for output in self._outputs[uid]]
        assert not any(reasons[:-1]), "a row went on after its end"
        return reasons[-1] if reasons else None

    def error(self, uid: int) -> MlxdError | None:
        """Return why a row failed."""
        return self._errors.get(uid)

    def stats(self) -> BatchStats:
        """Return the published counts."""
        return self.board.read()


def remembering(
    lane: Lane, memory: int = 1 << 30, disk: Path | None = None, disk_bytes: int = 1 << 30
) -> Reuse:
    """Return a prompt cache of its own for a rig."""
    tier = DiskTier(disk, "tiny", disk_bytes) if disk is not None else None
    limit = caches.trim_limit(batches.new_cache(lane.model))
    return Reuse(PromptCache(memory, tier), limit, wanted=memory)


def alone(lane: Lane, item: GenerateRequest) -> list[int]:
    """Return the tokens of a request that runs by itself."""
    rig = Rig(lane)
    (uid,) = rig.submit(item)
    rig.finish()
    assert rig.error(uid) is None, rig.error(uid)
    return rig.tokens(uid)


def teacher_forced(lane: Lane, tokens: list[int]) -> mx.array:
    """Return the log-probabilities at every position, all tokens read at once without a cache."""
    cache = None
    logits = lane.model(mx.array([tokens]), cache=cache)[0].astype(mx.float32)
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


class Failing:
    """Wrap a model; `fails` sees the tokens of each forward pass and says whether it raises."""

    def __init__(self, model: Any, fails: Callable[[mx.array], bool]) -> None:
        self._model = model
        self._fails = fails
        self.layers = model.layers
        if hasattr(model, "make_cache"):
            self.make_cache = model.make_cache

    def __call__(self, tokens: mx.array, *, cache: list[Any] | None) -> mx.array:
        """Return the logits, or raise."""
        if self._fails(tokens):
            raise RuntimeError("planted")
        logits: mx.array = self._model(tokens, cache=cache)
        return logits
