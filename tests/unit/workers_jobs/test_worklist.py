"""Jobs: done in order, a piece at a time, handed over as they come, and failed alone."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from support.deadline import eventually

from mlxd.protocol.errors import InternalError, InvalidRequest, QueueFull, ShuttingDown, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers.engine.inbox import Inbox, Leave
from mlxd.workers.engine.stats import Board
from mlxd.workers.jobs.desk import Desk
from mlxd.workers.jobs.job import Job
from mlxd.workers.jobs.one_by_one import OneByOne
from mlxd.workers.jobs.worklist import Worklist

LEAVE = Leave(ExitCode.OK, ShuttingDown("the model is being unloaded"))
Perform = Callable[[Job[str, str]], Iterator[str]]


@dataclass
class Rig:
    """A worklist on a thread of its own, and what was seen of it."""

    desk: Desk[str, str]
    inbox: Inbox
    left: list[Leave] = field(default_factory=list)
    beats: list[tuple[int, int]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)


@asynccontextmanager
async def rig(perform: Perform, capacity: int = 10) -> AsyncIterator[Rig]:
    """Run jobs with `perform` until the block is left."""
    inbox, board = Inbox(), Board(1)
    parts = Rig(Desk(inbox, board, capacity=capacity), inbox)

    def remembering(job: Job[str, str]) -> Iterator[str]:
        try:
            yield from perform(job)
        finally:
            parts.closed.append(job.ask)

    def live() -> None:
        worklist = Worklist(
            OneByOne(remembering), inbox, board, lambda *beat: parts.beats.append(beat)
        )
        parts.left.append(worklist.run())

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield parts
    finally:
        inbox.put(LEAVE)
        await asyncio.to_thread(thread.join)


def spell(job: Job[str, str]) -> Iterator[str]:
    """Return what is asked, letter by letter."""
    yield from job.ask


async def test_answers_come_piece_by_piece_and_in_order() -> None:
    async with rig(spell) as parts:
        answers = await asyncio.gather(*(parts.desk.answer(word) for word in ("one", "two", "")))
        assert answers == [["o", "n", "e"], ["t", "w", "o"], []]
        assert parts.closed == ["one", "two", ""]
        stats = parts.desk.stats()
        assert (stats.finished, stats.failed, stats.cancelled, stats.waiting) == (3, 0, 0, 0)
        await eventually(lambda: parts.beats[-1][1] == 0)


async def test_a_failed_job_fails_alone() -> None:
    def perform(job: Job[str, str]) -> Iterator[str]:
        yield "begun"
        if job.ask == "wrong":
            raise InvalidRequest("input: is wrong", field="input")
        if job.ask == "broken":
            raise ValueError("no such shape")

    async with rig(perform) as parts:
        with parts.desk.job("wrong") as wrong, parts.desk.job("broken") as broken:
            fine = parts.desk.answer("fine")
            assert await anext(wrong) == "begun"
            with pytest.raises(InvalidRequest):
                await anext(wrong)
            assert await anext(broken) == "begun"
            with pytest.raises(InternalError, match="no such shape"):
                await anext(broken)
            assert parts.desk.stats().failed == 2
            assert await fine == ["begun"]
            assert parts.desk.stats().finished == 1


async def test_whoever_leaves_ends_his_job_at_the_next_piece() -> None:
    go_on = threading.Event()

    def perform(job: Job[str, str]) -> Iterator[str]:
        while True:
            yield "more"
            assert go_on.wait(30)

    async with rig(perform) as parts:
        with parts.desk.job("endless") as job:
            assert await anext(job) == "more"
            parts.desk.submit("never begun").cancel()
        go_on.set()
        await eventually(lambda: parts.desk.stats().cancelled == 2)
        assert parts.closed == ["endless"]
        with parts.desk.job("again") as job:
            assert await anext(job) == "more"


async def test_work_that_leaves_early_because_nobody_waits_is_no_failure() -> None:
    begun = threading.Event()

    def perform(job: Job[str, str]) -> Iterator[str]:
        begun.set()
        while not job.cancelled:
            pass
        raise RuntimeError("left in the middle")
        yield ""

    async with rig(perform) as parts:
        with parts.desk.job("long"):
            await asyncio.to_thread(begun.wait, 30)
        await eventually(lambda: parts.desk.stats().cancelled == 1)
        assert parts.desk.stats().failed == 0


async def test_too_many_are_told_to_come_back() -> None:
    gate = threading.Event()

    def perform(job: Job[str, str]) -> Iterator[str]:
        assert gate.wait(30)
        yield "done"

    async with rig(perform, capacity=2) as parts:
        with parts.desk.job("1") as one, parts.desk.job("2") as two:
            with pytest.raises(QueueFull):
                parts.desk.submit("3")
            gate.set()
            assert [await anext(one), await anext(two)] == ["done", "done"]


async def test_leaving_fails_everybody_and_whoever_comes_later() -> None:
    gate = threading.Event()

    def perform(job: Job[str, str]) -> Iterator[str]:
        assert gate.wait(30)
        yield "done"

    async with rig(perform) as parts:
        with parts.desk.job("1") as one, parts.desk.job("2") as two:
            parts.desk.close(LEAVE.error)
            for job in (one, two):
                with pytest.raises(ShuttingDown):
                    await anext(job)
            with pytest.raises(ShuttingDown):
                parts.desk.submit("3")
            gate.set()
    assert parts.left == [LEAVE]


async def test_a_model_that_keeps_failing_gives_its_process_up() -> None:
    def perform(job: Job[str, str]) -> Iterator[str]:
        raise ValueError("again")
        yield ""

    async with rig(perform) as parts:
        for _ in range(3):
            with pytest.raises(InternalError):
                await parts.desk.answer("x")
        await eventually(lambda: bool(parts.left))
        assert parts.left[0].code is ExitCode.POISONED
        assert isinstance(parts.left[0].error, WorkerDied)


async def test_an_error_of_the_device_gives_the_process_up_at_once() -> None:
    def perform(job: Job[str, str]) -> Iterator[str]:
        raise RuntimeError("[METAL] Command buffer execution failed")
        yield ""

    async with rig(perform) as parts:
        with pytest.raises(InternalError):
            await parts.desk.answer("x")
        await eventually(lambda: bool(parts.left))
        assert parts.left[0].code is ExitCode.POISONED
