"""The urgent go first, and whoever waits no longer than so long is told when that is over."""

import asyncio

import pytest
from support.launcher import MANUAL, FakeLauncher, Habits
from support.pools import Request, make_pool, model, settle

from mlxd.protocol.errors import QueueTimeout
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.urgency import Priority, Urgency

S = WorkerState
SHORT_S = 0.01


async def test_waiters_get_their_worker_by_priority_and_then_in_order_of_arrival() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    order: list[int] = []
    low, normal, high = Priority.LOW, Priority.NORMAL, Priority.HIGH
    requests = [
        Request(pool, model("a"), priority=priority) for priority in (low, normal, high, low, high)
    ]
    for number, request in enumerate(requests):
        request.granted.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
    await settle()
    launcher.last.ready()
    for request in requests:
        await request.lease()
    assert order == [2, 4, 1, 0, 3]


async def test_the_model_of_an_urgent_request_is_loaded_before_one_that_was_asked_for_earlier() -> (
    None
):
    pool = make_pool(FakeLauncher(), max_loaded=1)
    busy = Request(pool, model("a"))
    await busy.lease()
    early = Request(pool, model("b"))
    await settle()
    urgent = Request(pool, model("c"), priority=Priority.HIGH)
    await settle()
    await busy.end()
    await urgent.lease()
    assert pool.state("b") is S.STOPPED
    await urgent.end()
    await early.lease()


async def test_a_request_that_waits_longer_than_it_allowed_is_dropped_and_told() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    stays = Request(pool, model("a"))
    await settle()
    with pytest.raises(QueueTimeout, match=r"^a was not available within 0\.01 s$") as refused:
        await Request(pool, model("a"), patience=SHORT_S).lease()
    assert refused.value.retry_after
    assert len(pool.waiting("a")) == 1
    launcher.last.ready()
    await stays.lease()
    assert pool.workers()[0].life.leases == 1


async def test_a_model_that_nobody_waits_for_any_more_takes_nobodys_place() -> None:
    """Given a request for another model, when its time is over before there is room, then that model never starts."""
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_loaded=1)
    busy = Request(pool, model("a"))
    await busy.lease()
    with pytest.raises(QueueTimeout):
        await Request(pool, model("b"), patience=SHORT_S).lease()
    await busy.end()
    await settle()
    assert (pool.state("a"), pool.state("b")) == (S.READY, S.STOPPED)
    assert len(launcher.children) == 1


async def test_only_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = make_pool(FakeLauncher())
    await Request(pool, model("a")).lease()
    loop = asyncio.get_running_loop()
    begun, over = loop.time(), asyncio.Event()
    async with pool.lease(model("a"), urgency=Urgency(patience=60.0)):
        monkeypatch.setattr(loop, "time", lambda: begun + 120)  # all that may take a minute is due
        loop.call_later(0, over.set)
        await over.wait()
        await settle()


async def test_a_client_that_leaves_while_its_time_runs_is_gone() -> None:
    pool = make_pool(FakeLauncher(MANUAL))
    request = Request(pool, model("a"), patience=3600.0)
    await settle()
    await request.leave()
    assert request.task.cancelled()
    assert pool.waiting("a") == []
