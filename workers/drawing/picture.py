"""What is asked of a model that draws, and what comes of it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Height, width and three colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Ask for pictures, one for each seed."""

    prompt: str
    width: int
    height: int
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    negative_prompt: str | None = None
    previews: int = 0
    """How many unfinished pictures to show of each."""
    sources: tuple[Any, ...] = field(default=(), repr=False)
    """Pictures to start from."""
    strength: float | None = None
    """How much of a source may change; None = what the family takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """Say that a picture is one step further."""

    picture: int
    done: int
    steps: int


@dataclass(frozen=True, slots=True)
class Preview:
    """Show what a picture would be if it were finished now."""

    picture: int
    index: int
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold a finished picture."""

    number: int
    seed: int
    pixels: Pixels
    prompt_tokens: int


Part = Step | Preview | Picture
