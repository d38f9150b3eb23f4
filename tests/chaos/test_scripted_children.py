"""Real processes that misbehave in every way: each ends reaped, in a named state, with nothing of it left."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.child import VARIABLE, Script
from support.children import (
    ask,
    is_gone,
    open_files,
    run_directory,
    scripted,
    spawning,
)
from support.clock import FakeClock
from support.deadline import eventually
from support.pools import PATIENT, Logs, Request, make_pool, model, quick, soon

from mlxd.protocol import control
from mlxd.protocol.errors import ModelLoadFailed
from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle.lifecycle import Policy
from mlxd.supervisor.lifecycle.process import Callbacks, Child, SpawnLauncher
from mlxd.supervisor.lifecycle.worker import WorkerHandle
from mlxd.supervisor.scheduling.pool import Pool

S = WorkerState
WITHIN = 60.0


@pytest.fixture(scope="module")
def launcher() -> Iterator[SpawnLauncher]:
    """Give the launcher of all children here."""
    with spawning() as found:
        yield found


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Give a folder for sockets and scripts."""
    with run_directory() as folder:
        yield folder


class Watched:
    """Obey `Launcher` by another one, and know each process, however short its life is."""

    def __init__(self, launcher: SpawnLauncher) -> None:
        self._launcher = launcher
        self.pids: set[int] = set()
        self.after: Callable[[control.FromWorker], None] = lambda message: None
        """Called once the supervisor has taken a message."""

    def start(self, name: str, callbacks: Callbacks) -> Child:
        """Start one."""

        def on_message(message: control.FromWorker) -> None:
            callbacks.on_message(message)
            self.after(message)

        own = Callbacks(on_message, callbacks.on_log, callbacks.on_exit)
        child = self._launcher.start(name, own)
        self.pids.add(child.pid)
        return child


class Stage:
    """Hold a pool of real processes and see to it that none of them is left."""

    def __init__(self, launcher: SpawnLauncher, run_dir: Path) -> None:
        self.launcher = Watched(launcher)
        self.run_dir = run_dir
        self.logs = Logs()
        self.pool = self.make(PATIENT)
        self.files = 0

    @property
    def pids(self) -> set[int]:
        """Return every process that was started."""
        return self.launcher.pids

    def make(self, policy: Policy, **limits: Any) -> Pool:
        """Take another pool for the one there is."""
        self.pool = make_pool(self.launcher, self.run_dir, policy=policy, logs=self.logs, **limits)
        return self.pool

    async def warm_up(self) -> None:
        """Start what `multiprocessing` keeps once it has started anything, then count descriptors."""
        await soon(self.pool.load(scripted(self.run_dir, "warm-up")))
        await soon(self.pool.unload(model("warm-up")))
        self.pids.clear()
        gc.collect()  # what earlier tests left would be closed while we count
        self.files = open_files()

    async def first_worker(self) -> WorkerHandle:
        """Return the one worker once it has a process."""
        await eventually(lambda: [w for w in self.pool.workers() if w.pid], within=WITHIN)
        return self.pool.workers()[0]

    async def check_nothing_is_left(self) -> None:
        """Check processes, descriptors and sockets."""
        assert all(is_gone(pid) for pid in self.pids)
        assert list(self.run_dir.glob("*.sock")) == []
        await eventually(lambda: open_files() <= self.files, within=WITHIN, what="all is closed")


@pytest.fixture
async def stage(launcher: SpawnLauncher, run_dir: Path) -> AsyncIterator[Stage]:
    """Give a stage; after the test, its pool is shut down and nothing may be left."""
    stage = Stage(launcher, run_dir)
    await stage.warm_up()
    yield stage
    stage.pool.hurry()
    await soon(stage.pool.shutdown())
    await stage.check_nothing_is_left()


# Well-behaved ones


async def test_twenty_concurrent_first_requests_start_one_process(stage: Stage) -> None:
    spec = scripted(stage.run_dir, load_steps=3, load_step_s=0.02)

    async def once() -> tuple[int, list[str]]:
        async with stage.pool.lease(spec) as lease:
            return lease.pid, await ask(lease.socket)

    answers = await soon(asyncio.gather(*(once() for _ in range(20))))
    assert len({pid for pid, _ in answers}) == 1
    assert all(said == ["token 0", "token 1", "token 2", "[DONE]"] for _, said in answers)


