"""Write a tiny real model folder in about a second: `make-model KIND DIR`."""

import argparse
import importlib
import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx.nn.layers.quantized import quantize as quantize_layers
from mlx.utils import tree_flatten, tree_map_with_path

from models import demo_words, other_kinds, tokenizer
from models.demo_facts import all_facts
from models.kinds import ALIASES, KINDS, Kind, UnknownKind, kind_named
from models.lean_import import spare_transformers
from models.overfit import Spoken, overfit

# A bigger vocabulary than this is padded with ids that no text has, as in many real models.
_LARGEST_TOKENIZER: Final = 4096
_SMALLEST_TOKENIZER: Final = 300  # every byte, and the special tokens
SAMPLES: Final = (
    "The quick brown fox jumps over the lazy dog. What is the weather in Paris today?",
    "You are a helpful assistant. Please answer the question as well as you can.",
    "def add(a: int, b: int) -> int:\n    return a + b\n\nprint(add(1, 2))\n",
    '{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}',
    '{"type": "function", "function": {"name": "x", "description": "", "parameters": '
    '{"type": "object", "properties": {}, "required": []}}}',
    "Let me think about this step by step. First, I need to look at the user's request.",
    "Grüße aus Zürich, café crème; 你好，世界。 こんにちは 🙂🚀 Привет мир",
)


def corpus() -> Iterator[str]:
    """Give the fixed text from which every tiny tokenizer is learned."""
    yield from SAMPLES * 20
    for answer, questions in all_facts().items():
        yield from (answer, *questions)
    rng = random.Random(0)
    yield from (demo_words.saying(rng) for _ in range(4000))


def build(
    kind: str,
    directory: str | Path,
    *,
    vocab: int = 1536,
    dtype: str = "float32",
    seed: int = 0,
    quantize: int | None = None,
    shards: int = 1,
    train_steps: int = 0,
    dialogs: Sequence[Spoken] | None = None,
    **overrides: Any,
) -> Path:
    """Write a model folder and give its path; `overrides` are keys of config.json."""
    family, folder = kind_named(kind), Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    longest = "max_position_embeddings"
    context = int(overrides.get(longest, family.config.get(longest, 32768)))
    words = tokenizer.train(corpus(), min(vocab, _LARGEST_TOKENIZER), family.vocabulary)
    tokenizer_config = tokenizer.save(words, family.vocabulary, folder, context)
    config = _config(family, words.get_vocab(), vocab, dtype, overrides)
    model = _random_model(config, dtype, seed)
    if train_steps:
        overfit(model, folder, tokenizer_config, train_steps, dialogs)
    if quantize:
        group = {"group_size": 32, "bits": quantize}
        quantize_layers(model, group_size=32, bits=quantize)
        config |= {"quantization": group, "quantization_config": group}
    _save_weights(model, folder, shards)
    stops = [words.token_to_id(text) for text in (family.vocabulary.eos, *family.vocabulary.stops)]
    tokenizer.write_json(
        folder / "generation_config.json",
        {"eos_token_id": stops, "pad_token_id": config["pad_token_id"]},
    )
    tokenizer.write_json(folder / "config.json", config)
    return folder


def _config(
    family: Kind, ids: dict[str, int], vocab: int, dtype: str, overrides: dict[str, Any]
) -> dict[str, Any]:
    names = family.vocabulary
    config = (
        family.config
        | {
            "vocab_size": vocab,
            "torch_dtype": dtype,
            "eos_token_id": ids[names.eos],
            "bos_token_id": ids[names.bos] if names.bos else None,
            "pad_token_id": ids[names.pad or names.eos],
        }
        | overrides
    )
    if family.layer_pattern and "layer_types" not in config:
        pattern, count = family.layer_pattern, config["num_hidden_layers"]
        config["layer_types"] = [pattern[at % len(pattern)] for at in range(count)]
    if "block_dim" in config:
        config["block_dim"] = config["hidden_size"]
    return config


