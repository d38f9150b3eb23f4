"""Metrics count what they are told, name only what exists, and are read by the official parsers."""

from collections.abc import Mapping

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.front import MODEL, FakePool, FakeStatus, FixedCatalog, settings, spec

from mlxd.protocol import timing
from mlxd.protocol.control import Used
from mlxd.protocol.journal import Entry, MemoryShort, WorkerEnded, WorkerMoved
from mlxd.protocol.lifecycle import StopReason, WorkerState
from mlxd.supervisor.app import build_app
from mlxd.supervisor.front.request_trace import Trace
from mlxd.supervisor.metrics.families import OTHER, family
from mlxd.supervisor.metrics.lives import Lives
from mlxd.supervisor.metrics.metrics import Metrics
from mlxd.supervisor.metrics.registry import Registry
from mlxd.supervisor.ports import Glance

S = WorkerState
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def page(metrics: Metrics, accept: str = "", models: tuple[str, ...] = (MODEL,)) -> str:
    metrics.look(Glance(), models=models, keys=("laptop",))
    content, _ = metrics.page(accept)
    return content.decode()


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset((k, v) for k, v in sample.labels.items() if v)): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return values(page(metrics)).get((f"mlxd_{name}", frozenset(labels.items())))


def moved(
    state: WorkerState, was: WorkerState, reason: StopReason | None = None, model: str = MODEL
) -> WorkerMoved:
    return WorkerMoved(model=model, state=state, was=was, pid=1, cause="", reason=reason)


def ended(exit_code: int, reason: StopReason | None = None) -> WorkerEnded:
    return WorkerEnded(
        model=MODEL, pid=1, pid_reaped=True, exit_code=exit_code, freed_bytes=None, cause="",
        reason=reason,
    )  # fmt: skip


def tell(metrics: Metrics, *entries: Entry) -> None:
    for entry in entries:
        metrics.lives.happened(entry)


def test_every_route_that_is_served_has_a_family() -> None:
    app = build_app(settings(), FixedCatalog(spec()), FakePool(""), FakeStatus())
    paths = [str(getattr(route, "path", "")) for route in app.routes]
    assert {path for path in paths if family(path) == OTHER} == set()
    assert family("/v1/nothing") == family("/v1/chat/completions/x") == OTHER


def test_tokens_are_added_up_by_model_and_key() -> None:
    metrics = Metrics()
    metrics.tokens.used(MODEL, Used("id", 10, 3, key="laptop", cached_tokens=8, first_token=0.02))
    metrics.tokens.used(MODEL, Used("id", 5, 1, key="laptop", is_cancelled=True))
    metrics.tokens.used(MODEL, Used("", 7, 2))
    mine = {"model": MODEL, "key": "laptop"}
    assert value(metrics, "prompt_tokens_total", **mine) == 15
    assert value(metrics, "generated_tokens_total", **mine) == 4
    assert value(metrics, "cached_tokens_total", **mine) == 8
    assert value(metrics, "prompt_cache_hits_total", **mine) == 1
    assert value(metrics, "cancelled_tokens_total", **mine) == 1
    assert value(metrics, "first_token_seconds_count", **mine) == 1
    assert value(metrics, "prompt_tokens_total", model=MODEL) == 7


def test_a_stream_that_its_worker_ended_is_counted_by_its_code() -> None:
    metrics = Metrics()
    metrics.tokens.used(MODEL, Used("", 3, 1, error="internal_error"))
    found = value(metrics, "streams_failed_total", model=MODEL, code="internal_error")
    assert found == 1


def test_what_was_not_used_makes_no_series() -> None:
    metrics = Metrics()
    before = page(metrics)
    metrics.tokens.used("x.tokenizer", Used("id", 0, 0, key="laptop"))
    assert _names(page(metrics)) == _names(before)


def test_gaps_that_workers_counted_are_one_histogram() -> None:
    metrics, tally = Metrics(), timing.Tally(timing.INTER_TOKEN)
    tally.add(0.004, 3)
    tally.add(99.0)
    used = Used("", 1, 5, gaps=tuple(tally.counts), gap_seconds=tally.sum)
    metrics.tokens.used(MODEL, used)
    metrics.tokens.used(MODEL, used)
    name = "inter_token_seconds"
    assert value(metrics, f"{name}_count", model=MODEL) == 8
    assert value(metrics, f"{name}_bucket", model=MODEL, le="0.005") == 6
    assert value(metrics, f"{name}_bucket", model=MODEL, le="0.0025") == 0
    assert value(metrics, f"{name}_bucket", model=MODEL, le="+Inf") == 8
    assert value(metrics, f"{name}_sum", model=MODEL) == pytest.approx(2 * (99 + 0.012))


