"""Load and unload on request."""

import asyncio

import pytest
from support.launcher import FIRST_PID, FakeLauncher, Habits
from support.pools import FOOTPRINT, Request, make_pool, model, quick, settle, soon

from mlxd.protocol.errors import (
    ModelLoadFailed,
    WorkerStopFailed,
)
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.scheduling import pool as pool_module

S = WorkerState


async def test_load_says_whether_it_was_it_that_loaded() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    first = await soon(pool.load(model("a")))
    again = await soon(pool.load(model("a")))
    assert (first.state, first.pid, first.memory_bytes) == (S.READY, FIRST_PID, FOOTPRINT)
    assert (first.already_loaded, again.already_loaded) == (False, True)
    assert again.load_seconds == 0.0 and len(launcher.children) == 1
    assert pool.workers()[0].life.leases == 0


async def test_a_load_that_is_unloaded_is_told_so() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    load = asyncio.create_task(pool.load(model("a")))
    await settle()
    result = await soon(pool.unload(model("a")))
    with pytest.raises(ModelLoadFailed, match="unloaded while loading"):
        await soon(load)
    assert (result.state, result.pid, result.exit_code) == (S.STOPPED, FIRST_PID, 0)


async def test_unload_answers_only_after_the_reap() -> None:
    launcher = FakeLauncher(Habits(obeys_stop=False))
    pool = make_pool(launcher)
    await soon(pool.load(model("a")))
    unload = asyncio.create_task(pool.unload(model("a")))
    await settle()
    assert launcher.last.was_asked_to_stop and not unload.done()
    launcher.last.exit(0)
    result = await soon(unload)
    assert (result.pid, result.pid_reaped, result.exit_code) == (FIRST_PID, True, 0)
    assert (result.was_loaded, result.freed_bytes) == (True, FOOTPRINT)


async def test_unload_lets_running_requests_finish() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    running = Request(pool, model("a"))
    lease = await running.lease()
    unload = asyncio.create_task(pool.unload(model("a")))
    await settle()
    assert pool.state("a") is S.DRAINING and not launcher.last.was_asked_to_stop
    await running.end()
    await soon(unload)
    assert not lease.failed.done()


async def test_unload_by_force_fails_running_requests_at_once() -> None:
    launcher = FakeLauncher(Habits(obeys_stop=False))
    pool = make_pool(launcher)
    lease = await Request(pool, model("a")).lease()
    unload = asyncio.create_task(pool.unload(model("a"), force=True))
    error = await soon(lease.failure())
    assert "unload" in str(error) and not unload.done()
    launcher.last.exit(0)
    await soon(unload)


async def test_unload_by_force_of_a_draining_worker_ends_the_drain() -> None:
    pool = make_pool(FakeLauncher())
    lease = await Request(pool, model("a")).lease()
    gentle = asyncio.create_task(pool.unload(model("a")))
    await settle()
    await soon(pool.unload(model("a"), force=True))
    await soon(gentle)
    assert lease.failed.done()


@pytest.mark.parametrize("force", [False, True])
async def test_unload_names_the_pid_of_a_process_that_nothing_ends(
    monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    """Regression: without force, and once the requests were done, nobody ever heard of it."""
    monkeypatch.setattr(pool_module, "_REAP_MARGIN_S", 0.05)
    pool = make_pool(
        FakeLauncher(Habits(obeys_stop=False)), policy=quick(ask_grace=0.0, kill_grace=0.0)
    )
    await soon(pool.load(model("a")))
    worker = pool.workers()[0]
    worker._signal = lambda number: None  # type: ignore[method-assign]  # a process in the kernel's hands
    with pytest.raises(WorkerStopFailed, match=str(FIRST_PID)):
        await soon(pool.unload(model("a"), force=force))


async def test_a_request_that_meets_a_leaving_worker_waits_for_the_next_one() -> None:
    launcher = FakeLauncher(Habits(obeys_stop=False))
    pool = make_pool(launcher)
    await soon(pool.load(model("a")))
    unload = asyncio.create_task(pool.unload(model("a")))
    await settle()
    late = Request(pool, model("a"))
    await settle()
    assert len(launcher.children) == 1, "not before the old one is gone"
    launcher.last.exit(0)
    await soon(unload)
    assert (await late.lease()).pid == FIRST_PID + 1


async def test_unload_of_what_is_not_loaded_changes_nothing() -> None:
    launcher = FakeLauncher()
    result = await soon(make_pool(launcher).unload(model("a")))
    assert (result.was_loaded, result.pid, result.exit_code) == (False, None, None)
    assert launcher.children == []
