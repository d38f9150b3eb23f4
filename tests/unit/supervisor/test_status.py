"""Status tells what is, at the moment of asking, and changes nothing by asking."""

from collections.abc import Mapping
from typing import Any

from support.clock import FakeClock
from support.launcher import FIRST_PID, FakeLauncher, Habits
from support.pools import FOOTPRINT, Request, make_pool, model, quick, settle, soon

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.status import Status

S = WorkerState


class Stage:
    """Hold a pool and the status of it."""

    def __init__(self, habits: Habits | None = None, **limits: Any) -> None:
        self.clock = FakeClock()
        self.launcher = FakeLauncher(habits)
        self.pool: Pool = make_pool(self.launcher, clock=self.clock, **limits)
        self.answer: Mapping[str, Any] | None = {"generation_tokens_per_second": 12.5, "rows": 1}
        self.asked: list[str] = []
        self.status = Status(
            self.pool, clock=self.clock, footprint=lambda pid: FOOTPRINT, fetch=self.fetch
        )

    async def fetch(self, socket: str, path: str) -> Mapping[str, Any] | None:
        """Answer as the worker does."""
        self.asked.append(path)
        return self.answer


async def test_where_nothing_runs_there_is_nothing_to_tell() -> None:
    stage = Stage()
    await soon(stage.pool.unload(model("a")))
    assert await stage.status.ps() == []
    assert await stage.status.batch_stats() == {"models": []}
    assert stage.status.queue_stats() == {"models": [], "standby": []}


async def test_a_busy_model_is_told_with_what_its_worker_and_the_kernel_say() -> None:
    stage = Stage()
    await Request(stage.pool, model("a", idle_timeout=600.0)).lease()
    (status,) = await stage.status.ps()
    assert (status.id, status.state, status.pid) == ("a", S.READY, FIRST_PID)
    assert (status.memory_bytes, status.weights_bytes) == (FOOTPRINT, 123)
    assert (status.active_requests, status.queued_requests) == (1, 0)
    assert status.generation_tokens_per_second == 12.5
    assert status.expires_at is None, "not while a request runs"
    assert status.loaded_at == stage.clock.wall()


async def test_the_time_to_live_of_an_idle_model_counts_from_its_last_request() -> None:
    stage = Stage()
    request = Request(stage.pool, model("a", idle_timeout=600.0))
    await request.lease()
    stage.clock.advance(50.0)
    await request.end()
    ended_at = stage.clock.wall()
    stage.clock.advance(7.0)
    (status,) = await stage.status.ps()
    assert status.expires_at == ended_at + 600.0
    assert status.last_used_at == ended_at


async def test_a_model_that_never_leaves_never_expires() -> None:
    stage = Stage()
    await soon(stage.pool.load(model("a", idle_timeout=600.0), pinned=True))
    await soon(stage.pool.load(model("b", idle_timeout=float("inf"))))
    assert [status.expires_at for status in await stage.status.ps()] == [None, None]
    assert [status.pinned for status in await stage.status.ps()] == [True, False]


async def test_a_failed_model_is_told_with_its_error_and_when_it_may_be_tried_again() -> None:
    stage = Stage(Habits(loads=False), policy=quick(backoff=30.0))
    request = Request(stage.pool, model("a"))
    await settle()
    stage.launcher.last.fail("torn weights")
    stage.launcher.last.exit(65)
    await settle()
    (status,) = await stage.status.ps()
    assert (status.state, status.error, status.pid) == (S.BACKOFF, "torn weights", None)
    assert status.retry_at == stage.clock.wall() + 30.0
    assert (status.memory_bytes, status.weights_bytes) == (0, 1000)
    assert stage.asked == []
    assert request.task.exception() is not None


async def test_a_worker_that_does_not_answer_is_told_all_the_same() -> None:
    stage = Stage()
    await soon(stage.pool.load(model("a")))
    stage.answer = None
    (status,) = await stage.status.ps()
    assert status.generation_tokens_per_second == 0.0
    assert await stage.status.batch_stats() == {"models": []}


async def test_the_batches_are_told_in_the_workers_own_words() -> None:
    stage = Stage()
    await soon(stage.pool.load(model("a")))
    assert await stage.status.batch_stats() == {
        "models": [{"id": "a", "pid": FIRST_PID, **(stage.answer or {})}]
    }


async def test_the_queue_is_told_with_its_oldest_wait() -> None:
    stage = Stage(Habits(loads=False), max_loaded=1)
    requests = [Request(stage.pool, model("a")), Request(stage.pool, model("b"))]
    await settle()
    stage.launcher.last.progress(50)
    stage.clock.advance(3.0)
    requests.append(Request(stage.pool, model("b")))
    await settle()
    found = {entry["id"]: entry for entry in stage.status.queue_stats()["models"]}  # type: ignore[attr-defined]
    assert (found["a"]["state"], found["a"]["waiting"]) == (S.LOADING, 1)
    assert found["a"]["loading"].bytes_read == 50
    assert (found["b"]["waiting"], found["b"]["oldest_wait_seconds"]) == (2, 3.0)
    assert [status.id for status in await stage.status.ps()] == ["a", "b"]


async def test_asking_moves_no_timer() -> None:
    stage = Stage()
    await soon(stage.pool.load(model("a", idle_timeout=600.0)))
    before = stage.pool.workers()[0].life
    stage.clock.advance(10.0)
    await stage.status.ps()
    await stage.status.batch_stats()
    stage.status.queue_stats()
    assert stage.pool.workers()[0].life == before
