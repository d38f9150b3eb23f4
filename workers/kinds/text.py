"""Load a text model, prove that it can speak, and run it."""

import gc
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils

from mlxd.protocol.errors import MlxdError, ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, tokenizer, weights
from mlxd.workers.api import app
from mlxd.workers.chat.sight import Sight
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine import detokenize, kv_options, scheduler
from mlxd.workers.engine.handle import Engine
from mlxd.workers.engine.inbox import Leave
from mlxd.workers.engine.lane import Lane, Outlets
from mlxd.workers.engine.loop import EngineLoop
from mlxd.workers.engine.reuse import Reuse, share
from mlxd.workers.engine.self_test import speak
from mlxd.workers.engine.stats import Board
from mlxd.workers.engine.validate import Window
from mlxd.workers.kinds import drafting, prompt_states
from mlxd.workers.kinds.registry import Surroundings
from mlxd.workers.model import TextModel, context_length, eos_token_ids

log = logging.getLogger(__name__)

CACHE_SHARE = 0.8
"""Part of the memory beside the weights that rows' caches may take; a join needs room for a second copy of a layer."""

USUAL_TOKENS = 8192
"""Beyond this, windows that slide weigh more than they would in most requests."""


class Text:
    """Own a text model and its loop."""

    def __init__(
        self,
        model: TextModel,
        lane: Lane,
        around: Surroundings,
        reuse: Reuse | None = None,
        *,
        guessed_per_token: int = 0,
    ) -> None:
        spec = model.spec
        board = Board(lane.bounds.max_batch)
        capacity = lane.bounds.max_batch + spec.max_queue
        window = Window(model.vocab_size, model.context_length)
        self._engine = Engine(around.inbox, board, window, capacity=capacity)
        outlets = Outlets(
            publish=self._engine.publish,
            beat=around.beat,
            broken=limits.is_device_error,
            gone=around.gone,
            limit=lambda memory, cache: _for_caches(
                limits.set_limits(memory, cache).memory, model.weights_bytes
            ),
        )
        self._loop: EngineLoop | None = EngineLoop(lane, around.inbox, board, outlets, reuse)
        self._loop.counters.wired_limit_bytes = limits.wire(around.granted.wired)
        self.weights_bytes = model.weights_bytes
        self.context_length = model.context_length
        self.kv_bytes_per_token = guessed_per_token + per_token(
            lane.bounds.cache_shape, kept_length(spec, model.context_length)
        )
        self.app = app.build(model, self._engine)

    def run(self) -> Leave:
        """Run the engine loop until the inbox says to leave."""
        assert self._loop is not None
        gc.collect()
        gc.freeze()  # what was loaded stays: no collection under load needs to look through it
        return self._loop.run()

    def close(self, error: MlxdError) -> None:
        """Fail what runs and whatever comes; any thread may call this."""
        self._engine.close(error)

    def free(self) -> None:
        """Drop the model."""
        self._loop = None
        gc.unfreeze()
        gc.collect()


def load(spec: WorkerSpec, around: Surroundings) -> Text:
    """Read weights and tokenizer at the same time, generate a token, and return the model."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    config = weights.refuse_code(folder, trusted=spec.trust_remote_code)
    loading = TokenizerThread(spec)
    with weights.recorded() as files:
        model, merged = build(folder, spec)
    size = weights.read(model, around.progress, around.leaving.is_set, files)
    stops = [config.get("eos_token_id"), merged.get("eos_token_id")]
    return assembled(spec, around, Loaded(model, config, stops, loading.result(), size, begun))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Hold a model whose weights are in memory."""

    model: Any
    config: dict[str, Any]
    stops: Sequence[object]
    """What the folder says of the tokens that end an answer, beside what the tokenizer knows."""
    tokenizer: Any
    weights_bytes: int
    begun: float
    """When the load began, by the clock that only goes on."""
    sight: Sight | None = None


