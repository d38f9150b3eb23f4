"""Cut, copy, measure and rebuild the cache objects of mlx-lm; nothing else here knows their insides.

A prompt cache is a list with one object a layer; some layers hold several (`CacheList`). The parts that hold state
themselves are called leaves. A leaf is sliceable when the state after fewer tokens can be read off it.
Everything returned shares buffers with what was given until one of them is written to: an array of MLX is copied when
it is written while shared, but only if the Python objects differ, so no array object is ever passed on as it is.
Runs on the engine thread only.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models import cache as _mlx_lm

Leaf: TypeAlias = Any
Cache: TypeAlias = list[Any]
Shape: TypeAlias = tuple["Shape | None", ...]
"""Where the leaves stand in a cache: None for a leaf, a tuple for a list of caches."""

LEAVES: Final[dict[str, type]] = {
    name: getattr(_mlx_lm, name)
    for name in (
        "ArraysCache",
        "ChunkedKVCache",
        "ConcatenateKVCache",
        "KVCache",
        "QuantizedKVCache",
        "RotatingKVCache",
    )
}
"""The only classes ever built by name."""

UNLIMITED: Final = sys.maxsize

SLACK: Final = 16 << 10
"""`mx.contiguous` leaves an array in a buffer that is larger by up to so many bytes: too much for a small array."""


def unfold(cache: Sequence[Any]) -> tuple[Shape, list[Leaf]]:
    """Return where the leaves stand, and the leaves."""
    shape: list[Shape | None] = []
    leaves: list[Leaf] = []
    for layer in cache:
        if type(layer) is _mlx_lm.CacheList:
            inner, below = unfold(layer.caches)
            shape.append(inner)
            leaves += below
        else:
            shape.append(None)
            leaves.append(layer)
    return tuple(shape), leaves


def fold(shape: Shape, leaves: Sequence[Leaf]) -> Cache:
    """Return the cache that has these leaves in these places."""
    rest = iter(leaves)

    def build(shape: Shape) -> Cache:
        return [
            next(rest) if inner is None else _mlx_lm.CacheList(*build(inner)) for inner in shape
        ]

    return build(shape)


def known(leaf: Leaf) -> bool:
    """Tell whether this leaf is of a class that is understood here."""
    return LEAVES.get(type(leaf).__name__) is type(leaf)


def covered(leaf: Leaf) -> int | None:
    """Return how many tokens went into a leaf, None where it does not count them."""
    if leaf.empty() or isinstance(leaf, _mlx_lm.ArraysCache):
        return None
    if isinstance(leaf, _mlx_lm.ConcatenateKVCache):
        return int(leaf.keys.shape[-2])
    return int(leaf.offset)


def sliceable(leaf: Leaf) -> bool:
    """Tell whether the state after any fewer tokens can be cut from this leaf."""
    if leaf.empty():
        return not isinstance(leaf, _mlx_lm.ArraysCache)
    if isinstance(leaf, _mlx_lm.RotatingKVCache):
        straight = leaf._idx == leaf.offset <= leaf.keys.shape[-2]
        return bool(straight and leaf.offset < leaf.max_size)
    if isinstance(leaf, _mlx_lm.ChunkedKVCache):
        return bool(leaf.start_position == 0)
    return not isinstance(leaf, _mlx_lm.ArraysCache)


def trim_limit(cache: Sequence[Any]) -> int:
    """Return up to how many tokens the states of such a cache stay trimmable; 0: never."""

    def limit(leaf: Leaf) -> int:
        if isinstance(leaf, _mlx_lm.RotatingKVCache):
            return int(leaf.max_size) - 1
        if isinstance(leaf, _mlx_lm.ChunkedKVCache):
            return int(leaf.chunk_size)
        return UNLIMITED if known(leaf) and not isinstance(leaf, _mlx_lm.ArraysCache) else 0

    return min(map(limit, unfold(cache)[1]), default=0)


def cut(leaf: Leaf, tokens: int) -> Leaf:
    """Return a sliceable leaf as it was after so many tokens."""
    if leaf.empty():
        return share(leaf)
    state = tree_map(lambda part: _first(part, tokens), leaf.state)
    if isinstance(leaf, _mlx_lm.KVCache):
        state = (*state[:2], tokens)
    elif isinstance(leaf, _mlx_lm.QuantizedKVCache | _mlx_lm.ChunkedKVCache):
        state = (*state[:2], tokens, *state[3:])
    elif isinstance(leaf, _mlx_lm.RotatingKVCache):
        state = (*state[:2], tokens, *state[3:5], tokens)
    return type(leaf).from_state(state)


def share(leaf: Leaf) -> Leaf:
    """Return the same state in objects of its own."""
    return _mapped(leaf, lambda array: array[...])


def tight(leaf: Leaf) -> Leaf:
    """Return the same state without room for more: what it counts, and no more than its window."""
    tokens = covered(leaf)
    if tokens is not None and sliceable(leaf):
        return cut(leaf, tokens)
    if isinstance(leaf, _mlx_lm.RotatingKVCache) and not leaf.empty():
        length = min(leaf.offset, leaf.max_size)
        ordered = (
            _newest(leaf._temporal_order(kept), length, leaf.keep)
            for kept in (leaf.keys, leaf.values)
        )
        state = (*ordered, leaf.offset, leaf.keep, leaf.max_size, length)
        return type(leaf).from_state(state)
    return share(leaf)


def _newest(ordered: mx.array, length: int, keep: int) -> mx.array:
    """Return so many columns: the first `keep`, and the last ones."""
    if not keep or ordered.shape[-2] <= length:
        return ordered[..., -length:, :]
    return mx.concatenate([ordered[..., :keep, :], ordered[..., keep - length :, :]], axis=-2)


def own(leaf: Leaf) -> Leaf:
    """Return the same state in buffers of the right size, once they are computed."""
    return _mapped(leaf, _fitted)


def nbytes(leaf: Leaf) -> int:
    """Return the size of a leaf's arrays."""
    return sum(array.nbytes for array in arrays(leaf))


