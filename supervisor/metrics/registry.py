"""Own the metrics of one app: its registry, and what makes a metric in it."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
)

from mlxd.supervisor.metrics.labels import KEY, MODEL, Labels

# A third as many series; what they say of restarts, `mlxd_start_time_seconds` says too.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Registry:
    """Make metrics whose names begin with `mlxd_`."""

    def __init__(self) -> None:
        self.collectors = CollectorRegistry()
        self.labels = Labels()

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """Return a new counter; its name gets `_total` as its end."""
        made = Counter(f"mlxd_{name}", text, labels, registry=self.collectors)
        self._follow(made, labels)
        return made

    def histogram(
        self, name: str, text: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Histogram:
        """Return a new histogram with these upper bounds."""
        made = Histogram(f"mlxd_{name}", text, labels, buckets=bounds, registry=self.collectors)
        self._follow(made, labels)
        return made

    def _follow(self, metric: Counter | Histogram, labels: tuple[str, ...]) -> None:
        if MODEL in labels or KEY in labels:
            self.labels.follow(metric, labels)
