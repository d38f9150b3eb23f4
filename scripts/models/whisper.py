"""Write a tiny Whisper: all of a real one's tokens and frames, next to no weights.

`whisper_bare` is a folder as mlx-whisper's own conversion writes it: weights, what aligns words among them, and no
tokenizer.
"""

from pathlib import Path
from typing import Any, Final, cast

import mlx.core as mx
from mlx.nn.layers.quantized import quantize
from mlx.utils import tree_flatten, tree_unflatten

from models.tokenizer import write_json

_SURE: Final = 12.0
"""How much larger than usual its embeddings are: its first guess is nearly certain, so that it is never repeated."""
_HEARS: Final = 6.0
"""The same for what the decoder takes from the sound, so that other sounds make other words."""
_REMEMBERS: Final = 3.0
"""The same for what it takes from the tokens before: language, task and prompt change what it says."""
_SHAPE: Final = {
    "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 32, "n_audio_head": 2, "n_audio_layer": 1,
    "n_vocab": 51865, "n_text_ctx": 40, "n_text_state": 32, "n_text_head": 2, "n_text_layer": 2,
}  # fmt: skip


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write config.json (`quantization` quantises) and random weights; unless bare, the files of a tokenizer too."""
    from mlx_audio.stt.models.whisper.whisper import Model, ModelDimensions

    config = {"model_type": "whisper", **_SHAPE, **overrides}
    write_json(folder / "config.json", config)
    mx.random.seed(seed)
    model = Model(ModelDimensions.from_dict(config), mx.float32)
    leaves = cast(list[tuple[str, mx.array]], tree_flatten(model.parameters()))
    model.update(tree_unflatten([(name, _drawn(name, value)) for name, value in leaves]))
    if (grid := config.get("quantization")) is not None:
        quantize(model, **grid)
    weights = dict(cast(list[tuple[str, mx.array]], tree_flatten(model.parameters())))
    if kind == "whisper_bare":
        weights["alignment_heads"] = mx.array(_aligning(config))
        mx.savez(str(folder / "weights.npz"), **weights)
    else:
        mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
        _save_processor(folder, config)


def _drawn(name: str, value: mx.array) -> mx.array:
    drawn: mx.array = value
    if name == "decoder.ln.weight":  # signs: or a token would most likely be followed by itself
        drawn = mx.where(mx.random.uniform(shape=value.shape) < 0.5, -1.0, 1.0)
    elif name == "decoder.positional_embedding":
        drawn = mx.random.normal(value.shape) * _SURE / value.shape[-1] ** 0.5
    elif name == "decoder.token_embedding.weight":
        drawn = value * _SURE
    elif "cross_attn.value" in name or "cross_attn.out" in name:
        drawn = value * _HEARS
    elif name.startswith("decoder.") and (".attn.value" in name or ".attn.out" in name):
        drawn = value * _REMEMBERS
    return drawn


def _save_processor(folder: Path, config: dict[str, Any]) -> None:
    from mlx_audio.stt.models.whisper.tokenizer import LANGUAGES

    from mlxd.workers.transcription import bundled

    words = bundled.build(config["n_vocab"], list(LANGUAGES))
    words.save(str(folder / "tokenizer.json"))
    end = "<|endoftext|>"
    names = {f"{name}_token": end for name in ("bos", "eos", "unk", "pad")}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "WhisperTokenizer", **names})
    sizes = {"feature_size": config["n_mels"], "n_fft": 400, "hop_length": 160, "chunk_length": 30}
    extractor = {"feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 16000}
    write_json(folder / "preprocessor_config.json", {**extractor, **sizes})
    write_json(folder / "generation_config.json", {"alignment_heads": _aligning(config)})


def _aligning(config: dict[str, Any]) -> list[list[int]]:
    """Return layer and head of what looks where a word is spoken: one alone, or it would be the library's guess."""
    return [[config["n_text_layer"] - 1, 0]]
