"""A pool with a budget in bytes: who starts, who goes, who is refused, and what each worker is told."""

import asyncio
from typing import Any

import pytest
from support.launcher import MANUAL, FakeChild, FakeLauncher
from support.machine import MB, Machine
from support.pools import Request, make_pool, model, settle

from mlxd.protocol import control
from mlxd.protocol.errors import InsufficientMemory
from mlxd.protocol.lifecycle import WorkerState
from mlxd.protocol.plan import Verdict
from mlxd.supervisor.budget.needs import PROCESS_BYTES, Cost
from mlxd.supervisor.lifecycle.process import Callbacks
from mlxd.supervisor.scheduling.pool import Pool
from mlxd.supervisor.scheduling.wait_board import WaitBoard

S = WorkerState
BIG: dict[str, Any] = {"weights_bytes": 600 * MB}


@pytest.fixture
def machine() -> Machine:
    return Machine(FakeLauncher())


def pool_of(machine: Machine, *, wire: bool = False) -> Pool:
    return make_pool(machine.launcher, budget=machine.make_budget(wire=wire))


def told(child: FakeChild) -> list[int]:
    """Return the worker's shares in the order in which it heard of them."""
    found = []
    for message in child.sent:
        match message:
            case control.Start(spec):
                assert spec.memory_limit is not None and spec.cache_limit is not None
                found.append(spec.memory_limit + spec.cache_limit)
            case control.Limits(memory, cache):
                found.append(memory + cache)
    return found


async def test_models_that_fit_side_by_side_stay(machine: Machine) -> None:
    pool = pool_of(machine)
    for name in "abc":
        await Request(pool, model(name)).lease()
    assert len(machine.launcher.alive) == 3


async def test_a_model_too_many_takes_the_place_of_an_idle_one(machine: Machine) -> None:
    machine.each = 600 * MB
    pool = pool_of(machine)
    async with pool.lease(model("a", **BIG)):
        pass
    await Request(pool, model("b", **BIG)).lease()
    assert [child.is_gone for child in machine.launcher.children] == [True, False]


async def test_no_process_is_started_before_the_one_that_goes_was_reaped(
    machine: Machine,
) -> None:
    """Promise A6."""
    machine.each = 600 * MB
    pool = pool_of(machine)
    async with pool.lease(model("a", **BIG)):
        pass
    machine.launcher.last._habits = MANUAL
    waiting = Request(pool, model("b", **BIG))
    await settle()
    assert machine.launcher.last.was_asked_to_stop and len(machine.launcher.children) == 1
    measured = machine.readings["available"]
    machine.launcher.last.exit(0)
    await waiting.lease()
    assert machine.readings["available"] > measured


async def test_what_a_process_grew_to_is_not_given_out_again(machine: Machine) -> None:
    pool = pool_of(machine)
    busy = Request(pool, model("a"))
    lease = await busy.lease()
    machine.footprints[lease.pid] = 900 * MB
    waiting = Request(pool, model("b"))
    await settle()
    assert pool.state("b") is S.STOPPED
    await busy.end()
    await waiting.lease()


async def test_memory_that_others_took_is_not_given_out(machine: Machine) -> None:
    machine.total = 100 * MB
    with pytest.raises(InsufficientMemory) as caught:
        await Request(pool_of(machine), model("a")).lease()
    assert caught.value.free == 100 * MB and caught.value.budget == 1000 * MB


async def test_a_refusal_names_the_bytes_and_the_largest_model_that_could_go(
    machine: Machine,
) -> None:
    """Promise B7."""
    pool = pool_of(machine)
    await Request(pool, model("a")).lease()
    with pytest.raises(InsufficientMemory) as caught:
        await Request(pool, model("b", weights_bytes=5000 * MB)).lease()
    error = caught.value
    assert error.needed > 5000 * MB and error.budget == 1000 * MB
    assert error.evictable == 200 * MB and error.free <= 800 * MB


