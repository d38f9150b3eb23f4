"""Give requests their workers, in order, once each."""

import asyncio

import pytest
from support.launcher import FIRST_PID, MANUAL, FakeLauncher, Habits
from support.pools import Request, make_pool, model, settle, soon

from mlxd.protocol import control
from mlxd.protocol.errors import (
    QueueFull,
)
from mlxd.protocol.lifecycle import WorkerState

S = WorkerState


async def test_the_first_request_starts_a_worker_and_gets_it() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a")) as lease:
        assert (lease.model_id, lease.pid) == ("a", FIRST_PID)
        assert pool.state("a") is S.READY
    assert pool.state("a") is S.READY, "it stays for the next one"


async def test_twenty_first_requests_start_one_worker() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    requests = [Request(pool, model("a")) for _ in range(20)]
    leases = [await request.lease() for request in requests]
    assert {lease.pid for lease in leases} == {FIRST_PID}
    assert len(launcher.children) == 1


async def test_a_request_that_leaves_the_queue_leaves_no_trace() -> None:
    launcher = FakeLauncher(MANUAL)
    pool = make_pool(launcher)
    gone, stays = Request(pool, model("a")), Request(pool, model("a"))
    await settle()
    await gone.leave()
    assert len(pool.waiting("a")) == 1
    launcher.last.hello()
    launcher.last.ready()
    await stays.lease()
    assert pool.workers()[0].life.leases == 1


async def test_a_request_cancelled_at_the_very_moment_of_its_grant_gives_the_worker_back() -> None:
    """Given a grant that its task has not seen yet, when the task is cancelled, then no lease is left."""
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    request = Request(pool, model("a"))
    await settle()
    launcher.last.ready()
    (waiter,) = pool.waiting("a")
    await asyncio.sleep(
        0
    )  # the decision comes in this turn of the loop, the request's task in the next
    assert waiter.lease is not None and not request.granted.done()
    assert pool.workers()[0].life.leases == 1
    await request.leave()
    assert not request.granted.done()
    assert pool.workers()[0].life.leases == 0


async def test_a_request_cancelled_just_before_its_grant_gets_none() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    request, other = Request(pool, model("a")), Request(pool, model("a"))
    await settle()
    request.task.cancel()
    launcher.last.ready()
    await other.lease()
    assert pool.workers()[0].life.leases == 1
    assert request.task.cancelled()


async def test_a_model_whose_first_waiter_leaves_in_the_middle_of_the_load_still_comes_up() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    first = Request(pool, model("a"))
    await settle()
    launcher.last.progress()
    await first.leave()
    launcher.last.ready()
    await settle()
    assert pool.state("a") is S.READY
    await Request(pool, model("a")).lease()
    assert len(launcher.children) == 1


async def test_requests_of_a_ready_model_do_not_wait_for_another_ones_load() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    async with pool.lease(model("a")):
        pass
    launcher.habits = MANUAL
    slow = Request(pool, model("b"))
    await settle()
    await Request(pool, model("a")).lease()
    assert pool.state("b") is S.STARTING
    await slow.leave()


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    """Given max_queue 2 and a batch of 4, when a seventh request comes, then it is refused and nobody else is."""
    launcher = FakeLauncher()
    pool = make_pool(launcher, max_queue=2)
    requests = [Request(pool, model("a")) for _ in range(6)]
    for request in requests:
        await request.lease()
    with pytest.raises(QueueFull) as refused:
        async with pool.lease(model("a")):
            raise AssertionError("granted")
    assert refused.value.retry_after
    await requests[0].end()
    async with pool.lease(model("a")):
        pass


async def test_leases_that_a_stop_failed_do_not_fill_the_queue_of_the_next_process() -> None:
    launcher = FakeLauncher(Habits(obeys_stop=False))
    pool = make_pool(launcher, max_queue=1)
    spec = model("a", max_batch=1)
    requests = [Request(pool, spec), Request(pool, spec)]
    for request in requests:
        await request.lease()
    unload = asyncio.create_task(pool.unload(spec, force=True))
    await settle()
    assert pool.workers()[0].life.leases == 0
    waiting = Request(pool, spec)
    await settle()
    launcher.last.exit(0)
    await soon(unload)
    await waiting.lease()


async def test_every_waiter_gets_its_worker_in_order_of_arrival() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    pool = make_pool(launcher)
    order: list[Request] = []
    requests = [Request(pool, model("a")) for _ in range(5)]
    for request in requests:
        request.granted.add_done_callback(lambda _, one=request: order.append(one))  # type: ignore[misc]
    await settle()
    launcher.last.ready()
    for request in requests:
        await request.lease()
    assert order == requests


async def test_the_start_message_carries_the_spec() -> None:
    launcher = FakeLauncher()
    await soon(make_pool(launcher).load(model("a")))
    (start,) = [m for m in launcher.last.sent if isinstance(m, control.Start)]
    assert start.spec.model_id == "a" and start.spec.socket.endswith(".sock")
