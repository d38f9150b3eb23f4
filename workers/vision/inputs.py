"""Say which families take films and sounds: the others' code drops one without a word, or fails on it."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from mlxd.workers.media.film import Film

_FILMS = frozenset(
    {"gemma4", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"}
)
_TOLD_APART = frozenset({"gemma4", "qwen3_vl"})
"""Families whose code looks at pictures and films of one prompt; the others look at the pictures only."""
_TIMED = frozenset({"qwen2_5_vl"})
"""Families whose films have the time of their frames in the positions."""
_HEARING = frozenset({"gemma4"})
_MILLISECONDS = 1000.0


def takes_films(model_type: str) -> bool:
    """Tell whether a family looks at films."""
    return model_type in _FILMS


def hears(model_type: str) -> bool:
    """Tell whether a family takes sounds, where a member of it has ears."""
    return model_type in _HEARING


def tells_apart(model_type: str) -> bool:
    """Tell whether a family's code looks at pictures and at films of the same prompt."""
    return model_type in _TOLD_APART


def is_timed(model_type: str) -> bool:
    """Tell whether later frames of a family's films stand further on by the time between them."""
    return model_type in _TIMED


def metadata(film: Film) -> dict[str, Any]:
    """Return what a processor is to know of a film: when each of its frames is seen."""
    return {
        "total_num_frames": film.seconds * _MILLISECONDS,
        "fps": _MILLISECONDS,
        "frames_indices": [round(moment * _MILLISECONDS) for moment in film.times],
    }


def arrays(made: dict[str, Any]) -> dict[str, Any]:
    """Return what a processor made, with its arrays as numpy's, which any thread may hold."""
    return {name: _array(value) for name, value in made.items() if value is not None}


def _array(value: Any) -> Any:
    if isinstance(value, list):
        return [_array(item) for item in value]
    return np.array(value) if isinstance(value, mx.array) else value


def as_pictures(
    found: dict[str, Any], are_films: Sequence[bool], *, in_blocks: bool
) -> dict[str, Any]:
    """Return inputs whose films are pictures that go on for a while, in the order in which all of them stand.

    Where a prompt has a film in blocks, one for each group of its frames, each of these is a picture of its own.
    """
    pictures = _patches(found, "pixel_values", "image_grid_thw")
    films = _patches(found, "pixel_values_videos", "video_grid_thw")
    ordered = [next(films if is_film else pictures) for is_film in are_films]
    grids = [
        row
        for _, (groups, *sides) in ordered
        for row in ([[1, *sides]] * groups if in_blocks else [[groups, *sides]])
    ]
    kept = {name: value for name, value in found.items() if not name.endswith(("_videos", "_thw"))}
    return kept | {
        "pixel_values": np.concatenate([patches for patches, _ in ordered]),
        "image_grid_thw": np.array(grids, dtype=np.int64),
    }


def _patches(found: dict[str, Any], values: str, grids: str) -> Iterator[tuple[Any, list[int]]]:
    start = 0
    for grid in found[grids].tolist():
        stop = start + math.prod(grid)
        yield found[values][start:stop], grid
        start = stop


def groups(found: dict[str, Any]) -> list[int]:
    """Return in how many groups of frames each film is looked at."""
    grids = found.get("video_grid_thw")
    if grids is not None:
        return [int(count) for count in grids[:, 0]]
    return [int(count) for count in found.get("num_frames_per_video", ())]
