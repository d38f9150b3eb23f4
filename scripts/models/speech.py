"""Write a tiny Pocket TTS, which speaks as it goes: a second of sound for each word, and two more."""

from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx.utils import tree_flatten
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from models.tokenizer import write_json

VOICES: Final = ("alba", "marius")
_WIDTH: Final = 32
_NEVER: Final = -20.0
"""Bias of the end: the model never ends by itself, so that what it says has a known length."""
_LOUD: Final = 8e6
"""How much random weights take from what passes through them: given back at the end, or nothing could be heard."""


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write config.json, the tokenizer, random weights and two voices."""
    from mlx_audio.tts.models.pocket_tts import Model, ModelConfig

    words = _letters()
    words.save(str(folder / "tokenizer.json"))
    config = _config(words.get_vocab_size()) | overrides
    write_json(folder / "config.json", config)
    mx.random.seed(seed)
    model = Model(ModelConfig.from_dict({**config, "model_path": str(folder)}))
    model.flow_lm.out_eos.bias = mx.array([_NEVER])
    last = model.mimi.decoder.final_conv1d.conv.conv
    last.weight = last.weight * _LOUD
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "voices").mkdir(exist_ok=True)
    for name in VOICES:
        prompt = mx.random.normal((1, 4, _WIDTH))
        mx.save_safetensors(
            str(folder / "voices" / f"{name}.safetensors"), {"audio_prompt": prompt}
        )


def _letters() -> Tokenizer:
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(["Every word is read aloud, one after the other."] * 4, trainer)
    return words


def _config(vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": "pocket_tts",
        "eos_threshold": -4.0,
        "flow_lm": {
            "dtype": "float32",
            "flow": {"dim": _WIDTH, "depth": 1},
            "transformer": {
                "hidden_scale": 2, "max_period": 10000, "d_model": _WIDTH, "num_heads": 2, "num_layers": 2,
            },
            "lookup_table": {
                "dim": _WIDTH, "n_bins": vocabulary, "tokenizer": "huggingface", "tokenizer_path": "tokenizer.json",
            },
        },
        "mimi": {
            "dtype": "float32", "sample_rate": 24000, "channels": 1, "frame_rate": 12.5,
            "seanet": {
                "dimension": _WIDTH, "channels": 1, "n_filters": 4, "n_residual_layers": 1, "ratios": [6, 5, 4],
                "kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 3, "dilation_base": 2,
                "pad_mode": "constant", "compress": 2,
            },
            "transformer": {
                "d_model": _WIDTH, "input_dimension": _WIDTH, "output_dimensions": [_WIDTH], "num_heads": 2,
                "num_layers": 1, "layer_scale": 0.01, "context": 50, "dim_feedforward": 64,
            },
            "quantizer": {"dimension": 8, "output_dimension": _WIDTH},
        },
    }  # fmt: skip