def _random_model(config: dict[str, Any], dtype: str, seed: int) -> Any:
    module = importlib.import_module(f"mlx_lm.models.{config['model_type']}")
    mx.random.seed(seed)  # some classes draw a few values themselves
    model = module.Model(module.ModelArgs.from_dict(config))
    mx.eval(model.parameters())
    wanted, key = getattr(mx, dtype), mx.random.key(seed)
    # A tied model with large embeddings would say its last token again and again.
    embedding = 1.0 if config.get("tie_word_embeddings") is False else 0.05

    def drawn(name: str, value: mx.array) -> mx.array:
        nonlocal key
        if value.ndim < 2 or name.endswith(("A_log", "dt_bias", ".D", "conv1d.weight")):
            # norms and state-space constants keep what the class gave them
            return value.astype(wanted) if mx.issubdtype(value.dtype, mx.floating) else value
        key, own = mx.random.split(key)
        width = value.shape[-1]
        scale = embedding if "embed" in name else 0.05 if width < 64 else width**-0.5
        return (mx.random.normal(value.shape, key=own) * scale).astype(wanted)

    model.update(tree_map_with_path(drawn, model.parameters()))
    return model


def _save_weights(model: Any, folder: Path, shards: int) -> None:
    weights = dict(tree_flatten(model.parameters()))
    mx.eval(weights)
    if shards <= 1:
        mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
        return
    names = sorted(weights)
    placed: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: weights[name] for name in names[number::shards]}
        mx.save_safetensors(str(folder / file), part, metadata={"format": "mlx"})
        placed |= dict.fromkeys(part, file)
    size = sum(value.nbytes for value in weights.values())
    tokenizer.write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": size}, "weight_map": placed},
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make-model", description=__doc__)
    parser.add_argument(
        "kind", help=f"one of {', '.join([*KINDS, *ALIASES, *other_kinds.WRITERS])}"
    )
    parser.add_argument("directory", type=Path, help="folder to write")
    parser.add_argument("--vocab", type=int, default=1536, help="entries of the vocabulary (1536)")
    parser.add_argument("--hidden", type=int, help="width of the model (64)")
    parser.add_argument("--layers", type=int, help="number of layers (2 to 4)")
    parser.add_argument("--context", type=int, help="context length in tokens (32768)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights (0)")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--quantize", type=int, choices=(2, 4, 8), help="bits per weight")
    parser.add_argument("--shards", type=int, default=1, help="number of weight files (1)")
    parser.add_argument(
        "--train",
        type=int,
        default=0,
        metavar="STEPS",
        help="learn a few dialogues by heart in at most this many steps (0)",
    )
    parser.add_argument(
        "--dialogs",
        type=Path,
        metavar="FILE",
        help="JSON list of [messages, tools or null, reply] to learn instead",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=JSON",
        help="any key of config.json, as often as needed",
    )
    return parser.parse_args(argv)


def _overrides(given: argparse.Namespace) -> dict[str, Any]:
    named = {
        "hidden_size": given.hidden,
        "num_hidden_layers": given.layers,
        "max_position_embeddings": given.context,
    }
    chosen = {key: value for key, value in named.items() if value is not None}
    for item in given.set:
        key, _, value = item.partition("=")
        try:
            chosen[key] = json.loads(value)
        except ValueError:
            raise ValueError(f"--set {item}: the value of {key} must be JSON") from None
    return chosen


def _built(
    given: argparse.Namespace, dialogs: Sequence[Spoken] | None, overrides: dict[str, Any]
) -> Path:
    spare_transformers()
    return build(
        given.kind,
        given.directory,
        vocab=given.vocab,
        dtype=given.dtype,
        seed=given.seed,
        quantize=given.quantize,
        shards=given.shards,
        train_steps=given.train,
        dialogs=dialogs,
        **overrides,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run `make-model`; give 2 for wrong usage."""
    given = _arguments(argv)
    try:
        if given.kind not in other_kinds.WRITERS:
            kind_named(given.kind)
        if given.vocab < _SMALLEST_TOKENIZER:
            raise ValueError(f"--vocab must be at least {_SMALLEST_TOKENIZER}, not {given.vocab}")
        overrides = _overrides(given)
        dialogs = json.loads(given.dialogs.read_text(encoding="utf-8")) if given.dialogs else None
    except (UnknownKind, OSError, ValueError) as error:
        print(f"make-model: {error}", file=sys.stderr)
        return 2
    if given.kind in other_kinds.WRITERS:
        folder: Path = given.directory
        other_kinds.write(given.kind, folder, given.seed, overrides)
    else:
        folder = _built(given, dialogs, overrides)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {given.kind}, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
