"""What a token takes in the cache, from the numbers that real folders state."""

import pytest

from mlxd.config.kv_cache import bytes_per_token, in_memory
from mlxd.protocol.generation import KvCache

QWEN3_8B = {
    "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "hidden_size": 4096,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (QWEN3_8B, 36 * 2 * 8 * 128 * 2),
        ({"text_config": QWEN3_8B, "num_hidden_layers": 1}, 36 * 2 * 8 * 128 * 2),
        # without grouped heads, and without a width of its own for each
        ({"n_layer": 12, "n_head": 12, "n_embd": 768}, 12 * 2 * 768 * 2),
        # DeepSeek-V3 keeps a compressed pair
        ({"num_hidden_layers": 61, "num_attention_heads": 128, "hidden_size": 7168, "kv_lora_rank": 512,
          "qk_rope_head_dim": 64}, 61 * 576 * 2),
        # one layer in four attends to everything
        (QWEN3_8B | {"layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 9},
         9 * 2 * 8 * 128 * 2),
        (QWEN3_8B | {"layer_types": "full_attention"}, 36 * 2 * 8 * 128 * 2),
        ({}, None),
        ({"num_hidden_layers": 36}, None),
        ({"num_attention_heads": 32, "hidden_size": 4096}, None),
        (QWEN3_8B | {"num_hidden_layers": True}, None),
        (QWEN3_8B | {"num_hidden_layers": "36"}, None),
        (QWEN3_8B | {"num_hidden_layers": 2**31, "head_dim": 2**31}, None),
        ({"text_config": "x"}, None),
    ],
)  # fmt: skip
def test_what_a_token_takes(config: dict[str, object], size: int | None) -> None:
    assert bytes_per_token(config) == size


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (None, 1024),
        (KvCache(max_tokens=64), 1024),
        (KvCache(bits=8), 512 + 32),
        (KvCache(bits=4), 256 + 32),
        (KvCache(bits=8, group_size=32), 512 + 64),
        (KvCache(bits=4, group_size=128), 256 + 16),
    ],
)
def test_what_it_takes_where_the_cache_is_quantized(options: KvCache | None, size: int) -> None:
    resolved = options.resolved() if options is not None else None
    assert in_memory(1024, resolved) == size
    assert in_memory(None, resolved) is None
