"""A collector of OpenTelemetry gets one span per request, and nobody waits for it."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import RunDaemon
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from support.collector import Collector, attributes, collecting
from support.daemon import BIN, Daemon, Home
from support.daemon_calls import CHAT, chat, model
from support.deadline import until

from mlxd.config.load import load
from mlxd.supervisor.tracing import following, spans

SECRET = "the-settings-own-key"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
A_WHILE = 10**10
"""Nanoseconds; clocks are set now and then."""
PACE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Give a collector that answers."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Give a daemon with a key that sends its traces there."""
    home = Home(tmp_path_factory.mktemp("traced"), PACE | {"OTEL_EXPORTER_OTLP_HEADERS": "who=me"})
    home.configure(
        {
            "tracing": {"endpoint": collector.address},
            "server": {"api_key": SECRET},
            "models": [model("tiny")],
        }
    )
    daemon = Daemon(home)
    yield daemon
    daemon.end()
    home.remove()


def ask(daemon: Daemon, name: str, path: str = CHAT, **headers: str) -> httpx.Response:
    """Return the answer to a request with this id; what is asked of a model is a chat, streamed."""
    shown = {"x-api-key": SECRET, "x-request-id": name} | headers
    body = chat("tiny", stream=True, stream_options={"include_usage": True})
    return httpx.post(daemon.url + path, json=body, headers=shown, timeout=120)


def names(found: list[Span]) -> list[str]:
    """Return the names of spans."""
    return [span.name for span in found]


def test_a_cold_start_lies_in_the_callers_trace(traced: Daemon, collector: Collector) -> None:
    began = time.time_ns()
    answer = ask(traced, "cold", traceparent=f"00-{TRACE}-{CALLER}-01", tracestate="a=b")
    ended = time.time_ns()
    assert answer.status_code == 200
    assert {"traceparent", "tracestate", "x-mlxd-request"}.isdisjoint(answer.headers)
    span = collector.request("cold")
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert (span.name, span.kind, span.trace_state) == (
        f"POST {CHAT}",
        Span.SPAN_KIND_SERVER,
        "a=b",
    )
    used = usage(answer)
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": used["prompt_tokens"],
        "gen_ai.usage.output_tokens": used["completion_tokens"],
        "gen_ai.usage.cache_read.input_tokens": 0,
        "mlxd.request_id": "cold",
        "mlxd.key": "server.api_key",
        "mlxd.dialect": "openai",
        "mlxd.stream": True,
    }
    parts = collector.beneath(span)
    assert names(parts) == ["wait for a worker", "prefill", "decode"]
    phases = collector.beneath(parts[0])
    assert names(phases) == ["start a process", "load the model"]
    moments = [span.start_time_unix_nano, phases[0].start_time_unix_nano]
    moments += [part.end_time_unix_nano for part in (*phases, *parts[1:], span)]
    assert moments == sorted(moments)
    assert began - A_WHILE < moments[0] < moments[-1] < ended + A_WHILE
    assert phases[0].end_time_unix_nano == phases[1].start_time_unix_nano
    assert {part.trace_id for part in collector.beneath(parts[0]) + parts} == {span.trace_id}


def usage(answer: httpx.Response) -> dict[str, Any]:
    """Return what a stream says of its tokens."""
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return next(found for line in lines if (found := json.loads(line).get("usage")))


def test_a_loaded_model_and_no_caller_make_a_trace_of_their_own(
    traced: Daemon, collector: Collector
) -> None:
    ask(traced, "first")
    assert ask(traced, "warm", "/v1/messages", traceparent="nonsense").status_code == 200
    span = collector.request("warm")
    assert span.parent_span_id == b""
    assert span.name == "POST /v1/messages"
    assert attributes(span)["mlxd.dialect"] == "anthropic"
    parts = collector.beneath(span)
    assert names(parts) == ["wait for a worker", "prefill", "decode"]
    assert collector.beneath(parts[0]) == []


@pytest.mark.parametrize(
    ("name", "path", "headers", "shown", "known"),
    [
        ("no-key", CHAT, {"x-api-key": "wrong"}, f"POST {CHAT}", ("invalid_api_key", 401)),
        ("wrong", CHAT, {"x-priority": "x"}, f"POST {CHAT}", ("invalid_request", 400)),
        ("lost", "/v1/secret-path", {}, "POST", ("route_not_found", 404)),
    ],
)
def test_a_refused_request_says_why(
    traced: Daemon, collector: Collector, name: str, path: str, headers: dict[str, str],
    shown: str, known: tuple[str, int],
) -> None:  # fmt: skip
    ask(traced, name, path, **headers)
    span = collector.request(name)
    found = attributes(span)
    assert span.name == shown
    assert (found["error.type"], found["http.response.status_code"]) == known
    assert "gen_ai.request.model" not in found
    assert found["mlxd.stream"] is False
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert collector.beneath(span) == []