async def test_without_anybody_who_waits_for_a_process_memory_is_not_measured(
    machine: Machine,
) -> None:
    pool = pool_of(machine)
    await Request(pool, model("a")).lease()
    machine.readings.clear()
    for _ in range(5):
        async with pool.lease(model("a")):
            pass
    await settle()
    assert not machine.readings


async def test_what_a_model_took_replaces_the_guess(machine: Machine) -> None:
    pool = pool_of(machine)
    assert pool.budget is not None
    assert pool.budget.need(model("a"), machine.budget) == 1000 + PROCESS_BYTES
    lease = await Request(pool, model("a")).lease()
    assert machine.costs.of(model("a")) == Cost(400 * MB, 200 * MB, 0.5 / 123, 9)
    assert pool.budget.need(model("a"), machine.budget) == 400 * MB
    machine.footprints[lease.pid] = 500 * MB
    machine.launcher.last._habits = MANUAL
    unloading = asyncio.create_task(pool.unload(model("a"), force=True))
    await settle()
    machine.launcher.last.exit(0)
    await unloading
    assert machine.costs.of(model("a")) == Cost(400 * MB, 500 * MB, 0.5 / 123, 9)


async def test_all_workers_limits_together_stay_within_the_budget(machine: Machine) -> None:
    """Promise B4."""
    pool = pool_of(machine)
    for name in "abc":
        await Request(pool, model(name)).lease()
        await settle()
        shares = [told(child)[-1] for child in machine.launcher.alive]
        assert all(share > 0 for share in shares)
        assert 990 * MB < sum(shares) <= 1000 * MB
    await pool.unload(model("a"), force=True)
    await settle()
    assert 990 * MB < sum(told(child)[-1] for child in machine.launcher.alive) <= 1000 * MB


async def test_nothing_is_wired_unless_it_was_asked_for(machine: Machine) -> None:
    machine.total, machine.budget = 64_000 * MB, 48_000 * MB
    for wire, expected in ((False, 0), (True, 780 * MB)):
        pool = pool_of(machine, wire=wire)
        await Request(pool, model("a", **BIG)).lease()
        (start,) = [m for m in machine.launcher.last.sent if isinstance(m, control.Start)]
        assert start.spec.wired_limit == expected


async def test_who_waits_is_told_how_far_the_load_is_and_behind_whom(machine: Machine) -> None:
    machine.launcher.habits = MANUAL
    pool = pool_of(machine)
    board = WaitBoard(pool, pool._clock)
    requests = [Request(pool, model(name, **BIG)) for name in "ab"]
    await settle()
    child = machine.launcher.last
    child.hello()
    child.progress(40)
    waits = board.waits()
    assert waits["a"][1] is not None and waits["a"][1].share == 0.4
    wait = waits["b"][0]
    assert wait is not None and wait.behind == ("a",) and wait.bytes_short > 0
    assert board.note("b") == "queued 1/1 behind a"
    for request in requests:
        await request.leave()


async def test_what_cannot_be_measured_ends_no_stream_that_waits(machine: Machine) -> None:
    """Regression: the task that keeps a stream alive asked for a note, and ended by what that raised."""
    machine.launcher.habits = MANUAL
    pool = pool_of(machine)
    requests = [Request(pool, model(name, **BIG)) for name in "ab"]
    await settle()
    machine.failures = [OSError(24, "Too many open files")]
    assert WaitBoard(pool, pool._clock).note("b") is None
    assert WaitBoard(pool, pool._clock).note("b") == "queued 1/1 behind a"
    for request in requests:
        await request.leave()


async def test_processes_without_a_model_take_their_part_of_the_budget(machine: Machine) -> None:
    ignored = Callbacks(lambda message: None, lambda chunk: None, lambda code: None)
    reserve = machine.launcher.start("standby", ignored)
    machine.others.append(reserve.pid)
    machine.footprints[reserve.pid] = 300 * MB
    pool = pool_of(machine)
    await Request(pool, model("a")).lease()
    assert told(machine.launcher.last)[-1] <= 700 * MB
    found = pool.plan(model("b", weights_bytes=550 * MB))
    assert found.budget_bytes == 700 * MB and found.verdict is Verdict.WAITS
