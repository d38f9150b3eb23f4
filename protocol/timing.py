"""Say how times are counted: fixed buckets, the same in a worker, on the wire and in `/metrics`."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

FIRST_TOKEN = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
"""Upper bounds, in seconds, of the time to a first token."""
INTER_TOKEN = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""The same of the time between two tokens of one answer."""


class Histogram(msgspec.Struct, frozen=True):
    """Show how often which times occurred."""

    bounds: tuple[float, ...]
    """Upper bounds in seconds, each included."""
    counts: tuple[int, ...]
    """One more than there are bounds: the last counts what was above all of them."""
    sum: float

    @property
    def count(self) -> int:
        """How many times there are."""
        return sum(self.counts)


class Tally:
    """Count times into buckets; one thread writes."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a time, as often as it occurred."""
        self.counts[bisect_left(self.bounds, seconds)] += times
        self.sum += seconds * times

    def merge(self, counts: Sequence[int], seconds: float) -> None:
        """Add what somebody else counted in the same buckets."""
        for place, count in enumerate(counts[: len(self.counts)]):
            self.counts[place] += count
        self.sum += seconds

    def shown(self) -> Histogram:
        """Return the counts as a value."""
        return Histogram(self.bounds, tuple(self.counts), self.sum)
