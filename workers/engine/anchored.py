"""Keep a row's newest tokens and its first ones, so that each sees the same however its prompt is sliced."""

from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import RotatingKVCache

from mlxd.workers.prompt_cache import caches


class AnchoredKVCache(RotatingKVCache):  # type: ignore[misc]
    """Let tokens that are read together see the first ones as well, as those do that are read one by one.

    mlx-lm's own mask hides them from all but the beginning of a slice, so what a model says would depend on how many
    tokens the engine had time to read at once.
    """

    def make_mask(self, N: int, window_size: int | None = None, return_array: bool = False) -> Any:
        """Return which keys each of N tokens sees; "causal" where that is all before it."""
        if N == 1 or window_size is not None:
            return super().make_mask(N, window_size=window_size, return_array=return_array)
        offset = min(self.max_size - 1, self.offset)
        if offset + N <= self.max_size and not return_array:
            return "causal"
        keys, queries = mx.arange(offset + N), mx.arange(offset, offset + N)[:, None]
        newest = create_causal_mask(N, offset, window_size=self.max_size - self.keep)
        return newest | ((keys < self.keep) & (keys <= queries))


caches.LEAVES[AnchoredKVCache.__name__] = AnchoredKVCache
