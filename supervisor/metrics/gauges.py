"""Show what is so at the moment of the scrape; nothing here asks a worker, so a stuck one delays nobody."""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.metrics.labels import MODEL
from mlxd.supervisor.ports import Glance


class Gauges(Collector):
    """Collect what a look at the pool has shown."""

    def __init__(self, version: str, started_at: float) -> None:
        self._glance = Glance()
        self._version = version
        self._started_at = started_at

    def show(self, glance: Glance) -> None:
        """Show this from now on."""
        self._glance = glance

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge."""
        yield _gauge("build_info", "The version that runs", ("version",), [((self._version,), 1)])
        yield _gauge(
            "start_time_seconds", "When the daemon began to count, in Unix seconds", (),
            [((), self._started_at)],
        )  # fmt: skip
        yield from _of_daemon(self._glance)
        yield from _of_models(self._glance)


def _of_daemon(glance: Glance) -> Iterator[Metric]:
    states = Counter(str(model.state) for model in glance.models)
    yield _gauge(
        "workers", "Models by the state of their worker", ("state",),
        [((str(state),), states[state]) for state in WorkerState if state is not WorkerState.STOPPED],
    )  # fmt: skip
    if glance.budget_bytes is not None:
        yield _gauge(
            "memory_budget_bytes", "What all workers may take together", (),
            [((), glance.budget_bytes)],
        )  # fmt: skip
    standby = glance.standby_bytes
    yield _gauge("standby_workers", "Processes kept ready for the next model", (), [((), len(standby))])  # fmt: skip
    yield _gauge("standby_memory_bytes", "What those cost", (), [((), sum(standby))])


def _of_models(glance: Glance) -> Iterator[Metric]:
    running = [model for model in glance.models if model.pid]
    shown = (
        ("worker_memory_bytes", "Footprint of a model's worker", running, "memory_bytes"),
        ("worker_weights_bytes", "Weights that a worker holds or reads", running, "weights_bytes"),
        ("requests_queued", "Requests that wait for the model", glance.models, "queued_requests"),
        ("requests_in_flight", "Requests that its worker has", glance.models, "active_requests"),
    )
    for name, text, models, field in shown:
        yield _gauge(name, text, (MODEL,), [((m.id,), getattr(m, field)) for m in models])


def _gauge(
    name: str,
    text: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = GaugeMetricFamily(f"mlxd_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
