"""The family that sees and hears of which `make-model` knows a tiny member: Gemma 4, small as those with ears are."""

from pathlib import Path
from typing import Any, Final

from models.seeing import CONTEXT, Seeing, build
from models.templates import GEMMA4
from models.tiny import SAMPLES
from models.tokenizer import Vocabulary

_ROPE: Final = {
    "full_attention": {
        "partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional",
    },
    "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
}  # fmt: skip
_GEMMA4: Final = Seeing(
    tied=True,
    vocabulary=Vocabulary(
        special=(
            "<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|image>", "<image|>", "<|image|>", "<|audio>",
            "<audio|>", "<|audio|>", "<|video|>",
        ),
        added=(),
        template=GEMMA4,
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
    ),
    named={
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "audio_token": "<|audio|>",
    },
    config={
        "model_type": "gemma4",
        "architectures": ["Gemma4ForConditionalGeneration"],
        "image_token_id": "<|image|>",
        "audio_token_id": "<|audio|>",
        "video_token_id": "<|video|>",
        "boi_token_id": "<|image>",
        "eoi_token_id": "<image|>",
        "boa_token_id": "<|audio>",
        "eoa_token_id": "<audio|>",
        "eos_token_id": ["<eos>", "<turn|>"],
        "pad_token_id": "<pad>",
        "vocab_size": 0,
        "hidden_size": 64,
        "text_config": {
            "model_type": "gemma4_text", "hidden_size": 64, "num_hidden_layers": 6, "intermediate_size": 128,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 32,
            "rms_norm_eps": 1e-6, "vocab_size": 0, "vocab_size_per_layer_input": 1024,
            "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 3, "sliding_window": 16,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
            "max_position_embeddings": CONTEXT, "rope_parameters": _ROPE, "final_logit_softcapping": 30.0,
            "use_double_wide_mlp": True, "tie_word_embeddings": True,
        },
        "vision_config": {
            "model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16,
            "default_output_length": 70, "patch_size": 16, "position_embedding_size": 64, "pooling_kernel_size": 3,
        },
        "audio_config": {
            "model_type": "gemma4_audio", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "subsampling_conv_channels": [8, 4], "output_proj_dims": 48,
        },
    },
    preprocessor={},
    processor={
        "processor_class": "Gemma4Processor",
        "image_processor": {"patch_size": 16, "max_soft_tokens": 70, "pooling_kernel_size": 3},
    },
)  # fmt: skip
HEARING: Final = {"gemma4": _GEMMA4}


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write a model folder; `overrides` are keys of config.json."""
    build(HEARING[kind], folder, list(SAMPLES) * 20, seed, overrides)
