"""Tell whether mlx-lm can load a text model, without importing it: its model classes are files named by type."""

import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mlxd.protocol.kinds import ModelKind

RENAMED = {
    "mistral": "llama", "llava": "mistral3", "phi-msft": "phixtral", "falcon_mamba": "mamba",
    "joyai_llm_flash": "deepseek_v3", "kimi_k2": "deepseek_v3", "qwen2_5_vl": "qwen2_vl", "minimax_m2": "minimax",
    "iquestcoder": "llama", "xverse": "llama", "gemma4_unified": "gemma4", "deepseek_v41_text": "deepseek_v41",
}  # fmt: skip
"""Types mlx-lm loads with another type's file; a test compares it with mlx-lm's own table."""

EMBEDDERS = frozenset({"bert", "gemma3_text", "modernbert", "qwen3", "roberta", "xlm_roberta"})
"""Types whose vectors were compared with those of the networks they were converted from."""
RERANKERS = frozenset({"bert", "modernbert", "qwen3", "xlm_roberta"})
"""The same of scores."""


@cache
def text_models() -> frozenset[str]:
    """Return the model types mlx-lm has a file for; empty where it is not installed."""
    found = importlib.util.find_spec("mlx_lm")
    places = found.submodule_search_locations if found else None
    return frozenset(
        file.stem for place in places or () for file in Path(place, "models").glob("*.py")
    )


def why_no_encoder(config: Mapping[str, object], known: frozenset[str]) -> str | None:
    """Return why a model is neither an embedder nor a reranker we serve, None where nothing speaks against it."""
    model_type = str(config.get("model_type") or "").replace("-", "_")
    if model_type in known:
        return None
    return f"its model type {model_type!r} is none of those served: {', '.join(sorted(known))}"


def why_not(config: Mapping[str, object]) -> str | None:
    """Return why mlx-lm cannot load this text model, None where nothing speaks against it."""
    if config.get("model_file"):
        return None
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        return "config.json names no model_type"
    known = text_models()
    if known and RENAMED.get(model_type, model_type) not in known:
        return f"this version of mlx-lm does not know the model type {model_type!r}"
    return None


SEEING = frozenset(
    {
        "gemma3", "gemma4", "idefics3", "lfm2_vl", "qwen2_5_vl", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl",
        "qwen3_vl_moe", "smolvlm",
    }
)  # fmt: skip
"""Types that were seen to say the same in a batch as alone, and those that share their code."""


def code_of(config: Mapping[str, object], kind: ModelKind | None) -> str | None:
    """Return what of a model is code in its own folder, None where nothing of it would be run.

    mlx-lm leaves an `auto_map` alone; what reads a vision model's folder would not.
    """
    keys = ("model_file", "auto_map") if kind is ModelKind.VISION else ("model_file",)
    return next((key for key in keys if config.get(key)), None)


def why_blind(config: Mapping[str, object]) -> str | None:
    """Return why a model that sees cannot be served, None where nothing speaks against it."""
    model_type = str(config.get("model_type") or "").lower().replace("-", "_")
    inner = config.get("text_config")
    if isinstance(inner, Mapping) and inner.get("use_bidirectional_attention") in ("vision", "all"):
        return f"a {model_type!r} whose words see all of a picture at once is not served"
    if model_type in SEEING:
        return None
    known = ", ".join(sorted(SEEING))
    return f"models of type {model_type!r} that see are not served; those of {known} are"


HEARING = frozenset({"whisper"})
"""Types whose windows were compared with the library's own loop."""


def why_deaf(config: Mapping[str, object]) -> str | None:
    """Return why a model that hears cannot be served, None where nothing speaks against it."""
    model_type = config.get("model_type")
    if model_type in HEARING or (not model_type and {"n_mels", "n_audio_ctx"} <= config.keys()):
        return None
    known = ", ".join(sorted(HEARING))
    return f"models of type {model_type!r} that transcribe are not served; those of {known} are"


DRAWING = frozenset(
    {"ErnieImagePipeline", "Flux2KleinPipeline", "MOSSImagePipeline", "ZImagePipeline"}
)
"""Pipelines whose pictures were compared with those of mlx-vlm's own call."""


def why_no_painter(index: Mapping[str, object]) -> str | None:
    """Return why a model that draws cannot be served, None where nothing speaks against its model_index.json."""
    name = index.get("_class_name")
    if name in DRAWING:
        return None
    known = ", ".join(sorted(DRAWING))
    return f"models with the pipeline {name!r} that draw are not served; those with {known} are"
