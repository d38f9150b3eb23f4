"""Set up what guesses ahead for a text model: a smaller model of the same vocabulary, the text's own repetitions."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import msgspec

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, tokenizer, weights
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.guesses import Draft, Guesser, Lookup
from mlxd.workers.engine.lane import Lane
from mlxd.workers.engine.scheduler import CacheShape
from mlxd.workers.engine.speculation import Speculation
from mlxd.workers.model import context_length
from mlxd.workers.prompt_cache import caches

log = logging.getLogger(__name__)

CLOSE = 0.2
"""By how much of the largest logit two passes over the same token may differ: few bits round, experts change."""


@dataclass(frozen=True, slots=True)
class Drafting:
    """Hold the model that guesses."""

    model: Any
    weights_bytes: int
    context_length: int
    cache_shape: CacheShape


def load(
    spec: WorkerSpec,
    model: Any,
    words: Any,
    report: weights.Report,
    stopped: Callable[[], bool],
) -> Drafting | None:
    """Return the model that guesses for another, None where there is none to load; raises ModelLoadFailed."""
    if not (spec.draft_model or spec.prompt_lookup):
        return None
    if not _can_go_back(spec, "it", model) or spec.draft_model is None:
        return None
    folder = Path(spec.draft_model)
    config = weights.refuse_code(folder)
    check_vocabulary(spec, folder, words)
    try:
        with weights.recorded() as files:
            draft, _ = mlx_lm.utils.load_model(folder, lazy=True)
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"draft_model: {folder}: {error}") from error
    if not _can_go_back(spec, str(folder), draft):
        return None
    size = weights.read(draft, report, stopped, files)
    shape = _spoken(draft, folder)
    return Drafting(draft, size, context_length(config, words, None), shape)


def speculation(spec: WorkerSpec, lane: Lane, draft: Drafting | None) -> Speculation | None:
    """Return what guesses ahead, None where nothing does: repetitions first, they cost nothing."""
    guessers: list[Guesser] = []
    if spec.prompt_lookup and caches.trim_limit(batches.new_cache(lane.model)):
        guessers.append(Lookup(spec.prompt_lookup))
    if draft is not None:
        guessers.append(Draft(draft.model, lane.vocab, draft.context_length))
    if not guessers:
        return None
    for model in (lane.model, *([draft.model] if draft is not None else [])):
        if (problem := trial(model)) is not None:
            log.warning("nothing is guessed ahead: %s model=%s", problem, spec.model_id)
            return None
    return Speculation(lane.model, lane.vocab, guessers)


def trial(model: Any) -> str | None:
    """Return why tokens read several at a time cannot be taken back from a model's caches, None where they can."""
    try:
        cache = batches.new_cache(model)
        model(mx.array([[0, 1]]), cache=cache)
        ahead = model(mx.array([[2, 3, 4]]), cache=cache)[:, 0].astype(mx.float32)
        batches.trim(cache, 3)
        again = model(mx.array([[2]]), cache=cache)[:, 0].astype(mx.float32)
        same = mx.abs(ahead - again).max() <= CLOSE * mx.abs(again).max()
        close = bool(same.item())
    except Exception as error:
        if limits.is_out_of_memory(error) or limits.is_device_error(error):
            raise
        return f"reading several tokens at a time fails: {error}"
    return None if close else "a token read again gives another answer"


def check_vocabulary(spec: WorkerSpec, folder: Path, words: Any) -> None:
    """Raise ModelLoadFailed where a token's number means another text to the two models."""
    if _same_file(Path(spec.path) / "tokenizer.json", folder / "tokenizer.json"):
        return
    theirs = tokenizer.load(msgspec.structs.replace(spec, path=str(folder))).get_vocab()
    mine = words.get_vocab()
    if mine != theirs:
        differ = sum(theirs.get(text) != number for text, number in mine.items())
        raise ModelLoadFailed(
            f"draft_model: {folder} does not have the vocabulary of {spec.path}: {differ} of {len(mine)} tokens differ"
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def _spoken(draft: Any, folder: Path) -> CacheShape:
    cache = batches.new_cache(draft)
    logits = draft(mx.array([[0]]), cache=cache)
    if not mx.isfinite(logits).all().item():
        raise ModelLoadFailed(
            f"draft_model: {folder}: the model's output is not finite; the weights are damaged"
        )
    return batches.cache_shape(cache)


def _can_go_back(spec: WorkerSpec, what: str, model: Any) -> bool:
    """Tell whether a wrong guess can be taken out of a model's caches; say so where it cannot."""
    if caches.trim_limit(batches.new_cache(model)):
        return True
    log.warning(
        "nothing is guessed ahead: %s keeps a state that no token can be taken back from model=%s",
        what,
        spec.model_id,
    )
    return False
