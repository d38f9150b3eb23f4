"""Describe a loaded text model to those who serve it; the weights themselves stay with the engine thread."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlxd.protocol.spec import WorkerSpec
from mlxd.workers.chat.sight import Sight

UNSTATED_LENGTH = 32768
"""Window of a model that names none."""
_LENGTH_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "n_ctx",
)
_INNER = ("text_config", "llm_config", "language_config")
_ROPE_KEEPS_LENGTH = {"llama3", "longrope", "su", "mrope", "default", "proportional"}
"""Kinds of rope scaling after which the config already states the longer window."""
_SANE_LENGTH = 1 << 27
"""Tokenizers write a huge number for "no limit"."""


@dataclass(frozen=True, slots=True)
class TextModel:
    """Hold what the HTTP thread needs to know of the model."""

    spec: WorkerSpec
    tokenizer: Any
    """mlx-lm's TokenizerWrapper."""
    vocab_size: int
    """Width of the logits; the tokenizer may know fewer tokens."""
    context_length: int
    weights_bytes: int
    eos_token_ids: frozenset[int]
    sight: Sight | None = None
    """How pictures become part of a prompt, where the model sees."""


def context_length(config: Mapping[str, Any], tokenizer: Any, wanted: int | None) -> int:
    """Return the window in tokens: what the model states, at most what the settings want."""
    stated = _stated_length(config)
    if stated is None:
        limit = getattr(tokenizer, "model_max_length", None)
        usable = isinstance(limit, int) and 0 < limit < _SANE_LENGTH
        stated = limit if usable and limit is not None else UNSTATED_LENGTH
    return min(stated, wanted) if wanted else stated


def _stated_length(config: Mapping[str, Any]) -> int | None:
    for part in (config, *(config[key] for key in _INNER if isinstance(config.get(key), dict))):
        for key in _LENGTH_KEYS:
            value = part.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return _scaled(value, part.get("rope_scaling") or part.get("rope_parameters"))
    return None


def _scaled(length: int, scaling: object) -> int:
    """Return the window that rope scaling makes of the stated one."""
    if not isinstance(scaling, dict):
        return length
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    factor = scaling.get("factor")
    if kind in _ROPE_KEEPS_LENGTH or not isinstance(factor, int | float):
        return length
    original = scaling.get("original_max_position_embeddings")
    if isinstance(original, int):
        return max(length, int(original * factor))
    return int(length * factor)


def eos_token_ids(*sources: object) -> frozenset[int]:
    """Return the union of all ids that end an answer: a number, several, or none per source."""
    found: set[int] = set()
    for source in sources:
        ids = source if isinstance(source, list | tuple | set | frozenset) else [source]
        found.update(item for item in ids if isinstance(item, int) and not isinstance(item, bool))
    return frozenset(found)