def assembled(spec: WorkerSpec, around: Surroundings, read: Loaded) -> Text:
    """Prove that a model can speak, and return it with its loop."""
    words, model = read.tokenizer, read.model
    draft = drafting.load(spec, model, words, around.progress, around.leaving.is_set)
    size = read.weights_bytes + (draft.weights_bytes if draft is not None else 0)
    window = context_length(read.config, words, spec.context_length)
    ends = eos_token_ids(*read.stops, words.eos_token_id, words.eos_token_ids)
    words.eos_token_ids = ends
    room = _for_caches(around.granted.memory, size)
    kept = share(spec.prompt_cache_memory, room)
    with kv_options.named(spec.kv_cache):
        lane = speak(explore(model, spec, window, ends, room - kept))
    lane = replace(lane, speculation=drafting.speculation(spec, lane, draft))
    reuse = prompt_states.open(spec, batches.new_cache(model), kept)
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d context_length=%d vocab=%d max_batch=%d",
        spec.model_id, time.perf_counter() - read.begun, size, window, lane.vocab, lane.bounds.max_batch,
    )  # fmt: skip
    text = TextModel(spec, words, lane.vocab, window, size, ends, read.sight)
    guessed = per_token(draft.cache_shape, window) if draft is not None else 0
    return Text(text, lane, around, reuse, guessed_per_token=guessed)


def kept_length(spec: WorkerSpec, context: int) -> int:
    """Return how many tokens of a row are kept at the most."""
    kept = spec.kv_cache.max_tokens if spec.kv_cache is not None else None
    return context if kept is None else min(kept, context)


def per_token(shape: scheduler.CacheShape, context: int) -> int:
    """Return the bytes that a token of a prompt of usual length adds to a row's cache."""
    tokens = max(1, min(context, USUAL_TOKENS))
    return (shape.row_bytes(tokens) - shape.fixed) // tokens


def build(folder: Path, spec: WorkerSpec) -> tuple[Any, dict[str, Any]]:
    """Return the model with its weights still on disk, and its config with generation_config.json laid over."""
    try:
        model, config = mlx_lm.utils.load_model(folder, lazy=True)
        if spec.adapter:
            model = mlx_lm.utils.load_adapters(model, spec.adapter)
            model.eval()
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{spec.path}: {error}") from error
    if spec.kv_cache is not None:
        kv_options.apply(model, spec.kv_cache)
        log.warning(
            "the cache keeps %s, which switches off: %s model=%s",
            spec.kv_cache, "; ".join(spec.kv_cache.disables()), spec.model_id,
        )  # fmt: skip
    return model, config


def explore(model: Any, spec: WorkerSpec, window: int, ends: frozenset[int], room: int) -> Lane:
    """Find out by a first token what the model's caches weigh, whether rows can share them, how wide its logits are."""
    cache = batches.new_cache(model)
    logits = model(mx.array([[0]]), cache=cache)
    if not mx.isfinite(logits).all().item():
        raise ModelLoadFailed(
            f"{spec.path}: the model's output is not finite; the weights are damaged"
        )
    many = batches.can_batch(cache)
    if not many:
        log.warning(
            "rows of this model cannot share a batch, serving one at a time model=%s", spec.model_id
        )
    bounds = scheduler.Bounds(
        max_batch=spec.max_batch if many else 1,
        cache_shape=batches.cache_shape(cache),
        cache_budget=room,
    )
    return Lane(model, logits.shape[-1], window, ends, bounds)


def _for_caches(memory: int, weights_bytes: int) -> int:
    return int(max(memory - weights_bytes, 0) * CACHE_SHARE)


class TokenizerThread:
    """Load the tokenizer on a thread beside the weights; of a large vocabulary it takes longer than small weights."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._found: Any = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._load, name="tokenizer", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        try:
            self._found = tokenizer.load(self._spec)
            detokenize.prepare(self._found)
        except Exception as error:
            self._error = error

    def result(self) -> Any:
        """Return the tokenizer, or raise ModelLoadFailed."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found
