"""Write tiny models that draw, in the layout of diffusers: a folder for each part."""

from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx.utils import tree_flatten

from models import tokenizer
from models.kinds import QWEN
from models.tokenizer import write_json

_WIDTH: Final = 64
_TEXT: Final[dict[str, Any]] = {
    "model_type": "qwen3",
    "architectures": ["Qwen3Model"],
    "hidden_size": _WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 1024,
}
_VAE: Final[dict[str, Any]] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 16,
    "block_out_channels": [32, 32, 32, 32],
    "layers_per_block": 1,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
}
_TRANSFORMER: Final[dict[str, Any]] = {
    "_class_name": "ZImageTransformer2DModel",
    "dim": _WIDTH,
    "n_heads": 4,
    "n_kv_heads": 4,
    "in_channels": 16,
    "cap_feat_dim": _WIDTH,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "all_patch_size": [2],
    "all_f_patch_size": [1],
    "axes_dims": [4, 6, 6],
    "axes_lens": [1024, 512, 512],
    "rope_theta": 256.0,
    "t_scale": 1000.0,
    "norm_eps": 1e-5,
}
_SHIFTS: Final = {"z_image": 6.0, "z_image_turbo": 3.0}
"""What tells the model that takes guidance from the one that was distilled to do without."""
SAYINGS: Final = (
    "A picture of a red square on a blue field.",
    "The quick brown fox jumps over the lazy dog.",
    "user: a cat, an oil painting, in the rain, at night",
)


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write model_index.json and the five parts; `overrides` are keys of the transformer's config.json."""
    from mlx_vlm.models.z_image.config import ZImageConfig
    from mlx_vlm.models.z_image.text_encoder import ZImageTextEncoder
    from mlx_vlm.models.z_image.transformer import ZImageTransformer
    from mlx_vlm.models.z_image.vae import ZImageVAE

    _write_configs(kind, folder, overrides)
    config = ZImageConfig.from_model_path(folder)
    mx.random.seed(seed)
    decoder = ZImageVAE(config.vae)
    for part, network in (
        ("transformer", ZImageTransformer(config.transformer)),
        ("text_encoder", ZImageTextEncoder(config.text_encoder)),
        ("vae", decoder),
    ):
        found = dict(tree_flatten(network.parameters()))
        if network is decoder:  # as PyTorch has them
            found = {
                key: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
                for key, value in found.items()
            }
        name = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        mx.save_safetensors(
            str(folder / part / f"{name}.safetensors"), found, metadata={"format": "pt"}
        )


def _write_configs(kind: str, folder: Path, overrides: dict[str, Any]) -> None:
    for part in ("transformer", "text_encoder", "vae", "scheduler", "tokenizer"):
        (folder / part).mkdir(exist_ok=True)
    words = tokenizer.train(SAYINGS * 20, 600, QWEN)
    tokenizer.save(words, QWEN, folder / "tokenizer", 1024)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "ZImagePipeline",
            "_diffusers_version": "0.36.0",
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "text_encoder": ["transformers", "Qwen3Model"],
            "tokenizer": ["transformers", "Qwen2Tokenizer"],
            "transformer": ["diffusers", "ZImageTransformer2DModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": _SHIFTS[kind],
            "use_dynamic_shifting": False,
        },
    )
    write_json(folder / "transformer" / "config.json", _TRANSFORMER | overrides)
    text = _TEXT | {"vocab_size": words.get_vocab_size()}
    write_json(folder / "text_encoder" / "config.json", text)
    write_json(folder / "vae" / "config.json", _VAE)
