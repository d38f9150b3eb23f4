"""Load a reranker, prove that its scores are numbers, and serve it."""

import logging
import time
from pathlib import Path
from typing import Any

import mlx_lm.utils

from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.api import rerank
from mlxd.workers.embedding import scorers, settings, words
from mlxd.workers.embedding.scorers import Classifier, Judge
from mlxd.workers.jobs.coalesced import Coalesced
from mlxd.workers.jobs.served import ServedJobs
from mlxd.workers.kinds.embedding import longest, pad_id, tokenizer_limit
from mlxd.workers.kinds.registry import Surroundings

log = logging.getLogger(__name__)


def load(spec: WorkerSpec, around: Surroundings) -> ServedJobs:
    """Read the tokenizer and the weights, and compute a first score."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    config = weights.refuse_code(folder)
    wanted = settings.read(folder, config, tokenizer_limit(folder))
    limit = longest(wanted.limit, spec.context_length)
    vocabulary = words.load(folder, limit, pad_id=pad_id(config), lower=wanted.lower)
    with weights.recorded() as files:
        scorer = build(folder, config, vocabulary)
    size = weights.read(scorer.model, around.progress, around.leaving.is_set, files)
    scorer.scores([scorer.row("a", "b", None, "documents")])
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d longest=%d",
        spec.model_id, time.perf_counter() - begun, size, limit,
    )  # fmt: skip
    served = ServedJobs(
        Coalesced(scorer.scores), rerank.routes(), spec, around,
        weights_bytes=size, context_length=limit,
    )  # fmt: skip
    served.app.state.scorer = scorer
    return served


def build(folder: Path, config: dict[str, Any], vocabulary: words.Words) -> Classifier | Judge:
    """Return the scorer with its weights still on disk; raises ModelLoadFailed."""
    if config.get("model_type") == "qwen3":
        return Judge(_judging(folder), vocabulary, scorers.answers(vocabulary, folder))
    model = scorers.load_classifier(folder, config)
    return Classifier(model, vocabulary, typed=config.get("type_vocab_size", 0) > 1)


def _judging(folder: Path) -> Any:
    try:
        model, _ = mlx_lm.utils.load_model(folder, lazy=True)
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error
    return model
