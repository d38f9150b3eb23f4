"""Load an embedding model, prove that its vectors are numbers, and serve it."""

import logging
import time
from pathlib import Path
from typing import Any, Final

from mlxd.protocol.spec import WorkerSpec
from mlxd.workers import limits, weights
from mlxd.workers.api import embeddings, ollama_embeddings
from mlxd.workers.embedding import encoders, settings, words
from mlxd.workers.embedding.rows import Row
from mlxd.workers.jobs.coalesced import Coalesced
from mlxd.workers.jobs.served import ServedJobs
from mlxd.workers.kinds.registry import Surroundings

log = logging.getLogger(__name__)

LONGEST: Final = 8192
"""Tokens of a text where the configuration does not say: what attention over it takes grows with the square."""


def load(spec: WorkerSpec, around: Surroundings) -> ServedJobs:
    """Read the tokenizer and the weights, and compute a first vector."""
    begun = time.perf_counter()
    limits.forbid_wiring()
    folder = Path(spec.path)
    config = weights.refuse_code(folder)
    wanted = settings.read(folder, config, tokenizer_limit(folder))
    limit = longest(wanted.limit, spec.context_length)
    vocabulary = words.load(folder, limit, pad_id=pad_id(config), lower=wanted.lower)
    with weights.recorded() as files:
        model = encoders.load(folder, config, wanted.pooling)
    size = weights.read(model, around.progress, around.leaving.is_set, files)
    encoder = encoders.Encoder(model, vocabulary.pad_id)
    first = vocabulary.row("a", field="input", truncate=True)
    (vector,) = encoder.vectors([Row(first.ids)])
    log.info(
        "loaded model=%s seconds=%.2f weights_bytes=%d longest=%d width=%d",
        spec.model_id, time.perf_counter() - begun, size, limit, len(vector),
    )  # fmt: skip
    served = ServedJobs(
        Coalesced(encoder.vectors), [*embeddings.routes(), *ollama_embeddings.routes()], spec, around,
        weights_bytes=size, context_length=limit,
    )  # fmt: skip
    served.app.state.texts = embeddings.Texts(vocabulary, wanted, len(vector))
    return served


def longest(limit: int, configured: int | None) -> int:
    """Return the most tokens of a text: what the user says, within what the model can."""
    return min(limit, configured if configured is not None else LONGEST)


def pad_id(config: dict[str, Any]) -> int:
    """Return the token that fills rows up; which one it is changes nothing."""
    found = config.get("pad_token_id")
    return found if isinstance(found, int) and found >= 0 else 0


def tokenizer_limit(folder: Path) -> int | None:
    """Return how long a text may be by the tokenizer's own configuration."""
    found = settings.optional(folder, "tokenizer_config.json").get("model_max_length")
    return int(found) if isinstance(found, int | float) and found < 1e6 else None
