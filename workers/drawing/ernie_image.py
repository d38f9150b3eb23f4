"""Draw with ERNIE-Image: flow matching on packed latents of 16x16 pixels, with a Ministral that reads the prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_vlm.models.ernie_image.model import ErnieImageEditModel, ErnieImageGenerationModel

from mlxd.workers.drawing import layout, requests, sizes
from mlxd.workers.drawing.picture import Draw

_STRENGTH = 0.6


class ErnieImage:
    """Own mlx-vlm's pipeline, which draws and edits with the same weights; prompts stay as they were written."""

    multiple = 16
    least_side = 16
    most_side = sizes.LONGEST_SIDE
    least_steps = 1
    most_guidance = 30.0
    has_negative = True
    has_strength = True
    longest_prompt = 2048
    decoding = "decode_packed_latents"

    def __init__(self, folder: Path) -> None:
        edits = layout.has_encoder(folder)
        self._maker = ErnieImageGenerationModel.from_model_id(
            str(folder), model_path=folder, evict_text_encoder=False, use_prompt_enhancer=False
        )
        pipeline: Any = self._maker.pipeline
        self._pipeline = pipeline
        self._editor = ErnieImageEditModel(pipeline=pipeline, model_id=self._maker.model_id)
        pipeline._ensure_components(require_encoder=edits)
        self.default_steps = self._maker.default_steps
        self.default_guidance = self._maker.default_guidance
        self.editing_guidance = self._editor.default_guidance
        self.most_sources = 1 if edits else 0
        self.transformer = pipeline.transformer
        self.decoder = pipeline.vae

    def parts(self) -> dict[str, Any]:
        """Return all that has weights."""
        return layout.parts(self._pipeline)

    def tokens(self, prompt: str) -> int:
        """Count a prompt's tokens."""
        return len(self._pipeline.tokenizer.tokenizer(prompt)["input_ids"])

    def steps(self, ask: Draw) -> int:
        """Return how many steps run: those asked for, or the part that the strength leaves of an edit."""
        if not ask.sources:
            return ask.steps
        return max(1, min(ask.steps, round(ask.steps * _strength(ask))))

    def calls(self, ask: Draw) -> int:
        """Return how often the transformer runs for each: with guidance it sees both prompts at once."""
        return 1

    def draw(self, ask: Draw, seed: int) -> mx.array:
        """Return a picture made from noise."""
        return requests.drawn(self._maker, ask, seed, negative_prompt=ask.negative_prompt or "")

    def edit(self, ask: Draw, seed: int, files: Sequence[Path]) -> mx.array:
        """Return a picture made from another and noise."""
        return requests.edited(
            self._editor,
            ask,
            seed,
            files,
            negative_prompt=ask.negative_prompt or "",
            strength=_strength(ask),
        )

    def preview(
        self, ask: Draw, args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any
    ) -> mx.array:
        """Return the picture at the end of the straight line that the prediction points along."""
        latents, time = args[0][-1:], kwargs["timestep"][-1]
        end = latents.astype(mx.float32) - time.astype(mx.float32) / 1000 * prediction[-1:]
        pixels: mx.array = self._pipeline._decode(end.astype(latents.dtype))
        return pixels


def _strength(ask: Draw) -> float:
    return _STRENGTH if ask.strength is None else ask.strength
