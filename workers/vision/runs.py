"""Find the runs of tokens in a prompt that are not text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Run:
    """Say where the tokens of a picture, of one tile of it, of a film or of a sound stand."""

    start: int
    stop: int


def runs(tokens: Sequence[int], placeholder: int | None) -> tuple[Run, ...]:
    """Return where placeholders follow each other."""
    if placeholder is None:
        return ()
    is_placeholder = np.array(tokens) == placeholder
    edges = np.flatnonzero(np.diff(is_placeholder, prepend=False, append=False))
    return tuple(
        Run(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)
    )
