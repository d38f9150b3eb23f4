"""Make prompt caches whose contents tell which tokens went into them, without a model."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, CacheList, KVCache, RotatingKVCache

WIDTH = 4
"""Values a token and head, the bytes of one attention state are 2 * WIDTH * 4 a token."""


def attention(tokens: Sequence[int]) -> list[Any]:
    """Return the state of a model with full attention."""
    return _fed([KVCache(), KVCache()], tokens)


def hybrid(tokens: Sequence[int]) -> list[Any]:
    """Return the state of a model with recurrent and attention layers, one of them both in one."""
    return _fed([ArraysCache(2), KVCache(), CacheList(ArraysCache(1), KVCache())], tokens)


def sliding(tokens: Sequence[int], window: int = 16) -> list[Any]:
    """Return the state of a model with a sliding window."""
    return _fed([RotatingKVCache(window), KVCache()], tokens)


def recurrent(tokens: Sequence[int]) -> list[Any]:
    """Return the state of a model without any attention."""
    return _fed([ArraysCache(2)], tokens)


def feed(cache: Sequence[Any], tokens: Sequence[int]) -> None:
    """Let the cache take in more tokens, in place, as a model would."""
    for layer in cache:
        if isinstance(layer, CacheList):
            feed(layer.caches, tokens)
        elif isinstance(layer, ArraysCache):
            for place, before in enumerate(layer.cache):
                layer[place] = _summed(before, tokens)
        elif tokens:
            values = mx.repeat(
                mx.array(list(tokens), mx.float32).reshape(1, 1, -1, 1), WIDTH, axis=3
            )
            layer.update_and_fetch(values, -values)


def contents(cache: Sequence[Any]) -> list[Any]:
    """Return what a cache says of its tokens: the ones it can still see, or a sum over all."""
    found: list[Any] = []
    for layer in cache:
        if isinstance(layer, CacheList):
            found.append(contents(layer.caches))
        elif isinstance(layer, ArraysCache):
            found.append([None if part is None else part.tolist() for part in layer.cache])
        elif layer.empty():
            found.append([])
        elif isinstance(layer, RotatingKVCache):
            # Between a prefill and the next token it holds more than its window.
            kept = layer._temporal_order(layer.keys)[0, 0, -layer.size() :, 0]
            found.append((layer.offset, kept.tolist()))
        else:
            keys, values = layer.keys_and_values()
            assert mx.array_equal(keys, -values)
            found.append(keys[0, 0, :, 0].tolist())
    return found


def _fed(cache: list[Any], tokens: Sequence[int]) -> list[Any]:
    feed(cache, tokens)
    return cache


def _summed(before: mx.array | None, tokens: Sequence[int]) -> mx.array:
    """Return a number that another sequence hardly has: order counts."""
    total: Any = 0 if before is None else before.reshape(-1)[0].item()
    for token in tokens:
        total = (total * 31 + token + 1) % 1_000_003
    return mx.full((1, 3, 2), int(total), mx.int32)
