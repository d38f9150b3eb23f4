"""What is known of mlx-lm's cache objects; fails clearly when their insides move."""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.models import cache as mlx_lm_cache
from support import states

from mlxd.workers.prompt_cache import caches

LONG = list(range(1, 61))


def fed(leaf: Any, tokens: Sequence[int] = LONG) -> Any:
    """Let a leaf take in tokens; a quantised one needs at least a group of values each."""
    if isinstance(leaf, mlx_lm_cache.QuantizedKVCache):
        values = mx.repeat(mx.array(list(tokens), mx.float32).reshape(1, 1, -1, 1), 32, axis=3)
        leaf.update_and_fetch(values, -values)
    else:
        states.feed([leaf], tokens)
    return leaf


STRAIGHT: dict[str, Callable[[Sequence[int]], Any]] = {
    "KVCache": lambda tokens: fed(mlx_lm_cache.KVCache(), tokens),
    "ConcatenateKVCache": lambda tokens: fed(mlx_lm_cache.ConcatenateKVCache(), tokens),
    "RotatingKVCache": lambda tokens: fed(mlx_lm_cache.RotatingKVCache(100), tokens),
    "ChunkedKVCache": lambda tokens: fed(mlx_lm_cache.ChunkedKVCache(100), tokens),
    "QuantizedKVCache": lambda tokens: fed(mlx_lm_cache.QuantizedKVCache(32, 8), tokens),
}


def seen(leaf: Any) -> list[list[float]]:
    keys, values = leaf.keys_and_values()
    if isinstance(leaf, mlx_lm_cache.QuantizedKVCache):
        keys, values = (
            mx.dequantize(weights, scales, biases, group_size=32, bits=8)
            for weights, scales, biases in (keys, values)
        )
    return [keys[0, 0, :, 0].tolist(), values[0, 0, :, 0].tolist()]


@pytest.mark.parametrize("name", STRAIGHT)
def test_a_cut_state_is_the_state_after_fewer_tokens(name: str) -> None:
    leaf = STRAIGHT[name](LONG)
    assert caches.known(leaf) and caches.sliceable(leaf) and caches.covered(leaf) == len(LONG)
    for length in (1, 13, len(LONG)):
        cut = caches.cut(leaf, length)
        assert caches.covered(cut) == length
        assert seen(cut) == seen(STRAIGHT[name](LONG[:length]))


@pytest.mark.parametrize("name", STRAIGHT)
def test_what_is_shared_is_copied_when_it_is_written(name: str) -> None:
    leaf = STRAIGHT[name](LONG)
    before = seen(leaf)
    for other in (caches.cut(leaf, 20), caches.share(leaf)):
        fed(other, [99] * 300)
    assert seen(leaf) == before


@pytest.mark.parametrize("name", STRAIGHT)
def test_a_state_without_spare_room_has_the_size_of_its_tokens(name: str) -> None:
    tight = caches.tight(STRAIGHT[name](LONG[:11]))
    shapes = {array.shape[-2] for array in caches.arrays(tight)}
    assert shapes == {11}


def test_an_eleven_token_state_does_not_cost_256_tokens() -> None:
    leaf = mlx_lm_cache.KVCache()
    values = mx.ones((1, 8, 11, 64))
    leaf.update_and_fetch(values, values)
    mx.eval(leaf.keys, leaf.values)
    assert leaf.nbytes == 2 * 8 * 256 * 64 * 4
    base = mx.get_active_memory()
    small = caches.own(caches.tight(leaf))
    mx.eval(caches.arrays(small))
    del leaf, values
    grown = mx.get_active_memory() - base + 2 * 8 * 256 * 64 * 4
    assert caches.nbytes(small) == 2 * 8 * 11 * 64 * 4
    assert grown <= caches.nbytes(small) + 2 * 16_384  # what MLX lets an array's buffer be larger


def test_a_window_that_has_slid_cannot_be_cut_and_keeps_its_window_only() -> None:
    leaf = fed(mlx_lm_cache.RotatingKVCache(16))
    assert not caches.sliceable(leaf)
    tight = caches.tight(leaf)
    assert tight.keys.shape[-2] == 16 and tight.offset == len(LONG)
    assert states.contents([tight]) == states.contents([leaf])


