"""A request is followed until all is known of it, and no longer."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from support.deadline import eventually

from mlxd.protocol.control import Used
from mlxd.protocol.journal import Entry, WorkerMoved
from mlxd.protocol.lifecycle import WorkerState as S
from mlxd.supervisor.front import request_trace
from mlxd.supervisor.front.request_trace import RequestTrace
from mlxd.supervisor.tracing.following import Following
from mlxd.supervisor.tracing.spans import Span


class Kept:
    """Keep spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.is_closed = False

    def send(self, span: Span, scope: Scope) -> None:
        """Keep one."""
        self.spans.append(span)

    def close(self) -> None:
        """Take no more."""
        self.is_closed = True


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def ask(following: Following, work: Callable[[], object] = lambda: None) -> None:
    """Have a request served, with `work` done for it."""
    routes = Starlette(routes=[Route("/v1/{name}", lambda request: None, methods=["POST"])])
    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/v1/x", "headers": [], "app": routes,
    }  # fmt: skip

    async def worked(scope: Scope, receive: Receive, send: Send) -> None:
        work()
        await answer(scope, receive, send)

    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    await RequestTrace(worked, following.ended)(scope, nothing, nothing)


def number() -> int:
    """Return the number that the workers of the running request are told."""
    ((_, value),) = request_trace.headers()
    return int(value)


async def test_a_request_that_needed_no_worker_is_sent_at_once() -> None:
    kept = Kept()
    await ask(Following(kept), lambda: [] == request_trace.headers() or 1 / 0)
    assert [span.name for span in kept.spans] == ["POST /v1/{name}"]


async def test_a_request_waits_for_its_workers_word_whichever_comes_first() -> None:
    kept = Kept()
    following = Following(kept)
    numbers = []

    def early() -> None:
        following.waited("tiny", "anyone", 0.0)
        following.used("tiny", Used("", 1, 2, request=number()))

    def late() -> None:
        following.waited("tiny", "anyone", 0.0)
        numbers.append(number())

    await ask(following, early)
    assert len(kept.spans) == 1
    await ask(following, late)
    following.used("tiny", Used("", 8, 8, request=numbers[0] + 1))
    following.used("tiny", Used("", 8, 8))
    assert len(kept.spans) == 1
    following.used("tiny", Used("", 3, 4, request=numbers[0]))
    following.used("tiny", Used("", 3, 4, request=numbers[0]))
    assert [s.attributes["gen_ai.usage.input_tokens"] for s in kept.spans] == [1, 3]


async def test_a_word_that_never_comes_is_not_waited_for_long() -> None:
    kept = Kept()
    following = Following(kept)
    await ask(following, lambda: following.waited("tiny", "anyone", 0.0))
    assert kept.spans == []
    (span,) = await eventually(lambda: kept.spans, within=20)
    assert "gen_ai.usage.input_tokens" not in span.attributes
    following.close()
    assert len(kept.spans) == 1


async def test_the_end_of_the_daemon_waits_for_no_word() -> None:
    kept = Kept()
    following = Following(kept)
    await ask(following, lambda: following.waited("tiny", "anyone", 0.0))
    following.close()
    assert (len(kept.spans), kept.is_closed) == (1, True)


async def test_work_that_outlives_its_request_is_not_followed() -> None:
    kept = Kept()
    following = Following(kept)
    await ask(following)
    following.waited("tiny", "anyone", 0.0)  # in the same context, as a task that it started
    assert request_trace.headers() == []


async def test_only_who_waited_for_a_cold_start_has_it_in_its_wait() -> None:
    kept, now = Kept(), [0.0]
    following = Following(kept, lambda: now[0])

    def moved(state: S, was: S) -> Entry:
        return WorkerMoved(model="tiny", state=state, was=was, pid=1, cause="")

    states = [S.STOPPED, S.STARTING, S.LOADING, S.READY]
    for moment, was, state in zip([1.0, 2.0, 5.0], states, states[1:], strict=False):
        now[0] = moment
        following.happened(moved(state, was))
    for model, moment, seconds in [("tiny", 6.0, 5.5), ("tiny", 8.0, 1.0), ("other", 6.0, 5.5)]:
        now[0] = moment
        await ask(following, lambda m=model, s=seconds: following.waited(m, "anyone", s))  # type: ignore[misc]
    following.happened(moved(S.STOPPING, S.READY))
    now[0] = 9.0
    await ask(following, lambda: following.waited("tiny", "anyone", 8.5))
    following.close()
    found = [[part.name for part in span.parts[0].parts] for span in kept.spans]
    assert found == [["start a process", "load the model"], [], [], []]
