"""Step the language half of a vision model the way the engine steps any model.

Positions are always given from here: models with two-dimensional positions otherwise remember those of the last
picture they saw, whoever sent it.
"""

from typing import Any

import mlx.core as mx
from mlx_vlm.models.cache import make_prompt_cache

from mlxd.workers.vision import states


class Language:
    """Be the model that the engine knows; runs on the engine thread."""

    def __init__(self, model: Any) -> None:
        self._model = model.language_model
        self._counts_in_planes = hasattr(self._model, "_rope_deltas")
        """Whether positions are three numbers each, which differ inside of a picture."""
        inner = getattr(self._model, "model", self._model)
        self.layers: list[Any] = inner.layers

    def make_cache(self) -> list[Any]:
        """Return the empty cache of one row."""
        return states.adopted(make_prompt_cache(self._model))

    def __call__(
        self, tokens: mx.array, *, cache: list[Any], shifts: mx.array | None = None
    ) -> mx.array:
        """Return the logits of tokens that are text; `shifts` moves the positions of each row."""
        extra = {}
        if self._counts_in_planes:
            extra["position_ids"] = _positions(tokens.shape, cache, shifts)
        return self._logits(self._model(tokens, cache=cache, **extra))

    def read(self, tokens: mx.array, cache: list[Any], **features: Any) -> None:
        """Read tokens of which pictures are a part."""
        self._model(tokens, cache=cache, **features)

    @staticmethod
    def _logits(output: Any) -> mx.array:
        logits: mx.array = getattr(output, "logits", output)
        return logits


def _positions(shape: tuple[int, ...], cache: list[Any], shifts: mx.array | None) -> mx.array:
    """Return three equal positions a token: text counts on from where its row is."""
    rows, width = shape
    offset = next((leaf.offset for leaf in cache if hasattr(leaf, "offset")), 0)
    start = mx.array(offset).reshape(-1)
    if shifts is not None:
        start = start + shifts
    positions = mx.broadcast_to(start, (rows,))[:, None] + mx.arange(width)[None]
    return mx.broadcast_to(positions[None], (3, rows, width))