def test_a_slid_window_goes_on_alike_after_it_was_made_tight() -> None:
    leaf = fed(mlx_lm_cache.RotatingKVCache(16))
    tight = caches.tight(leaf)
    for token in range(70, 110):
        states.feed([leaf, tight], [token])
        assert sorted(seen(leaf)[0]) == sorted(seen(tight)[0])
        assert leaf.offset == tight.offset
    states.feed([leaf, tight], LONG)
    assert seen(leaf) == seen(tight)


def test_a_window_is_not_cut_where_rotation_has_begun() -> None:
    leaf = fed(mlx_lm_cache.RotatingKVCache(16), LONG[:15])
    assert caches.sliceable(leaf)
    states.feed([leaf], [1])
    assert not caches.sliceable(leaf)


def test_a_chunk_that_lost_its_front_cannot_be_cut() -> None:
    leaf = fed(mlx_lm_cache.ChunkedKVCache(16))
    leaf.maybe_trim_front()
    assert not caches.sliceable(leaf)


def test_a_recurrent_state_cannot_be_cut_and_counts_no_tokens() -> None:
    (leaf,) = states.recurrent(LONG)
    assert not caches.sliceable(leaf) and caches.covered(leaf) is None
    copy = caches.share(leaf)
    states.feed([copy], [5])
    assert states.contents([leaf]) == states.contents(states.recurrent(LONG))


def test_a_class_from_elsewhere_is_not_known() -> None:
    class KVCache(mlx_lm_cache.KVCache):  # type: ignore[misc]
        """Might hold more than its parent."""

    assert not caches.known(KVCache())
    assert not caches.known(mlx_lm_cache.BatchKVCache([0]))


@pytest.mark.parametrize("make", [states.attention, states.hybrid, states.sliding])
def test_a_cache_comes_apart_and_together(make: Callable[[Sequence[int]], list[Any]]) -> None:
    cache = make(LONG)
    shape, leaves = caches.unfold(cache)
    again = caches.fold(shape, leaves)
    assert [type(layer) for layer in again] == [type(layer) for layer in cache]
    assert states.contents(again) == states.contents(cache)


@pytest.mark.parametrize("make", [states.attention, states.hybrid, states.sliding])
def test_a_leaf_comes_back_from_its_outline(make: Callable[[Sequence[int]], list[Any]]) -> None:
    shape, leaves = caches.unfold(make(LONG))
    back = [caches.restore(caches.outline(leaf), caches.arrays(leaf)) for leaf in leaves]
    assert states.contents(caches.fold(shape, back)) == states.contents(make(LONG))


def test_how_long_states_stay_trimmable_is_known_before_there_is_one() -> None:
    assert caches.trim_limit(states.attention([])) == caches.UNLIMITED
    assert caches.trim_limit(states.sliding([], window=16)) == 15
    assert caches.trim_limit(states.hybrid([])) == 0
    assert caches.trim_limit([object()]) == 0


def test_mlx_lm_still_has_the_parts_this_relies_on() -> None:
    """A new release that moves them must fail here, not in a conversation."""
    expected = {
        "KVCache": 3,
        "QuantizedKVCache": 5,
        "RotatingKVCache": 6,
        "ChunkedKVCache": 5,
        "ConcatenateKVCache": 2,
    }
    for name, parts in expected.items():
        assert len(STRAIGHT[name](LONG).state) == parts, name
    keys, _, offset, keep, size, index = STRAIGHT["RotatingKVCache"](LONG).state
    assert (keys.ndim, offset, keep, size, index) == (4, 60, 0, 100, 60)
    slots, padding, lengths = states.recurrent(LONG)[0].state
    assert (len(slots), padding, lengths) == (2, None, None)
    public = {
        name
        for name in vars(mlx_lm_cache)
        if name.endswith(("Cache", "CacheList")) and not name.startswith(("_", "Batch", "LRU"))
    }
    known = {
        name for name, leaf in caches.LEAVES.items() if leaf.__module__ == mlx_lm_cache.__name__
    }
    assert public == {*known, "CacheList"}, "a class of mlx-lm that nobody has looked at"
