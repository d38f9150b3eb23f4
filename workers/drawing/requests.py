"""Write what a caller asked for as mlx-vlm's pipelines want it, and take the picture out of what they return."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_vlm.generate.edit_image import ImageEditRequest
from mlx_vlm.generate.image import ImageGenerationRequest

from mlxd.workers.drawing.picture import Draw


def drawn(maker: Any, ask: Draw, seed: int, **extra: object) -> mx.array:
    """Return a picture made from noise; `extra` is what only one family knows."""
    request = ImageGenerationRequest(
        ask.prompt,
        seed=seed,
        steps=ask.steps,
        width=ask.width,
        height=ask.height,
        guidance=ask.guidance,
        extra=extra,
    )
    picture: mx.array = maker.generate(request).array
    return picture


def edited(editor: Any, ask: Draw, seed: int, files: Sequence[Path], **extra: object) -> mx.array:
    """Return a picture made from those in the files; `extra` is what only one family knows."""
    request = ImageEditRequest(
        ask.prompt,
        tuple(files),
        seed=seed,
        steps=ask.steps,
        width=ask.width,
        height=ask.height,
        guidance=ask.guidance,
        extra=extra,
    )
    picture: mx.array = editor.edit(request).array
    return picture
