"""The model families of which `make-model` knows a tiny member."""

from dataclasses import dataclass
from typing import Any, Final

from models.other_kinds import WRITERS
from models.templates import CHATML, GEMMA, HARMONY, LLAMA3
from models.tokenizer import Vocabulary

QWEN: Final = Vocabulary(
    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    added=(
        "<tool_call>",
        "</tool_call>",
        "<tool_response>",
        "</tool_response>",
        "<think>",
        "</think>",
    ),
    template=CHATML,
    bos=None,
    eos="<|im_end|>",
    pad="<|endoftext|>",
    stops=("<|endoftext|>",),
)
_LLAMA: Final = Vocabulary(
    special=(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ),
    added=(),
    template=LLAMA3,
    bos="<|begin_of_text|>",
    eos="<|eot_id|>",
    stops=("<|end_of_text|>",),
)
_GEMMA: Final = Vocabulary(
    special=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
    added=(),
    template=GEMMA,
    bos="<bos>",
    eos="<end_of_turn>",
    pad="<pad>",
    stops=("<eos>",),
)
_HARMONY: Final = Vocabulary(
    special=(
        "<|startoftext|>",
        "<|endoftext|>",
        "<|return|>",
        "<|constrain|>",
        "<|channel|>",
        "<|start|>",
        "<|end|>",
        "<|message|>",
        "<|call|>",
    ),
    added=(),
    template=HARMONY,
    bos="<|startoftext|>",
    eos="<|return|>",
    pad="<|endoftext|>",
    stops=("<|call|>", "<|endoftext|>"),
)
_DENSE: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One family: its tokens, its configuration, and a layer pattern where it has one."""

    vocabulary: Vocabulary
    config: dict[str, Any]
    layer_pattern: tuple[str, ...] = ()


KINDS: Final[dict[str, Kind]] = {
    "qwen3": Kind(
        QWEN,
        _DENSE
        | {
            "model_type": "qwen3",
            "architectures": ["Qwen3ForCausalLM"],
            "rope_theta": 1e6,
            "attention_bias": False,
            "hidden_act": "silu",
        },
    ),
    "llama": Kind(
        _LLAMA,
        _DENSE
        | {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "rope_theta": 5e5,
            "hidden_act": "silu",
        },
    ),
    "gemma3": Kind(
        _GEMMA,
        _DENSE
        | {
            "model_type": "gemma3_text",
            "architectures": ["Gemma3ForCausalLM"],
            "num_hidden_layers": 4,
            "sliding_window": 64,
            "sliding_window_pattern": 2,
            "rope_theta": 1e6,
            "rope_local_base_freq": 1e4,
            "query_pre_attn_scalar": 16,
        },
    ),
    "gpt_oss": Kind(
        _HARMONY,
        _DENSE
        | {
            "model_type": "gpt_oss",
            "architectures": ["GptOssForCausalLM"],
            "intermediate_size": 64,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 64,
            "rope_theta": 150000,
            "max_position_embeddings": 131072,
        },
        ("sliding_attention", "full_attention"),
    ),
    "qwen3_next": Kind(
        QWEN,
        _DENSE
        | {
            "model_type": "qwen3_next",
            "architectures": ["Qwen3NextForCausalLM"],
            "num_hidden_layers": 4,
            "full_attention_interval": 2,
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "linear_conv_kernel_dim": 4,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 1,
            "shared_expert_intermediate_size": 32,
            "mlp_only_layers": [],
            "moe_intermediate_size": 32,
            "rope_theta": 1e6,
            "partial_rotary_factor": 0.5,
            "norm_topk_prob": True,
        },
    ),
    "falcon_h1": Kind(
        QWEN,
        _DENSE
        | {
            "model_type": "falcon_h1",
            "architectures": ["FalconH1ForCausalLM"],
            "mamba_d_conv": 4,
            "mamba_d_head": 16,
            "mamba_d_ssm": 64,
            "mamba_d_state": 32,
            "mamba_n_groups": 1,
            "mamba_n_heads": 4,
            "mamba_chunk_size": 32,
            "rope_theta": 1e6,
        },
    ),
    "lfm2": Kind(
        QWEN,
        {
            "model_type": "lfm2",
            "architectures": ["Lfm2ForCausalLM"],
            "hidden_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 32768,
            "norm_eps": 1e-5,
            "conv_bias": False,
            "conv_L_cache": 3,
            "block_dim": 64,
            "block_ff_dim": 128,
            "block_multiple_of": 32,
            "block_ffn_dim_multiplier": 1.0,
            "block_auto_adjust_ff_dim": False,
            "rope_theta": 1e6,
        },
        ("conv", "full_attention", "conv"),
    ),
    "mamba2": Kind(
        QWEN,
        {
            "model_type": "mamba2",
            "architectures": ["Mamba2ForCausalLM"],
            "num_heads": 8,
            "head_dim": 16,
            "hidden_size": 64,
            "intermediate_size": 128,
            "state_size": 32,
            "num_hidden_layers": 2,
            "layer_norm_epsilon": 1e-5,
            "conv_kernel": 4,
            "n_groups": 1,
            "use_bias": False,
            "use_conv_bias": True,
            "tie_word_embeddings": False,
            "time_step_limit": [0.0, 1e9],
            "time_step_rank": "auto",
        },
    ),
}
ALIASES: Final = {"hybrid": "qwen3_next"}


def kind_named(name: str) -> Kind:
    """Find a kind by name or alias."""
    name = ALIASES.get(name, name)
    if name not in KINDS:
        raise UnknownKind(name)
    return KINDS[name]


class UnknownKind(ValueError):
    """No kind has this name."""

    def __init__(self, name: str) -> None:
        known = ", ".join([*KINDS, *ALIASES, *WRITERS])
        super().__init__(f"unknown kind {name!r}; known kinds: {known}")
