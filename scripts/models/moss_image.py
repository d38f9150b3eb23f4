"""Write a tiny MOSS-Image, as mlx-vlm's own conversion lays it out."""

from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx.utils import tree_flatten

from models import tokenizer
from models.drawing import SAYINGS
from models.kinds import QWEN
from models.tokenizer import write_json

_CONVERTED: Final = {"mlx_vlm_format": "moss_image"}
_WIDTH: Final = 64
_TEXT: Final[dict[str, Any]] = {
    "model_type": "qwen3_5_text",
    "hidden_size": _WIDTH,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 8192,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "rope_parameters": {
        "rope_type": "default",
        "mrope_section": [2, 1, 1],
        "rope_theta": 1e7,
        "partial_rotary_factor": 0.5,
        "mrope_interleaved": True,
    },
}
_TRANSFORMER: Final[dict[str, Any]] = {
    "_class_name": "MOSSImageTransformer",
    "dim": 32,
    "ffn_dim": 64,
    "num_heads": 2,
    "num_layers": 24,  # without a prompt it leaves layer 22 out, so there must be one
    "text_dim": _WIDTH,
    "freq_dim": 32,
    "latent_channels": 128,
}
_VAE: Final[dict[str, Any]] = {"decoder_block_out_channels": [32, 32, 32, 32], **_CONVERTED}


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write model_index.json and the five parts; `overrides` are keys of the transformer's config.json."""
    from mlx_vlm.models.flux2.vae import Flux2VAE
    from mlx_vlm.models.moss_image.config import MOSSImageTransformerConfig
    from mlx_vlm.models.moss_image.transformer import MOSSImageTransformer
    from mlx_vlm.models.qwen3_5.config import TextConfig
    from mlx_vlm.models.qwen3_5.language import Qwen3_5Model

    for part in ("transformer", "text_encoder", "vae", "scheduler", "tokenizer"):
        (folder / part).mkdir(exist_ok=True)
    words = tokenizer.train(SAYINGS * 20, 600, QWEN)
    tokenizer.save(words, QWEN, folder / "tokenizer", 8192)
    text = _TEXT | {"vocab_size": words.get_vocab_size()}
    transformer = _TRANSFORMER | overrides
    write_json(folder / "model_index.json", {"_class_name": "MOSSImagePipeline", **_CONVERTED})
    write_json(
        folder / "scheduler" / "scheduler_config.json",
        {"num_train_timesteps": 1000, "shift": 5.0, "training_shift": 1.0},
    )
    write_json(folder / "text_encoder" / "config.json", {"text_config": text, **_CONVERTED})
    write_json(folder / "transformer" / "config.json", transformer)
    write_json(folder / "vae" / "config.json", _VAE)
    mx.random.seed(seed)
    config = MOSSImageTransformerConfig.from_dict(transformer)
    for part, network in (
        ("transformer", MOSSImageTransformer(config)),
        ("text_encoder", Qwen3_5Model(TextConfig.from_dict(text))),
        ("vae", Flux2VAE(decoder_block_out_channels=tuple(_VAE["decoder_block_out_channels"]))),
    ):
        found = dict(tree_flatten(network.parameters()))
        mx.save_safetensors(str(folder / part / "model.safetensors"), found)
