"""Write a tiny Whisper: all of a real one's tokens and frames, next to no weights; `whisper_bare` has no tokenizer."""

from pathlib import Path
from typing import Any, Final, cast

import mlx.core as mx
from mlx.utils import tree_flatten

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
    """Write config.json and random weights, as older conversions are; unless bare, the files of a tokenizer too."""
    from mlx_audio.stt.models.whisper.whisper import Model, ModelDimensions

    config = {"model_type": "whisper", **_SHAPE, **overrides}
    write_json(folder / "config.json", config)
    mx.random.seed(seed)
    model = Model(ModelDimensions.from_dict(config), mx.float32)
    leaves = cast(list[tuple[str, mx.array]], tree_flatten(model.parameters()))
    weights = {name: _drawn(name, value) for name, value in leaves}
    mx.save_safetensors(str(folder / "weights.safetensors"), weights, metadata={"format": "mlx"})
    if kind != "whisper_bare":
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
    last = config["n_text_layer"] - 1
    heads = [[last, head] for head in range(config["n_text_head"])]
    write_json(folder / "generation_config.json", {"alignment_heads": heads})
