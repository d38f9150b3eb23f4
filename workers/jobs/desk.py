"""Let the HTTP thread ask for work."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar

from mlxd.protocol.errors import MlxdError, QueueFull
from mlxd.workers.engine.inbox import Cancel, Do, Inbox
from mlxd.workers.engine.stats import BatchStats, Board
from mlxd.workers.jobs.job import Job

Ask = TypeVar("Ask")
Part = TypeVar("Part")


class Desk(Generic[Ask, Part]):
    """Take asks in, as many as may wait; all methods but `close` belong to the HTTP thread's event loop."""

    def __init__(self, inbox: Inbox, board: Board, *, capacity: int) -> None:
        self._inbox = inbox
        self._board = board
        self._capacity = capacity
        self._uids = itertools.count(1)
        self._live: set[Job[Ask, Part]] = set()
        self._closed: MlxdError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, ask: Ask) -> Job[Ask, Part]:
        """Queue a job; raises QueueFull, or why nothing is done any more."""
        if self._closed is not None:
            raise self._closed
        if len(self._live) >= self._capacity:
            message = f"{len(self._live)} requests run or wait already"
            raise QueueFull(message, retry_after=1.0)
        self._loop = asyncio.get_running_loop()
        job: Job[Ask, Part] = Job(next(self._uids), ask, self._abandon)
        self._live.add(job)
        self._inbox.put(Do(job))
        return job

    @contextmanager
    def _cancelling(self, job: Job[Ask, Part]) -> Iterator[Job[Ask, Part]]:
        try:
            yield job
        finally:
            job.cancel()

    def job(self, ask: Ask) -> AbstractContextManager[Job[Ask, Part]]:
        """Queue a job that is cancelled when its block is left; raises as `submit` does."""
        return self._cancelling(self.submit(ask))

    async def answer(self, ask: Ask) -> list[Part]:
        """Return all pieces of a job's answer; cancelling this call cancels the job."""
        with self.job(ask) as job:
            return [part async for part in job]

    def stats(self) -> BatchStats:
        """Return the counts; never waits for the main thread."""
        return self._board.read()

    def close(self, error: MlxdError) -> None:
        """Fail all jobs and everything submitted from now on; any thread may call this."""
        self._closed = error
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._fail_all, error)
            except RuntimeError:
                pass  # the event loop has ended, and with it everyone who could listen

    def _fail_all(self, error: MlxdError) -> None:
        for job in list(self._live):
            job.close(error)

    def _abandon(self, job: Job[Ask, Part]) -> None:
        self._live.discard(job)
        if job.cancelled:
            self._inbox.put(Cancel(job.uid))
