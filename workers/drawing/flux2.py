"""Draw with FLUX.2 klein: flow matching on packed latents of 16x16 pixels, with a Qwen3 that reads the prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_vlm.models.flux2 import pipeline as library
from mlx_vlm.models.flux2.model import (
    Flux2ImageEditModel,
    Flux2ImageGenerationModel,
    resolve_variant,
)

from mlxd.workers.drawing import layout, requests
from mlxd.workers.drawing.picture import Draw

_MOST_GUIDANCE = 30.0
_MOST_SOURCES = 4
_NO_PROMPT = " "
"""What guidance leads away from, in mlx-vlm's pipeline."""


class Flux2:
    """Own mlx-vlm's pipeline, which draws and edits with the same weights."""

    multiple = 16
    least_side = 256
    most_side = 2048
    least_steps = 1
    most_guidance = _MOST_GUIDANCE
    has_negative = False
    has_strength = False
    longest_prompt = 512
    decoding = "decode_packed_latents"

    def __init__(self, folder: Path) -> None:
        edits = layout.has_encoder(folder)
        kind = library.Flux2ImageEdit if edits else library.Flux2Image
        self._pipeline: Any = kind.from_pretrained(
            resolve_variant(folder), model_path=folder, evict_text_encoder=False
        )
        self._drawing = self._pipeline.runtime_config
        self._editing = library.Flux2RuntimeConfig(
            evict_text_encoder=False, bucketed_seq_len=False, tiled_vae="off"
        )
        self._maker = Flux2ImageGenerationModel(pipeline=self._pipeline, model_id=str(folder))
        self._editor = Flux2ImageEditModel(pipeline=self._pipeline, model_id=str(folder))
        self._pipeline._ensure_transformer_and_vae()
        defaults = self._maker.default_sampling
        self.default_steps = defaults.steps
        self.default_guidance = self.editing_guidance = defaults.guidance
        self.most_sources = _MOST_SOURCES if edits else 0
        self.transformer = self._pipeline.transformer
        self.decoder = self._pipeline.vae

    def parts(self) -> dict[str, Any]:
        """Return all that has weights."""
        return layout.parts(self._pipeline)

    def tokens(self, prompt: str) -> int:
        """Count a prompt's tokens, with the chat template around it."""
        return int(self._pipeline.tokenizer.count_tokens(prompt))

    def steps(self, ask: Draw) -> int:
        """Return how many steps run: those asked for."""
        return ask.steps

    def calls(self, ask: Draw) -> int:
        """Return how often the transformer runs for each: guidance looks at the picture without the prompt too."""
        return 2 if ask.guidance > 1 else 1

    def draw(self, ask: Draw, seed: int) -> mx.array:
        """Return a picture made from noise."""
        self._prepare(ask, self._drawing)
        return requests.drawn(self._maker, ask, seed)

    def edit(self, ask: Draw, seed: int, files: Sequence[Path]) -> mx.array:
        """Return a picture made from noise while looking at others."""
        self._prepare(ask, self._editing)
        return requests.edited(self._editor, ask, seed, files)

    def preview(
        self, ask: Draw, args: tuple[Any, ...], kwargs: dict[str, Any], prediction: Any
    ) -> mx.array:
        """Return the picture at the end of the straight line that the prediction points along."""
        noise = prediction[0] if isinstance(prediction, tuple) else prediction
        height, width = ask.height // 16, ask.width // 16
        latents = self._own(kwargs, kwargs["hidden_states"], height * width)
        noise = self._own(kwargs, noise, height * width)
        end = latents - (kwargs["timestep"] / 1000).astype(latents.dtype) * noise
        packed = end.reshape(1, height, width, end.shape[-1]).transpose(0, 3, 1, 2)
        tiling = self._pipeline._resolve_tiling(height=ask.height, width=ask.width, override=None)
        decoded = self._pipeline.vae.decode_packed_latents(packed, tiling_config=tiling)
        pixels: mx.array = library._to_image_array(decoded)
        return pixels

    def _own(self, kwargs: dict[str, Any], states: Any, count: int) -> Any:
        """Return the part of a sequence that is the picture's own: the pictures it looks at stand before or behind."""
        behind = kwargs.get("kv_cache_mode") != "extract"
        return states[:, :count] if behind else states[:, -count:]

    def _prepare(self, ask: Draw, settings: Any) -> None:
        """Keep of the prompts that were read only what this picture needs: the library keeps them all, for ever."""
        pipeline = self._pipeline
        pipeline.runtime_config = settings
        wanted = (ask.prompt, _NO_PROMPT)
        kept = {key: value for key, value in pipeline.prompt_cache.items() if key[0] in wanted}
        pipeline.prompt_cache = kept
