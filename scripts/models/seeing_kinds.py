"""The families that see of which `make-model` knows a tiny member, one of each way to show a model pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from models.kinds import QWEN
from models.seeing import CONTEXT, Seeing, build, chatml
from models.templates import GEMMA_SEEING, SMOLVLM
from models.tiny import SAMPLES
from models.tokenizer import Vocabulary

_HALF: Final = [0.5, 0.5, 0.5]
_QWEN_VOCABULARY: Final = chatml(
    QWEN,
    ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|vision_start|><|video_pad|><|vision_end|>",
)
_QWEN_TOKENS: Final[dict[str, Any]] = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "eos_token_id": ["<|im_end|>", "<|endoftext|>"],
    "vocab_size": 0,
}
_DENSE: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "vocab_size": 0,
    "max_position_embeddings": CONTEXT,
}
_QWEN3_EYES: Final[dict[str, Any]] = {
    "depth": 3, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "num_heads": 2, "patch_size": 16,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64, "in_channels": 3,
}  # fmt: skip
_QWEN3_PREPROCESSOR: Final[dict[str, Any]] = {
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "processor_class": "Qwen3VLProcessor",
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "size": {"shortest_edge": 1024, "longest_edge": 32 * 32 * 64},
    "image_mean": _HALF,
    "image_std": _HALF,
}
_QWEN2: Final = Seeing(
    vocabulary=_QWEN_VOCABULARY,
    config=_DENSE
    | _QWEN_TOKENS
    | {
        "model_type": "qwen2_vl",
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "num_hidden_layers": 2,
        "rope_theta": 1e6,
        "tie_word_embeddings": False,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vision_config": {
            "model_type": "qwen2_vl", "depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "patch_size": 14,
            "mlp_ratio": 2, "in_channels": 3, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "spatial_patch_size": 14,
        },
    },
    preprocessor={
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "min_pixels": 3136,
        "max_pixels": 28 * 28 * 64,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
)  # fmt: skip
_QWEN2_5: Final = replace(
    _QWEN2,
    config=dict(_QWEN2.config)
    | {
        "model_type": "qwen2_5_vl",
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "vision_config": {
            "model_type": "qwen2_5_vl", "depth": 2, "hidden_size": 32, "intermediate_size": 64,
            "out_hidden_size": 64, "num_heads": 2, "patch_size": 14, "in_channels": 3, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "spatial_patch_size": 14, "tokens_per_second": 2, "window_size": 56,
            "fullatt_block_indexes": [1],
        },
    },
    preprocessor=dict(_QWEN2.preprocessor) | {"processor_class": "Qwen2_5_VLProcessor"},
)  # fmt: skip
_QWEN3: Final = Seeing(
    vocabulary=_QWEN_VOCABULARY,
    config=_QWEN_TOKENS
    | {
        "model_type": "qwen3_vl",
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "tie_word_embeddings": False,
        "text_config": _DENSE
        | {
            "model_type": "qwen3_vl_text",
            "num_hidden_layers": 3,
            "head_dim": 16,
            "rope_theta": 5e6,
            "rope_scaling": {
                "rope_type": "default",
                "mrope_section": [2, 3, 3],
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": False,
        },
        "vision_config": _QWEN3_EYES
        | {"model_type": "qwen3_vl", "deepstack_visual_indexes": [0, 1]},
    },
    preprocessor=_QWEN3_PREPROCESSOR,
)
_QWEN3_5: Final = Seeing(
    vocabulary=_QWEN_VOCABULARY,
    config=_QWEN_TOKENS
    | {
        "model_type": "qwen3_5",
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "tie_word_embeddings": False,
        "text_config": _DENSE
        | {
            "model_type": "qwen3_5_text",
            "num_hidden_layers": 4,
            "head_dim": 16,
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 32,
            "linear_conv_kernel_dim": 4,
            "full_attention_interval": 4,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e7, "partial_rotary_factor": 0.5,
                "mrope_interleaved": True,
            },
            "tie_word_embeddings": False,
        },
        "vision_config": _QWEN3_EYES | {"model_type": "qwen3_5", "depth": 2, "deepstack_visual_indexes": []},
    },
    preprocessor=_QWEN3_PREPROCESSOR,
)  # fmt: skip
_GEMMA: Final = Seeing(
    tied=True,
    vocabulary=Vocabulary(
        special=(
            "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
            "<image_soft_token>",
        ),
        added=(),
        template=GEMMA_SEEING,
        bos="<bos>",
        eos="<eos>",
        pad="<pad>",
    ),
    named={
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    },
    config={
        "model_type": "gemma3",
        "architectures": ["Gemma3ForConditionalGeneration"],
        "image_token_index": "<image_soft_token>",
        "boi_token_index": "<start_of_image>",
        "eoi_token_index": "<end_of_image>",
        "eos_token_id": ["<eos>", "<end_of_turn>"],
        "pad_token_id": "<pad>",
        "vocab_size": 0,
        "mm_tokens_per_image": 4,
        "hidden_size": 64,
        "text_config": _DENSE
        | {
            "model_type": "gemma3_text",
            "num_hidden_layers": 6,
            "head_dim": 16,
            "sliding_window": 16,
            "sliding_window_pattern": 3,
            "query_pre_attn_scalar": 16,
            "mm_tokens_per_image": 4,
        },
        "vision_config": {
            "model_type": "siglip_vision_model", "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64,
            "num_attention_heads": 2, "patch_size": 14, "image_size": 56,
        },
    },
    preprocessor={
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "do_resize": True,
        "size": {"height": 56, "width": 56},
        "do_normalize": True,
        "image_mean": _HALF,
        "image_std": _HALF,
        "image_seq_length": 4,
        "do_pan_and_scan": None,
    },
    processor={"image_seq_length": 4, "processor_class": "Gemma3Processor"},
)  # fmt: skip
_SMOL_TOKENS: Final = tuple(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2))
_SMOLVLM: Final = Seeing(
    vocabulary=Vocabulary(
        special=(
            "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<image>",
            "<fake_token_around_image>", "<global-img>", *_SMOL_TOKENS,
        ),
        added=(),
        template=SMOLVLM,
        bos="<|im_start|>",
        eos="<end_of_utterance>",
        pad="<|im_end|>",
    ),
    named={
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    },
    config={
        "model_type": "smolvlm",
        "architectures": ["SmolVLMForConditionalGeneration"],
        "image_token_id": "<image>",
        "vocab_size": 0,
        "scale_factor": 2,
        "eos_token_id": ["<end_of_utterance>"],
        "pad_token_id": "<|im_end|>",
        "text_config": _DENSE
        | {"model_type": "llama", "num_hidden_layers": 2, "rope_theta": 1e5, "tie_word_embeddings": False},
        "vision_config": {
            "model_type": "smolvlm_vision", "hidden_size": 32, "num_attention_heads": 2, "patch_size": 8,
            "num_hidden_layers": 2, "intermediate_size": 64, "image_size": 64,
        },
    },
    preprocessor={
        "image_processor_type": "SmolVLMImageProcessor",
        "processor_class": "SmolVLMProcessor",
        "do_resize": True,
        "size": {"longest_edge": 64},
        "do_image_splitting": False,
        "max_image_size": {"longest_edge": 64},
        "do_normalize": True,
        "image_mean": _HALF,
        "image_std": _HALF,
        "do_pad": True,
        "do_rescale": True,
        "do_convert_rgb": True,
    },
    processor={"image_seq_len": 16, "processor_class": "SmolVLMProcessor"},
)  # fmt: skip
_LFM_PREPROCESSOR: Final[dict[str, Any]] = {
    "image_processor_type": "Lfm2VlImageProcessorFast",
    "tile_size": 64,
    "downsample_factor": 2,
    "encoder_patch_size": 16,
    "min_image_tokens": 4,
    "max_image_tokens": 16,
    "max_num_patches": 64,
    "do_image_splitting": False,
    "image_mean": _HALF,
    "image_std": _HALF,
}
_LFM2: Final = Seeing(
    tied=True,
    vocabulary=replace(
        chatml(
            QWEN,
            ("<|startoftext|>", "<image>", "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"),
            "<image>",
        ),
        bos="<|startoftext|>",
    ),
    named={
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
    },
    config={
        "model_type": "lfm2_vl",
        "architectures": ["Lfm2VlForConditionalGeneration"],
        "image_token_id": "<image>",
        "eos_token_id": "<|im_end|>",
        "downsample_factor": 2,
        "encoder_patch_size": 16,
        "min_image_tokens": 4,
        "max_image_tokens": 16,
        "max_num_patches": 64,
        "do_image_splitting": False,
        "tile_size": 64,
        "projector_hidden_size": 64,
        "text_config": {
            "model_type": "lfm2", "hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 128,
            "block_ff_dim": 128, "block_auto_adjust_ff_dim": False, "num_attention_heads": 4, "num_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 0, "conv_L_cache": 3, "conv_dim": 64, "conv_dim_out": 64,
            "block_dim": 64, "layer_types": ["conv", "full_attention", "conv", "full_attention"], "norm_eps": 1e-5,
            "max_position_embeddings": CONTEXT,
        },
        "vision_config": {
            "model_type": "siglip2_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "patch_size": 16, "num_patches": 16,
        },
    },
    preprocessor=_LFM_PREPROCESSOR | {"processor_class": "Lfm2VlProcessor"},
    processor={
        "processor_class": "Lfm2VlProcessor",
        "image_processor": _LFM_PREPROCESSOR | {"min_tiles": 2, "max_tiles": 4, "use_thumbnail": False},
    },
)  # fmt: skip
SEEING: Final = {
    "qwen2_vl": _QWEN2,
    "qwen2_5_vl": _QWEN2_5,
    "qwen3_vl": _QWEN3,
    "qwen3_5": _QWEN3_5,
    "gemma3_vl": _GEMMA,
    "smolvlm": _SMOLVLM,
    "lfm2_vl": _LFM2,
}


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write a model folder; `overrides` are keys of config.json."""
    build(SEEING[kind], folder, list(SAMPLES) * 20, seed, overrides)