async def test_a_slow_load_that_makes_progress_is_waited_for(stage: Stage) -> None:
    """Given a load that takes longer than load_stall, when each part comes in time, then it is ready in the end."""
    clock = FakeClock()
    stage.make(quick(load_stall=2.0), clock=clock)

    def pass_time(message: control.FromWorker) -> None:
        if isinstance(message, control.LoadProgress):
            clock.advance(1.0)

    stage.launcher.after = pass_time
    spec = scripted(stage.run_dir, load_steps=30, load_step_s=0.1)
    result = await soon(stage.pool.load(spec))
    assert result.state is S.READY and result.load_seconds > 2.0


async def test_models_come_and_go_and_nothing_adds_up(stage: Stage) -> None:
    specs = [scripted(stage.run_dir, name) for name in "ab"]
    pool = stage.make(PATIENT, max_loaded=1)
    for _ in range(3):
        for spec in specs:
            async with pool.lease(spec) as lease:
                assert len(await ask(lease.socket)) == 4
    assert len(stage.pids) == 6, "each turn was a swap"
    await soon(pool.unload(specs[1]))
    await stage.check_nothing_is_left()


# Those that never come up

NEVER_UP = {
    "never says hello": (Script(hello="never"), "did not report within"),
    "hangs before its hello": (Script(hello="hang"), "did not report within"),
    "says garbage": (Script(hello="garbage"), "did not report within"),
    "speaks another version": (Script(hello="other version"), "restart mlxd"),
    "exits before its hello": (Script(exits_at_start=3), "status 3"),
    "makes no progress": (Script(load_step_s=3600.0), "no progress for"),
    "hangs in its load": (Script(load="hangs"), "no progress for"),
    "exits in its load": (Script(load="exits"), "load failed"),
    "runs out of memory": (Script(load="exits", load_exit=66), "out of memory"),
    "says why it exits": (Script(load="exits", load_error="torn weights"), "torn weights"),
    "ignores all that it may": (
        Script(load_step_s=3600.0, ignores_stop=True, ignores_sigterm=True),
        "no progress for",
    ),
}


