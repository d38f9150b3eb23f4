"""Read a prompt with pictures: look at them once, then read text and pictures slice by slice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np

from mlxd.workers.vision.language import Language

Arrays = Mapping[str, Any]
"""What a processor made of the pictures: numpy arrays, and whatever else the model wants to know."""

_WHOLE = ("visual_pos_masks", "deepstack_visual_embeds")
"""What a model cuts to the slice by itself, by the length of its cache."""


@dataclass(frozen=True, slots=True)
class Run:
    """Say where the tokens of a picture, or of one tile of it, stand."""

    start: int
    stop: int


@dataclass(eq=False)
class PictureReading:
    """Hold one prompt with its pictures; made on any thread, used on the engine thread."""

    model: Any
    language: Language | None
    tokens: tuple[int, ...]
    inputs: Arrays
    key: tuple[int, ...]
    runs: tuple[Run, ...]
    _features: dict[str, Any] = field(default_factory=dict)
    _shift: int | None = None

    def shift(self) -> int:
        """Return by how much what follows the prompt stands elsewhere than its count of tokens says."""
        if self._shift is None:
            find = getattr(self.model.language_model, "get_rope_index", None)
            grid = self.inputs.get("image_grid_thw")
            if find is None or grid is None:
                self._shift = 0
            else:
                _, deltas = find(mx.array([self.tokens]), mx.array(grid), None, None)
                self._shift = int(np.array(deltas).reshape(-1)[0])
        return self._shift

    def whole(self, length: int) -> int:
        """Return the most tokens, up to so many, that cut no picture in two."""
        return next((run.start for run in self.runs if run.start < length < run.stop), length)

    def read(self, tokens: list[int], start: int, stop: int, cache: list[Any]) -> None:
        """Read a slice; what follows the last picture is text, and needs no look at it."""
        end = self.runs[-1].stop
        if start < end:
            self._read_pictures(start, min(stop, len(self.tokens)), cache)
            start = min(stop, len(self.tokens))
        if start < stop:
            shifts = mx.array([self.shift()])
            assert self.language is not None
            self.language(mx.array([tokens[start:stop]]), cache=cache, shifts=shifts)

    def _read_pictures(self, start: int, stop: int, cache: list[Any]) -> None:
        self.shift()
        self._look()
        features = dict(self._features)
        embedded = features.pop("inputs_embeds")
        places = features.pop("position_ids", None)
        if places is not None:
            features["position_ids"] = places[..., start:stop]
        assert self.language is not None
        self.language.read(
            mx.array([self.tokens[start:stop]]),
            cache,
            inputs_embeds=embedded[:, start:stop],
            **features,
        )

    def _look(self) -> None:
        """Let the vision half see the pictures, once."""
        if self._features:
            return
        inputs = {
            name: mx.array(value) if isinstance(value, np.ndarray) else value
            for name, value in self.inputs.items()
        }
        pixels = inputs.pop("pixel_values", None)
        seen = self.model.get_input_embeddings(
            mx.array([self.tokens]), pixels, mask=inputs.pop("attention_mask", None), **inputs
        ).to_dict()
        kept = ("inputs_embeds", "position_ids", *_WHOLE)
        found = {name: seen[name] for name in kept if seen.get(name) is not None}
        mx.eval(list(found.values()))
        self._features, self.inputs = found, {}
