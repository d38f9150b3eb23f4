"""Mend what mlx-vlm 0.7 computes otherwise than the networks were trained; each is named with what it changed.

tests/integration/test_embedding_vectors.py compares with vectors that torch made, and fails where a correction is no
longer needed or no longer enough.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx.nn.layers import activations
from mlx_vlm.models.gemma3.language import TransformerBlock


def exact_gelu(model: Any) -> None:
    """Let ModernBERT's layers use the exact GELU instead of its approximation (2e-4 in a tiny model's vectors)."""
    for part in (*(layer.mlp for layer in model.layers), getattr(model, "head", None)):
        if part is not None:
            part.act = activations.gelu


class WindowedBlock(TransformerBlock):  # type: ignore[misc]  # mlx-vlm has no types
    """Be a layer that sees `reach - 1` tokens to either side."""

    def __call__(self, x: mx.array, mask: mx.array, cache: Any = None) -> Any:
        """Run the layer; `mask` is added to the scores, of shape (rows, 1, tokens, tokens)."""
        tokens = x.shape[1]
        if tokens > self.reach:
            places = np.arange(tokens)
            far = mx.array(np.abs(places[:, None] - places[None, :]) >= self.reach)
            # Not minus infinity: a row of padding would have nothing to attend to, and give NaN to all.
            mask = mx.where(far, mx.array(mx.finfo(mask.dtype).min, mask.dtype), mask)
        return super().__call__(x, mask, cache)


def gemma_as_trained(model: Any) -> None:
    """Let Gemma's encoder look within its windows (5e-2 on texts longer than half of one), and scale in its own type.

    The library lets every layer see the whole text, and rounds a factor to bfloat16 whatever the weights are in.
    """
    inner = model.model
    pattern = inner.sliding_window_pattern
    for number, layer in enumerate(inner.layers):
        if number % pattern != pattern - 1:
            layer.__class__ = WindowedBlock
            layer.reach = inner.window_size // 2 + 1
    inner.scale_inputs_embeds = False
    inner.embed_tokens.__class__ = _scaled(type(inner.embed_tokens), model.config.hidden_size**0.5)


def _scaled(kind: type[Any], factor: float) -> type[Any]:
    """Return the embedding's class with its output multiplied, plain and quantized alike."""

    class Scaled(kind):  # type: ignore[misc]  # whichever of the two it is
        def __call__(self, x: mx.array) -> mx.array:
            found: mx.array = super().__call__(x)
            return found * mx.array(factor, found.dtype)

    return Scaled


_CORRECTIONS: Final[Mapping[str, Callable[[Any], None]]] = {
    "gemma3_text": gemma_as_trained,
    "modernbert": exact_gelu,
}


def correct(model: Any, config: Mapping[str, Any]) -> None:
    """Mend a loaded model in place."""
    mend = _CORRECTIONS.get(str(config.get("model_type")))
    if mend is not None:
        mend(model)
