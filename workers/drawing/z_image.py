"""Draw with Z-Image: flow matching on latents of 8x8 pixels, with a Qwen3 that reads the prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_vlm.models.z_image.model import ZImageEditModel, ZImageGenerationModel

from mlxd.workers.drawing import layout, requests, sizes
from mlxd.workers.drawing.picture import Draw

_MOST_GUIDANCE = 30.0


class ZImage:
    """Own mlx-vlm's pipeline, which draws and edits with the same weights."""

    multiple = 16
    least_side = 16
    most_side = sizes.LONGEST_SIDE
    least_steps = 2
    most_sources = 1
    has_strength = True
    longest_prompt = 512
    decoding = "decode"

    def __init__(self, folder: Path) -> None:
        self._maker = ZImageGenerationModel.from_model_id(
            str(folder), model_path=folder, evict_text_encoder=False
        )
        self._pipeline: Any = self._maker.pipeline
        self._editor = ZImageEditModel(pipeline=self._pipeline, model_id=self._maker.model_id)
        self._pipeline._ensure_components()
        defaults = self._maker.default_sampling
        self.default_steps = defaults.steps
        self.default_guidance = self.editing_guidance = defaults.guidance
        self.most_guidance = 1.0 if self._maker.variant == "turbo" else _MOST_GUIDANCE
        self.has_negative = self.most_guidance > 1
        self.transformer = self._pipeline.transformer
        self.decoder = self._pipeline.vae

    def parts(self) -> dict[str, Any]:
        """Return all that has weights."""
        return layout.parts(self._pipeline)

    def tokens(self, prompt: str) -> int:
        """Count a prompt's tokens, with the chat template around it."""
        return int(self._pipeline.count_prompt_tokens(prompt))

    def steps(self, ask: Draw) -> int:
        """Return how many steps run: one less than asked for, or the part that the strength leaves of an edit."""
        if not ask.sources:
            return ask.steps - 1
        return ask.steps - int(max(ask.steps - ask.steps * _strength(ask), 0))

    def calls(self, ask: Draw) -> int:
        """Return how often the transformer runs for each: guidance looks at the picture without the prompt too."""
        return 2 if ask.guidance > 1 else 1

    def draw(self, ask: Draw, seed: int) -> mx.array:
        """Return a picture made from noise."""
        return requests.drawn(self._maker, ask, seed, negative_prompt=ask.negative_prompt)

    def edit(self, ask: Draw, seed: int, files: Sequence[Path]) -> mx.array:
        """Return a picture made from another and noise."""
        return requests.edited(
            self._editor,
            ask,
            seed,
            files,
            negative_prompt=ask.negative_prompt,
            strength=_strength(ask),
        )

    def preview(
        self, ask: Draw, args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any
    ) -> mx.array:
        """Return the picture at the end of the straight line that the prediction points along."""
        latents, time = args[0], args[1]
        end = latents + (1.0 - time).astype(latents.dtype) * prediction
        pixels: mx.array = self._pipeline._decode_latents(end)
        return pixels


def _strength(ask: Draw) -> float:
    return 0.6 if ask.strength is None else ask.strength
