"""What engine/batch.py and limits.py rely on in mlx-lm; a failure here says that mlx-lm has moved."""

import inspect
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models import cache

from mlxd.protocol.generation import KvCache
from mlxd.workers.engine import batch, kv_options

BATCHES = {cache.KVCache: cache.BatchKVCache, cache.RotatingKVCache: cache.BatchRotatingKVCache}


@pytest.mark.parametrize(
    "single", [cache.KVCache, cache.RotatingKVCache, cache.ArraysCache, cache.CacheList]
)
def test_single_caches_become_batches_by_merge(single: type) -> None:
    assert list(inspect.signature(single.merge).parameters) == ["caches"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "batched",
    [cache.BatchKVCache, cache.BatchRotatingKVCache, cache.ArraysCache, cache.CacheList],
)
def test_batches_have_all_the_methods_a_batch_needs(batched: type) -> None:
    for name in ("filter", "extend", "extract", "prepare", "finalize", "state", "nbytes"):
        assert hasattr(batched, name), f"mlx-lm: {batched.__name__}.{name} is gone"
    parameters = inspect.signature(batched.prepare).parameters  # type: ignore[attr-defined]
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert takes_all or {"lengths", "right_padding"} <= set(parameters)


@pytest.mark.parametrize("unable", ["QuantizedKVCache", "ChunkedKVCache", "ConcatenateKVCache"])
def test_caches_without_merge_run_one_at_a_time(unable: str) -> None:
    made = getattr(cache, unable)
    assert not batch.can_batch([made(64) if unable == "ChunkedKVCache" else made()])


def test_a_rotating_cache_that_keeps_its_first_tokens_runs_one_at_a_time() -> None:
    assert not batch.can_batch([cache.RotatingKVCache(max_size=8, keep=4)])
    assert batch.can_batch([cache.RotatingKVCache(max_size=8)])
    assert not batch.can_batch([cache.CacheList(cache.KVCache(), cache.QuantizedKVCache())])


def test_the_shape_of_a_cache_is_read_off_its_arrays() -> None:
    plain, window, state = cache.KVCache(), cache.RotatingKVCache(max_size=16), cache.ArraysCache(1)
    for entry in (plain, window):
        entry.update_and_fetch(mx.zeros((1, 2, 1, 8)), mx.zeros((1, 2, 1, 4)))
    state[0] = mx.zeros((1, 5))
    shape = batch.cache_shape([cache.CacheList(plain, state), window])
    assert shape.fixed == 5 * 4
    assert shape.growing == ((2 * 12 * 4, None), (2 * 12 * 4, 16))


def test_a_model_that_makes_caches_is_asked_for_them() -> None:
    class Model:
        layers = [None, None]

    model: Any = Model()
    kv_options.apply(model, KvCache(bits=8).resolved())
    assert [type(entry) for entry in batch.new_cache(model)] == [cache.QuantizedKVCache] * 2


def test_the_shape_of_a_quantized_cache_counts_scales_and_biases() -> None:
    entry = cache.QuantizedKVCache(group_size=32, bits=4)
    entry.update_and_fetch(mx.zeros((1, 2, 1, 64)), mx.zeros((1, 2, 1, 32)))
    # Half a byte a number, and two numbers of 4 bytes a group.
    assert batch.cache_shape([entry]).growing == ((2 * (96 // 2 + 3 * 8), None),)
