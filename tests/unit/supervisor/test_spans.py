"""What is known of a request becomes spans."""

import pytest

from mlxd.protocol.control import Used
from mlxd.protocol.lifecycle import WorkerState as S
from mlxd.supervisor.front.request_trace import CLIENT_GONE, Trace
from mlxd.supervisor.tracing import spans
from mlxd.supervisor.tracing.spans import Span

CHAT = "/v1/chat/completions"


def traced(**fields: object) -> Trace:
    """Return the trace of a request that began at 100 seconds."""
    trace = Trace("req-1", began=100.0, model="tiny", key="laptop", status=200)
    for name, value in fields.items():
        setattr(trace, name, value)
    return trace


def request(trace: Trace, *waits: Span, used: Used | None = None, route: str | None = CHAT) -> Span:
    """Return the span of a request that ended at 110 seconds."""
    return spans.request(
        trace,
        110.0,
        method="POST",
        path=CHAT,
        route=route,
        waits=waits,
        used=[used] if used else [],
    )


def parts(span: Span) -> list[tuple[str, float, float]]:
    """Return what lies beneath a span."""
    return [(part.name, part.began, part.ended) for part in span.parts]


def test_a_request_is_named_after_its_route_and_says_what_is_known_of_it() -> None:
    trace = traced(content_type="text/event-stream; charset=utf-8")
    span = request(trace, used=Used("id", 7, 5, cached_tokens=3))
    assert (span.name, span.began, span.ended, span.error) == (f"POST {CHAT}", 100.0, 110.0, None)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "mlxd.request_id": "req-1",
        "mlxd.key": "laptop",
        "mlxd.dialect": "openai",
        "mlxd.stream": True,
    }


def test_what_nobody_knows_is_left_out() -> None:
    trace = Trace("req-1", began=100.0)
    span = request(trace, route=None)
    assert span.name == "POST"
    assert span.attributes == {
        "http.request.method": "POST", "mlxd.request_id": "req-1", "mlxd.stream": False,
    }  # fmt: skip
    assert span.parts == ()


def test_a_method_that_somebody_made_up_names_nothing() -> None:
    span = spans.request(traced(), 110.0, method="LEAK", path=CHAT, route=None)
    assert (span.name, span.attributes["http.request.method"]) == ("_OTHER", "_OTHER")


@pytest.mark.parametrize(
    ("status", "error", "is_ours"),
    [
        (200, None, False),
        (400, "invalid_request", False),
        (200, CLIENT_GONE, False),
        (503, "slots_pinned", True),
        (200, "worker_died", True),
        (None, "cut_off", True),
    ],
)
def test_only_what_went_wrong_here_makes_the_span_one_of_an_error(
    status: int | None, error: str | None, is_ours: bool
) -> None:
    span = request(traced(status=status, error=error))
    assert span.attributes.get("error.type") == error
    assert span.error == (error if is_ours else None)


def test_an_answer_that_its_worker_ended_with_an_error_says_so() -> None:
    span = request(traced(), used=Used("", 1, 1, error="internal_error"))
    assert span.error == span.attributes["error.type"] == "internal_error"


def test_the_wait_the_first_token_and_the_rest_follow_upon_each_other() -> None:
    wait = spans.wait(101.0, 104.0, [])
    span = request(traced(), wait, used=Used("", 1, 9, first_token=5.0))
    assert parts(span) == [
        ("wait for a worker", 101.0, 104.0),
        ("prefill", 104.0, 106.0),
        ("decode", 106.0, 110.0),
    ]


@pytest.mark.parametrize(("first_token", "began"), [(1.0, 104.0), (99.0, 110.0)])
def test_a_first_token_at_an_odd_time_makes_no_span_of_less_than_nothing(
    first_token: float, began: float
) -> None:
    wait = spans.wait(101.0, 104.0, [])
    span = request(traced(), wait, used=Used("", 1, 9, first_token=first_token))
    assert parts(span)[1:] == [("prefill", 104.0, began), ("decode", began, 110.0)]


def test_a_model_that_makes_no_tokens_has_its_wait_only() -> None:
    wait = spans.wait(101.0, 104.0, [])
    assert parts(request(traced(), wait, used=Used("", 8, 0))) == parts(request(traced(), wait))


def test_after_a_second_try_it_is_the_second_worker_that_read_and_wrote() -> None:
    waits = spans.wait(100.0, 101.0, []), spans.wait(103.0, 105.0, [])
    span = request(traced(), *waits, used=Used("", 1, 9, first_token=4.0))
    assert [name for name, _, _ in parts(span)].count("wait for a worker") == 2
    assert parts(span)[2:] == [("prefill", 105.0, 107.0), ("decode", 107.0, 110.0)]


def test_a_wait_has_the_cold_start_in_it_as_far_as_it_was_waited_for() -> None:
    moments = [(S.STARTING, 99.0), (S.LOADING, 101.0), (S.READY, 104.0)]
    assert parts(spans.wait(100.0, 104.5, moments)) == [
        ("start a process", 100.0, 101.0),
        ("load the model", 101.0, 104.0),
    ]
    assert parts(spans.wait(102.0, 104.5, moments)) == [("load the model", 102.0, 104.0)]
    assert parts(spans.wait(105.0, 106.0, moments)) == []
