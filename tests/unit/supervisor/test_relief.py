"""Short of memory, first buffers go, then idle workers, and never a busy or a pinned one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.launcher import FakeLauncher
from support.pools import Request, make_pool, model, settle, soon

from mlxd.protocol import control
from mlxd.protocol.journal import Entry, MemoryShort
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.budget import memory
from mlxd.supervisor.pressure.pressure import Pressure
from mlxd.supervisor.pressure.relief import Level, Relief, Resident, level_of_stall, relief

OLD, NEW = Resident("old", idle_since=1), Resident("new", idle_since=2)
BUSY, PINNED = Resident("busy", leases=1), Resident("pinned", pinned=True)
ALL = (NEW, BUSY, OLD, PINNED)
levels = st.sampled_from(Level)
residents = st.lists(
    st.builds(
        Resident, st.sampled_from("abcdefgh"), st.integers(0, 2), st.booleans(), st.booleans(),
        st.floats(0, 9),
    ),
    unique_by=lambda r: r.model_id,
)  # fmt: skip


def test_nothing_is_done_without_need() -> None:
    assert relief(Level.NORMAL, Level.CRITICAL, ALL) == Relief()


def test_at_first_all_give_back_what_they_keep_only_to_be_faster() -> None:
    assert relief(Level.WARNING, Level.NORMAL, ALL) == Relief(("new", "busy", "old", "pinned"))


def test_where_that_was_not_enough_the_least_recently_used_idle_one_goes() -> None:
    assert relief(Level.WARNING, Level.WARNING, ALL) == Relief(("new", "busy", "pinned"), ("old",))


def test_in_an_emergency_all_idle_ones_go() -> None:
    assert relief(Level.CRITICAL, Level.NORMAL, ALL) == Relief(("busy", "pinned"), ("old", "new"))


@given(level=levels, before=levels, found=residents)
def test_nobody_goes_who_is_busy_pinned_or_waited_for(
    level: Level, before: Level, found: list[Resident]
) -> None:
    by_name = {r.model_id: r for r in found}
    wanted = relief(level, before, found)
    assert not set(wanted.evict) & set(wanted.shrink)
    for name in wanted.evict:
        assert not (by_name[name].leases or by_name[name].pinned or by_name[name].waited_for)
    if level is not Level.NORMAL:
        assert {*wanted.evict, *wanted.shrink} == by_name.keys()


@pytest.mark.parametrize(
    ("some", "full", "level"),
    [("0.00", "0.00", Level.NORMAL), ("9.99", "0.00", Level.NORMAL), ("10.00", "0.00", Level.WARNING),
     ("60.10", "9.00", Level.WARNING), ("60.10", "12.50", Level.CRITICAL)],
)  # fmt: skip
def test_the_level_is_the_time_that_work_stood_still(some: str, full: str, level: Level) -> None:
    lines = [f"{kind} avg10={p} avg60=99.00 avg300=99.00 total=1" for kind, p in
             (("some", some), ("full", full))]  # fmt: skip
    assert level_of_stall("\n".join(lines)) is level
    assert level_of_stall("") is Level.NORMAL


def test_the_kernel_answers() -> None:
    assert memory.pressure() in Level


async def test_workers_are_told_and_idle_ones_leave() -> None:
    launcher = FakeLauncher()
    pool = make_pool(launcher)
    busy = Request(pool, model("busy"))
    await busy.lease()
    async with pool.lease(model("idle")):
        idle = pool.workers()[1]
    now = [Level.WARNING]
    pressure = Pressure(pool, lambda: now[0])
    pressure.look()
    assert all(control.Shrink() in child.sent for child in launcher.children)
    assert pool.state("idle") is WorkerState.READY
    pressure.look()
    await soon(idle.settled())
    now[0] = Level.CRITICAL
    pressure.look()
    await settle()
    assert pool.state("busy") is WorkerState.READY
    await busy.end()


async def test_a_shortage_that_lasts_is_told_once() -> None:
    """Regression: every two seconds the same line went to the log, and pushed all else out of the events."""
    launcher, told, now = FakeLauncher(), list[Entry](), [Level.WARNING]
    pool = make_pool(launcher)
    busy = Request(pool, model("busy"))
    await busy.lease()
    pressure = Pressure(pool, lambda: now[0], tell=told.append)
    for level in [Level.WARNING] * 9 + [Level.CRITICAL] * 9 + [Level.NORMAL, Level.WARNING]:
        now[0] = level
        pressure.look()
    short = [entry.level for entry in told if isinstance(entry, MemoryShort)]
    assert short == ["warning", "critical", "warning"]
    assert launcher.last.sent.count(control.Shrink()) == 19
    await busy.end()


async def test_without_a_worker_nobody_looks() -> None:
    def read() -> Level:
        raise AssertionError("there is nothing to give back")

    Pressure(make_pool(FakeLauncher()), read).look()
