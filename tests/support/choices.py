"""Choose among options: by Hypothesis, which shrinks what it finds, or by a seed, which is fifty times as fast."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choose(Protocol):
    """Pick one of the options."""

    def __call__(self, options: Sequence[T], /) -> T:
        """Return one of them."""
        ...


class Drawn:
    """Choose as Hypothesis says."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self._draw = draw

    def __call__(self, options: Sequence[T], /) -> T:
        """Return one of them."""
        chosen: T = self._draw(st.sampled_from(options))
        return chosen


class Seeded:
    """Choose as a seed says."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, options: Sequence[T], /) -> T:
        """Return one of them."""
        return self._random.choice(options)
