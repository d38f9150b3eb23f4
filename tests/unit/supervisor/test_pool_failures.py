"""Answer those whose worker fails, and start another."""

import asyncio
import signal

import pytest
from support.clock import FakeClock
from support.launcher import FIRST_PID, FakeLauncher, Habits
from support.machine import Machine
from support.pools import Request, make_pool, model, quick, settle, soon

from mlxd.protocol.errors import (
    ModelLoadFailed,
    WorkerDied,
)
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling import pool as pool_module

S = WorkerState


async def test_a_failed_load_answers_everybody_who_waits_with_the_workers_own_words() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    requests = [Request(pool, model("a")) for _ in range(3)]
    await settle()
    launcher.last.fail("the weights are torn")
    launcher.last.exit(65)
    for request in requests:
        with pytest.raises(ModelLoadFailed, match="the weights are torn") as failed:
            await request.lease()
        assert failed.value.retry_after is not None


async def test_back_off_answers_the_cached_error_without_another_start() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    first = Request(pool, model("a"))
    await settle()
    launcher.last.exit(66)
    with pytest.raises(ModelLoadFailed):
        await first.lease()
    assert pool.state("a") is S.BACKOFF
    for _ in range(3):
        with pytest.raises(ModelLoadFailed, match="out of memory"):
            await Request(pool, model("a")).lease()
    assert len(launcher.children) == 1


async def test_a_decision_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: while no more files could be opened memory could not be measured, and nobody asked again."""
    monkeypatch.setattr(pool_module, "_AGAIN_S", 0.01)
    launcher = FakeLauncher()
    machine = Machine(launcher)
    machine.failures = [OSError(24, "Too many open files")] * 3
    raised: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))
    request = Request(make_pool(launcher, budget=machine.make_budget()), model("a"))
    assert (await request.lease()).pid == FIRST_PID
    assert len(raised) == 3
    await request.end()


async def test_an_unload_takes_the_pin_of_a_model_in_back_off_too() -> None:
    """Regression: only a process that was unloaded took its pin along; the next one could not be pushed out."""
    launcher = FakeLauncher()
    pool = make_pool(launcher, policy=quick(backoff=0.0))
    await soon(pool.load(model("a"), pinned=True))
    launcher.last.exit(-signal.SIGKILL)
    assert pool.state("a") is S.BACKOFF
    await soon(pool.unload(model("a")))
    await soon(pool.load(model("a")))
    assert not pool.workers()[0].life.pinned


async def test_the_next_request_after_the_back_off_starts_again() -> None:
    clock = FakeClock()
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher, policy=quick(backoff=30.0), clock=clock)
    first = Request(pool, model("a"))
    await settle()
    launcher.last.exit(65)
    with pytest.raises(ModelLoadFailed) as failed:
        await first.lease()
    assert failed.value.retry_after == 30.0
    clock.advance(29.0)
    with pytest.raises(ModelLoadFailed) as failed:
        await Request(pool, model("a")).lease()
    assert failed.value.retry_after == 1.0
    clock.advance(1.0)
    launcher.habits = Habits()
    assert (await Request(pool, model("a")).lease()).pid == FIRST_PID + 1


async def test_a_failed_load_is_answered_even_where_no_back_off_is_wanted() -> None:
    """Regression: with a back-off of 0, whoever waited got another load, and another, and never an answer."""
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher, policy=quick(backoff=0.0, backoff_max=0.0))
    request = Request(pool, model("a"))
    await settle()
    launcher.last.exit(65)
    with pytest.raises(ModelLoadFailed):
        await request.lease()
    assert len(launcher.children) == 1


async def test_an_unload_clears_the_back_off() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    first = Request(pool, model("a"))
    await settle()
    launcher.last.exit(65)
    with pytest.raises(ModelLoadFailed):
        await first.lease()
    result = await pool.unload(model("a"))
    assert (result.state, result.was_loaded, result.pid_reaped) == (S.STOPPED, False, False)
    launcher.habits = Habits()
    await Request(pool, model("a")).lease()


async def test_a_worker_that_is_killed_fails_its_requests_and_the_next_one_starts_another() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    requests = [Request(pool, model("a")) for _ in range(2)]
    leases = [await request.lease() for request in requests]
    launcher.last.exit(-signal.SIGKILL)
    for lease in leases:
        error = await soon(lease.failure())
        assert isinstance(error, WorkerDied) and "SIGKILL" in str(error) and error.may_retry
    for request in requests:
        await request.end()
    assert (await Request(pool, model("a")).lease()).pid == FIRST_PID + 1


async def test_requests_that_somebody_had_stopped_are_not_for_another_worker() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    lease = await Request(pool, model("a")).lease()
    await soon(pool.unload(model("a"), force=True))
    assert not (await soon(lease.failure())).may_retry


async def test_a_start_that_the_system_refuses_is_answered_and_tried_again_later() -> None:
    clock = FakeClock()
    launcher = FakeLauncher()
    pool = make_pool(launcher, policy=quick(backoff=30.0), clock=clock)
    launcher.refusal = OSError(24, "Too many open files")
    with pytest.raises(ModelLoadFailed, match="Too many open files"):
        await Request(pool, model("a")).lease()
    launcher.refusal = None
    clock.advance(30.0)
    await Request(pool, model("a")).lease()


async def test_a_start_that_breaks_in_any_other_way_is_answered_too() -> None:
    """Regression: anything but an OSError left the model STARTING without a process."""
    launcher = FakeLauncher()
    launcher.refusal = ValueError("cannot be pickled")
    with pytest.raises(ModelLoadFailed, match="cannot be pickled"):
        await Request(make_pool(launcher), model("a")).lease()


async def test_a_worker_that_reported_its_failure_gets_no_more_requests() -> None:
    """Regression: it stayed READY until its exit, and whoever came meanwhile was sent into the ruin."""
    launcher = FakeLauncher(Habits(obeys_stop=False))
    pool = make_pool(launcher)
    lease = await Request(pool, model("a")).lease()
    launcher.last.fail("the GPU is gone")
    late = Request(pool, model("a"))
    assert "the GPU is gone" in str(await soon(lease.failure()))
    await settle()
    assert not late.granted.done() and launcher.last.was_asked_to_stop
    launcher.last.exit(67)
    assert (await late.lease()).pid == FIRST_PID + 1


async def test_a_model_that_loads_and_dies_again_and_again_backs_off() -> None:
    """Regression: a load counted as an answered request, so every failure was the first one."""
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    for expected in (S.BACKOFF, S.BACKOFF):
        await soon(pool.load(model("a")))
        launcher.last.exit(1)
        assert pool.state("a") is expected
    with pytest.raises(ModelLoadFailed):
        await soon(pool.load(model("a")))
