"""Foresee what memory a picture takes while it is drawn, from what two small ones took."""

from collections.abc import Sequence
from dataclasses import dataclass

_MARGIN = 1.15
"""What a larger picture took beyond a straight line through two small ones, and then some."""


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes of one phase: a part that is always there, and one that grows with the pixels."""

    base: float
    per_pixel: float


@dataclass(frozen=True, slots=True)
class Appetite:
    """Hold the lines of all phases; the hungriest decides."""

    phases: tuple[Line, ...]

    def bytes(self, pixels: int) -> int:
        """Return what a picture of so many pixels takes beside the weights."""
        most = max(line.base + line.per_pixel * pixels for line in self.phases)
        return int(most * _MARGIN)


def fit(
    small_pixels: int, small: Sequence[int], large_pixels: int, large: Sequence[int]
) -> Appetite:
    """Lay a line for each phase through the peaks that two sizes had; none falls."""
    lines = []
    for less, more in zip(small, large, strict=True):
        slope = max(more - less, 0) / (large_pixels - small_pixels)
        lines.append(Line(max(less - slope * small_pixels, 0.0), slope))
    return Appetite(tuple(lines))
