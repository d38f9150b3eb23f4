"""Draw with MOSS-Image: flow matching on packed latents of 16x16 pixels, with a Qwen3.5 that reads the prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_vlm.models.moss_image import weights as library
from mlx_vlm.models.moss_image.model import MOSSImageGenerationModel
from mlx_vlm.models.moss_image.scheduler import MOSSImageScheduler

from mlxd.protocol.errors import UnsupportedField
from mlxd.workers.drawing import layout, requests, sizes
from mlxd.workers.drawing.picture import Draw

_SCHEDULE = ("num_train_timesteps", "shift", "training_shift")


class MossImage:
    """Own mlx-vlm's pipeline, which draws and edits nothing."""

    multiple = 16
    least_side = 16
    most_side = sizes.LONGEST_SIDE
    least_steps = 1
    most_guidance = 30.0
    has_negative = True
    most_sources = 0
    has_strength = False
    longest_prompt = 4096
    decoding = "decode_packed_latents"

    def __init__(self, folder: Path) -> None:
        self._maker = MOSSImageGenerationModel.from_model_id(
            str(folder), model_path=folder, evict_text_encoder=False
        )
        pipeline: Any = self._maker.pipeline
        self._pipeline = pipeline
        pipeline.text_encoder = library.load_text_encoder(folder)
        pipeline.transformer = library.load_transformer(folder)
        pipeline.vae = library.load_vae(folder)
        defaults = self._maker.default_sampling
        self.default_steps = defaults.steps
        self.default_guidance = self.editing_guidance = defaults.guidance
        self.transformer = pipeline.transformer
        self.decoder = pipeline.vae

    def parts(self) -> dict[str, Any]:
        """Return all that has weights."""
        return layout.parts(self._pipeline)

    def tokens(self, prompt: str) -> int:
        """Count a prompt's tokens, with the chat template around it."""
        return int(self._pipeline.count_prompt_tokens(prompt))

    def steps(self, ask: Draw) -> int:
        """Return how many steps run: of many, some fall on the same place of the schedule."""
        settings = self._pipeline.scheduler_config
        schedule = MOSSImageScheduler(
            **{key: settings[key] for key in _SCHEDULE if key in settings}
        )
        schedule.set_timesteps(ask.steps)
        return len(schedule.timesteps)

    def calls(self, ask: Draw) -> int:
        """Return how often the transformer runs for each: guidance looks at the picture without the prompt too."""
        return 1 if ask.guidance == 1 else 2

    def draw(self, ask: Draw, seed: int) -> mx.array:
        """Return a picture made from noise."""
        return requests.drawn(self._maker, ask, seed, negative_prompt=ask.negative_prompt or "")

    def edit(self, ask: Draw, seed: int, files: Sequence[Path]) -> mx.array:
        """Raise: this family edits nothing, and `most_sources` says so."""
        raise UnsupportedField("model", "this one edits no pictures")

    def preview(
        self, ask: Draw, args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any
    ) -> mx.array:
        """Return the picture at the end of the straight line that the prediction points along."""
        latents, time = args[0], args[1]
        scale = self._pipeline.scheduler_config.get("num_train_timesteps", 1000)
        end = latents - time / scale * prediction.astype(mx.float32)
        decoded = self._pipeline.vae.decode_packed_latents(end).transpose(0, 2, 3, 1)
        return mx.round(mx.clip(decoded / 2 + 0.5, 0, 1) * 255).astype(mx.uint8)[0]
