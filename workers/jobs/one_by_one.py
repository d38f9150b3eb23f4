"""Do jobs one after the other, in order of arrival: a job is a generator, and each of its items a piece of work."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from mlxd.workers.jobs.job import Job

Ask = TypeVar("Ask")
Part = TypeVar("Part")


class OneByOne(Generic[Ask, Part]):
    """Run `perform(job)` for each job; its items are handed over as they come.

    The generator is closed as soon as nobody waits for more; within an item it may look at `job.cancelled` and raise
    whatever it likes to leave early.
    """

    def __init__(self, perform: Callable[[Job[Ask, Part]], Iterator[Part]]) -> None:
        self._perform = perform
        self._running: tuple[Job[Ask, Part], Iterator[Part]] | None = None

    def choose(self, jobs: Sequence[Job[Ask, Part]]) -> Sequence[Job[Ask, Part]]:
        """Return the job that came first."""
        return jobs[:1]

    def work(self, jobs: Sequence[Job[Ask, Part]]) -> int:
        """Get the job's next item."""
        (job,) = jobs
        if self._running is None or self._running[0] is not job:
            self._running = job, self._perform(job)
        try:
            job.put(next(self._running[1]))
        except StopIteration:
            job.finish()
            return 0
        except Exception:
            if job.cancelled:
                return 0  # it left early, as it may
            raise
        return 1

    def drop(self, job: Job[Ask, Part]) -> None:
        """Close the generator of a job that ends."""
        if self._running is not None and self._running[0] is job:
            close = getattr(self._running[1], "close", None)
            self._running = None
            if close is not None:
                close()

    def shrink(self) -> None:
        """Have nothing to give back."""
