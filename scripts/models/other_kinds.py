"""The kinds of `make-model` beside text: each is written by a module of its own, in its library's format."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

WRITERS: Final[dict[str, str]] = {
    "pocket_tts": "models.speech",
    "whisper": "models.whisper",
    "whisper_bare": "models.whisper",
    "z_image": "models.drawing",
    "z_image_turbo": "models.drawing",
    "moss_image": "models.moss_image",
    **dict.fromkeys(
        ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "gemma3_vl", "smolvlm", "lfm2_vl"), "models.seeing_kinds"
    ),
    "gemma4": "models.hearing_kinds",
    **dict.fromkeys(
        (
            "bert", "bert_cls", "roberta", "xlm_roberta", "modernbert", "modernbert_cls", "qwen3_embedding",
            "embeddinggemma", "bert_reranker", "xlm_roberta_reranker", "modernbert_reranker", "qwen3_reranker",
        ),
        "models.encoder_kinds",
    ),
}  # fmt: skip
"""Kind -> the module whose `write(kind, folder, seed, overrides)` makes it."""


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write a model folder; `overrides` are keys of config.json."""
    make: Callable[[str, Path, int, dict[str, Any]], None]
    make = importlib.import_module(WRITERS[kind]).write
    folder.mkdir(parents=True, exist_ok=True)
    make(kind, folder, seed, overrides)
