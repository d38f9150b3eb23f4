"""Read from config.json what one token of a conversation takes in a model's cache."""

import math
from collections.abc import Mapping

from mlxd.protocol.generation import KvCache

_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
_BYTES = 2
"""Caches are of 16 bits, whatever the weights were quantized to."""
_MOST = 1 << 30
"""Bytes per token beyond which the numbers are no model's."""


def bytes_per_token(config: Mapping[str, object]) -> int | None:
    """Return keys and values of all layers that may attend to everything, None where config.json does not say.

    Layers with a window or a state of fixed size are counted only as far as config.json names their kinds, so this is
    rather too much than too little.
    """
    for key in _NESTED:
        inner = config.get(key)
        if isinstance(inner, Mapping) and (found := bytes_per_token(inner)) is not None:
            return found
    layers = _attending(config)
    width = _latent(config) or _heads(config)
    if layers is None or width is None:
        return None
    size = layers * width * _BYTES
    return size if size <= _MOST else None


def in_memory(per_token: int | None, options: KvCache | None) -> int | None:
    """Return what a token takes where the cache is quantized: the numbers, and a scale and a bias of each group."""
    if per_token is None or options is None or not options.bits or not options.group_size:
        return per_token
    share = options.bits / 8 / _BYTES + 2 / options.group_size
    return math.ceil(per_token * share)


def _attending(config: Mapping[str, object]) -> int | None:
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and "full_attention" in kinds:
        return kinds.count("full_attention")
    return _first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")


def _latent(config: Mapping[str, object]) -> int | None:
    """Return the numbers per layer of a model that keeps keys and values compressed."""
    rank = _first(config, "kv_lora_rank")
    return None if rank is None else rank + (_first(config, "qk_rope_head_dim") or 0)


def _heads(config: Mapping[str, object]) -> int | None:
    queries = _first(config, "num_attention_heads", "n_head", "n_heads", "num_heads")
    shared = _first(config, "num_key_value_heads", "multi_query_group_num", "n_kv_heads")
    hidden = _first(config, "hidden_size", "n_embd", "d_model", "dim")
    size = _first(config, "head_dim")
    if size is None and hidden is not None and queries is not None:
        size = hidden // queries
    heads = shared or queries
    return None if heads is None or size is None else 2 * heads * size


def _first(config: Mapping[str, object], *keys: str) -> int | None:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 32:
            return value
    return None
