"""Write tiny models that see, in mlx-vlm's own format: its classes with random weights, its processors' files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx.utils import tree_flatten, tree_map_with_path

from models import tokenizer
from models.templates import CHATML
from models.tokenizer import Vocabulary

_WORDS: Final = 640
CONTEXT: Final = 4096
_TEXT_PART: Final = "{{- part.text or '' }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """Describe a tiny model that sees; a token's name as a value stands for its id."""

    vocabulary: Vocabulary
    config: Mapping[str, Any]
    preprocessor: Mapping[str, Any]
    processor: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    """What its processor calls some tokens."""
    tied: bool = False
    """Whether its words are also what it chooses from: large ones would make it repeat the last one."""


def chatml(
    vocabulary: Vocabulary, special: tuple[str, ...], picture: str, film: str | None = None
) -> Vocabulary:
    """Return a vocabulary whose ChatML template shows pictures, and films where it has a text for them."""
    shown = f"{{%- if part.type == 'image' %}}{{{{- '{picture}' }}}}"
    if film is not None:
        shown += f"{{%- elif part.type == 'video' %}}{{{{- '{film}' }}}}"
    shown += f"{{%- else %}}{_TEXT_PART}{{%- endif %}}"
    return replace(
        vocabulary,
        special=(*vocabulary.special, *special),
        template=CHATML.replace(_TEXT_PART, shown),
    )


def build(
    kind: Seeing, folder: Path, texts: list[str], seed: int, overrides: Mapping[str, Any]
) -> None:
    """Write the folder."""
    words = tokenizer.train(texts, _WORDS, kind.vocabulary)
    saved = tokenizer.save(words, kind.vocabulary, folder, CONTEXT)
    tokenizer.write_json(
        folder / "tokenizer_config.json", {**saved, "extra_special_tokens": dict(kind.named)}
    )
    ids = words.get_vocab()
    config = {**_with_ids(kind.config, ids, words.get_vocab_size()), **overrides}
    tokenizer.write_json(folder / "config.json", config)
    tokenizer.write_json(folder / "preprocessor_config.json", dict(kind.preprocessor))
    if kind.processor:
        tokenizer.write_json(folder / "processor_config.json", dict(kind.processor))
    _weights(config, folder, seed, words=0.05 if kind.tied else 1.0)


def _with_ids(value: Any, ids: Mapping[str, int], size: int) -> Any:
    """Return a configuration with ids for tokens, and the size of the vocabulary for `vocab_size`."""
    if isinstance(value, Mapping):
        found = {key: _with_ids(inner, ids, size) for key, inner in value.items()}
        return found | ({"vocab_size": size} if "vocab_size" in found else {})
    if isinstance(value, list):
        return [_with_ids(inner, ids, size) for inner in value]
    return ids.get(value, value) if isinstance(value, str) else value


def _weights(config: Mapping[str, Any], folder: Path, seed: int, words: float) -> None:
    from mlx_vlm.utils import get_model_and_args, update_module_configs

    known = json.loads(json.dumps(config))
    module, _ = get_model_and_args(config=known)
    for part in ("text_config", "vision_config", "audio_config"):
        known.setdefault(part, {})
    if not known["text_config"]:
        known["text_config"] = {
            name: value for name, value in known.items() if "_config" not in name
        }
    parts = ["text", "vision", "perceiver", "projector", "audio"]
    mx.random.seed(seed)
    described = module.ModelConfig.from_dict(known)
    model = module.Model(update_module_configs(described, module, known, parts))
    model.update(tree_map_with_path(_drawn(seed, words), model.parameters()))
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})


def _drawn(seed: int, words: float) -> Any:
    """Return what makes a matrix large enough that pictures and words matter to what comes out."""
    keys = [mx.random.key(seed)]

    def drawn(name: str, value: mx.array) -> mx.array:
        if value.ndim < 2 or name.endswith(("A_log", "dt_bias", "conv1d.weight")):
            return value
        keys[0], own = mx.random.split(keys[0])
        scale = words if "embed_tokens" in name else value[0].size ** -0.5
        return mx.random.normal(value.shape, key=own) * scale

    return drawn
