"""Let go of models that nobody uses, and make room for those that somebody wants."""

import pytest
from support.deadline import eventually
from support.launcher import FakeLauncher
from support.pools import Request, make_pool, model, settle, soon

from mlxd.protocol.errors import (
    SlotsPinned,
)
from mlxd.protocol.lifecycle import WorkerState

S = WorkerState


async def test_an_idle_model_is_unloaded() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a", idle_timeout=0.05)):
        worker = pool.workers()[0]
    await soon(worker.settled())
    assert pool.state("a") is S.STOPPED and launcher.alive == []


async def test_a_request_of_a_model_without_any_idle_time_is_served_before_it_goes() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a", idle_timeout=0.0)) as lease:
        await settle()
        assert not lease.failed.done() and pool.state("a") is S.READY
    await soon(pool.workers()[0].settled())
    assert len(launcher.children) == 1


async def test_keep_alive_of_zero_unloads_after_the_request() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a"), keep_alive=0.0):
        worker = pool.workers()[0]
        await settle()
        assert pool.state("a") is S.READY
    await soon(worker.settled())


async def test_keep_alive_for_ever_beats_the_models_own_idle_time() -> None:
    pool = make_pool(FakeLauncher())
    async with pool.lease(model("a", idle_timeout=0.0), keep_alive=float("inf")):
        pass
    await settle()
    assert pool.state("a") is S.READY


async def test_a_keep_alive_does_not_outlive_its_process() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a"), keep_alive=0.0):
        worker = pool.workers()[0]
    await soon(worker.settled())
    async with pool.lease(model("a")):
        pass
    await settle()
    assert pool.state("a") is S.READY


async def test_a_pinned_model_neither_idles_out_nor_makes_room() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_loaded=1)
    await soon(pool.load(model("a", idle_timeout=0.0), pinned=True))
    await settle()
    assert pool.state("a") is S.READY
    with pytest.raises(SlotsPinned, match="b cannot be loaded"):
        await Request(pool, model("b")).lease()
    await soon(pool.load(model("a"), pinned=False))
    await Request(pool, model("b")).lease()
    assert pool.state("a") is S.STOPPED


async def test_whoever_waits_for_room_hears_at_once_that_the_last_place_was_pinned() -> None:
    pool = make_pool(FakeLauncher(), max_loaded=1)
    busy = Request(pool, model("a"))
    await busy.lease()
    waiting = Request(pool, model("b"))
    await settle()
    pool.workers()[0].pin(True)
    with pytest.raises(SlotsPinned):
        await waiting.lease()


async def test_two_models_asked_for_at_once_take_turns_in_one_place() -> None:
    """Regression: the second of them was refused, as if all of no places were pinned."""
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_loaded=1)
    first, second = Request(pool, model("a")), Request(pool, model("b"))
    await first.lease()
    assert launcher.names == ["a"]
    await first.end()
    await second.lease()
    assert launcher.names == ["a", "b"] and len(launcher.alive) == 1


async def test_a_busy_model_yields_when_a_request_has_waited_too_long() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_loaded=1, max_swap_wait=0.05)
    running = Request(pool, model("a"))
    lease = await running.lease()
    waiting = Request(pool, model("b"))
    await eventually(lambda: pool.state("a") is not S.READY, within=30)
    assert pool.state("a") is S.DRAINING and not lease.failed.done()
    await running.end()
    await waiting.lease()