def test_a_cold_start_is_measured_phase_by_phase() -> None:
    now = [100.0]
    registry = Registry()
    lives = Lives(registry, clock=lambda: now[0])
    way = [(S.STARTING, S.STOPPED, 0), (S.LOADING, S.STARTING, 2), (S.READY, S.LOADING, 5)]
    for state, was, seconds in way:
        now[0] += seconds
        lives.happened(moved(state, was))
    found = {
        phase: registry.collectors.get_sample_value(
            "mlxd_cold_start_seconds_sum", {"model": MODEL, "phase": phase}
        )
        for phase in ("process", "load", "total")
    }
    assert found == {"process": 2, "load": 5, "total": 7}


def test_why_a_model_was_pushed_out_is_told_apart() -> None:
    metrics = Metrics()
    leave = moved(S.DRAINING, S.READY, StopReason.EVICTED)
    gone = ended(0, StopReason.EVICTED)
    tell(metrics, leave, gone, leave, gone)
    tell(metrics, MemoryShort(level="critical", shrunk=[], evicted=[MODEL]), leave, gone, leave)
    tell(metrics, moved(S.DRAINING, S.READY, StopReason.IDLE))
    tell(metrics, moved(S.DRAINING, S.READY, StopReason.UNLOAD))
    causes = ("room", "pressure", "idle", "unload")
    found = [value(metrics, "evictions_total", model=MODEL, cause=cause) for cause in causes]
    assert found == [3, 1, 1, None]
    assert value(metrics, "swaps_total") == 3


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        (ended(0, StopReason.UNLOAD), "unload"),
        (ended(67, StopReason.POISONED), "poisoned"),
        (ended(-9), "sigkill"),
        (ended(66), "out_of_memory"),
        (ended(1), "exit"),
        (ended(-200), "signal"),
    ],
)
def test_an_exit_has_one_of_few_causes(entry: WorkerEnded, cause: str) -> None:
    metrics = Metrics()
    tell(metrics, entry)
    assert value(metrics, "worker_exits_total", model=MODEL, cause=cause) == 1


def test_series_of_models_and_keys_that_are_gone_are_dropped() -> None:
    metrics = Metrics()
    before = _names(page(metrics))
    for model, key in ((MODEL, "gone"), ("org/gone", "laptop"), ("org/gone", "gone")):
        trace = Trace("req", model=model, key=key, status=200)
        metrics.requests.ended({"path": "/v1/chat/completions"}, trace)
        metrics.requests.waited(model, key, 1.0)
        metrics.tokens.used(model, Used("", 3, 3, key=key, gaps=(1,), gap_seconds=0.1))
    tell(metrics, moved(S.STARTING, S.STOPPED, model="org/gone"))
    assert _names(page(metrics)) == before
    metrics.requests.waited(MODEL, "laptop", 1.0)
    assert len(_names(page(metrics))) > len(before)


def test_ten_thousand_unknown_names_make_no_series() -> None:
    metrics = Metrics()
    sizes = []
    for number in range(10_000):
        trace = Trace("req", status=404, error="model_not_found")
        metrics.requests.ended({"path": f"/v1/{number}"}, trace)
        if number in (0, 9_999):
            sizes.append(len(_names(page(metrics))))
    assert sizes[0] == sizes[1]
    ended = {"route": OTHER, "status": "404", "code": "model_not_found"}
    assert value(metrics, "requests_total", **ended) == 10_000


def test_both_formats_say_the_same() -> None:
    metrics = Metrics()
    metrics.tokens.used(MODEL, Used("", 3, 3, gaps=(1, *[0] * 16), gap_seconds=0.1))
    text, kind = metrics.page(OPENMETRICS)
    assert kind.startswith("application/openmetrics-text")
    found: Mapping[str, float] = {
        sample.name: sample.value
        for family in parse_openmetrics(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    assert found["mlxd_prompt_tokens_total"] == 3
    assert found["mlxd_inter_token_seconds_count"] == 1


def _names(text: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return set(values(text))


def test_the_default_registry_of_the_library_stays_as_it_is() -> None:
    Metrics(), Metrics()
    assert not any(family.name.startswith("mlxd") for family in REGISTRY.collect())
