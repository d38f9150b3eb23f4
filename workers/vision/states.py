"""Give the language half of a vision model caches of mlx-lm's, which the engine and the prompt cache understand.

mlx-vlm has classes of its own for the same buffers, under the same names; what its models call and mlx-lm's lack is
added here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models import cache as mlx_lm

from mlxd.workers.prompt_cache import caches


class UnknownState(Exception):
    """Report a cache that mlx-lm has no equal of."""


class Windows(mlx_lm.ArraysCache):  # type: ignore[misc]
    """Hold recurrent states, and keep them the way mlx-vlm's linear layers ask for."""

    metadata_revision = 0
    history_capacity = 0

    def update_window(
        self, index: int, source: mx.array, width: int, *, lengths: mx.array | None = None
    ) -> mx.array:
        """Keep the last columns before each row's end."""
        length = source.shape[1] - width
        if lengths is None:
            state = mx.contiguous(source[:, length : length + width])
        else:
            places = mx.clip(lengths, 0, length)[:, None] + mx.arange(width)
            places = places.reshape(*places.shape, *([1] * (source.ndim - 2)))
            state = mx.take_along_axis(source, places, axis=1)
        self[index] = state
        return state

    def update_recurrent(
        self, index: int, length: int, update: Callable[[Any, Any], Sequence[Any]]
    ) -> tuple[Any, Any]:
        """Run a state transition and keep the state it ends in."""
        output, state = update(self[index], None)[:2]
        self[index] = state
        return output, state

    @classmethod
    def merge(cls, caches: Sequence["Windows"]) -> "Windows":
        """Return the states of several rows; a padding of zeros would keep the layers from looking at the lengths."""
        merged: Windows = super().merge(caches)
        merged.left_padding = None
        return merged

    def extract(self, idx: int) -> "Windows":
        """Return the states of one row."""
        own = Windows(len(self.cache))
        own.cache = [None if state is None else state[idx : idx + 1] for state in self.cache]
        return own


caches.LEAVES[Windows.__name__] = Windows


def adopted(cache: Sequence[Any]) -> list[Any]:
    """Return an empty cache of mlx-lm's for one of mlx-vlm's; raises UnknownState where there is no equal."""
    return [_equal(entry) for entry in cache]


def _equal(entry: Any) -> Any:
    match type(entry).__name__:
        case "KVCache" | "SimpleKVCache":
            return mlx_lm.KVCache()
        case "RotatingKVCache":
            return mlx_lm.RotatingKVCache(max_size=entry.max_size, keep=entry.keep)
        case "ArraysCache":
            return Windows(len(entry.cache))
        case "ChunkedKVCache":
            return mlx_lm.ChunkedKVCache(entry.chunk_size)
        case "CacheList":
            return mlx_lm.CacheList(*adopted(entry.caches))
        case name:
            raise UnknownState(f"its layers keep their state in a {name}, which is not known here")
