"""End every worker before the daemon leaves."""

import asyncio

import pytest
from support.launcher import FakeLauncher, Habits
from support.pools import Request, make_pool, model, quick, settle, soon

from mlxd.protocol.errors import (
    ShuttingDown,
)
from mlxd.protocol.lifecycle import WorkerState

S = WorkerState


async def test_shutdown_turns_the_queue_away_and_waits_for_the_running() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_loaded=1)
    running = Request(pool, model("a"))
    await running.lease()
    waiting = Request(pool, model("b"))
    await settle()
    shutdown = asyncio.create_task(pool.shutdown())
    with pytest.raises(ShuttingDown):
        await waiting.lease()
    with pytest.raises(ShuttingDown):
        await Request(pool, model("a")).lease()
    assert not shutdown.done() and pool.state("a") is S.DRAINING
    await running.end()
    await soon(shutdown)
    assert launcher.alive == []


async def test_shutdown_waits_no_longer_than_the_drain_may_take() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher, policy=quick(drain_timeout=0.05))
    lease = await Request(pool, model("a")).lease()
    await soon(pool.shutdown())
    assert lease.failed.done() and launcher.alive == []


async def test_hurry_ends_a_shutdown_that_drains() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    lease = await Request(pool, model("a")).lease()
    shutdown = asyncio.create_task(pool.shutdown())
    await settle()
    assert not shutdown.done()
    pool.hurry()
    await soon(shutdown)
    assert lease.failed.done()


async def test_shutdown_ends_a_load_in_the_middle() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    load = asyncio.create_task(pool.load(model("a")))
    await settle()
    await soon(pool.shutdown())
    with pytest.raises(ShuttingDown):
        await soon(load)
    assert launcher.alive == []


async def test_shutdown_leaves_no_timer_behind() -> None:
    pool = make_pool(FakeLauncher(), max_loaded=1)
    running, waiting = Request(pool, model("a")), Request(pool, model("b"))
    await running.lease()
    await settle()
    wake = pool._wake
    assert wake is not None
    pool.hurry()
    await soon(pool.shutdown())
    assert wake.cancelled() and pool._wake is None
    assert all(worker._timer is None for worker in pool._workers.values())
    with pytest.raises(ShuttingDown):
        await waiting.lease()
