"""A Mac is held awake for as long as there is work, and not a look longer."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.deadline import eventually

from mlxd.protocol.lifecycle import WorkerState
from mlxd.supervisor.lifecycle.lifecycle import Life
from mlxd.supervisor.wakefulness import Wakefulness, is_working


class Work:
    """Say whether there is any."""

    def __init__(self) -> None:
        self.is_there = False

    def __call__(self) -> bool:
        return self.is_there


@pytest.fixture
def caffeinate(tmp_path: Path) -> Path:
    """Give a program that notes how it was called, and stays."""
    path = tmp_path / "caffeinate"
    path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec sleep 1000\n')
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    yield
    assert [c for c in psutil.Process().children() if c.name() in ("sleep", "caffeinate")] == []


async def test_it_is_held_while_there_is_work_and_let_go_after(caffeinate: Path) -> None:
    work, calls = Work(), caffeinate.with_name("calls")
    awake = Wakefulness(work, program=str(caffeinate), interval=0.01)
    awake.start()
    assert not awake.holds
    for times in (1, 2):
        work.is_there = True
        await eventually(lambda: awake.holds)
        await eventually(lambda: calls.exists() and len(calls.read_text().splitlines()) == times)  # noqa: B023
        work.is_there = False
        await eventually(lambda: not awake.holds)
    # man 8 caffeinate: -i no sleep for want of use, -w until that process has ended.
    assert calls.read_text() == f"-i -w {os.getpid()}\n" * 2
    awake.stop()


async def test_stopping_lets_go_at_once(caffeinate: Path) -> None:
    work = Work()
    awake = Wakefulness(work, program=str(caffeinate), interval=0.01)
    awake.start()
    work.is_there = True
    await eventually(lambda: awake.holds)
    awake.stop()
    assert not awake.holds
    assert len(asyncio.all_tasks()) == 1


async def test_a_machine_without_the_program_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[bool] = []

    def is_busy() -> bool:
        asked.append(True)
        return True

    awake = Wakefulness(is_busy, program=str(tmp_path / "none"), interval=0.01)
    awake.start()
    await eventually(lambda: bool(caplog.messages))
    assert len(asked) == 1 and not awake.holds


@pytest.mark.parametrize(
    ("life", "works"),
    [
        (Life(WorkerState.READY), False),
        (Life(WorkerState.READY, pinned=True, idle_timeout=600.0), False),
        (Life(WorkerState.READY, leases=1), True),
        (Life(WorkerState.LOADING), True),
        (Life(WorkerState.DRAINING), True),
        (Life(WorkerState.BACKOFF), False),
        (Life(WorkerState.STOPPED), False),
    ],
)
def test_a_model_that_only_stays_loaded_is_no_work(life: Life, works: bool) -> None:
    assert is_working([Life(), life]) is works
