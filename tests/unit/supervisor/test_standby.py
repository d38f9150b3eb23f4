"""Processes kept ahead: the next model gets one at once, a lost one is replaced with patience, none is left behind."""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from support.children import has_ended, run_directory, scripted, spawning
from support.deadline import eventually
from support.launcher import MANUAL, FakeLauncher, Habits
from support.pools import LONG_S, Logs, make_pool, model, settle, soon

from mlxd.protocol import control
from mlxd.supervisor.lifecycle.process import Callbacks, SpawnLauncher
from mlxd.supervisor.lifecycle.standby import Patience, StandbyLauncher

PATIENT = Patience(hello=LONG_S, retry=LONG_S, retry_max=LONG_S, short=LONG_S)


@dataclass
class Told:
    """Note what the owner of a child hears, in order."""

    heard: list[object] = field(default_factory=list)

    @property
    def callbacks(self) -> Callbacks:
        """Return what to hand to a launcher."""
        return Callbacks(self.heard.append, self.heard.append, self.heard.append)


def reserve(
    launcher: FakeLauncher, count: int = 1, *, patience: Patience = PATIENT, memory: bool = True
) -> StandbyLauncher:
    """Return an open reserve."""
    found = StandbyLauncher(launcher, count, patience=patience, has_memory=lambda: memory)
    found.open()
    return found


async def test_nothing_is_started_before_the_reserve_is_opened() -> None:
    launcher = FakeLauncher()
    standby = StandbyLauncher(launcher, 2, patience=PATIENT, has_memory=lambda: True)
    assert launcher.children == []
    standby.open()
    assert len(standby.pids()) == 2
    await standby.end()


async def test_a_model_gets_the_process_that_waits_and_hears_its_hello() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    standby = reserve(launcher)
    await settle()
    launcher.last.print(b"imported\n")
    (pid,) = standby.pids()
    told = Told()
    child = standby.start("a", told.callbacks)
    assert child.pid == pid
    assert told.heard == [], "nobody is called before they know their child"
    await settle()
    launcher.last.print(b"loading\n")
    assert told.heard == [b"imported\n", control.Hello(pid), b"loading\n"]


async def test_a_process_that_has_not_reported_yet_tells_its_new_owner_itself() -> None:
    launcher = FakeLauncher(MANUAL)
    standby = reserve(launcher)
    told = Told()
    standby.start("a", told.callbacks)
    await settle()
    assert told.heard == []
    launcher.last.hello()
    assert told.heard == [control.Hello(launcher.last.pid)]


async def test_the_one_that_has_reported_goes_first() -> None:
    launcher = FakeLauncher(MANUAL)
    standby = reserve(launcher, 2)
    launcher.children[1].hello()
    assert standby.start("a", Told().callbacks).pid == launcher.children[1].pid


async def test_a_taken_one_is_replaced_once_its_model_is_loaded() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    standby = reserve(launcher)
    await settle()
    standby.start("a", Told().callbacks)
    await settle()
    assert standby.pids() == [], "a new one beside it would slow the load"
    launcher.last.ready()
    assert len(standby.pids()) == 1
    launcher.children[0].exit(0)
    assert len(launcher.children) == 2, "its start is over once"


async def test_a_taken_one_is_replaced_when_it_ends_without_having_loaded() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    standby = reserve(launcher)
    told = Told()
    standby.start("a", told.callbacks)
    launcher.last.exit(65)
    await settle()
    assert told.heard == [65]
    assert len(standby.pids()) == 1


async def test_where_none_waits_one_is_started_plainly() -> None:
    launcher = FakeLauncher(Habits(loads=False))
    standby = reserve(launcher)
    standby.start("a", Told().callbacks)
    standby.start("b", Told().callbacks)
    assert launcher.names == ["standby", "b"]


async def test_a_reserve_of_none_changes_nothing() -> None:
    launcher = FakeLauncher()
    standby = reserve(launcher, 0)
    standby.start("a", Told().callbacks)
    await settle()
    assert launcher.names == ["a"]


async def test_nothing_is_kept_while_memory_is_short_and_something_once_it_is_not() -> None:
    launcher = FakeLauncher()
    has_memory = False
    patience = Patience(hello=LONG_S, short=0.01)
    standby = StandbyLauncher(launcher, 1, patience=patience, has_memory=lambda: has_memory)
    standby.open()
    await settle()
    assert launcher.children == []
    has_memory = True
    await eventually(standby.pids)


async def test_one_that_is_lost_is_replaced_later_and_each_time_later_still() -> None:
    launcher = FakeLauncher()
    patience = Patience(hello=LONG_S, retry=0.01, retry_max=LONG_S)
    standby = reserve(launcher, patience=patience)
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(1, 5):
        before = loop.time()
        launcher.last.exit(-9)
        assert standby.pids() == []
        await eventually(lambda number=number: len(launcher.children) > number)  # type: ignore[misc]
        waits.append(loop.time() - before)
    assert all(wait > 0.009 * 2**number for number, wait in enumerate(waits))


async def test_a_system_that_starts_no_process_is_asked_again_later() -> None:
    launcher = FakeLauncher()
    launcher.refusal = OSError("no more processes")
    standby = reserve(launcher, patience=Patience(hello=LONG_S, retry=0.01))
    assert standby.pids() == []
    launcher.refusal = None
    await eventually(standby.pids)


@pytest.mark.parametrize("version", [None, control.VERSION + 1])
async def test_one_that_does_not_report_in_our_terms_is_killed(version: int | None) -> None:
    launcher = FakeLauncher(MANUAL)
    standby = reserve(launcher, patience=Patience(hello=0.01, retry=LONG_S))
    if version is not None:
        launcher.last.hello(version)
    await eventually(lambda: launcher.children[0].is_gone)
    assert launcher.children[0].signals == [signal.SIGKILL]
    assert standby.pids() == []


async def test_the_end_waits_for_every_process_and_keeps_none() -> None:
    launcher = FakeLauncher()
    standby = reserve(launcher, 3)
    await soon(standby.end())
    assert launcher.alive == []
    assert len(launcher.children) == 3
    standby.start("a", Told().callbacks)
    assert launcher.names[-1] == "a"


# Real processes


@pytest.fixture(scope="module")
def spawn() -> Iterator[SpawnLauncher]:
    """Give the launcher of scripted children."""
    with spawning() as found:
        yield found


async def test_a_pool_uses_the_very_process_that_waited_and_logs_what_it_said(
    spawn: SpawnLauncher,
) -> None:
    standby = StandbyLauncher(spawn, 1, patience=PATIENT, has_memory=lambda: True)
    logs = Logs()
    with run_directory() as folder:
        pool = make_pool(standby, folder, logs=logs)
        cold = await soon(pool.load(scripted(folder, "cold")))
        standby.open()
        (pid,) = standby.pids()
        warm = await soon(pool.load(scripted(folder, "warm", prints="loading\n")))
        assert (warm.pid, logs("warm").written) == (pid, b"loading\n")
        assert cold.pid != pid
        await eventually(lambda: [one for one in standby.pids() if one != pid], within=30)
        kept = standby.pids()
        result = await soon(pool.unload(model("warm")))
        assert (result.pid, result.pid_reaped, result.exit_code) == (pid, True, 0)
        await soon(asyncio.gather(pool.shutdown(), standby.end()))
        assert all(has_ended(one) for one in kept)
