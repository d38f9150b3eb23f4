"""Make every series that `/metrics` can show, once."""

from prometheus_client.parser import text_string_to_metric_families

from mlxd.protocol.admin import ModelStatus
from mlxd.protocol.control import Used
from mlxd.protocol.journal import WorkerEnded, WorkerMoved
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.front.request_trace import Trace
from mlxd.supervisor.metrics.metrics import Metrics
from mlxd.supervisor.ports import Glance

S = WorkerState
_MODEL, _KEY = "m", "k"


def samples() -> dict[str, frozenset[str]]:
    """Return the labels of each sample by its name."""
    metrics = Metrics()
    for code in (None, "client_gone", "queue_full"):
        trace = Trace("req", model=_MODEL, key=_KEY, status=200, error=code)
        metrics.requests.ended({"path": "/v1/chat/completions"}, trace)
    metrics.requests.waited(_MODEL, _KEY, 1.0)
    used = Used("", 2, 2, key=_KEY, cached_tokens=1, is_cancelled=True, error="x", first_token=1.0,
                gaps=(1,), gap_seconds=0.1)  # fmt: skip
    metrics.tokens.used(_MODEL, used)
    way = [(S.STARTING, S.STOPPED), (S.LOADING, S.STARTING), (S.READY, S.LOADING), (S.DRAINING, S.READY)]  # fmt: skip
    for state, was in way:
        metrics.lives.happened(
            WorkerMoved(
                model=_MODEL, state=state, was=was, pid=1, cause="", reason=StopReason.EVICTED
            )
        )
    metrics.lives.happened(
        WorkerEnded(model=_MODEL, pid=1, pid_reaped=True, exit_code=0, freed_bytes=1, cause="")
    )
    running = ModelStatus(
        id=_MODEL, kind=ModelKind.TEXT, state=S.READY, pid=1, memory_bytes=1, weights_bytes=1,
        active_requests=0, queued_requests=0, pinned=False, loaded_at=None, last_used_at=None,
        expires_at=None, generation_tokens_per_second=0.0,
    )  # fmt: skip
    metrics.look(Glance([running], 1, [1]), models=[_MODEL], keys=[_KEY])
    page, _ = metrics.page("")
    return {
        sample.name: frozenset(sample.labels)
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def families() -> dict[str, frozenset[str]]:
    """Return the labels of each metric by its name, buckets and the like taken together."""
    found: dict[str, frozenset[str]] = {}
    for name, labels in samples().items():
        for end in ("_bucket", "_sum", "_count"):
            name = name.removesuffix(end)
        found[name] = found.get(name, frozenset()) | (labels - {"le"})
    return found