@pytest.mark.parametrize("name", NEVER_UP)
async def test_a_worker_that_does_not_come_up_is_an_answer_and_no_process(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    script, words = NEVER_UP[name]
    monkeypatch.setenv(VARIABLE, script.to_json())
    stalls = {"did not report within": "hello_timeout", "no progress for": "load_stall"}
    times = {stalls[words]: 0.5, "ask_grace": 0.2, "kill_grace": 0.5} if words in stalls else {}
    pool = stage.make(quick(**times))
    request = Request(pool, model("a"))
    with pytest.raises(ModelLoadFailed, match=words):
        await request.lease()
    assert pool.state("a") is S.BACKOFF


async def test_a_worker_that_is_killed_in_its_load_is_an_answer(stage: Stage) -> None:
    request = Request(stage.pool, scripted(stage.run_dir, load_step_s=3600.0))
    worker = await stage.first_worker()
    await eventually(lambda: worker.life.state is S.LOADING, within=WITHIN)
    os.kill(worker.pid or 0, signal.SIGKILL)
    with pytest.raises(ModelLoadFailed, match="SIGKILL"):
        await request.lease()


# Those that do not leave


@pytest.mark.parametrize(
    ("habits", "graces", "exit_code"),
    [
        ({}, {}, 0),
        ({"ignores_stop": True}, {"ask_grace": 0.3}, 0),
        (
            {"ignores_stop": True, "ignores_sigterm": True},
            {"ask_grace": 0.3, "kill_grace": 0.3},
            -signal.SIGKILL,
        ),
    ],
)
async def test_a_worker_that_shall_leave_leaves(
    stage: Stage, habits: dict[str, Any], graces: dict[str, float], exit_code: int
) -> None:
    pool = stage.make(quick(**graces))
    spec = scripted(stage.run_dir, **habits)
    await soon(pool.load(spec))
    result = await soon(pool.unload(spec, force=True))
    assert result.exit_code == exit_code and result.pid_reaped
    assert pool.state("a") is S.STOPPED
    await stage.check_nothing_is_left()


# Those that break off


async def test_a_worker_killed_in_the_middle_of_an_answer_fails_its_requests_at_once(
    stage: Stage,
) -> None:
    spec = scripted(stage.run_dir, token_s=3600.0)
    requests = [Request(stage.pool, spec) for _ in range(3)]
    leases = [await request.lease() for request in requests]
    answers = [asyncio.create_task(ask(lease.socket)) for lease in leases]
    worker = stage.pool.workers()[0]
    await eventually(lambda: worker.life.rows == 3, within=WITHIN, what="all of them run")
    os.kill(leases[0].pid, signal.SIGKILL)
    for lease, answer in zip(leases, answers, strict=True):
        assert "SIGKILL" in str(await soon(lease.failure(within=WITHIN)))
        with pytest.raises(ConnectionError):
            await soon(answer)
    for request in requests:
        await request.leave()
    assert (await Request(stage.pool, spec).lease()).pid != leases[0].pid, "the next one is there"


async def test_a_worker_that_dies_of_a_request_is_replaced_for_the_next(stage: Stage) -> None:
    spec = scripted(stage.run_dir, dies_at=2)
    async with stage.pool.lease(spec) as lease:
        assert len(await ask(lease.socket)) == 4
        first = lease.pid
    async with stage.pool.lease(spec) as lease:
        with pytest.raises(ConnectionError):
            await ask(lease.socket)
        assert "SIGKILL" in str(await soon(lease.failure(within=WITHIN)))
    async with stage.pool.lease(spec) as lease:
        assert len(await ask(lease.socket)) == 4
        assert lease.pid != first


async def test_a_worker_that_hangs_in_an_answer_is_noticed_and_ended(stage: Stage) -> None:
    pool = stage.make(quick(step_stall=0.5, ask_grace=0.2, kill_grace=0.5))
    lease = await Request(pool, scripted(stage.run_dir, hangs_at=1)).lease()
    answer = asyncio.create_task(ask(lease.socket))
    worker = await stage.first_worker()
    assert "no step for" in str(await soon(lease.failure(within=WITHIN)))
    with pytest.raises(ConnectionError):
        await soon(answer)
    await soon(worker.settled())
    assert (pool.state("a"), worker.exit_code) == (S.BACKOFF, -signal.SIGKILL)


async def test_a_request_that_outlasts_its_row_does_not_cost_the_worker_its_life(
    stage: Stage,
) -> None:
    """Given an engine that is done and a client that is not, when step_stall has passed, then all is well."""
    clock, stall = FakeClock(), 1.5
    pool = stage.make(quick(step_stall=stall), clock=clock)
    slow = Request(pool, scripted(stage.run_dir))
    lease = await slow.lease()
    await ask(lease.socket)
    worker = pool.workers()[0]
    await eventually(lambda: worker.life.steps == 3 and worker.life.rows == 0, within=WITHIN)
    assert worker._timer is None, "nothing is waited for"
    clock.advance(stall * 2)
    worker._on_timer()
    assert pool.state("a") is S.READY and not lease.failed.done()
    await slow.end()


async def test_a_worker_that_prints_without_end_blocks_neither_itself_nor_others(
    stage: Stage,
) -> None:
    loud = scripted(stage.run_dir, "loud", floods=True)
    calm = scripted(stage.run_dir, "calm", prints="hello from calm\n")
    async with stage.pool.lease(loud) as one, stage.pool.lease(calm) as other:
        for lease in (one, other):
            assert len(await soon(ask(lease.socket))) == 4
        log = stage.logs("loud")
        await eventually(lambda: len(log.written) > 1 << 20, within=WITHIN)
    for spec in (loud, calm):
        await soon(stage.pool.unload(spec))
    assert stage.logs("calm").written == b"hello from calm\n"
    await stage.check_nothing_is_left()