def arrays(leaf: Leaf) -> list[mx.array]:
    """Return a leaf's arrays in a fixed order."""
    found: list[mx.array] = []
    _outlined(leaf.state, found.append)
    return found


def start(leaves: Sequence[Leaf]) -> None:
    """Begin to compute the arrays of the leaves; does not wait."""
    mx.async_eval([arrays(leaf) for leaf in leaves])  # type: ignore[no-untyped-call]


def outline(leaf: Leaf) -> list[Any]:
    """Return a leaf's class and state as JSON can hold it, with each array's number in its place."""
    number = iter(range(sys.maxsize))
    return [type(leaf).__name__, _outlined(leaf.state, lambda _: {"array": next(number)})]


def restore(outline: list[Any], arrays: Sequence[mx.array]) -> Leaf:
    """Return the leaf of this outline with these arrays."""
    leaf_class: Any = LEAVES[outline[0]]
    return leaf_class.from_state(_restored(outline[1], arrays))


def _mapped(leaf: Leaf, change: Callable[[mx.array], mx.array]) -> Leaf:
    def each(part: Any) -> Any:
        return change(part) if isinstance(part, mx.array) else part

    return type(leaf).from_state(tree_map(each, leaf.state))


def _fitted(array: mx.array) -> mx.array:
    if array.nbytes >= SLACK * 64 or not array.ndim:
        return mx.contiguous(array)
    # A concatenation always fills a buffer of its own.
    return mx.concatenate([array, array[:0]])


def _first(part: Any, tokens: int) -> Any:
    return part[..., :tokens, :] if isinstance(part, mx.array) else part


def _outlined(part: Any, number: Callable[[mx.array], Any]) -> Any:
    if isinstance(part, mx.array):
        return number(part)
    if isinstance(part, list | tuple):
        return [_outlined(inner, number) for inner in part]
    if part is None or isinstance(part, bool | int | float | str):
        return part
    raise TypeError(f"a cache holds a {type(part).__name__}, which cannot be written")


def _restored(part: Any, arrays: Sequence[mx.array]) -> Any:
    if isinstance(part, dict):
        return arrays[part["array"]]
    if isinstance(part, list):
        return [_restored(inner, arrays) for inner in part]
    return part
