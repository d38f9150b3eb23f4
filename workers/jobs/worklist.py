"""Do the jobs of a model, a bounded piece at a time; owns the main thread while it runs."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import mlx.core as mx

from mlxd.protocol.errors import InternalError, MlxdError, WorkerDied
from mlxd.protocol.exit_codes import ExitCode
from mlxd.workers import limits
from mlxd.workers.engine.inbox import Cancel, Do, Inbox, Leave, Limit, Message, Shrink, Submit
from mlxd.workers.engine.stats import Board, Counters
from mlxd.workers.jobs.job import Job

log = logging.getLogger(__name__)

REST_SECONDS = 2.0
"""How long there is nothing to do before freed buffers go back to the system."""
FAILURES = 3
"""Pieces that fail one after the other, of whatever job, before the process is given up."""

Ask = TypeVar("Ask")
Part = TypeVar("Part")


class Craft(Protocol[Ask, Part]):
    """What a kind of model can do; every method runs on the main thread."""

    def choose(self, jobs: Sequence[Job[Ask, Part]]) -> Sequence[Job[Ask, Part]]:
        """Return the jobs the next piece of work is for, at least one of these, which are in order of arrival."""
        ...

    def work(self, jobs: Sequence[Job[Ask, Part]]) -> int:
        """Do a piece of work for these jobs, put what comes of it, finish what is over; return how many units it was.

        What it raises fails exactly these jobs: a CallerError is the caller's fault, everything else is ours.
        """
        ...

    def drop(self, job: Job[Ask, Part]) -> None:
        """Forget what is kept for a job that ends here: finished, failed or cancelled."""
        ...

    def shrink(self) -> None:
        """Give back what is kept only to be faster."""
        ...


class Worklist(Generic[Ask, Part]):
    """Hold the jobs between their arrival and their end."""

    def __init__(
        self, craft: Craft[Ask, Part], inbox: Inbox, board: Board, beat: Callable[[int, int], None]
    ) -> None:
        self._craft = craft
        self._inbox = inbox
        self._board = board
        self._beat = beat
        self._jobs: dict[int, Job[Any, Any]] = {}
        self._failures = 0
        self._leave: Leave | None = None
        self.counters = Counters(max_batch=1)

    def run(self) -> Leave:
        """Work until told to leave; while there is nothing to do, wait for a message."""
        while self._leave is None:
            if self._jobs:
                self.step()
            else:
                self._rest()
        for job in list(self._jobs.values()):
            job.fail(self._leave.error)
            self._end(job)
            job.tell()
        return self._leave

    def _rest(self) -> None:
        self._beat(self.counters.steps, 0)
        self._show(full=True)
        messages = self._inbox.wait(REST_SECONDS)
        if not messages:
            mx.clear_cache()
            self._show(full=True)
            messages = self._inbox.wait()
        self._take(messages)

    def step(self) -> None:
        """Take what came in and do one piece of work."""
        self._take(self._inbox.take())
        if self._leave is not None or not self._jobs:
            return
        chosen = self._craft.choose(list(self._jobs.values()))
        self.counters.decode = len(chosen)
        self._show()
        try:
            units = self._craft.work(chosen)
        except Exception as error:
            self._failed(chosen, error)
        else:
            self._failures = 0
            self.counters.count_generated(units, 0, time.monotonic())
        over = [job for job in chosen if job.done or job.cancelled]
        for job in over:
            self.counters.finished += job.done and not job.failed
            self.counters.failed += job.failed
            self.counters.cancelled += not job.done
            self._end(job)
        self.counters.steps += 1
        self._show()
        for job in over:
            job.tell()  # whoever has an answer finds it counted
        self._beat(self.counters.steps, len(self._jobs))

    def _failed(self, jobs: Sequence[Job[Any, Any]], error: Exception) -> None:
        ours = not isinstance(error, MlxdError) or error.status >= 500
        if ours:
            log.error("a piece of work failed jobs=%d", len(jobs), exc_info=error)
        shown = (
            error if isinstance(error, MlxdError) else InternalError(f"the model failed: {error}")
        )
        for job in jobs:
            job.fail(shown)
        self._failures += ours
        if limits.is_device_error(error) or self._failures >= FAILURES:
            gone = WorkerDied(f"the model stopped working: {error}")
            self._leave = self._leave or Leave(ExitCode.POISONED, gone)

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            match message:
                case Do(job):
                    self._jobs[job.uid] = job
                case Cancel(uid):
                    if (left := self._jobs.get(uid)) is not None:
                        self.counters.cancelled += 1
                        self._end(left)
                case Leave():
                    self._leave = self._leave or message
                case Limit(memory, cache):
                    limits.set_limits(memory, cache)
                case Shrink():
                    self._craft.shrink()
                    mx.clear_cache()
                    self._show(full=True)
                case Submit():
                    raise AssertionError("rows belong to text engines")

    def _end(self, job: Job[Any, Any]) -> None:
        job.done = True
        self._jobs.pop(job.uid, None)
        self._craft.drop(job)

    def _show(self, *, full: bool = False) -> None:
        counters, now = self.counters, time.monotonic()
        counters.waiting = len(self._jobs) - counters.decode if self._jobs else 0
        if not self._jobs:
            counters.decode = 0
        if full or counters.memory_is_old(now):
            counters.active_memory_bytes = mx.get_active_memory()
            counters.cache_memory_bytes = mx.get_cache_memory()
            counters.peak_memory_bytes = mx.get_peak_memory()
        self._board.publish(counters.snapshot(), counters.speed)