def test_a_request_that_its_worker_refused_names_the_model_and_the_wait(
    traced: Daemon, collector: Collector
) -> None:
    headers = {"x-api-key": SECRET, "x-request-id": "odd"}
    body = chat("tiny", temperature="hot")
    assert httpx.post(traced.url + CHAT, json=body, headers=headers, timeout=120).is_client_error
    span = collector.request("odd")
    found = attributes(span)
    assert (found["gen_ai.request.model"], found["error.type"]) == ("tiny", "invalid_request")
    assert found["gen_ai.usage.output_tokens"] == 0
    assert names(collector.beneath(span)) == ["wait for a worker"]


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/v1/responses", {"model": "tiny", "input": "Hello", "max_output_tokens": 4}, "responses"),
        ("/api/chat", chat("tiny", options={"num_predict": 4}), "ollama"),
    ],
)
def test_every_dialect_is_followed_to_its_worker(
    traced: Daemon, collector: Collector, path: str, body: dict[str, Any], dialect: str
) -> None:
    headers = {"x-api-key": SECRET, "x-request-id": dialect}
    assert httpx.post(traced.url + path, json=body, headers=headers, timeout=120).is_success
    span = collector.request(dialect)
    assert attributes(span)["mlxd.dialect"] == dialect
    assert attributes(span)["gen_ai.usage.output_tokens"] == 4
    assert names(collector.beneath(span)) == ["wait for a worker", "prefill", "decode"]


def test_nothing_a_caller_wrote_and_no_key_is_sent(traced: Daemon, collector: Collector) -> None:
    ask(traced, "quiet")
    collector.request("quiet")
    ask(traced, "unseen", "/v1/secret-path")
    collector.request("unseen")
    everything = b"".join(collector.bodies)
    for word in (b"Hello", SECRET.encode(), b"secret-path"):
        assert word not in everything
    assert collector.paths == {"/v1/traces"}
    assert collector.headers[0]["who"] == "me"
    assert collector.resource["service.name"] == "mlxd"


def test_the_last_spans_come_before_the_daemon_is_gone(running_daemon: RunDaemon) -> None:
    with collecting() as collector:
        settings = {"tracing": {"endpoint": collector.address + "/v1/traces"}}
        daemon = running_daemon(settings, env={"OTEL_BSP_SCHEDULE_DELAY": "600000"})
        httpx.get(daemon.url + "/v1/models", headers={"x-request-id": "last"}, timeout=60)
        assert daemon.end() == 0
        assert "GET /v1/models" in names(collector.spans)
        assert collector.paths == {"/v1/traces"}


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port that nobody listens on, nor can while the block runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def complaints(daemon: Daemon) -> list[str]:
    """Return what the log says of lost traces, or of the library that sends them."""
    return [line for line in daemon.log.splitlines() if "traces" in line or "opentele" in line]


def test_a_collector_that_is_down_is_news_once_and_holds_nobody_up(
    running_daemon: RunDaemon,
) -> None:
    env = PACE | {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "8",
                  "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}  # fmt: skip
    with closed_port() as port:
        address = f"http://127.0.0.1:{port}"
        daemon = running_daemon({"tracing": {"endpoint": address}}, env=env)
        with httpx.Client(base_url=daemon.url, timeout=60) as client:
            for _ in range(40):
                assert client.get("/v1/models").status_code == 200
            until(lambda: complaints(daemon), within=60, what="a word on lost traces")
            for _ in range(40):
                assert client.get("/v1/models").status_code == 200
        assert daemon.end() == 0
    (line,) = complaints(daemon)
    assert "level=warning source=mlxd.tracing" in line
    assert f"endpoint={address}" in line
    assert "Traceback" not in daemon.log


def test_a_collector_that_never_answers_delays_neither_a_request_nor_the_end(
    running_daemon: RunDaemon,
) -> None:
    with collecting(answers=False) as collector:
        env = PACE | {"OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        daemon = running_daemon({"tracing": {"endpoint": collector.address}}, env=env)
        httpx.get(daemon.url + "/v1/models", timeout=60)
        until(lambda: collector.bodies, within=60, what="a batch")
        assert httpx.get(daemon.url + "/v1/models", timeout=60).status_code == 200
        assert daemon.end() == 0


def test_without_a_collector_nothing_of_it_is_imported(running_daemon: RunDaemon) -> None:
    daemon = running_daemon(env={"PYTHONPROFILEIMPORTTIME": "1"})
    daemon.get("/v1/models")
    assert "mlxd.supervisor.tracing.following" in daemon.log
    assert "opentelemetry" not in daemon.log


def test_without_its_libraries_it_says_what_to_install(home: Home, tmp_path: Path) -> None:
    hollow = tmp_path / "hollow" / "opentelemetry"
    hollow.mkdir(parents=True)
    (hollow / "__init__.py").touch()
    wanted = {"MLXD_TRACING_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": str(hollow.parent)}
    done = subprocess.run(
        [BIN / "mlxd"], env=home.environment() | wanted, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "tracing.endpoint: " in done.stderr
    assert "pip install 'mlxd[tracing]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("parent", "ratio", "is_sent"),
    [(None, "1", True), (None, "0", False), ("01", "0", True), ("00", "1", False)],
)
def test_the_caller_decides_what_is_traced_and_the_ratio_where_it_does_not(
    parent: str | None, ratio: str, is_sent: bool
) -> None:
    with collecting() as collector:
        env = {"MLXD_TRACING_ENDPOINT": collector.address, "MLXD_TRACING_RATIO": ratio}
        export = following.export(load(None, env).tracing)
        assert export is not None
        headers = [(b"traceparent", f"00-{TRACE}-{CALLER}-{parent}".encode())] if parent else []
        part = spans.wait(1.0, 2.0, [])
        export.send(
            spans.Span("POST", 1.0, 3.0, parts=(part,)), {"type": "http", "headers": headers}
        )
        export.close()
        assert names(collector.spans) == (["wait for a worker", "POST"] if is_sent else [])
