"""Read a prompt with pictures, films and sounds: take them in once, then read it slice by slice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import numpy as np

from mlxd.workers.vision import hearing
from mlxd.workers.vision.hearing import Heard
from mlxd.workers.vision.language import Language
from mlxd.workers.vision.runs import Run

Arrays = Mapping[str, Any]
"""What a processor made of the pictures: numpy arrays, and whatever else the model wants to know."""

_WHOLE = ("visual_pos_masks", "deepstack_visual_embeds")
"""What a model cuts to the slice by itself, by the length of its cache."""


_HAIR = 0.01


@dataclass(frozen=True, slots=True)
class Timed:
    """Say how far the frames of a film are from each other."""

    run: Run
    step: float
    """Positions from one group of frames to the next."""


@dataclass(eq=False)
class PictureReading:
    """Hold one prompt with its pictures, films and sounds; made on any thread, used on the engine thread."""

    model: Any
    language: Language | None
    tokens: tuple[int, ...]
    inputs: Arrays
    key: tuple[int, ...]
    runs: tuple[Run, ...]
    grids: tuple[Any, Any] = (None, None)
    """Groups, rows and columns of the patches of each picture, and of each film."""
    timed: tuple[Timed, ...] = ()
    """Films whose positions tell of time."""
    told: tuple[int, ...] | None = None
    """The tokens as the vision half is told of them, where that is not as they are."""
    heard: tuple[Heard, ...] = ()
    """What the model hears, and where."""
    _features: dict[str, Any] = field(default_factory=dict)
    _places: Any = None

    def shift(self) -> int:
        """Return by how much what follows the prompt stands elsewhere than its count of tokens says."""
        found = self._positions()
        return 0 if found is None else int(found.max()) + 1 - len(self.tokens)

    def _positions(self) -> Any:
        """Return three positions a token, None where the model counts tokens."""
        find = getattr(self.model.language_model, "get_rope_index", None)
        if (
            self._places is None
            and find is not None
            and any(grid is not None for grid in self.grids)
        ):
            grids = (None if grid is None else mx.array(grid) for grid in self.grids)
            places, _ = find(mx.array([self.tokens]), *grids, None)
            self._places = stretched(np.array(places), self.timed)
        return self._places

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
        places = self._positions()
        self._look()
        features = dict(self._features)
        embedded = features.pop("inputs_embeds")
        layered = features.pop("per_layer_inputs", None)
        if layered is not None:
            features["per_layer_inputs"] = layered[:, start:stop]
        seen = features.pop("position_ids", None)
        if places is not None:
            seen = mx.array(places)
        if seen is not None:
            features["position_ids"] = seen[..., start:stop]
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
            mx.array([self.told or self.tokens]),
            pixels,
            mask=inputs.pop("attention_mask", None),
            **inputs,
        ).to_dict()
        kept = ("inputs_embeds", "per_layer_inputs", "position_ids", *_WHOLE)
        found = {name: seen[name] for name in kept if seen.get(name) is not None}
        found["inputs_embeds"] = hearing.embedded(self.model, found["inputs_embeds"], self.heard)
        mx.eval(list(found.values()))
        self._features, self.inputs = found, {}


def stretched(places: Any, timed: Sequence[Timed]) -> Any:
    """Return positions in which each group of a film's frames is its time away from the one before."""
    found = places.copy()
    for film in timed:
        inside = found[..., film.run.start : film.run.stop]
        first, before = inside[0].min(), inside.max()
        # A time that was rounded down by a hair is not a position less.
        inside[0] = first + np.floor((inside[0] - first) * film.step + _HAIR).astype(found.dtype)
        found[..., film.run.stop :] += inside.max() - before
    return found
