"""Collect what workers have counted into buckets already: thousands of times come as sixteen numbers."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mlxd.protocol.timing import Tally


class MergedHistogram(Collector):
    """Be a histogram that is fed whole histograms."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._bounds = bounds
        self._names = [*map(floatToGoString, bounds), "+Inf"]
        self._tallies: dict[tuple[str, ...], Tally] = {}

    def merge(self, values: tuple[str, ...], counts: Sequence[int], seconds: float) -> None:
        """Add counts in the same buckets to the series with these label values."""
        tally = self._tallies.get(values)
        if tally is None:
            tally = self._tallies[values] = Tally(self._bounds)
        tally.merge(counts, seconds)

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Drop the series that have these labels."""
        wanted = {self._labels.index(name): value for name, value in labels.items()}
        for values in list(self._tallies):
            if all(values[place] == value for place, value in wanted.items()):
                del self._tallies[values]

    def collect(self) -> Iterator[Metric]:
        """Yield the one metric."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, tally in list(self._tallies.items()):  # another thread may add some
            buckets = list(zip(self._names, map(float, accumulate(tally.counts)), strict=True))
            family.add_metric(values, buckets, tally.sum)
        yield family
