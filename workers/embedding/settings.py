"""Read what a folder in the format of sentence-transformers says about texts: their length, their prompts, pooling."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mlxd.protocol.errors import ModelLoadFailed

_OFFSET_POSITIONS: Final = frozenset({"roberta", "xlm_roberta", "camembert"})
"""Types whose positions start behind the padding id, which costs two of them."""
_NO_LIMIT: Final = 1_000_000
"""What tokenizers that know no limit say is larger."""


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Say how a model wants its texts."""

    limit: int
    """Tokens a text may have, special ones included."""
    lower: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    pooling: Mapping[str, Any] | None = None
    """The pooling module's configuration; None = the architecture's own habit."""


def read(folder: Path, config: Mapping[str, Any], tokenizer_limit: int | None) -> TextSettings:
    """Return the settings; raises ModelLoadFailed for files that are no JSON or ask for what isn't done."""
    sentences, own = (
        optional(folder, "sentence_bert_config.json"),
        optional(folder, "config_sentence_transformers.json"),
    )
    prompts = own.get("prompts")
    name = own.get("default_prompt_name")
    return TextSettings(
        limit=limit(config, sentences.get("max_seq_length"), tokenizer_limit),
        lower=sentences.get("do_lower_case") is True,
        prompts={
            str(key): value
            for key, value in (prompts if isinstance(prompts, dict) else {}).items()
            if isinstance(value, str)
        },
        default_prompt=name if isinstance(name, str) else None,
        pooling=optional(folder, "1_Pooling/config.json") or None,
    )


def limit(config: Mapping[str, Any], *others: object) -> int:
    """Return how many tokens a text may have: the least of what config.json and the others say."""
    positions = config.get("max_position_embeddings")
    model_type = str(config.get("model_type", "")).replace("-", "_")
    if isinstance(positions, int) and model_type in _OFFSET_POSITIONS:
        positions -= 2
    said = [n for n in (positions, *others) if isinstance(n, int) and 0 < n < _NO_LIMIT]
    return min(said, default=512)


def optional(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON object of the folder, empty where there is no such file; raises ModelLoadFailed."""
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelLoadFailed(f"{folder}/{name}: {error}") from None
    if not isinstance(content, dict):
        raise ModelLoadFailed(f"{folder}/{name}: expected an object")
    return content
